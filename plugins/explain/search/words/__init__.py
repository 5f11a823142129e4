"""The words of questions and passages: spelling, forms, and German and Spanish ones."""

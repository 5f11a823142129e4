"""Answers from lessons: files are read into passages, and a question finds the passage that answers it."""

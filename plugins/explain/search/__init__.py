"""Finds the passage that answers a question, or decides that none does."""

"""Decides which job is next, and tells waiting requests their place."""

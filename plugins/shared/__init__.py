"""Helpers that several of the built-in plugins use. None of them is a plugin."""

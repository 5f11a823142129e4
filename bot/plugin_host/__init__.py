"""Finds, loads and reloads plugins, and knows their commands."""

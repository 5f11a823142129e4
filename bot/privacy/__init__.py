"""Exports and deletes everything that is stored about one person."""

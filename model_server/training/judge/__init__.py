"""Judges the image model: a classifier names what its pictures show."""

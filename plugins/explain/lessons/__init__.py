"""Reads lesson files of all formats, and cuts them into passages."""

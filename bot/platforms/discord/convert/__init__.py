"""Turns Discord interactions and messages into requests."""

"""Measures how good the answers are, with questions whose answers a program can check."""

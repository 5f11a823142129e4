"""Decides who may use which command where, and how often."""

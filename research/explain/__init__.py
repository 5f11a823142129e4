"""Measures the search with labelled questions, and fits its thresholds to them."""

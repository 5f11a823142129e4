"""Downloads, verifies and converts model files and keeps them in a cache."""

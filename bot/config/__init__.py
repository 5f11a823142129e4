"""The configuration of the deployment: read once, checked and frozen."""

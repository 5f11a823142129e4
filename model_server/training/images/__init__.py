"""Trains the image model: the data, the networks and the training tasks."""

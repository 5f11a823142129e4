"""The training of the image model: its data, networks and training tasks."""

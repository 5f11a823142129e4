"""The pictures and captions that the image model learns from."""

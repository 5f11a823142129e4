"""How the networks of the image model are trained, one after the other."""

"""How the weights that the repository holds were made, so that anybody can make them again."""

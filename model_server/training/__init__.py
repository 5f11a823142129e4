"""Trains the models whose weights are in the repository, so that anybody can make such weights again."""

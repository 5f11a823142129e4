"""Evaluates the image model: a judge, which is a classifier, names the things in its pictures."""

"""The moderation engine: linear models that score what is wrong with a text."""

"""The moderation engine: linear models that tell what is wrong with a text."""

"""Embeddings of passages: made, stored, put on one scale for all models, and compared with those of questions."""

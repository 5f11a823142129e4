"""Runners compute one step of a language model: tokens in, logits out."""

"""Trains the model classroom-moderation: `python -m research.moderation`.

The model has two parts. The model of single words is that of alt-profanity-check, exported once from its package to
safetensors, so that no server has to open a pickle. The head is trained on the sentences in written/, which were
written for it, and on the prompts with which the safety checks were measured before.
"""

"""How classroom-moderation was made: `python -m model_server.training.moderation`.

Two parts. The model of single words is that of alt-profanity-check, read from its package once and written down as
safetensors, so that nobody who serves it opens a pickle. The head is trained on the sentences of written/, which
were written for it, and on the prompts that safety was measured with before.
"""

"""Parts of small language models, and how far their logits are from others."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def make_letter_tokenizer() -> Tokenizer:
    """Make a WordPiece tokenizer like BERT's, which splits words into letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    backend = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend


def divergence(expected: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of each row of logits in nats."""
    wanted, got = expected.log_softmax(-1), found.log_softmax(-1)
    return (wanted.exp() * (wanted - got)).sum(-1)

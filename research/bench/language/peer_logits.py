"""Computes llama.cpp's logits: `python -m research.bench.language.peer_logits GGUF THREADS FOLDER`.

Standard input has a list of texts as JSON. Token by token, as in decoding, it writes FOLDER/logits-N.npy, float32
[tokens, V], for text number N, and FOLDER/tokens.json, the token ids of all texts.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

CONTEXT_TOKENS = 512


def main() -> None:
    """Compute the logits after each token of each text."""
    gguf, threads, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    llama_cpp = importlib.import_module("llama_cpp")
    model: Any = llama_cpp.Llama(
        gguf, n_ctx=CONTEXT_TOKENS, n_threads=threads, n_threads_batch=threads, logits_all=True, verbose=False
    )
    tokens = []
    for number, text in enumerate(json.load(sys.stdin)):
        ids = model.tokenize(text.encode(), add_bos=False, special=True)
        model.reset()
        for token in ids:
            model.eval([token])
        np.save(folder / f"logits-{number}.npy", model.scores[: len(ids)])
        tokens.append(ids)
    (folder / "tokens.json").write_text(json.dumps(tokens), "utf-8")


if __name__ == "__main__":
    main()

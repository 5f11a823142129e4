"""Turns a GGUF language model into a folder of float16 safetensors that transformers opens in seconds.

    python -m model_server.engines.language.convert SOURCE.gguf TARGET_FOLDER

Reading a GGUF means unpacking every block, which takes half a minute for half a billion weights; reading the
folder takes a tenth of that. Progress goes to stdout as lines `DONE TOTAL`, in steps.

Float16 rather than bfloat16: the unpacked values of 4- to 6-bit blocks are a float16 scale times a small integer, so
float16's ten bits of fraction keep eight times more of them, and their range never comes near its limits.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = 4

TURN_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "</s>")
"""Tokens that end an answer. A GGUF names only one of them, and a chat model may use another."""


def convert(source: Path, target: Path) -> None:
    """Write config, tokenizer (with its chat template), generation config and float16 weights of `source`.

    Whether the output layer is tied to the embedding stays as it is in the file.
    Raises ValueError for a file that is no GGUF, or of an architecture that transformers does not read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with source.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError("it is not a GGUF file.")
    target.mkdir(parents=True, exist_ok=True)
    _report(0)
    tokenizer: Any = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.save_pretrained(target)
    _report(1)
    model: Any = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float16,
    )
    _report(2)
    # The model is plain now; while it says otherwise, transformers refuses to save it.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    _settle_ends(model, tokenizer)
    model.save_pretrained(target)
    _report(3)
    _flush(target)
    _report(4)


def _settle_ends(model: Any, tokenizer: Any) -> None:
    """Name in the generation config every token at which an answer is over."""
    vocabulary = tokenizer.get_vocab()
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    ends = {vocabulary[token] for token in TURN_ENDS if vocabulary.get(token) in special}
    if tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    model.generation_config.eos_token_id = sorted(ends) or None
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id


def _flush(folder: Path) -> None:
    """Wait until the files are on the disk, so that a power cut after the rename leaves no empty ones."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _report(step: int) -> None:
    sys.stdout.write(f"{step} {STEPS}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m model_server.engines.language.convert", description=__doc__)
    parser.add_argument("source", type=Path, help="a .gguf file")
    parser.add_argument("target", type=Path, help="the folder to write; made when missing")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    try:
        convert(options.source, options.target)
    except Exception as error:  # noqa: BLE001 - this process ends here, and a sentence is all that may leave it
        reason = str(error).partition("\n")[0] or type(error).__name__
        sys.stderr.write(f"{options.source.name} cannot be converted: {reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

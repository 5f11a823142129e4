"""Converts a GGUF language model to a folder of float16 safetensors, which transformers opens in seconds.

    python -m model_server.engines.language.convert SOURCE.gguf TARGET_FOLDER

Reading a GGUF means unpacking every block, which takes half a minute for half a billion weights; reading the
folder takes a tenth of that. Progress goes to stdout as lines `DONE TOTAL`, counted in steps.

Float16 rather than bfloat16: an unpacked value of a 4- to 6-bit block is a float16 scale times a small integer. Float16
keeps it eight times as precisely, with ten bits of fraction, and its range is far from its limits.
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

STEP_COUNT = 4

TURN_END_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "</s>")
"""Tokens that end an answer. A GGUF names only one of them, and a chat model may use another one."""


def convert(source: Path, target: Path) -> None:
    """Write config, tokenizer (with its chat template), generation config and float16 weights of `source`.

    An output layer that is tied to the embedding stays tied. Raises ValueError for a file that is not a GGUF, or of an
    architecture that transformers does not read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with source.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError("it is not a GGUF file.")
    target.mkdir(parents=True, exist_ok=True)
    _report_progress(0)
    tokenizer: Any = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.save_pretrained(target)
    _report_progress(1)
    model: Any = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float16,
    )
    _report_progress(2)
    # The weights are not quantised any more; while the model says they are, transformers refuses to save it.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    _set_end_tokens(model, tokenizer)
    model.save_pretrained(target)
    _report_progress(3)
    _sync_to_disk(target)
    _report_progress(4)


def _set_end_tokens(model: Any, tokenizer: Any) -> None:
    """List all tokens that end an answer in the generation config."""
    vocabulary = tokenizer.get_vocab()
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    ends = {vocabulary[token] for token in TURN_END_TOKENS if vocabulary.get(token) in special}
    if tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    model.generation_config.eos_token_id = sorted(ends) or None
    model.generation_config.bos_token_id = tokenizer.bos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id


def _sync_to_disk(folder: Path) -> None:
    """Wait until the files are on the disk, so that a power failure after the rename leaves no empty files."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _report_progress(step: int) -> None:
    sys.stdout.write(f"{step} {STEP_COUNT}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 1 after a failure, with one sentence about it on stderr."""
    parser = argparse.ArgumentParser(prog="python -m model_server.engines.language.convert", description=__doc__)
    parser.add_argument("source", type=Path, help="a .gguf file")
    parser.add_argument("target", type=Path, help="the folder to write; made when missing")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    try:
        convert(options.source, options.target)
    except Exception as error:  # noqa: BLE001 - the process ends here, and its caller shows stderr to people
        reason = str(error).partition("\n")[0] or type(error).__name__
        sys.stderr.write(f"{options.source.name} cannot be converted: {reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

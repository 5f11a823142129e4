"""Makes a folder that the language engine opens from a GGUF: configuration, tokenizer, and the file itself.

    python -m model_server.engines.language.convert SOURCE.gguf TARGET_FOLDER

The C++ runner computes from the GGUF's own blocks. Where it cannot run, the folder gets float16 safetensors too, which
transformers opens in seconds: unpacking every block takes half a minute for half a billion weights. Float16 rather than
bfloat16: an unpacked value of a 4- to 6-bit block is a float16 scale times a small integer, and float16 keeps it eight
times as precisely. Progress goes to stdout as lines `DONE TOTAL`, counted in steps.
"""

from __future__ import annotations

import argparse
import errno
import functools
import importlib
import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_server.assembly import GGUF_FILE, TENSORS_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP_COUNT = 5

UNPACKED_FACTOR = 3.6
"""Ratio of float16 weights to the size of a 4-bit GGUF, at most."""
TURN_END_TOKENS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end|>", "<end_of_turn>", "</s>")
"""Tokens that end an answer. A GGUF names only one of them, and a chat model may use another one."""


def convert(source: Path, target: Path, device: str = "auto", dtype: str = "auto") -> None:
    """Write config, tokenizer (with its chat template), generation config, list of tensors and weights of `source`.

    `device` and `dtype`: as the catalogue has them. An output layer that is tied to the embedding stays tied.
    Raises ValueError for a file that is not a GGUF, or of an architecture that transformers does not read.
    """
    with source.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ValueError("it is not a GGUF file.")
    target.mkdir(parents=True, exist_ok=True)
    _report_progress(0)
    _read_only_once()
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    tokenizer: Any = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.save_pretrained(target)
    _report_progress(1)
    config: Any = AutoConfig.from_pretrained(source.parent, gguf_file=source.name)
    config.save_pretrained(target)
    generation = GenerationConfig.from_model_config(config)
    _set_end_tokens(generation, tokenizer)
    generation._from_model_config = False
    generation.save_pretrained(target)
    _link(source, target / GGUF_FILE)
    _list_tensors(source, target / TENSORS_FILE)
    _report_progress(2)
    is_runnable = _is_runnable(target, device, dtype)
    _report_progress(3)
    if not is_runnable:
        _write_safetensors(source, target, generation)
    _report_progress(4)
    _sync_to_disk(target)
    _report_progress(5)


def _read_only_once() -> None:
    """Let all who read the GGUF in this process share one reader, because its vocabulary takes seconds to read."""
    gguf: Any = importlib.import_module("gguf")
    gguf.GGUFReader = functools.cache(gguf.GGUFReader)


def _list_tensors(source: Path, target: Path) -> None:
    """Write the architecture of a GGUF, and type, shape and first byte of each of its tensors."""
    import gguf

    reader = gguf.GGUFReader(str(source))
    tensors = {
        tensor.name: (tensor.tensor_type.name, [int(size) for size in reversed(tensor.shape)], int(tensor.data_offset))
        for tensor in reader.tensors
    }
    architecture = reader.fields[gguf.Keys.General.ARCHITECTURE].contents()
    target.write_text(json.dumps({"architecture": architecture, "tensors": tensors}), "utf-8")


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        target.symlink_to(source)


def _is_runnable(folder: Path, device: str, dtype: str) -> bool:
    """Return whether the C++ runner will run the model, which builds that runner if it is not there yet."""
    from model_server.engines.common.device import pick_device
    from model_server.engines.language.runners.packed import RunnerUnavailable, check_runnable

    if pick_device(device).type != "cpu" or dtype != "auto":
        return False
    try:
        check_runnable(folder)
    except RunnerUnavailable:
        return False
    return True


def _write_safetensors(source: Path, target: Path, generation: Any) -> None:
    if shutil.disk_usage(target).free < UNPACKED_FACTOR * source.stat().st_size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    import torch

    from model_server.engines.language.loading import unpack_gguf

    model = unpack_gguf(source, torch.float16)
    # The weights are not quantised any more; while the model says they are, transformers refuses to save it.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.generation_config = generation
    model.save_pretrained(target)


def _set_end_tokens(generation: Any, tokenizer: Any) -> None:
    """List all tokens that end an answer in a generation config."""
    vocabulary = tokenizer.get_vocab()
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    ends = {vocabulary[token] for token in TURN_END_TOKENS if vocabulary.get(token) in special}
    if tokenizer.eos_token_id is not None:
        ends.add(tokenizer.eos_token_id)
    generation.eos_token_id = sorted(ends) or None
    generation.bos_token_id = tokenizer.bos_token_id
    generation.pad_token_id = tokenizer.pad_token_id


def _sync_to_disk(folder: Path) -> None:
    """Wait until the files are on the disk, so that a power failure after the rename leaves no empty files."""
    for path in folder.iterdir():
        if path.name == GGUF_FILE:
            continue
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
    parser.add_argument("--device", default="auto", help="the device of the model, as in the catalogue")
    parser.add_argument("--dtype", default="auto", help="the dtype of the model, as in the catalogue")
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    try:
        convert(options.source, options.target, options.device, options.dtype)
    except Exception as error:  # noqa: BLE001 - the process ends here, and its caller shows stderr to people
        reason = str(error).partition("\n")[0] or type(error).__name__
        sys.stderr.write(f"{options.source.name} cannot be converted: {reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

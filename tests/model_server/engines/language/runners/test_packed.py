"""PackedRunner, with small random models of every architecture that it runs."""

import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.engines.language import LLAMA3_ROPE, divergence
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from model_server.engines.language.runners import native
from model_server.engines.language.runners.native import RunnerUnavailable
from model_server.engines.language.runners.packed import MAX_ROWS, PackedRunner
from model_server.engines.language.runners.runner import Chunk

VOCABULARY, CONTEXT, SLOTS = 101, 400, 6
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 40,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,
}
KINDS: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=24)),
    "llama, tied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "llama, scaled": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, rope_parameters=LLAMA3_ROPE)),
    "many queries": lambda: LlamaForCausalLM(
        LlamaConfig(**{**SIZES, "num_attention_heads": 10, "num_key_value_heads": 1}, head_dim=4)
    ),
}
COMPUTED_TOKENS = 80
"""Number of tokens that are computed one by one; more than the original context of LLAMA3_ROPE."""
TEXT = tuple(torch.randint(VOCABULARY, (CONTEXT,), generator=torch.Generator().manual_seed(5)).tolist())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`folder(kind)`: a random model. The test is skipped if the processor cannot run it."""
    try:
        native.load()
    except RunnerUnavailable as why:
        pytest.skip(f"{why}")
    cache: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in cache:
            cache[kind] = tmp_path_factory.mktemp("model")
            torch.manual_seed(1)
            model = KINDS[kind]()
            for name, weight in model.named_parameters():
                if "norm" in name or "bias" in name:
                    torch.nn.init.normal_(weight, 0.6, 0.3)
            model.save_pretrained(cache[kind])
        return cache[kind]

    return make


@pytest.fixture(scope="module")
def reference(folder: Callable[[str], Path]) -> torch.Tensor:
    """The logits of qwen2 after each token of TEXT, computed one at a time and alone."""
    runner = PackedRunner(folder("qwen2"), 1, CONTEXT, 1)
    return torch.cat([runner.forward([Chunk(0, place, (token,))]) for place, token in enumerate(TEXT)])


@pytest.fixture
def runner(folder: Callable[[str], Path]) -> PackedRunner:
    return PackedRunner(folder("qwen2"), SLOTS, CONTEXT, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_close_to_those_of_transformers(folder: Callable[[str], Path], kind: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder(kind), dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = model(torch.tensor([TEXT[:COMPUTED_TOKENS]])).logits[0]
    runner = PackedRunner(folder(kind), 1, CONTEXT, 1)
    found = torch.cat(
        [runner.forward([Chunk(0, place, (token,))]) for place, token in enumerate(TEXT[:COMPUTED_TOKENS])]
    )
    assert found.dtype == torch.float32
    assert divergence(expected, found).mean() < 0.01
    assert (expected.argmax(-1) == found.argmax(-1)).float().mean() > 0.85


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 17, 64, 131, MAX_ROWS, MAX_ROWS + 40])
def test_the_size_of_chunks_changes_nothing(folder: Callable[[str], Path], reference: torch.Tensor, size: int) -> None:
    # Threads wait for each other in every layer of a call, and small chunks take many calls.
    runner = PackedRunner(folder("qwen2"), SLOTS, CONTEXT, 2 if size >= 16 else 1)
    for start in range(0, CONTEXT, size):
        part = TEXT[start : start + size]
        found = runner.forward([Chunk(3, start, part)])
        assert torch.equal(found[0], reference[start + len(part) - 1])


def test_other_sequences_change_nothing(runner: PackedRunner, reference: torch.Tensor) -> None:
    others = [TEXT[::-1], TEXT[7:] + TEXT[:7], (3,) * CONTEXT]
    places = [0, 0, 0, 0]
    for step in range(40):
        sizes = [1 + step % 4, 1, 1 + (step * 7) % 60, 2]
        order = [(step + slot) % 4 for slot in range(4)]
        chunks = []
        for slot in order:
            text = (TEXT, *others)[slot]
            start = places[slot] if places[slot] + sizes[slot] <= CONTEXT else 0
            chunks.append(Chunk(slot, start, tuple(text[start : start + sizes[slot]])))
            places[slot] = start + sizes[slot]
        found = runner.forward(chunks)
        assert torch.equal(found[order.index(0)], reference[places[0] - 1])


def test_the_rows_of_a_call_keep_their_order_over_several_passes(runner: PackedRunner, reference: torch.Tensor) -> None:
    lengths = [200, 1, MAX_ROWS - 201, 100, 300, 7]
    found = runner.forward([Chunk(slot, 0, TEXT[:length]) for slot, length in enumerate(lengths)])
    assert torch.equal(found, reference[[length - 1 for length in lengths]])


def test_logits_after_several_tokens_are_those_of_single_steps(runner: PackedRunner, reference: torch.Tensor) -> None:
    runner.forward([Chunk(1, 0, TEXT[:14])])
    found = runner.forward([Chunk(2, 0, TEXT[: MAX_ROWS + 9], 20), Chunk(0, 0, TEXT[:5]), Chunk(1, 14, TEXT[14:18], 4)])
    assert torch.equal(found, reference[[*range(MAX_ROWS - 11, MAX_ROWS + 9), 4, *range(14, 18)]])


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_the_number_of_threads_changes_nothing(
    folder: Callable[[str], Path], reference: torch.Tensor, threads: int
) -> None:
    runner = PackedRunner(folder("qwen2"), 2, CONTEXT, threads)
    found = runner.forward([Chunk(1, 0, TEXT[:90]), Chunk(0, 0, TEXT[:5])])
    assert torch.equal(found, reference[[89, 4]])


@pytest.mark.parametrize("length", [1, 15, 16, 50])
def test_a_copy_continues_like_the_original(runner: PackedRunner, reference: torch.Tensor, length: int) -> None:
    runner.forward([Chunk(0, 0, TEXT[:60]), Chunk(5, 0, TEXT[::-1][:80])])
    runner.copy(0, 5, length)
    runner.forward([Chunk(0, 0, TEXT[100:160])])
    assert torch.equal(runner.forward([Chunk(5, length, TEXT[length:70])])[0], reference[69])


def test_an_earlier_start_cuts_a_slot_back(runner: PackedRunner, reference: torch.Tensor) -> None:
    runner.forward([Chunk(2, 0, TEXT[:37] + TEXT[::-1][:200])])
    assert torch.equal(runner.forward([Chunk(2, 37, TEXT[37:39])])[0], reference[38])


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(SLOTS, 0, (1,)),
        Chunk(-1, 0, (1,)),
        Chunk(0, CONTEXT, (1,)),
        Chunk(0, -1, (1,)),
        Chunk(0, CONTEXT - 1, (1, 2)),
        Chunk(0, 0, ()),
        Chunk(0, 0, (VOCABULARY,)),
        Chunk(0, 0, (-1,)),
        Chunk(0, 0, (1, 2), 0),
        Chunk(0, 0, (1, 2), 3),
    ],
)
def test_chunks_that_do_not_fit_the_cache_are_refused(runner: PackedRunner, chunk: Chunk) -> None:
    with pytest.raises(ValueError, match=r"room|vocabulary|wanted"):
        runner.forward([Chunk(1, 0, (1,)), chunk])


@pytest.mark.parametrize(("source", "target", "length"), [(SLOTS, 0, 1), (0, -1, 1), (0, 1, CONTEXT + 1)])
def test_a_copy_that_does_not_fit_is_refused(runner: PackedRunner, source: int, target: int, length: int) -> None:
    with pytest.raises(ValueError, match="cannot copy"):
        runner.copy(source, target, length)


def test_a_model_that_lacks_a_tensor_needs_another_runner(folder: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((folder("qwen2") / "config.json").read_bytes())
    with pytest.raises(RunnerUnavailable, match=r"no model\.safetensors"):
        PackedRunner(tmp_path, 1, 16, 1)
    tensors = load_file(folder("qwen2") / "model.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    save_file({**tensors, name: tensors[name][:, 1:].contiguous()}, tmp_path / "model.safetensors")
    with pytest.raises(RunnerUnavailable, match="down_proj"):
        PackedRunner(tmp_path, 1, 16, 1)
    del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(RunnerUnavailable, match=f"no {name}"):
        PackedRunner(tmp_path, 1, 16, 1)


def test_a_model_in_several_files_is_read(
    folder: Callable[[str], Path], tmp_path: Path, reference: torch.Tensor
) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder("qwen2"))
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    found = PackedRunner(tmp_path, 1, 64, 2).forward([Chunk(0, 0, TEXT[:20])])
    assert torch.equal(found[0], reference[19])


class PlainMemory(mmap.mmap):
    """Memory of a kernel without huge pages."""

    def madvise(self, option: int, *more: int) -> None:
        if option == mmap.MADV_HUGEPAGE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        super().madvise(option, *more)


def test_a_kernel_without_huge_pages_changes_nothing(
    folder: Callable[[str], Path], reference: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mmap, "mmap", PlainMemory)
    found = PackedRunner(folder("qwen2"), 1, 64, 2).forward([Chunk(0, 0, TEXT[:20])])
    assert torch.equal(found[0], reference[19])


def test_without_a_compiler_another_runner_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert not native.is_supported()
    with pytest.raises(RunnerUnavailable, match=r"compiler|processor"):
        native.load.__wrapped__()


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "x.cpp: error: too old" >&2\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(native, "_read_cpu_features", lambda: frozenset(native.INSTRUCTION_SETS["avx2"].features))
    assert native.is_supported()
    with pytest.raises(RunnerUnavailable, match=r"too old|processor"):
        native.load.__wrapped__()

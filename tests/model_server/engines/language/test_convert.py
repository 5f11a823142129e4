"""GGUF models become folders that transformers opens."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from model_server.catalogue import CatalogueEntry, ModelFile
from model_server.engines.language.convert import main
from model_server.files.cache import ModelCache

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH, HIDDEN, LAYERS, HEADS, KV_HEADS = 32, 64, 2, 4, 2
Converted = tuple[Path, dict[str, np.ndarray], ModelCache, CatalogueEntry, "ProgressRecorder"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"


def write_gguf(path: Path, *, tied: bool) -> dict[str, np.ndarray]:
    """Write a random Qwen2 of two layers with a byte-level tokenizer, and return its tensors."""
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, "he", "ll", *SPECIAL]
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_merges(["h e", "l l"])
    writer.add_token_types([gguf.TokenType.NORMAL] * (len(tokens) - 3) + [gguf.TokenType.CONTROL] * 3)
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_chat_template(TEMPLATE)
    tensors = random_tensors(len(tokens), tied=tied)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def random_tensors(vocabulary: int, *, tied: bool) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    narrow = WIDTH * KV_HEADS // HEADS
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocabulary, WIDTH), "output_norm.weight": (WIDTH,)}
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        shapes |= {
            f"{block}.attn_norm.weight": (WIDTH,),
            f"{block}.ffn_norm.weight": (WIDTH,),
            f"{block}.attn_q.weight": (WIDTH, WIDTH),
            f"{block}.attn_q.bias": (WIDTH,),
            f"{block}.attn_k.weight": (narrow, WIDTH),
            f"{block}.attn_k.bias": (narrow,),
            f"{block}.attn_v.weight": (narrow, WIDTH),
            f"{block}.attn_v.bias": (narrow,),
            f"{block}.attn_output.weight": (WIDTH, WIDTH),
            f"{block}.ffn_gate.weight": (HIDDEN, WIDTH),
            f"{block}.ffn_up.weight": (HIDDEN, WIDTH),
            f"{block}.ffn_down.weight": (WIDTH, HIDDEN),
        }
    if not tied:
        shapes["output.weight"] = (vocabulary, WIDTH)
    return {name: random.normal(0, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def entry_for(path: Path) -> CatalogueEntry:
    content = path.read_bytes()
    file = ModelFile(name=path.name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return CatalogueEntry(
        name="tiny",
        engine="language",
        description="A tiny model",
        licence="MIT",
        files=(file,),
        sources=(str(path.parent),),
    )


class ProgressRecorder:
    """Records the phases of a download, each once."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def update(self, what: str, done: int, total: int | None) -> None:
        if what not in self.phases:
            self.phases.append(what)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """An untied model that the store has converted."""
    folder = tmp_path_factory.mktemp("convert")
    tensors = write_gguf(folder / "tiny.gguf", tied=False)
    store, entry, progress = ModelCache(folder / "cache"), entry_for(folder / "tiny.gguf"), ProgressRecorder()
    return store.ensure(entry, progress), tensors, store, entry, progress


@pytest.mark.processes
def test_transformers_opens_the_folder(converted: Converted) -> None:
    folder = converted[0]
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer("hello", return_tensors="pt").input_ids
    assert tokenizer.convert_ids_to_tokens(ids[0]) == ["he", "ll", "o"]
    assert tokenizer.decode(ids[0]) == "hello"
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False)
    assert text == "<|im_start|>hello<|im_end|>"
    assert model(ids).logits.shape == (1, 3, len(tokenizer))
    assert model.dtype == torch.float16
    ends = {tokenizer.convert_tokens_to_ids(token) for token in ("<|endoftext|>", "<|im_end|>")}
    assert set(model.generation_config.eos_token_id) == ends


@pytest.mark.processes
def test_the_weights_are_those_of_the_file(converted: Converted) -> None:
    folder, tensors, *_ = converted
    state = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
    for ours, theirs in {
        "model.embed_tokens.weight": "token_embd.weight",
        "lm_head.weight": "output.weight",
        "model.layers.1.self_attn.q_proj.bias": "blk.1.attn_q.bias",
        "model.layers.1.mlp.down_proj.weight": "blk.1.ffn_down.weight",
    }.items():
        expected = torch.from_numpy(tensors[theirs].astype(np.float16).astype(np.float32))
        assert torch.equal(state[ours], expected), ours


@pytest.mark.processes
def test_a_conversion_happens_once_and_keeps_the_source(
    converted: Converted,
) -> None:
    folder, _, store, entry, progress = converted
    assert "converting tiny.gguf" in progress.phases
    assert folder.name == entry.files[0].sha256
    assert (store.folder / "models/tiny/tiny.gguf").is_file()
    again = ProgressRecorder()
    assert store.ensure(entry, again) == folder
    assert again.phases == []


@pytest.mark.processes
def test_a_tied_output_layer_stays_tied(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf", tied=True)
    folder = ModelCache(tmp_path / "cache").ensure(entry_for(tmp_path / "tiny.gguf"))
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.tie_word_embeddings
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.fixture
def log_again() -> Iterator[None]:
    """The command line switches the log off for good."""
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("log_again")
@pytest.mark.parametrize("content", [b"not one", b"GGUF and then nothing"])
def test_a_file_that_is_not_a_gguf_is_refused_with_a_sentence(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.gguf").write_bytes(content)
    assert main([str(tmp_path / "bad.gguf"), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("bad.gguf cannot be converted: ")
    assert said.count("\n") == 1

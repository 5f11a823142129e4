"""GGUF models become folders that transformers opens."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch
from fakes.engines.gguf_files import write_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer

from model_server.catalogue import CatalogueEntry, ModelFile
from model_server.engines.contract import EngineSpec
from model_server.engines.language.convert import main
from model_server.engines.language.loading import load_model
from model_server.engines.language.runners.packed import PackedRunner, RunnerUnavailable
from model_server.engines.language.runners.runner import Chunk
from model_server.files.cache import ModelCache

if TYPE_CHECKING:
    from collections.abc import Iterator

Converted = tuple[Path, dict[str, np.ndarray], ModelCache, CatalogueEntry, "ProgressRecorder"]


def entry_for(path: Path, dtype: Literal["auto", "float16"] = "auto") -> CatalogueEntry:
    """Return an entry for the GGUF at `path`; with a dtype of its own, it is computed by torch, which needs a copy."""
    content = path.read_bytes()
    file = ModelFile(name=path.name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return CatalogueEntry(
        name="tiny",
        engine="language",
        description="A tiny model",
        licence="MIT",
        files=(file,),
        sources=(str(path.parent),),
        dtype=dtype,
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
    store, progress = ModelCache(folder / "cache"), ProgressRecorder()
    entry = entry_for(folder / "tiny.gguf", "float16")
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
    folder = ModelCache(tmp_path / "cache").ensure(entry_for(tmp_path / "tiny.gguf", "float16"))
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config.tie_word_embeddings
    assert model.lm_head.weight is model.model.embed_tokens.weight


@pytest.mark.processes
def test_where_the_blocks_themselves_are_computed_from_there_is_no_copy(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf", types={"attn_q.weight": "Q4_K"})
    folder = ModelCache(tmp_path / "cache").ensure(entry_for(tmp_path / "tiny.gguf"))
    try:
        runner = PackedRunner(folder, 1, 64, 1)
    except RunnerUnavailable as why:
        pytest.skip(f"{why}")
    assert "Q4_K" in runner.description
    assert not list(folder.glob("*.safetensors"))
    # Torch unpacks the file itself where it is wanted later.
    spec = EngineSpec(
        name="tiny",
        engine="language",
        folder=folder,
        device="cpu",
        dtype="float32",
        options={"slots": 1, "context": 64},
    )
    served, ids = load_model(spec), Chunk(0, 0, (72, 101))
    expected, found = served.runner.forward([ids])[0], runner.forward([ids])[0]
    assert "torch" in served.runner_description
    assert torch.nn.functional.cosine_similarity(expected, found, dim=0) > 0.995


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

"""PackedRunner with the blocks of a GGUF, compared with transformers and the unpacked numbers of the same file."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fakes.engines.gguf_files import TOKENS, write_gguf
from fakes.engines.language import divergence
from transformers import AutoModelForCausalLM, GgufConfig

from model_server.engines.language.convert import convert
from model_server.engines.language.runners.packed import PackedRunner, RunnerUnavailable
from model_server.engines.language.runners.runner import Chunk

pytestmark = pytest.mark.processes
"""Compiling takes as long as a start of a program."""

MIXED = {
    "attn_q.weight": "Q4_K",
    "attn_k.weight": "Q5_0",
    "attn_v.weight": "Q6_K",
    "attn_output.weight": "Q5_K",
    "ffn_gate.weight": "Q4_0",
    "ffn_up.weight": "Q8_0",
    "ffn_down.weight": "Q6_K",
    "token_embd.weight": "Q4_K",
}
TEXT = tuple(torch.randint(len(TOKENS), (40,), generator=torch.Generator().manual_seed(5)).tolist())


@pytest.mark.parametrize(
    ("architecture", "tied"), [("qwen2", False), ("qwen2", True), ("llama", False), ("qwen3", True)]
)
def test_logits_are_those_of_the_numbers_in_the_file(tmp_path: Path, architecture: str, tied: bool) -> None:
    write_gguf(tmp_path / "tiny.gguf", tied=tied, architecture=architecture, types=MIXED)
    convert(tmp_path / "tiny.gguf", tmp_path / "folder")
    model: Any = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="tiny.gguf", quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    with torch.inference_mode():
        expected = model.eval()(torch.tensor([TEXT])).logits[0]
    try:
        runner = PackedRunner(tmp_path / "folder", 1, 64, 2)
    except RunnerUnavailable as why:
        pytest.skip(f"{why}")
    found = torch.cat([runner.forward([Chunk(0, place, (token,))]) for place, token in enumerate(TEXT)])
    assert divergence(expected, found).mean() < 0.01
    # The distributions of a random model are flat, so that a small divergence alone shows little.
    assert torch.cosine_similarity(expected - expected.mean(-1, True), found - found.mean(-1, True)).min() > 0.99


def test_a_type_that_is_not_read_is_named(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf", types=MIXED)
    convert(tmp_path / "tiny.gguf", tmp_path / "folder")
    listed = tmp_path / "folder" / "tensors.json"
    listed.write_text(listed.read_text().replace("Q5_K", "IQ4_XS"))
    with pytest.raises(RunnerUnavailable, match=r"blk\.0\.attn_output\.weight is in IQ4_XS|processor|compiler"):
        PackedRunner(tmp_path / "folder", 1, 64, 2)

"""The bytes of a file that a model reads for each token."""

from pathlib import Path

import numpy as np
import pytest

from research.bench.language.traffic import Traffic


def write_gguf(path: Path, *, tied: bool) -> Path:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "qwen2")
    shapes = {
        "token_embd.weight": (10, 4),
        "blk.0.attn_norm.weight": (4,),
        "blk.0.attn_k.weight": (2, 4),
        "blk.0.attn_v.weight": (2, 4),
        "blk.1.attn_k.weight": (2, 4),
        "blk.1.attn_v.weight": (2, 4),
    }
    for name, shape in (shapes | ({} if tied else {"output.weight": (10, 4)})).items():
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("tied", [False, True])
def test_every_matrix_is_read_once_for_a_token(tied: bool, tmp_path: Path) -> None:
    traffic = Traffic.of(write_gguf(tmp_path / "m.gguf", tied=tied))
    # Four matrices of 8 values, and the output of 40; with an output of its own, the embedding is not read.
    assert traffic.weights == 4 * (4 * 8 + 40)
    # Two layers with keys and values of 2 numbers each, in float16.
    assert traffic.per_token == 2 * (4 * 2)
    assert traffic.parameters == 4 * 8 + 4 + (40 if tied else 80)
    assert traffic.per_step(100) == traffic.weights + 1600
    assert traffic.per_step(100, weights=7) == 1607

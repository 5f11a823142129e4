"""ncnn's file of an enlarger becomes tensors, and any other file is refused."""

import numpy as np
import pytest

from research.pictures.training.enlarger import HALF_PRECISION, convert

CHANNELS, LAYERS, SCALE = 3, 1, 1
SHAPES = [(3, 3, 3, 3)] * 3


def written(mark: int = HALF_PRECISION) -> bytes:
    """A file of three convolutions, whose n-th blob is full of n + 0.1; 81 weights of two bytes are padded."""
    data, number = b"", 0
    for place, shape in enumerate(SHAPES):
        weights = np.full(shape, number + 0.1, "<f2").tobytes()
        data += mark.to_bytes(4, "little") + weights + bytes(-len(weights) % 4)
        for _ in range(1 if place == len(SHAPES) - 1 else 2):
            number += 1
            data += np.full(CHANNELS, number + 0.1, "<f4").tobytes()
        number += 1
    return data


def test_every_blob_is_read_at_its_place_in_its_precision() -> None:
    tensors = convert(written(), CHANNELS, LAYERS, SCALE)
    assert {name: (one.dtype.str, set(one.flat)) for name, one in tensors.items()} == {
        "body.0.weight": ("<f2", {np.float16(0.1)}),
        "body.0.bias": ("<f4", {np.float32(1.1)}),
        "body.1.weight": ("<f4", {np.float32(2.1)}),
        "body.2.weight": ("<f2", {np.float16(3.1)}),
        "body.2.bias": ("<f4", {np.float32(4.1)}),
        "body.3.weight": ("<f4", {np.float32(5.1)}),
        "body.4.weight": ("<f2", {np.float16(6.1)}),
        "body.4.bias": ("<f4", {np.float32(7.1)}),
    }
    assert tensors["body.2.weight"].shape == SHAPES[1]


def test_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="Convolution 0 is not in half precision"):
        convert(written(mark=0), CHANNELS, LAYERS, SCALE)
    with pytest.raises(ValueError, match="The file has 568 bytes, but this network takes 564"):
        convert(written() + bytes(4), CHANNELS, LAYERS, SCALE)

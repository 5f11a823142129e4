"""Products of packed matrices, compared with the `gguf` package's own reading of the blocks."""

import ctypes
import itertools
from typing import Any

import gguf
import numpy as np
import pytest
from fakes.engines.gguf_files import SCALE_PLACES, random_blocks
from gguf import GGMLQuantizationType, quants
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model_server.engines.language.runners.native import TYPES, Matrix, MatrixSource

pytestmark = pytest.mark.processes
"""Compiling takes as long as a start of a program."""

QUANTISED = [name for name in TYPES if name.startswith("Q")]
OUTPUTS = 70
"""More than one tile, and not a whole number of them."""
Floats = NDArray[np.float32]


class Packed:
    """A matrix of the `type` with `rows` of bytes as in a file, packed by the C++ part."""

    def __init__(
        self, library: ctypes.CDLL, kind: str, rows: NDArray[np.uint8], inputs: int, order: Any = None
    ) -> None:
        self._library, self._rows = library, np.ascontiguousarray(rows)
        number, outputs = TYPES[kind], len(rows)
        self._memory = np.zeros(library.matrix_bytes(number, outputs, inputs) + 64, np.uint8)
        address = -(-self._memory.ctypes.data // 64) * 64
        where = None if order is None else order.ctypes.data
        library.matrix_pack(MatrixSource(number, self._rows.ctypes.data, outputs, inputs, where), address, 2)
        self._matrix = Matrix(number, address, outputs, inputs)

    def multiply(self, rows: Floats) -> Floats:
        """Return [rows, outputs]."""
        rows = np.ascontiguousarray(rows)
        products = np.empty((len(rows), self._matrix.outputs), np.float32)
        self._library.matrix_multiply(self._matrix, len(rows), rows.ctypes.data, products.ctypes.data)
        return products


def read_blocks(kind: str, rows: NDArray[np.uint8]) -> NDArray[np.float64]:
    return quants.dequantize(rows, GGMLQuantizationType[kind]).astype(np.float64)


def whole_activations(kind: str, count: int, inputs: int, random: np.random.Generator) -> Floats:
    """Return rows that 8 bits hold exactly: each group has whole numbers, times a power of two.

    The largest is 127 beside weights of 8 bits, and else 128 or -128. The groups have 32 numbers, or 16 beside weights
    with a scale for 16.
    """
    size = 16 if kind == "Q6_K" else 32
    groups = random.integers(-127, 128, (count, inputs // size, size)).astype(np.float32)
    groups[:, :, random.integers(size)] = 127 if kind == "Q8_0" else random.choice((-128, 128), groups.shape[:2])
    return (groups * 2.0 ** random.integers(-8, 3, (*groups.shape[:2], 1))).reshape(count, inputs).astype(np.float32)


@pytest.mark.parametrize("kind", QUANTISED)
def test_products_are_those_of_the_numbers_in_the_file(library: ctypes.CDLL, kind: str) -> None:
    @settings(max_examples=20)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 9))
    def check(seed: int, blocks: int, count: int) -> None:
        random = np.random.default_rng(seed)
        inputs = blocks * gguf.GGML_QUANT_SIZES[GGMLQuantizationType[kind]][0]
        rows, activations = random_blocks(kind, OUTPUTS, inputs, random), whole_activations(kind, count, inputs, random)
        weights = read_blocks(kind, rows)
        found = Packed(library, kind, rows, inputs).multiply(activations)
        bound = np.abs(activations.astype(np.float64)) @ np.abs(weights).T
        assert np.all(np.abs(found - activations.astype(np.float64) @ weights.T) <= 1e-5 * bound + 1e-6)

    check()


@pytest.mark.parametrize("kind", QUANTISED)
def test_extreme_blocks_are_read_exactly(library: ctypes.CDLL, kind: str) -> None:
    block, size = gguf.GGML_QUANT_SIZES[GGMLQuantizationType[kind]]
    for byte, scale in itertools.product((0, 0x7F, 0x80, 0xFF), (65504.0, -65504.0, 6e-8, 0.0)):
        rows = np.full((OUTPUTS, 1, size), byte, np.uint8)
        for place in SCALE_PLACES[kind]:
            rows[:, :, place : place + 2] = np.array([scale], np.float16).view(np.uint8)
        rows = rows.reshape(OUTPUTS, -1)
        weights, packed = read_blocks(kind, rows), Packed(library, kind, rows, block)
        for sign in (1, -1):
            activations = np.full((1, block), 127 * sign, np.float32)
            expected = activations.astype(np.float64) @ weights.T
            assert np.allclose(packed.multiply(activations), expected, rtol=1e-5, atol=1e-5 * abs(scale))


@pytest.mark.parametrize("kind", QUANTISED)
def test_the_largest_number_of_the_other_sign_is_one_step_short(library: ctypes.CDLL, kind: str) -> None:
    random = np.random.default_rng(6)
    rows = random_blocks(kind, OUTPUTS, 256, random)
    signs = random.choice((-1, 1), (2, 256)).astype(np.float32)
    signs[:, ::16] = 1
    expected = signs if kind == "Q8_0" else np.where(signs < 0, -127 / 128, 1)
    weights = read_blocks(kind, rows)
    bound = np.abs(weights).sum(axis=1)
    assert np.all(np.abs(Packed(library, kind, rows, 256).multiply(signs) - expected @ weights.T) <= 1e-5 * bound)


@pytest.mark.parametrize("kind", QUANTISED)
def test_a_row_does_not_depend_on_its_company(library: ctypes.CDLL, kind: str) -> None:
    random = np.random.default_rng(3)
    packed = Packed(library, kind, random_blocks(kind, OUTPUTS, 512, random), 512)
    activations = random.normal(size=(21, 512)).astype(np.float32)
    together = packed.multiply(activations)
    for begin, end in ((0, 1), (3, 5), (4, 7), (7, 11), (2, 7), (5, 13), (1, 18)):
        assert np.array_equal(packed.multiply(activations[begin:end]), together[begin:end])


@pytest.mark.parametrize("kind", [name for name in TYPES if name not in QUANTISED])
def test_floats_are_rounded_to_8_bits(library: ctypes.CDLL, kind: str) -> None:
    random = np.random.default_rng(4)
    # As many inputs as are no whole number of groups.
    weights = random.normal(size=(OUTPUTS, 50)).astype(np.float32)
    raw = {"F32": weights, "F16": weights.astype(np.float16), "BF16": (weights.view(np.uint32) >> 16).astype(np.uint16)}
    packed = Packed(library, kind, raw[kind].view(np.uint8).reshape(OUTPUTS, -1), 50)
    activations = random.normal(size=(3, 50)).astype(np.float32)
    expected = activations @ weights.T
    assert np.sqrt(np.mean((packed.multiply(activations) - expected) ** 2) / np.mean(expected**2)) < 0.02


def test_outputs_can_be_reordered(library: ctypes.CDLL) -> None:
    random = np.random.default_rng(5)
    rows = random_blocks("Q4_0", OUTPUTS, 64, random)
    order = random.permutation(OUTPUTS).astype(np.int32)
    activations = random.normal(size=(2, 64)).astype(np.float32)
    found = Packed(library, "Q4_0", rows, 64, order).multiply(activations)
    assert np.array_equal(found, Packed(library, "Q4_0", rows, 64).multiply(activations)[:, order])


def test_a_type_that_is_not_supported_has_no_size(library: ctypes.CDLL) -> None:
    assert library.matrix_bytes(int(GGMLQuantizationType.Q3_K), 64, 256) == 0

"""A decoder step in C++ for x86 processors with AVX-512 VNNI or AVX2, built with the system's compiler at first use.

The library is kept under TEMPERA_CACHE, else ~/.cache/tempera, in a file named after the hash of its source, of the
compiler and of its options.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCES = (
    *("avx512.h", "avx2.h", "vectors.h", "blocks.h", "formats.h", "matrix.h", "attention.h", "team.h"),
    "decoder.cpp",
)


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """Instructions that the C++ part is compiled for. `features`: as in /proc/cpuinfo of Linux."""

    name: str
    features: tuple[str, ...]

    def compiler_options(self) -> tuple[str, ...]:
        """Return the compiler's options, whose names have no underscores."""
        return tuple(f"-m{feature.replace('_', '')}" for feature in self.features)


INSTRUCTION_SETS = {
    "avx512": InstructionSet(
        "AVX-512 VNNI", ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "f16c", "fma")
    ),
    "avx2": InstructionSet("AVX2", ("avx2", "f16c", "fma")),
}
"""The best one first, by their names in the environment variable TEMPERA_NATIVE, which chooses one to measure it."""
COMPILER_OPTIONS = (
    *("-O2", "-std=c++17", "-fopenmp", "-shared", "-fPIC"),
    # Contraction lets the compiler choose where a sum is rounded, which may differ between two copies of a loop.
    "-ffp-contract=off",
)
BUILD_TIMEOUT_SECONDS = 300
MATRIX_NAMES = ("query", "key", "value", "output", "gate", "up", "down")
VECTOR_NAMES = ("attention_norm", "inner_norm", "query_norm", "key_norm", "query_bias", "key_bias", "value_bias")
TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q5_0": 6, "Q8_0": 8, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "BF16": 30}
"""ggml's numbers of the types of numbers that the C++ part reads."""


class RunnerUnavailable(Exception):
    """This machine or this model needs another runner. `str()` of it completes "because …"."""


class ModelShape(ctypes.Structure):
    """`Shape` of decoder.cpp: sizes of a model and its cache. `rows`: the most rows in one step."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("layers", "hidden", "inner", "heads", "key_heads", "head_width")),
        *((name, ctypes.c_int) for name in ("vocabulary", "context", "slots", "rows", "threads")),
        ("epsilon", ctypes.c_float),
    )


class MatrixSource(ctypes.Structure):
    """`Source` of formats.h: a matrix [outputs, inputs] as it is in a file. `order`: null, or each output's row."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("outputs", "inputs")),
        ("order", ctypes.c_void_p),
    )


class Matrix(ctypes.Structure):
    """`Matrix` of matrix.h: the address of a packed matrix, or of the embedding as it is in the file."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int) for name in ("outputs", "inputs")),
    )


class LayerWeights(ctypes.Structure):
    """`Layer` of decoder.cpp: addresses of one layer's weights; null for norms and biases that it lacks."""

    _fields_ = (*((name, ctypes.c_void_p) for name in VECTOR_NAMES), *((name, Matrix) for name in MATRIX_NAMES))


class SharedWeights(ctypes.Structure):
    """`Shared` of decoder.cpp: addresses of the weights that belong to no layer."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("norm", "cosines", "sines")),
        *((name, Matrix) for name in ("logits", "embedding")),
    )


def cache_folder() -> Path:
    """Return the folder for files that are made for this machine."""
    return Path(os.environ.get("TEMPERA_CACHE") or "~/.cache/tempera").expanduser().absolute()


@functools.cache
def load() -> ctypes.CDLL:
    """Return the library, built if necessary, which takes seconds. Raises RunnerUnavailable if that fails."""
    instructions, compiler = choose_instructions(), _find_compiler()
    try:
        library = ctypes.CDLL(str(_build(compiler, instructions)))
    except subprocess.CalledProcessError as error:
        errors = [line for line in error.stderr.decode(errors="replace").splitlines() if "error" in line]
        raise RunnerUnavailable(f"the C++ part did not build ({(errors or ['no reason given'])[0]})") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunnerUnavailable(f"the C++ part could not be built or opened ({error})") from error
    return _declare_functions(library)


def is_supported() -> bool:
    """Return whether this machine has what the library needs: the instructions, and a compiler. Builds nothing."""
    try:
        choose_instructions()
        _find_compiler()
    except RunnerUnavailable:
        return False
    return True


def _find_compiler() -> str:
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise RunnerUnavailable("there is no C++ compiler; install g++ for a several times faster model")
    return compiler


def choose_instructions() -> InstructionSet:
    """Return the best instruction set of this processor. Raises RunnerUnavailable if it has none of them."""
    wanted = os.environ.get("TEMPERA_NATIVE")
    if wanted and wanted not in INSTRUCTION_SETS:
        raise RunnerUnavailable(f"TEMPERA_NATIVE should be one of {', '.join(INSTRUCTION_SETS)}")
    present = _read_cpu_features()
    candidates = [INSTRUCTION_SETS[wanted]] if wanted else INSTRUCTION_SETS.values()
    for instructions in candidates:
        missing = [feature for feature in instructions.features if feature not in present]
        if not missing:
            return instructions
    raise RunnerUnavailable(f"the processor lacks {', '.join(missing)}")


def _read_cpu_features() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith("flags") for word in line.split(":", 1)[1].split())


def _build(compiler: str, instructions: InstructionSet) -> Path:
    here = Path(__file__).parent
    options = (*COMPILER_OPTIONS, *instructions.compiler_options())
    key = hashlib.sha256("\0".join((compiler, *options)).encode() + _run(compiler, "--version"))
    for name in SOURCES:
        key.update((here / name).read_bytes())
    target = cache_folder() / "native" / f"decoder-{key.hexdigest()[:16]}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        _run(compiler, *options, str(here / SOURCES[-1]), "-o", str(built))
        built.replace(target)
    return target


def _run(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, timeout=BUILD_TIMEOUT_SECONDS).stdout  # noqa: S603 - the compiler


def _declare_functions(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    functions: dict[str, tuple[list[Any], Any]] = {
        "decoder_create": (
            [ctypes.POINTER(ModelShape), ctypes.POINTER(LayerWeights), ctypes.POINTER(SharedWeights)],
            pointer,
        ),
        "decoder_destroy": ([pointer], None),
        "decoder_step": ([pointer, number, pointer, pointer, pointer, number, pointer, pointer], None),
        "decoder_copy": ([pointer, number, number, number], None),
        "matrix_bytes": ([number, number, number], size),
        "matrix_pack": ([ctypes.POINTER(MatrixSource), pointer, number], None),
        "matrix_multiply": ([ctypes.POINTER(Matrix), number, pointer, pointer], None),
    }
    for name, (arguments, result) in functions.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library

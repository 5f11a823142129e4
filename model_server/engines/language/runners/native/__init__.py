"""A decoder step in C++ for processors with AVX-512 VNNI, built with the system's compiler at first use.

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
from pathlib import Path

SOURCES = ("vectors.h", "matrix.h", "attention.h", "team.h", "decoder.cpp")
REQUIRED_FEATURES = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "f16c", "fma")
"""Names as in /proc/cpuinfo of Linux; the compiler's options have no underscores."""
COMPILER_OPTIONS = (
    *("-O3", "-std=c++17", "-fopenmp", "-shared", "-fPIC"),
    # Contraction lets the compiler choose where a sum is rounded, which may differ between two copies of a loop.
    "-ffp-contract=off",
    *(f"-m{feature.replace('_', '')}" for feature in REQUIRED_FEATURES),
)
BUILD_TIMEOUT_SECONDS = 120
LAYER_PART_NAMES = (
    *("attention_norm", "inner_norm", "query_norm", "key_norm", "qkv_bias"),
    *("qkv", "output", "gate_up", "down"),
)


class RunnerUnavailable(Exception):
    """This machine or this model needs another runner. `str()` of it completes "because …"."""


class ModelShape(ctypes.Structure):
    """`Shape` of decoder.cpp: sizes of a model and its cache. `rows`: the most rows in one step."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("layers", "hidden", "inner", "heads", "key_heads", "head_width")),
        *((name, ctypes.c_int) for name in ("vocabulary", "context", "slots", "rows", "threads")),
        ("epsilon", ctypes.c_float),
    )


class LayerAddresses(ctypes.Structure):
    """`Layer` of decoder.cpp: addresses of one layer's weights; null for norms and biases that it lacks."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in LAYER_PART_NAMES)


class SharedAddresses(ctypes.Structure):
    """`Shared` of decoder.cpp: addresses of the weights that belong to no layer."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("norm", "cosines", "sines", "logits"))


def cache_folder() -> Path:
    """Return the folder for files that are made for this machine."""
    return Path(os.environ.get("TEMPERA_CACHE") or "~/.cache/tempera").expanduser().absolute()


@functools.cache
def load() -> ctypes.CDLL:
    """Return the library, built if necessary, which takes seconds. Raises RunnerUnavailable if that fails."""
    if missing := [feature for feature in REQUIRED_FEATURES if feature not in _read_cpu_features()]:
        raise RunnerUnavailable(f"the processor lacks {', '.join(missing)}")
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise RunnerUnavailable("there is no C++ compiler; install g++ for a several times faster model")
    try:
        library = ctypes.CDLL(str(_build(compiler)))
    except subprocess.CalledProcessError as error:
        errors = [line for line in error.stderr.decode(errors="replace").splitlines() if "error" in line]
        raise RunnerUnavailable(f"the C++ part did not build ({(errors or ['no reason given'])[0]})") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunnerUnavailable(f"the C++ part could not be built or opened ({error})") from error
    return _declare_functions(library)


def _read_cpu_features() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith("flags") for word in line.split(":", 1)[1].split())


def _build(compiler: str) -> Path:
    here = Path(__file__).parent
    key = hashlib.sha256("\0".join((compiler, *COMPILER_OPTIONS)).encode() + _run(compiler, "--version"))
    for name in SOURCES:
        key.update((here / name).read_bytes())
    target = cache_folder() / "native" / f"decoder-{key.hexdigest()[:16]}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        _run(compiler, *COMPILER_OPTIONS, str(here / SOURCES[-1]), "-o", str(built))
        built.replace(target)
    return target


def _run(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, timeout=BUILD_TIMEOUT_SECONDS).stdout  # noqa: S603 - the compiler


def _declare_functions(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.decoder_create.argtypes = [
        ctypes.POINTER(ModelShape),
        ctypes.POINTER(LayerAddresses),
        ctypes.POINTER(SharedAddresses),
    ]
    library.decoder_create.restype = pointer
    library.decoder_destroy.argtypes = [pointer]
    library.decoder_destroy.restype = None
    library.decoder_step.argtypes = [pointer, number, pointer, pointer, pointer, number, pointer, pointer]
    library.decoder_step.restype = None
    library.decoder_copy.argtypes = [pointer, number, number, number]
    library.decoder_copy.restype = None
    return library

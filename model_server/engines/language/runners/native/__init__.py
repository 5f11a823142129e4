"""A decoder step in C++ for processors with AVX-512 VNNI, built with the system's compiler at first use.

`load` gives the library. It is kept under TEMPERA_CACHE, else ~/.cache/tempera, by its source, command and compiler.
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
NEEDED = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "f16c", "fma")
"""As Linux names them in /proc/cpuinfo; the compiler's names have no underscore."""
OPTIONS = (
    *("-O3", "-std=c++17", "-fopenmp", "-shared", "-fPIC"),
    # Contraction would let the compiler choose where a sum is rounded, and so differ between two copies of one loop.
    "-ffp-contract=off",
    *(f"-m{feature.replace('_', '')}" for feature in NEEDED),
)
BUILD_SECONDS = 120
LAYER_PARTS = (
    *("attention_norm", "inner_norm", "query_norm", "key_norm", "qkv_bias"),
    *("qkv", "output", "gate_up", "down"),
)


class Unavailable(Exception):
    """This machine or this model needs another runner. The text says why, as the end of "because …"."""


class ModelShape(ctypes.Structure):
    """Sizes of a model and of its cache; `rows` is the most that one step takes."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("layers", "hidden", "inner", "heads", "key_heads", "head_width")),
        *((name, ctypes.c_int) for name in ("vocabulary", "context", "slots", "rows", "threads")),
        ("epsilon", ctypes.c_float),
    )


class LayerAddresses(ctypes.Structure):
    """Addresses of one layer's weights; null for the norms and biases that it lacks."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in LAYER_PARTS)


class EndAddresses(ctypes.Structure):
    """Addresses of what comes before and after the layers."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("norm", "cosines", "sines", "logits"))


def cache_folder() -> Path:
    """Where this machine keeps what was made for it."""
    return Path(os.environ.get("TEMPERA_CACHE") or "~/.cache/tempera").expanduser().absolute()


@functools.cache
def load() -> ctypes.CDLL:
    """The library. Blocks for seconds when it is built; raises Unavailable when it cannot be, or cannot run here."""
    if lacking := [feature for feature in NEEDED if feature not in _features()]:
        raise Unavailable(f"the processor lacks {', '.join(lacking)}")
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        raise Unavailable("there is no C++ compiler; install g++ for a several times faster model")
    try:
        library = ctypes.CDLL(str(_built(compiler)))
    except subprocess.CalledProcessError as error:
        complaints = [line for line in error.stderr.decode(errors="replace").splitlines() if "error" in line]
        raise Unavailable(f"the C++ part did not build ({(complaints or ['no reason given'])[0]})") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the C++ part could not be built or opened ({error})") from error
    return _declared(library)


def _features() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith("flags") for word in line.split(":", 1)[1].split())


def _built(compiler: str) -> Path:
    here = Path(__file__).parent
    key = hashlib.sha256("\0".join((compiler, *OPTIONS)).encode() + _run(compiler, "--version"))
    for name in SOURCES:
        key.update((here / name).read_bytes())
    target = cache_folder() / "native" / f"decoder-{key.hexdigest()[:16]}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / target.name
        _run(compiler, *OPTIONS, str(here / SOURCES[-1]), "-o", str(made))
        made.replace(target)
    return target


def _run(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, timeout=BUILD_SECONDS).stdout  # noqa: S603 - the compiler


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    library.decoder_create.argtypes = [
        ctypes.POINTER(ModelShape),
        ctypes.POINTER(LayerAddresses),
        ctypes.POINTER(EndAddresses),
    ]
    library.decoder_create.restype = pointer
    library.decoder_destroy.argtypes = [pointer]
    library.decoder_destroy.restype = None
    library.decoder_step.argtypes = [pointer, number, pointer, pointer, pointer, number, pointer, pointer]
    library.decoder_step.restype = None
    library.decoder_copy.argtypes = [pointer, number, number, number]
    library.decoder_copy.restype = None
    return library

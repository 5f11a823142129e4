"""The C++ part for each instruction set: built for this processor, or for SIMDe, which emulates AVX-512."""

import ctypes
import os
import re
import subprocess
from pathlib import Path

import pytest

from model_server.engines.language.runners import native
from model_server.engines.language.runners.native import INSTRUCTION_SETS, RunnerUnavailable

SIMDE = Path("/usr/include/simde/x86/avx512.h")
# SIMDe lacks these two.
EMULATION = """
#include <immintrin.h>
#include <simde/x86/avx512.h>
#include <cstring>
inline float simde_mm512_reduce_add_ps(simde__m512 x) {
    float lanes[16];
    std::memcpy(lanes, &x, sizeof lanes);
    for (int width = 8; width; width /= 2)
        for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
    return lanes[0];
}
inline int simde_mm512_reduce_add_epi32(simde__m512i x) {
    int lanes[16], sum = 0;
    std::memcpy(lanes, &x, sizeof lanes);
    for (const int lane : lanes) sum += lane;
    return sum;
}
#define __m512 simde__m512
#define __m512i simde__m512i
#define __mmask16 simde__mmask16
#define __AVX512VNNI__ 1
"""


@pytest.fixture(scope="session", params=INSTRUCTION_SETS)
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The C++ part. The test is skipped where it can neither run nor be emulated, but fails in CI."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPERA_NATIVE", request.param)
        try:
            return native.load.__wrapped__()
        except RunnerUnavailable as why:
            reason = str(why)
    if request.param != "avx512" or not SIMDE.exists():
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    return _emulate(tmp_path_factory.mktemp("emulated"))


def _emulate(folder: Path) -> ctypes.CDLL:
    sources = Path(native.__file__).parent
    names = set(re.findall(r"\b_mm512_\w+", (sources / "avx512.h").read_text()))
    renamed = "".join(f"#define {name} simde{name}\n" for name in sorted(names))
    (folder / "emulated.cpp").write_text(EMULATION + renamed + '#include "decoder.cpp"\n')
    options = ["-O1", "-std=c++17", "-fopenmp", "-shared", "-fPIC", "-ffp-contract=off", "-mavx2", "-mfma", "-mf16c"]
    target = folder / "emulated.so"
    command = ["g++", *options, f"-I{sources}", str(folder / "emulated.cpp"), "-o", str(target)]
    subprocess.run(command, check=True, timeout=600)
    return native._declare_functions(ctypes.CDLL(str(target)))

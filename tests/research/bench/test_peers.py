"""Which builds of llama.cpp are found."""

from pathlib import Path

import pytest

from model_server.errors import OperatorError
from research.bench import peers
from research.bench.peers import NATIVE, WHEEL, find_native_server, find_peers, require_peer

FEATURES = {WHEEL: ("AVX2",), NATIVE: ("AVX2", "AVX512", "AVX512_VNNI")}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_features(package: str) -> tuple[str, ...]:
        return FEATURES[package]

    monkeypatch.setattr(peers, "require_peer", lambda: None)
    monkeypatch.setattr(peers, "_read_features", read_features)


@pytest.mark.parametrize(
    ("built", "instructions", "found", "said"),
    [
        (True, None, [WHEEL, NATIVE], ""),
        (True, "avx2", [WHEEL], "is built for AVX-512 and was left out"),
        (False, None, [WHEEL], "is not built here, so the wheel alone is compared."),
    ],
)
async def test_a_native_build_is_compared_where_it_fits(
    built: bool, instructions: str | None, found: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "find_native_server", lambda: Path("llama-server") if built else None)
    chosen, sentence = await find_peers(instructions)
    assert [peer.package for peer in chosen] == found
    assert said in sentence
    assert bool(said) == bool(sentence)


def test_the_native_server_is_beside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_llama" / "lib").mkdir(parents=True)
    (tmp_path / "some_llama" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_native_server("some_llama") is None
    server = tmp_path / "some_llama" / "lib" / "llama-server"
    server.touch()
    assert find_native_server("some_llama") == server
    assert find_native_server("not_there") is None


def test_without_llama_cpp_the_error_says_how_to_install_it() -> None:
    with pytest.raises(OperatorError, match=r"install it with pip install not_there\."):
        require_peer("not_there")

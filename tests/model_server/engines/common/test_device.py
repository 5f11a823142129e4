"""The choice of device and dtype."""

from collections.abc import Iterator

import pytest
import torch

from model_server.engines.common import device
from model_server.engines.common.device import pick_device, pick_dtype
from model_server.engines.contract import Misconfigured

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def untried() -> Iterator[None]:
    """Let each test try the GPU anew."""
    device._has_usable_gpu.cache_clear()
    yield
    device._has_usable_gpu.cache_clear()


def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu") == CPU


def test_auto_is_the_processor_where_torch_has_no_program_for_the_gpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nMore follows.")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", fail)
    assert [pick_device("auto"), pick_device("auto")] == [CPU, CPU]
    [record] = caplog.records
    assert record.message.endswith("no kernel image is available for execution on the device")


def test_auto_is_the_gpu_where_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda size, device: torch.ones(size))
    assert pick_device("auto") == torch.device("cuda")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(Misconfigured, match="no device named 'toaster'"):
        pick_device("toaster")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_refused() -> None:
    with pytest.raises(Misconfigured, match="torch sees no GPU"):
        pick_device("cuda:1")


def test_a_dtype_is_chosen_by_name_or_by_device() -> None:
    assert pick_dtype("float16", CPU) is torch.float16
    assert pick_dtype("auto", torch.device("cuda")) is torch.bfloat16
    with pytest.raises(Misconfigured, match="no dtype named 'int3'"):
        pick_dtype("int3", CPU)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"cpu_name": "Intel Xeon", "amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"cpu_name": "AMD EPYC", "amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        # A virtual machine hides AMX, and AVX-512 BF16 alone is slow.
        ({"cpu_name": "Intel Xeon", "amx_bf16": False, "avx512_bf16": True}, torch.float32),
        ({"cpu_name": "AMD Ryzen", "avx512_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_on_a_processor_is_the_dtype_that_it_multiplies_faster(
    capabilities: dict[str, bool | str], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert pick_dtype("auto", CPU) is expected


def test_auto_is_float32_where_torch_does_not_know_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert pick_dtype("auto", CPU) is torch.float32

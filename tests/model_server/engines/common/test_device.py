"""Where a model runs."""

import pytest
import torch

from model_server.engines.common.device import pick_device, pick_dtype
from model_server.engines.contract import Misconfigured

CPU = torch.device("cpu")


def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu") == CPU


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(Misconfigured, match="no device named 'toaster'"):
        pick_device("toaster")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(Misconfigured, match="torch sees no GPU"):
        pick_device("cuda:1")


def test_dtype_by_name_and_by_device() -> None:
    assert pick_dtype("float16", CPU) is torch.float16
    assert pick_dtype("auto", torch.device("cuda")) is torch.bfloat16
    with pytest.raises(Misconfigured, match="no dtype named 'int3'"):
        pick_dtype("int3", CPU)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"cpu_name": "Intel Xeon", "amx_bf16": True, "avx512_bf16": True}, torch.bfloat16),
        ({"cpu_name": "AMD EPYC", "amx_bf16": False, "avx512_bf16": True}, torch.bfloat16),
        # The tiles hidden by a virtual machine, and what is left is slow.
        ({"cpu_name": "Intel Xeon", "amx_bf16": False, "avx512_bf16": True}, torch.float32),
        ({"cpu_name": "AMD Ryzen", "avx512_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_auto_on_a_processor_is_what_it_multiplies_more_quickly(
    capabilities: dict[str, bool | str], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert pick_dtype("auto", CPU) is expected


def test_an_older_torch_that_does_not_tell_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert pick_dtype("auto", CPU) is torch.float32

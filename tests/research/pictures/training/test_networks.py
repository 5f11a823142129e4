"""The networks have the right shapes and are reproducible from a seed, and the noise ends as pure noise."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from model_server.assembly import MAX_TOKENS
from research.pictures.training.networks import (
    LATENT_CHANNELS,
    TEXT_WIDTH,
    Sizes,
    make_autoencoder,
    make_scheduler,
    make_unet,
    mixed_precision,
    use_plain_attention,
    widen,
)

WEIGHTS = Path(__file__).parents[4] / "model_server" / "weights" / "emoji-diffusion"


@pytest.mark.parametrize("make", [make_autoencoder, make_unet])
def test_the_seed_decides_the_weights_and_nothing_else(make: object, sizes: Sizes) -> None:
    assert callable(make)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, again, other = make(sizes, 1), make(sizes, 1), make(sizes, 2)
    assert torch.equal(torch.rand(1), expected)
    one, same, different = (next(network.parameters()) for network in (first, again, other))
    assert torch.equal(one, same)
    assert not torch.equal(one, different)


@torch.no_grad()
def test_the_unet_depends_on_the_text_and_plain_attention_gives_the_same(sizes: Sizes) -> None:
    unet = make_unet(sizes, 1)
    random = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, 4, 16, 16, generator=random)
    one, other = torch.randn(2, 2, MAX_TOKENS, TEXT_WIDTH, generator=random)
    output = unet(noisy, torch.tensor([1, 900]), one).sample
    assert output.shape == noisy.shape
    assert not torch.allclose(output, unet(noisy, torch.tensor([1, 900]), other).sample, atol=1e-4)
    use_plain_attention(unet)
    assert torch.allclose(output, unet(noisy, torch.tensor([1, 900]), one).sample, atol=1e-4)


@torch.no_grad()
def test_the_text_as_a_whole_counts_even_without_cross_attention(sizes: Sizes) -> None:
    unet = make_unet(sizes, 1)
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            module.to_out[0].weight.zero_()
    noisy = torch.ones(1, 4, 16, 16)
    one, other = torch.randn(2, 1, MAX_TOKENS, TEXT_WIDTH, generator=torch.Generator().manual_seed(1))
    output, other_output = (unet(noisy, torch.tensor([900]), states).sample for states in (one, other))
    assert not torch.allclose(output, other_output, atol=1e-4)


def test_the_committed_weights_have_the_shape_that_training_makes() -> None:
    with safe_open(WEIGHTS / "unet" / "diffusion_pytorch_model.safetensors", "pt") as saved:
        shapes = {name: tuple(saved.get_slice(name).get_shape()) for name in saved.keys()}  # noqa: SIM118 - no mapping
    output = make_unet(Sizes(), 1)
    if shapes["conv_in.weight"][1] > LATENT_CHANNELS:
        output = widen(output)
    assert shapes == {name: tuple(value.shape) for name, value in output.state_dict().items()}
    kept_config, made_config = (
        {name: value for name, value in json.loads(text).items() if not name.startswith("_")}
        for text in ((WEIGHTS / "unet" / "config.json").read_text("utf-8"), output.to_json_string())
    )
    assert kept_config == made_config


@torch.no_grad()
def test_a_widened_unet_predicts_the_same_until_it_learns(sizes: Sizes) -> None:
    unet, random = make_unet(sizes, 1), torch.Generator().manual_seed(1)
    noisy, states = torch.randn(1, 4, 16, 16, generator=random), torch.randn(1, 20, TEXT_WIDTH, generator=random)
    before = unet(noisy, torch.tensor([500]), states).sample
    wide = widen(unet)
    assert wide.config.in_channels == wide.conv_in.in_channels == 20
    inputs = torch.cat([noisy, torch.randn(1, 16, 16, 16, generator=random)], dim=1)
    assert torch.allclose(wide(inputs, torch.tensor([500]), states).sample, before, atol=1e-5)
    assert widen(wide).conv_in is wide.conv_in


def test_the_last_timestep_is_pure_noise() -> None:
    scheduler = make_scheduler()
    scheduler.set_timesteps(30)
    assert scheduler.timesteps[0] == 999
    assert scheduler.alphas_cumprod[999] < 1e-6
    assert scheduler.config.prediction_type == "v_prediction"


@pytest.mark.parametrize(("tiles", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_is_used_where_it_is_faster(
    tiles: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": tiles}, raising=False)
    one = torch.eye(2)
    with mixed_precision(torch.device("cpu")):
        assert (one @ one).dtype == expected

"""The networks of emoji-diffusion, a small Stable Diffusion that can look at drawings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from model_server.engines.common.device import has_fast_bfloat16
from model_server.engines.diffusion.references import SLOTS

LATENT_CHANNELS = 4
TEXT_WIDTH = 384
"""The number of features that MiniLM gives for each token."""
TIMESTEPS = 1000
"""The number of steps from a picture to pure noise."""


@dataclass(frozen=True)
class Sizes:
    """The channels of each level, from the finest to the coarsest, of a norm group, and of an attention head."""

    autoencoder: tuple[int, int, int] = (32, 64, 128)
    unet: tuple[int, int, int] = (96, 160, 224)
    groups: int = 16
    head: int = 32


def make_autoencoder(sizes: Sizes, seed: int) -> AutoencoderKL:
    """Make the autoencoder, from 64 × 64 × 3 to 16 × 16 × 4 and back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoencoderKL(
            block_out_channels=sizes.autoencoder,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            latent_channels=LATENT_CHANNELS,
            norm_num_groups=sizes.groups,
            sample_size=64,
            mid_block_add_attention=False,
            scaling_factor=1.0,
        )


def make_unet(sizes: Sizes, seed: int) -> UNet2DConditionModel:
    """Make the UNet, which predicts the velocity of 16 × 16 × 4 latents from a timestep and the states of a text."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet2DConditionModel(
            sample_size=16,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            layers_per_block=1,
            block_out_channels=sizes.unet,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=TEXT_WIDTH,
            # Despite its name, diffusers takes this as the number of heads, not as the width of each.
            attention_head_dim=tuple(channels // sizes.head for channels in sizes.unet),
            norm_num_groups=sizes.groups,
            # The text as a whole is added to the timestep embedding of every layer, as in DeepFloyd IF: the meaning of
            # several words together is learnt more easily there than token by token.
            addition_embed_type="text",
            addition_embed_type_num_heads=TEXT_WIDTH // sizes.head,
        )


@torch.no_grad()
def widen(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Return `unet` with inputs for the latents of SLOTS drawings. What it draws changes only once it learns again."""
    before = unet.conv_in
    channels = LATENT_CHANNELS * (1 + SLOTS)
    if before.in_channels < channels:
        unet.conv_in = torch.nn.Conv2d(channels, before.out_channels, 3, padding=1, device=before.weight.device)
        unet.conv_in.weight.zero_()[:, : before.in_channels] = before.weight
        unet.conv_in.bias.copy_(before.bias)
        unet.register_to_config(in_channels=channels)
    return unet


def use_plain_attention(unet: UNet2DConditionModel) -> None:
    """Compute attention as plain products: on a CPU, the fused kernel's backward pass takes a third of a step."""
    unet.set_attn_processor(AttnProcessor())


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return a context that computes in bfloat16 if that is faster on `device`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu" or has_fast_bfloat16())


def make_scheduler() -> DDIMScheduler:
    """Make a scheduler with velocity prediction, cosine noise that ends as pure noise, and steps counted from there.

    Nichol and Dhariwal, arXiv 2102.09672; Lin et al., arXiv 2305.08891.
    """
    return DDIMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # without effect here, but diffusers warns of other values
    )


def timesteps_at(noise_levels: torch.Tensor) -> torch.Tensor:
    """Return the timesteps of noise levels from 0 (hardly any noise) to 1 (pure noise)."""
    return (noise_levels * TIMESTEPS).long().clamp(max=TIMESTEPS - 1)


def predict_velocity(
    unet: UNet2DConditionModel,
    device: torch.device,
    noisy: torch.Tensor,
    timesteps: torch.Tensor,
    states: torch.Tensor,
    references: torch.Tensor,
) -> torch.Tensor:
    """Return the velocity that `unet`, on `device`, predicts for noisy latents, timesteps, states and references."""
    inputs = torch.cat([noisy, references], dim=1).to(device, memory_format=torch.channels_last)
    with mixed_precision(device):
        predicted = unet(inputs, timesteps.to(device), states.to(device)).sample
    velocity: torch.Tensor = predicted.float()
    return velocity


@torch.no_grad()
def normalise_latents(autoencoder: AutoencoderKL, mean: torch.Tensor, deviation: torch.Tensor) -> None:
    """Change the layers next to the latents so that each latent channel has mean 0 and deviation 1.

    `mean` and `deviation` are the measured values of each channel. Decoded pictures stay the same. Stable Diffusion has
    one factor for all channels instead, which leaves them with different deviations and means.
    """
    into, out = autoencoder.quant_conv, autoencoder.post_quant_conv
    channels = len(mean)
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= deviation[None, :, None, None]
    into.weight[:channels] /= deviation[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / deviation
    into.bias[channels:] -= 2 * deviation.log()

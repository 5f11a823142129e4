"""The networks of emoji-diffusion: a small Stable Diffusion for 64 × 64 pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from model_server.engines.common.device import has_fast_bfloat16

LATENT_CHANNELS = 4
TEXT_WIDTH = 384
"""How many numbers MiniLM gives for each token."""
STEPS = 1000
"""From a picture to noise alone."""


@dataclass(frozen=True)
class Sizes:
    """Channels from the finest level down, of a group and of an attention head; tests use narrower ones."""

    autoencoder: tuple[int, int, int] = (32, 64, 128)
    unet: tuple[int, int, int] = (96, 160, 224)
    groups: int = 16
    head: int = 32


def make_autoencoder(sizes: Sizes, seed: int) -> AutoencoderKL:
    """64 × 64 × 3 to 16 × 16 × 4 and back."""
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
    """Predicts the velocity of 16 × 16 × 4 latents from a step and the text's hidden states."""
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
            # By an old slip that diffusers keeps, this is the number of heads, not how wide each is.
            attention_head_dim=tuple(channels // sizes.head for channels in sizes.unet),
            norm_num_groups=sizes.groups,
            # What the text says as a whole goes to every layer beside the step, as in DeepFloyd IF: what words mean
            # together is told apart more easily there than token by token.
            addition_embed_type="text",
            addition_embed_type_num_heads=TEXT_WIDTH // sizes.head,
        )


def train_quickly(unet: UNet2DConditionModel) -> None:
    """Compute attention as plain products: on a CPU the fused kernel's backward pass takes a third of a step."""
    unet.set_attn_processor(AttnProcessor())


def mixed_precision(device: torch.device) -> torch.autocast:
    """Compute in bfloat16 where that is quicker."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type != "cpu" or has_fast_bfloat16())


def make_scheduler() -> DDIMScheduler:
    """Cosine noise whose last step is noise alone, velocity prediction, steps counted from that end.

    Nichol and Dhariwal, arXiv 2102.09672; Lin et al., arXiv 2305.08891.
    """
    return DDIMScheduler(
        num_train_timesteps=STEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # without effect here, but diffusers warns of others
    )


def steps_at(places: torch.Tensor) -> torch.Tensor:
    """The steps of the noise at places from 0, where hardly any is, to 1, where there is nothing else."""
    return (places * STEPS).long().clamp(max=STEPS - 1)


def velocity(unet: UNet2DConditionModel, device: torch.device, *shown: torch.Tensor) -> torch.Tensor:
    """What `unet`, on `device`, finds in what it is shown: latents with noise, steps and the words' states."""
    with mixed_precision(device):
        made = unet(*(part.to(device) for part in shown)).sample
    found: torch.Tensor = made.float()
    return found


@torch.no_grad()
def normalise(autoencoder: AutoencoderKL, mean: torch.Tensor, deviation: torch.Tensor) -> None:
    """Change the layers beside the latents so that each channel gets mean 0 and deviation 1.

    `mean` and `deviation` hold one number for each latent channel, measured before. What is decoded stays the same.
    Stable Diffusion has one common factor for this, which leaves the channels different and off centre.
    """
    into, out = autoencoder.quant_conv, autoencoder.post_quant_conv
    channels = len(mean)
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= deviation[None, :, None, None]
    into.weight[:channels] /= deviation[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / deviation
    into.bias[channels:] -= 2 * deviation.log()

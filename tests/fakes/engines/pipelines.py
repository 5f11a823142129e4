"""Whole pipelines of diffusers, one of each family, tiny and random, saved as on a hub."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from fakes.engines.diffusion import EDGE, make_autoencoder, make_unet
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

WIDTH = 16
"""Width of the embeddings of a text encoder."""
LATENT_EDGE = EDGE // 4


def make_clip(kind: type, length: int) -> Any:
    torch.manual_seed(8)
    config = CLIPTextConfig(
        vocab_size=64,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=length,
        projection_dim=WIDTH,
        bos_token_id=2,
        eos_token_id=3,
        pad_token_id=0,
    )
    return kind(config)


def make_t5() -> T5EncoderModel:
    torch.manual_seed(9)
    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=2, num_heads=2, initializer_factor=4.0)
    )


def make_safety_checker(strictness: float) -> StableDiffusionSafetyChecker:
    """Make a safety checker, which accepts every picture at strictness -1 and refuses every one at 2."""
    torch.manual_seed(8)
    small = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**small, "image_size": EDGE, "patch_size": 8}
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=WIDTH))
    checker.concept_embeds_weights.data.fill_(-strictness)
    return checker


def checked_stable_diffusion(tokenizer: PreTrainedTokenizerFast, strictness: float) -> Any:
    """Make a Stable Diffusion with a safety checker."""
    parts = stable_diffusion(tokenizer).components
    feature_extractor = CLIPImageProcessor(size={"shortest_edge": EDGE}, crop_size={"height": EDGE, "width": EDGE})
    return StableDiffusionPipeline(
        **parts | {"safety_checker": make_safety_checker(strictness), "feature_extractor": feature_extractor}
    )


def stable_diffusion(tokenizer: PreTrainedTokenizerFast, scheduler: Any = None) -> Any:
    return StableDiffusionPipeline(
        vae=make_autoencoder(),
        text_encoder=make_clip(CLIPTextModel, tokenizer.model_max_length),
        tokenizer=tokenizer,
        unet=make_unet(WIDTH),
        scheduler=scheduler or DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl(tokenizer: PreTrainedTokenizerFast, scheduler: Any = None) -> Any:
    more = {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + WIDTH,
        "use_linear_projection": True,
    }
    return StableDiffusionXLPipeline(
        vae=make_autoencoder(latents_mean=(0.1, 0.0, -0.1, 0.2), latents_std=(0.9, 1.1, 1.0, 0.8)),
        text_encoder=make_clip(CLIPTextModel, tokenizer.model_max_length),
        text_encoder_2=make_clip(CLIPTextModelWithProjection, tokenizer.model_max_length),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=make_unet(2 * WIDTH, **more),
        scheduler=scheduler or EulerDiscreteScheduler(),
        add_watermarker=False,
    )


def flux(tokenizer: PreTrainedTokenizerFast, **more: Any) -> Any:
    torch.manual_seed(6)
    transformer = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        axes_dims_rope=(4, 4, 8),
        **more,
    )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=make_autoencoder(shift_factor=0.1, scaling_factor=0.8),
        text_encoder=make_clip(CLIPTextModel, tokenizer.model_max_length),
        tokenizer=tokenizer,
        text_encoder_2=make_t5(),
        tokenizer_2=tokenizer,
        transformer=transformer,
    )


def sd3(tokenizer: PreTrainedTokenizerFast) -> Any:
    torch.manual_seed(6)
    transformer = SD3Transformer2DModel(
        sample_size=LATENT_EDGE,
        patch_size=1,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=32,
        pooled_projection_dim=2 * WIDTH,
        out_channels=4,
    )
    torch.manual_seed(9)
    wide = T5Config(vocab_size=64, d_model=2 * WIDTH, d_kv=8, d_ff=WIDTH, num_layers=2, num_heads=4)
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=make_autoencoder(shift_factor=0.1),
        text_encoder=make_clip(CLIPTextModelWithProjection, tokenizer.model_max_length),
        tokenizer=tokenizer,
        text_encoder_2=make_clip(CLIPTextModelWithProjection, tokenizer.model_max_length),
        tokenizer_2=tokenizer,
        text_encoder_3=T5EncoderModel(wide),
        tokenizer_3=tokenizer,
    )


def latent_consistency(tokenizer: PreTrainedTokenizerFast) -> Any:
    return LatentConsistencyModelPipeline(
        vae=make_autoencoder(),
        text_encoder=make_clip(CLIPTextModel, tokenizer.model_max_length),
        tokenizer=tokenizer,
        unet=make_unet(WIDTH, time_cond_proj_dim=8),
        scheduler=LCMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def pixart(tokenizer: PreTrainedTokenizerFast) -> Any:
    """Make a pipeline whose call has no `callback_on_step_end`."""
    torch.manual_seed(6)
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        cross_attention_dim=16,
        sample_size=LATENT_EDGE,
        patch_size=2,
        caption_channels=WIDTH,
        norm_num_groups=4,
    )
    return PixArtSigmaPipeline(
        tokenizer=tokenizer,
        text_encoder=make_t5(),
        vae=make_autoencoder(),
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    )


def z_image(tokenizer: PreTrainedTokenizerFast) -> Any:
    """Make a pipeline in which guidance 0 means the prompt alone."""
    torch.manual_seed(6)
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=WIDTH,
        axes_dims=[4, 6, 6],
    )
    chat_tokenizer = copy.deepcopy(tokenizer)
    chat_tokenizer.chat_template = "{{ messages[0].content }}"
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=make_autoencoder(shift_factor=0.1),
        text_encoder=make_t5(),
        tokenizer=chat_tokenizer,
        transformer=transformer,
    )


FAMILIES: dict[str, Callable[[PreTrainedTokenizerFast], Any]] = {
    "sd": stable_diffusion,
    "sd-ancestral": lambda tokenizer: stable_diffusion(tokenizer, EulerAncestralDiscreteScheduler()),
    "sd-solver": lambda tokenizer: stable_diffusion(tokenizer, DPMSolverMultistepScheduler()),
    "sd-checked": lambda tokenizer: checked_stable_diffusion(tokenizer, -1.0),
    "sd-strict": lambda tokenizer: checked_stable_diffusion(tokenizer, 2.0),
    "sdxl": sdxl,
    "sdxl-turbo": lambda tokenizer: sdxl(tokenizer, EulerAncestralDiscreteScheduler(timestep_spacing="trailing")),
    "flux": flux,
    "flux-dev": lambda tokenizer: flux(tokenizer, guidance_embeds=True),
    "sd3": sd3,
    "lcm": latent_consistency,
    "pixart": pixart,
    "z-image": z_image,
}


def save_pipeline(family: str, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    """Save a pipeline of the family in `folder`, and return it."""
    FAMILIES[family](tokenizer).save_pretrained(folder)
    return folder

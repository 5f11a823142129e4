"""Tiny random pipelines of diffusers, and engines that run them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diffusers import DDIMScheduler, StableDiffusionPipeline
from fakes.engines.diffusion import EDGE, make_autoencoder, make_unet
from fakes.engines.drawings import write_drawings
from fakes.engines.language import make_letter_tokenizer
from fakes.engines.pipelines import save_pipeline
from tokenizers import processors
from transformers import BertModel, PreTrainedTokenizerFast

from model_server.engines.contract import Engine
from model_server.engines.diffusion.pipeline_engine import PipelineEngine
from model_server.engines.diffusion.references import SLOTS

TOKENS = 16


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A Stable Diffusion with BERT as its text encoder, like the embedded model."""
    folder = tmp_path_factory.mktemp("plain")
    encoder = BertModel.from_pretrained(bert)
    encoder.config.use_attention_mask = True
    StableDiffusionPipeline(
        vae=make_autoencoder(),
        text_encoder=encoder,
        tokenizer=word_tokenizer(TOKENS),
        unet=make_unet(encoder.config.hidden_size),
        scheduler=DDIMScheduler(
            beta_schedule="squaredcos_cap_v2",
            prediction_type="v_prediction",
            timestep_spacing="trailing",
            clip_sample=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pooling(tmp_path_factory: pytest.TempPathFactory, plain: Path) -> Path:
    """The same with a UNet that also reads pooled embeddings, like that of the embedded model."""
    folder = tmp_path_factory.mktemp("pooling")
    shutil.copytree(plain, folder, dirs_exist_ok=True)
    width = json.loads((plain / "unet" / "config.json").read_text("utf-8"))["cross_attention_dim"]
    make_unet(width, addition_embed_type="text", addition_embed_type_num_heads=4).save_pretrained(folder / "unet")
    return folder


@pytest.fixture(scope="session")
def looking(tmp_path_factory: pytest.TempPathFactory, plain: Path) -> Path:
    """The same with a UNet that looks at drawings, like that of the embedded model, and with their bank."""
    folder = tmp_path_factory.mktemp("looking")
    shutil.copytree(plain, folder, dirs_exist_ok=True)
    width = json.loads((plain / "unet" / "config.json").read_text("utf-8"))["cross_attention_dim"]
    make_unet(width, in_channels=4 + 4 * SLOTS, out_channels=4).save_pretrained(folder / "unet")
    write_drawings(folder, EDGE // 4, width)
    return folder


@pytest.fixture(scope="session")
def engine(loaded: Callable[..., Engine], plain: Path) -> Engine:
    """A BatchedEngine."""
    return loaded("diffusion", plain)


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`family(name)`: the folder of a pipeline of fakes.engines.pipelines.FAMILIES."""
    cache: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in cache:
            cache[name] = save_pipeline(name, word_tokenizer(TOKENS), tmp_path_factory.mktemp(name))
        return cache[name]

    return folder


@pytest.fixture(scope="session")
def open_family(loaded: Callable[..., Engine], family: Callable[[str], Path]) -> Callable[..., PipelineEngine]:
    """`open_family(family, **options)`: a loaded PipelineEngine, the same one for the same options."""
    cache: dict[object, PipelineEngine] = {}

    def engine(name: str, **options: Any) -> PipelineEngine:
        key = (name, *sorted(options.items()))
        if key not in cache:
            # BatchedEngine has no slicing, so that a plain Stable Diffusion gets a PipelineEngine, too.
            found = loaded("diffusion", family(name), **{"size": EDGE, "slicing": True} | options)
            assert isinstance(found, PipelineEngine)
            cache[key] = found
        return cache[key]

    return engine


def word_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """A tokenizer like BERT's, which splits words into letters and marks both ends."""
    backend = make_letter_tokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_length,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )

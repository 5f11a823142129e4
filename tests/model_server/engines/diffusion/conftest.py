"""Pipelines of diffusers that are tiny and random, made on the spot."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diffusers import DDIMScheduler, StableDiffusionPipeline
from fakes.engines.diffusion import EDGE, autoencoder, unet
from fakes.engines.pipelines import saved
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertModel, PreTrainedTokenizerFast

from model_server.engines.contract import Engine
from model_server.engines.diffusion.pipeline_engine import PipelineEngine

TOKENS = 16


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, bert: Path) -> Path:
    """A Stable Diffusion with a BERT, as the embedded model is one."""
    folder = tmp_path_factory.mktemp("plain")
    encoder = BertModel.from_pretrained(bert)
    encoder.config.use_attention_mask = True
    StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=encoder,
        tokenizer=word_tokenizer(TOKENS),
        unet=unet(encoder.config.hidden_size),
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
    """The same with a UNet that also reads what the text says as a whole, as the embedded model's does."""
    folder = tmp_path_factory.mktemp("pooling")
    shutil.copytree(plain, folder, dirs_exist_ok=True)
    width = json.loads((plain / "unet" / "config.json").read_text("utf-8"))["cross_attention_dim"]
    unet(width, addition_embed_type="text", addition_embed_type_num_heads=4).save_pretrained(folder / "unet")
    return folder


@pytest.fixture(scope="session")
def engine(loaded: Callable[..., Engine], plain: Path) -> Engine:
    """The one that takes steps with many pictures."""
    return loaded("diffusion", plain)


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`family(name)`: the folder of a pipeline of fakes.engines.pipelines.FAMILIES."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = saved(name, word_tokenizer(TOKENS), tmp_path_factory.mktemp(name))
        return made[name]

    return folder


@pytest.fixture(scope="session")
def opened_as(loaded: Callable[..., Engine], family: Callable[[str], Path]) -> Callable[..., PipelineEngine]:
    """`opened_as(family, **options)`: an engine that is ready; the same one for the same options."""
    made: dict[object, PipelineEngine] = {}

    def engine(name: str, **options: Any) -> PipelineEngine:
        key = (name, *sorted(options.items()))
        if key not in made:
            # Slicing is not for plain engines, so that a plain Stable Diffusion is called, too.
            found = loaded("diffusion", family(name), **{"size": EDGE, "slicing": True} | options)
            assert isinstance(found, PipelineEngine)
            made[key] = found
        return made[key]

    return engine


def word_tokenizer(longest: int) -> PreTrainedTokenizerFast:
    """Like BERT's, with a mark at each end; letter by letter."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    backend = Tokenizer(models.WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=longest,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )

"""A training set, networks and a text encoder so small that a training step takes milliseconds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from model_server.assembly import MAX_TOKENS
from research.pictures.data.collection import Collection
from research.pictures.training.dataset import TrainingSet
from research.pictures.training.networks import TEXT_WIDTH, Sizes
from research.pictures.training.references import References


@pytest.fixture(autouse=True)
def _single_thread() -> Iterator[None]:
    """Tiny networks only lose time with more threads, above all while other tests run."""
    thread_count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(thread_count)


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    return Sizes(autoencoder=(8, 8, 8), unet=(8, 8, 8), groups=4, head=4)


@pytest.fixture(scope="session")
def training_set() -> TrainingSet:
    random = torch.Generator().manual_seed(1)
    things = [("apple",), ("cat",), ("cat", "apple")] * 4
    sets = [number // 3 for number in range(12)]
    collection = Collection(kinds=["plain", "plain", "composite"] * 4, things=things, sets=list(map(str, sets)))
    return TrainingSet(
        latents=torch.randn(12, 4, 16, 16, generator=random).half(),
        probabilities=torch.full((12,), 1 / 12),
        captions=torch.arange(1, 25),
        starts=torch.arange(0, 26, 2),
        states=torch.randn(25, MAX_TOKENS, TEXT_WIDTH, generator=random).half().numpy(),
        empty=0,
        references=References(collection),
    )


@pytest.fixture(scope="session")
def squares() -> np.ndarray:
    """Pictures with one coloured square each: 8 × 64 × 64 × 3."""
    pictures = np.full((8, 64, 64, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        picture[8 + 2 * number : 40, 16:48] = (30 * number, 200 - 20 * number, 90)
    return pictures


@pytest.fixture(scope="session")
def text_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny BERT that has only the width of MiniLM."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("text-encoder")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "apple", "blue", "cat"]
    tokenizer = Tokenizer(models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    (folder / "special_tokens_map.json").write_text("{}", "utf-8")
    settings = BertConfig(
        vocab_size=len(words),
        hidden_size=TEXT_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=8,
        max_position_embeddings=MAX_TOKENS,
    )
    torch.manual_seed(0)
    BertModel(settings).save_pretrained(folder)
    return folder

"""What a text encoder sees of a prompt: the tokens that fit, and the words for which it has none."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from model_server.engines.diffusion.request import read
from model_server.job import Reading


def tokenizer(unknown: str) -> PreTrainedTokenizerFast:
    """Of two words, with a mark at the end; `unknown` stands for all others."""
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "<end>": 1, "an": 2, "apple": 3}, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=unknown, eos_token="<end>")


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("an apple", Reading(("an", "apple", "<end>"), (), 5)),
        ("🍎", Reading(("<unk>", "<end>"), (), 5, ("🍎",))),
        ("🍎 apple 猫 🍎", Reading(("<unk>", "apple", "<unk>", "<unk>", "<end>"), (), 5, ("🍎", "猫"))),
        ("🍎 an 🍎 apple 猫", Reading(("<unk>", "an", "<unk>", "apple", "<end>"), ("<unk>",), 5, ("🍎",))),
    ],
)
def test_words_that_are_not_known_are_named_as_far_as_they_are_read(text: str, reading: Reading) -> None:
    assert read(tokenizer("<unk>"), text, 5) == reading


def test_a_mark_for_the_end_is_no_word_though_it_is_the_same_token() -> None:
    assert read(tokenizer("<end>"), "an apple", 5).unknown == ()
    assert read(tokenizer("<end>"), "an 🍎", 5).unknown == ("🍎",)

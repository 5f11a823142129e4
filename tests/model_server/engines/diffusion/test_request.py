"""What a text encoder sees of a prompt: the tokens that fit, and the words without any. What is told first."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from model_server.engines.diffusion.drawing import Drawing
from model_server.engines.diffusion.request import Ability, complete, read
from model_server.job import Chosen, Imagine, Reading


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


@pytest.mark.parametrize(("starts", "shows"), [(True, True), (False, True), (True, False)])
def test_what_the_model_can_do_with_a_picture_is_told(starts: bool, shows: bool) -> None:
    can = Ability(
        name="m", sampler="DDIM", steps=4, guidance=3.0, width=16, height=16, multiple=8, starts=starts, shows=shows
    )
    drawing = Drawing("a", complete(Imagine(prompt="a cat", seed=7), can), can, [4])
    [_, chosen] = drawing.opening(Reading(("a", "cat"), (), 8), None)
    assert isinstance(chosen, Chosen)
    assert (chosen.starts, chosen.shows) == (starts, shows)

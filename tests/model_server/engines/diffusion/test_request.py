"""Requests for pictures: the tokens that are read of a prompt, the start event, and refusals."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.engines.diffusion import failures_of, make_job
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from model_server.engines.common.refusal import JobRefused
from model_server.engines.contract import Engine, Misconfigured
from model_server.engines.diffusion.picture_job import PictureJob
from model_server.engines.diffusion.request import (
    Capabilities,
    add_style,
    choose_style,
    complete_task,
    encode_prompt,
)
from model_server.jobs import EncodedPrompt, Event, Finished, Imagine, ResolvedSettings, Sweep

Run = Callable[..., list[Event]]
MANY_TOO_LARGE = (
    "Pictures may be enlarged to 16 to 228 pixels in this layout, which has 320 of them, but 400 were asked for."
)
STRIP_TOO_LARGE = (
    "Pictures may be enlarged to 16 to 647 pixels in this layout, which has 10 of them, but 700 were asked for."
)


def tokenizer(unknown: str) -> PreTrainedTokenizerFast:
    """A tokenizer that knows two words and marks the end; `unknown` stands for all other words."""
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "<end>": 1, "an": 2, "apple": 3}, unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=unknown, eos_token="<end>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("an apple", EncodedPrompt(("an", "apple", "<end>"), (), 5)),
        ("🍎", EncodedPrompt(("<unk>", "<end>"), (), 5, ("🍎",))),
        ("🍎 apple 猫 🍎", EncodedPrompt(("<unk>", "apple", "<unk>", "<unk>", "<end>"), (), 5, ("🍎", "猫"))),
        ("🍎 an 🍎 apple 猫", EncodedPrompt(("<unk>", "an", "<unk>", "apple", "<end>"), ("<unk>",), 5, ("🍎",))),
    ],
)
def test_unknown_words_are_reported_among_the_tokens_that_are_read(text: str, expected: EncodedPrompt) -> None:
    assert encode_prompt(tokenizer("<unk>"), text, 5) == expected


def test_the_mark_at_the_end_is_not_an_unknown_word() -> None:
    assert encode_prompt(tokenizer("<end>"), "an apple", 5).unknown == ()
    assert encode_prompt(tokenizer("<end>"), "an 🍎", 5).unknown == ("🍎",)


@pytest.mark.parametrize(("starts", "shows"), [(True, True), (False, True), (True, False)])
def test_the_start_event_says_what_the_model_can_do_with_a_picture(starts: bool, shows: bool) -> None:
    can = Capabilities(
        name="m",
        sampler="DDIM",
        steps=4,
        guidance=3.0,
        width=16,
        height=16,
        multiple=8,
        can_start_from_picture=starts,
        can_show_steps=shows,
    )
    drawing = PictureJob("a", complete_task(Imagine(prompt="a cat", seed=7), can), can, [4])
    [_, chosen] = drawing.make_start_events(lambda text: EncodedPrompt(tuple(text.split()), (), 8))
    assert isinstance(chosen, ResolvedSettings)
    assert (chosen.starts, chosen.shows) == (starts, shows)


def looking(references: int) -> Capabilities:
    return Capabilities(
        name="m", sampler="DDIM", steps=4, guidance=3.0, width=16, height=16, multiple=8, references=references
    )


@pytest.mark.parametrize(
    ("default", "fields", "chosen"),
    [
        (3, {}, 3),
        (3, {"references": 0}, 0),
        (3, {"most_references": 1}, 1),
        (3, {"least_references": 4}, 4),
        (3, {"least_references": 4, "most_references": 0}, 0),
        (0, {"least_references": 4}, 0),
        (0, {"references": 0}, 0),
    ],
)
def test_a_model_chooses_how_many_drawings_it_looks_at_within_the_bounds(
    default: int, fields: dict[str, int], chosen: int
) -> None:
    can = looking(default)
    task = complete_task(Imagine(prompt="a cat", seed=7, **fields), can)  # type: ignore[arg-type]
    assert task.references == chosen
    [_, told] = PictureJob("a", task, can, [4]).make_start_events(lambda text: EncodedPrompt((text,), (), 8))
    assert isinstance(told, ResolvedSettings)
    assert told.references == chosen


def test_the_defaults_name_the_drawings_only_where_a_model_looks_at_some() -> None:
    assert looking(0).defaults == {"steps": 4, "guidance": 3.0}
    assert looking(3).defaults == {"steps": 4, "guidance": 3.0, "references": 3}


@pytest.mark.parametrize(
    ("default", "fields", "sentence"),
    [
        (3, {"references": 5}, "The number of drawings to look at is 5; it must be from 0 to 4."),
        (
            3,
            {"sweep": Sweep("references", (0, 7))},
            "The number of drawings to look at is 7; it must be from 0 to 4.",
        ),
        (0, {"references": 1}, "m draws from memory alone; please leave out the drawings to look at."),
        (
            0,
            {"sweep": Sweep("references", (0, 1))},
            "m draws from memory alone; please leave out the drawings to look at.",
        ),
    ],
)
def test_drawings_that_a_model_cannot_look_at_are_refused(
    default: int, fields: dict[str, object], sentence: str
) -> None:
    with pytest.raises(JobRefused) as refused:
        complete_task(Imagine(prompt="a cat", seed=7, **fields), looking(default))  # type: ignore[arg-type]
    assert (refused.value.message, refused.value.param) == (sentence, "references")


@pytest.mark.parametrize(
    ("fields", "sentence", "param"),
    [
        ({"count": 17}, "The number of pictures is 17; it must be from 1 to 16.", "n"),
        ({"steps": 0}, "The number of steps is 0; it must be from 1 to 150.", "steps"),
        ({"steps": 151}, "The number of steps is 151; it must be from 1 to 150.", "steps"),
        ({"sweep": Sweep("steps", (0, 3))}, "The number of steps is 0; it must be from 1 to 150.", "steps"),
        ({"sweep": Sweep("guidance", (1.0, 31.0))}, "The guidance is 31; it must be from 0 to 30.", "guidance"),
        ({"guidance": 31.0}, "The guidance is 31; it must be from 0 to 30.", "guidance"),
        ({"guidance": float("nan")}, "The guidance is nan; it must be from 0 to 30.", "guidance"),
        ({"previews": 17}, "The number of previews is 17; it must be from 0 to 16.", "partial_images"),
        ({"width": 36}, "The width is 36 pixels; it must be a multiple of 8 from 16 to 64.", "size"),
        ({"height": 72}, "The height is 72 pixels; it must be a multiple of 8 from 16 to 64.", "size"),
        ({"edge": 2000}, "Pictures may be enlarged to 16 to 1024 pixels, but 2000 were asked for.", "enlarge"),
        (
            {"edge": 400, "layout": "animation", "count": 8},
            MANY_TOO_LARGE,
            "enlarge",
        ),
        (
            {"edge": 700, "layout": "strip"},
            STRIP_TOO_LARGE,
            "enlarge",
        ),
        ({"prompt": "\ud800"}, "Character 1 of the text is half a surrogate pair; send whole characters.", "prompt"),
        ({"initial": b"x"}, "This is no picture that can be read; send a PNG, JPEG or WebP file.", "image"),
    ],
    ids=str,
)
def test_bad_input_fails_that_job_alone(
    engine: Engine, run: Run, fields: dict[str, object], sentence: str, param: str
) -> None:
    events = run(engine, make_job(**fields), make_job("b"))
    failed = failures_of(events)
    assert (failed["a"].message, failed["a"].status, failed["a"].param) == (sentence, 400, param)
    assert list(failed) == ["a"]
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"guidance_rescale": 1.5},
            "The options of tiny are wrong: The guidance_rescale is 1.5; it must be from 0 to 1.",
        ),
        ({"guidance_stop": 2.0}, "The options of tiny are wrong: The guidance_stop is 2; it must be from 0 to 1."),
        ({"steps": 0}, "The options of tiny are wrong: The number of steps is 0"),
        ({"size": 33}, "The options of tiny are wrong: The width is 33 pixels; it must be a multiple of 8"),
        ({"offload": "cloud"}, "The option offload of tiny must be one of none, model, sequential."),
    ],
)
def test_wrong_options_stop_loading(
    loaded: Callable[..., Engine], plain: Path, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        loaded("diffusion", plain, **options)


def test_a_folder_without_a_pipeline_stops_loading(loaded: Callable[..., Engine], bert: Path) -> None:
    with pytest.raises(Misconfigured, match=r"tiny should be a folder that diffusers opens, with model_index.json\."):
        loaded("diffusion", bert)


STYLES = ("flat", "shaded", "soft")


def test_consecutive_seeds_have_different_styles_and_the_same_seed_has_the_same() -> None:
    chosen = [choose_style(Imagine(prompt="a cat", seed=seed), STYLES) for seed in (*range(7), -1)]
    assert chosen == ["flat", "shaded", "soft", "flat", "shaded", "soft", "flat", "soft"]
    assert add_style(Imagine(prompt="a cat", seed=2), STYLES) == "a cat, soft"


@pytest.mark.parametrize("prompt", ["a Flat cat", "a cat, soft", ""])
def test_a_prompt_that_names_a_style_or_nothing_stays_as_it_is(prompt: str) -> None:
    assert [add_style(Imagine(prompt=prompt, seed=seed), STYLES) for seed in range(3)] == [prompt] * 3
    assert choose_style(Imagine(prompt=prompt, seed=1), STYLES) == ""


def test_a_word_that_only_contains_a_style_names_none() -> None:
    assert add_style(Imagine(prompt="a software flatmate", seed=0), STYLES) == "a software flatmate, flat"

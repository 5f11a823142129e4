import pytest
from fakes.core.sample_plugin import Sample, ask
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import OptionError


def test_the_text_of_a_message_becomes_the_free_text_and_is_shortened_to_fit() -> None:
    assert ask().options_from_message(" a cat \n") == {"prompt": "Say: a cat"}
    assert ask().options_from_message("{text}" * 40) == {"prompt": "Say: " + ("{text}" * 40)[:95]}
    assert ask().options_from_message(" \n") == {}
    assert Sample().commands()[1].options_from_message("a cat") == {}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("What is a GAN?", {"prompt": "What is a GAN?"}),
        ("temperature:0.2 What is it?", {"temperature": "0.2", "prompt": "What is it?"}),
        ("Temperature:0.2 hi", {"temperature": "0.2", "prompt": "hi"}),
        ("temperature: 0.2 hi", {"temperature": "0.2", "prompt": "hi"}),
        ("hi seed:7 temperature:1", {"seed": "7", "temperature": "1", "prompt": "hi"}),
        ("what does seed:7 mean", {"prompt": "what does seed:7 mean"}),
        ('"what is seed:7"', {"prompt": "what is seed:7"}),
        ('prompt:"two words" seed:1', {"prompt": "two words", "seed": "1"}),
        ("prompt:two words", {"prompt": "two words"}),
        ('seed:1 style:"a "b" c"', {"seed": "1", "style": '"a "b" c"'}),
        ("seed:1 “curly quotes”", {"seed": "1", "prompt": "curly quotes"}),
        ("https://example.org is what?", {"prompt": "https://example.org is what?"}),
        ("Note:this is prose", {"prompt": "Note:this is prose"}),
        ("line one\nline two", {"prompt": "line one\nline two"}),
        ("", {}),
        ('say "hi" to me', {"prompt": 'say "hi" to me'}),
        ('"To be" or "not to be"', {"prompt": '"To be" or "not to be"'}),
        ("“To be” or “not to be”", {"prompt": "“To be” or “not to be”"}),
        ('temperature:0.2 "Yes" or "no" seed:7', {"temperature": "0.2", "prompt": '"Yes" or "no"', "seed": "7"}),
        ("'one thing'", {"prompt": "one thing"}),
        ('prompt:"Yes" or "no"', {"prompt": '"Yes" or "no"'}),
        ("seed:7 prompt:“Yes”, or “no” temperature:1", {"seed": "7", "prompt": "“Yes”, or “no”", "temperature": "1"}),
        ('prompt:"two words" seed:1 and more', {"prompt": "two words and more", "seed": "1"}),
    ],
)
def test_typed_text_is_parsed_into_options(text: str, options: dict[str, str]) -> None:
    assert ask().parse(text) == options


LINES = st.lists(
    st.sampled_from(("prompt:", "seed:", "Style:", "colour:", "7", "word", " ", "\n", ":", "-", *"\"“”'"))
).map("".join)


@given(st.text() | LINES)
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        options = ask().parse(text)
    except OptionError:
        return
    assert set(options) <= {"prompt", "temperature", "style", "seed"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("temprature:0.2 hi", "/ask has no option “temprature”. Did you mean “temperature”?"),
        ("colour:red hi", "/ask has no option “colour”; it has prompt, temperature, style, seed."),
        ("seed:1 seed:2 hi", "seed is given twice; give it once."),
    ],
)
def test_the_error_names_the_wrong_option(text: str, sentence: str) -> None:
    with pytest.raises(OptionError) as caught:
        ask().parse(text)
    assert str(caught.value) == sentence


LONGEST = {"prompt": "x" * 100, "temperature": "0.7", "style": "rhyme", "seed": "9" * 100}


def test_the_longest_line_that_can_be_right_is_read() -> None:
    line = 'temperature:"0.7" style:"rhyme" seed:"' + "9" * 100 + '" ' + "x" * 100
    assert ask().parse(line) == LONGEST


def test_a_longer_line_is_refused_with_both_lengths() -> None:
    # Each option with `name:"…" ` around its longest value: a text, a number of 120 characters and a choice.
    most = (10 + 100) + (15 + 120) + (9 + 5) + (8 + 120)
    with pytest.raises(OptionError) as caught:
        ask().parse(" a:“" * 16_000)
    assert str(caught.value) == f"What follows /ask may have at most {most} characters; yours has 63999."
    with pytest.raises(OptionError, match="What follows"):
        ask().parse("x" * (most + 1))
    assert ask().parse("x" * most) == {"prompt": "x" * most}
    assert ask().parse("x" + " " * 65_000) == {"prompt": "x"}


def test_the_error_repeats_only_the_beginning_of_a_long_name() -> None:
    with pytest.raises(OptionError) as caught:
        ask().parse("c" * 200 + ":red hi")
    assert str(caught.value) == f"/ask has no option “{'c' * 59}…”; it has prompt, temperature, style, seed."


def test_a_command_without_free_text_refuses_text() -> None:
    with pytest.raises(OptionError, match="/lesson list takes no text; "):
        Sample().commands()[1].parse("all of them")


def test_binding_converts_values_and_fills_in_defaults() -> None:
    bound = ask().bind({"prompt": "hi", "temperature": "1"})
    assert bound == {"prompt": "hi", "temperature": 1.0, "style": "plain", "seed": None}


@pytest.mark.parametrize("given_options", [{}, {"prompt": "  "}, {"prompt": None}])
def test_the_error_for_a_missing_option_shows_the_usage(given_options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="/ask needs “prompt”") as caught:
        ask().bind(given_options)
    assert caught.value.option == "prompt"


def test_binding_refuses_unknown_options() -> None:
    with pytest.raises(OptionError, match="no option “sed”. Did you mean “seed”"):
        ask().bind({"prompt": "hi", "sed": 1})

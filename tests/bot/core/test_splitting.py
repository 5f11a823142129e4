"""Texts are split into parts that fit, and nothing is lost."""

from __future__ import annotations

import re

import pytest
from fakes.core.growth import growth
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.messages import Column, Reply
from bot.core.splitting import (
    MIN_PART_CHARACTERS,
    MessageLimits,
    SplitReply,
    append_typed_fields,
    card_line,
    closing,
    compose,
    ellipsis,
    fit_into_messages,
    join,
    join_growing_columns,
    merge_columns,
    quote_line,
    select_typed_fields,
    split,
)

BLANKS = ["\n", "\r\n", "\n\n", "\t", " ", "  ", "    ", "      "]
OPENERS = ["```", "````", "~~~", "~~~~~", "```python\n", "~~~ js title\n", "- ```c\n", "```x`y", "`" * 17, "`" * 150]
CLOSERS = ["\n```\n", "\n- ```\n", "\n``` ", "\n```  ", "\n~~~\n", "\n```" + "i" * 120]
WORDS = [
    "word",
    "words in a row. ",
    "A sentence! ",
    "x" * 99,
    "y" * 100,
    "z" * 130,
    "漢字。",
    "é",
    "👩‍🚀",
    "🇩🇪",
    "| a | b |\n",
]
PIECES = BLANKS + OPENERS + CLOSERS + WORDS
markdown = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=40).map("".join)
limits = st.integers(MIN_PART_CHARACTERS, 300)


def is_balanced(text: str) -> bool:
    """Return whether every fence is closed by its own kind, as a reader of Markdown sees it."""
    opened = ""
    for line in text.split("\n"):
        bare = line.strip(" \t\r")
        if opened:
            run = re.match(re.escape(opened[0]) + "*", bare)[0]
            if len(run) >= len(opened) and not bare.removeprefix(run).strip():
                opened = ""
        else:
            bare = re.sub(r"^([-*+]|\d{1,9}[.)])[ \t]+", "", bare)
            found = re.match(r"(```+|~~~+)(.*)", bare, re.DOTALL)
            if found and len(found[1]) <= 16 and not ("`" in found[1] and "`" in found[2]):
                opened = found[1]
    return not opened


@given(markdown, limits)
@example("```\na", 100)
@example("```\na\n```", 100)
@example("```\na\n``` ", 100)
@example("```\na\n```  ", 100)
@example("```\n" + "x" * 300 + "\n```   ", 100)
@example("```" + "info" * 100 + "\ncode", 100)
@example("`" * 1000, 100)
@example("\n" * 1000, 100)
@example("a\r\n" * 500, 100)
def test_joined_parts_are_the_text(text: str, limit: int) -> None:
    assert join(split(text, limit)) == text


@given(markdown, limits)
@example("```\n- ```\n" + "code\n" * 50, 100)
@example("`" * 60 + "\n" + "text\n" * 50, 100)
def test_every_part_is_within_the_limit_and_closes_its_fences(text: str, limit: int) -> None:
    for part in split(text, limit):
        assert part
        assert len(part) <= limit
        assert is_balanced(part), part


@given(markdown, limits)
@example("a" * 100 + "\n", 100)
@example("```a`" + "x" * 95 + "\n", 100)
def test_no_part_is_blank_without_long_white_space(text: str, limit: int) -> None:
    text = re.sub(r"(\s{19})\s+", r"\1", text)
    assert all(part.strip() for part in split(text, limit)) or not text.strip()


@given(markdown)
@example("```py\nx")
@example("- ```\n  x")
@example("~~~~\n```")
def test_text_after_closing_is_outside_the_code_block(text: str) -> None:
    closed = text + closing(text)
    assert is_balanced(closed)
    assert is_balanced(text) is (closed == text)


@given(markdown)
@example("```\nx\n```")
@example("~~~~\nx\n~~~~")
@example("```py")
@example("- ```py")
def test_an_ellipsis_leaves_the_fences_as_they_are(text: str) -> None:
    cut = text + ellipsis(text)
    assert cut.endswith("…")
    assert is_balanced(cut) is is_balanced(text)
    assert closing(cut) == closing(text)


def test_an_empty_text_has_no_parts_and_a_short_one_is_left_alone() -> None:
    assert split("", 100) == []
    assert split("Hello.\n\n```py\nx\n```", 100) == ["Hello.\n\n```py\nx\n```"]


def test_a_limit_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 100 characters; it is 99"):
        split("x", 99)


def test_long_code_is_reopened_with_its_language() -> None:
    lines = [f"    value_{number} = {number}\n" for number in range(260)]
    text = "Here it is:\n\n```python\ndef main():\n" + "".join(lines) + "```\n\nDone."
    assert len(text) > 5000
    parts = split(text, 2000)
    assert len(parts) == 3
    assert all(part.startswith("```python\n    value_") for part in parts[1:])
    assert all(part.endswith("\n``` ") for part in parts[:-1])
    assert parts[-1].endswith("\n```\n\nDone.")
    assert all(len(part) > 1900 for part in parts[:-1])
    shown = [line for part in parts for line in part.split("\n") if "value_" in line]
    assert shown == [line.rstrip("\n") for line in lines]


def test_a_code_block_moves_to_the_next_part_whole() -> None:
    block = "```sh\necho hello\n\n" + "echo again\n" * 6 + "```\n"
    assert split(f"An introduction that fills most of a part.\n{block}", 100)[1] == block


def test_a_shorter_fence_inside_a_longer_one_is_text() -> None:
    inner = "```py\nx = 1\n```\n" * 12
    parts = split(f"````markdown\n{inner}````", 120)
    assert len(parts) > 1
    assert all(part.startswith("````markdown\n") and re.search(r"\n````\s*$", part) for part in parts)


def test_a_fence_that_is_never_closed_is_closed_in_the_last_part_too() -> None:
    assert split("```js\nlet x\n", 100) == ["```js\nlet x\n``` "]
    assert split("```js\nlet x", 100) == ["```js\nlet x\n```  "]


def test_a_language_that_is_too_long_is_not_repeated() -> None:
    parts = split(f"```{'long' * 7} more\n" + "line\n" * 60 + "```", 100)
    assert parts[1].startswith("```\nline\n")


def test_a_table_is_broken_between_rows() -> None:
    rows = [f"| {number} | {'cell ' * 4}|\n" for number in range(40)]
    parts = split("".join(rows), 200)
    assert [line for part in parts for line in part.splitlines(keepends=True)] == rows


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("One line here, and it goes on.\nA second sentence. \n\n", "A paragraph. " * 5),
        ("A first paragraph, which is long enough.\n\n", "A line of the second.\n" * 4),
        (
            "A line of the paragraph. It has two sentences.\n",
            "The next line is rather a long one. It has two, and ends here. Yes.",
        ),
        (
            "This is the first sentence, with 3.14 in it, e.g. so. ",
            "The second sentence cannot stand here as well now.",
        ),
        ("so many words without a sentence end that they are broken between two of them, ", "words" * 10),
        ("One short word, then ", "w" * 95),
        ("一二三四五六七八九十" * 6 + "。", "一二三四五六七八九十" * 5),
    ],
)
def test_the_best_place_is_chosen(first: str, second: str) -> None:
    assert split(first + second, 100)[0] == first


def test_one_endless_word_fills_its_parts() -> None:
    assert [len(part) for part in split("w" * 10_000, 2000)] == [2000] * 5


@pytest.mark.parametrize("cluster", ["👩‍👩‍👧‍👦", "🇩🇪", "e\u0301", "👍🏽", "\r\n", "❤️", "\ud83d\ude00"])
def test_a_grapheme_is_never_split(cluster: str) -> None:
    size = len(cluster)
    for part in split("x" + cluster * 200, 100):
        assert len(part.removeprefix("x")) % size == 0


def test_a_fence_in_the_middle_of_a_line_never_starts_a_part() -> None:
    text = "x" * 100 + "```py " + "y" * 50
    assert [part[:4] for part in split(text, 100)] == ["xxxx", "x```"]


LIMITS = MessageLimits(characters=200, messages=3)


def test_an_answer_that_fits_is_delivered_in_messages() -> None:
    reply = Reply(text="A sentence of it. " * 25, quote="why?", card={"model": "tiny"})
    messages = fit_into_messages(reply, LIMITS, written=reply.text)
    assert messages.file is None
    assert len(messages.parts) == 3
    assert join(messages.parts) == f"> why?\n\n{reply.text}\n\nmade by AI · model tiny"


def test_an_answer_that_is_too_long_becomes_a_file_and_keeps_its_quote_and_card() -> None:
    reply = Reply(text="Ein Satz, größer als alles. \ud800" * 40, quote="why?", card={"model": "tiny"})
    messages = fit_into_messages(reply, LIMITS, written=reply.text, subtext="-# {}")
    note = "This answer is too long for messages, so all of it is in the file answer.md."
    assert messages.parts == (f"> why?\n\n{note}\n\n-# made by AI · model tiny",)
    assert messages.file is not None
    assert messages.file.filename == "answer.md"
    assert messages.file.data.decode() == reply.text.replace("\ud800", "?")


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one message of 100 characters"):
        MessageLimits(characters=2000, messages=0)


def test_text_status_and_card_are_separate_and_outside_code_blocks() -> None:
    reply = Reply(text="```py\nx", status="Step 3 …", card={"model": "a\nb", "temperature": "0.7"})
    small = "_Step 3 …_\n\n_made by AI · model a b · temperature 0.7_"
    assert compose(reply, subtext="_{}_") == f"```py\nx\n```\n\n{small}"


def test_a_card_is_one_line() -> None:
    assert card_line({"lesson": "x", "temperature": "0.7"}) == "lesson x · temperature 0.7"
    assert card_line({"model": "x"}) == "made by AI · model x"
    assert card_line({"models": "x, y"}, "de-AT") == "von KI gemacht · models x, y"
    assert card_line({}) == ""


def test_a_quote_is_one_short_line() -> None:
    assert quote_line(" what is\n\na  GAN? ") == "> what is a GAN?"
    assert quote_line(" \n ") == ""
    assert quote_line("a quick question about faces", limit=20) == "> a quick question…"
    assert quote_line("w" * 50, limit=20) == "> " + "w" * 17 + "…"


@given(st.text(max_size=80), st.integers(20, 60))
def test_a_quote_stays_within_its_limit_and_line(prompt: str, limit: int) -> None:
    line = quote_line(prompt, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    "prompt", ["```py", "@everyone look", "<@123> <!channel> <#C1>", "a `b", "# big", "1. x", ">>> x"]
)
def test_a_quote_cannot_affect_the_message_or_mention_anybody(prompt: str) -> None:
    line = quote_line(prompt)
    assert "`" not in line
    assert not re.search(r"@\w|<[@!#]", line)
    assert not re.match(r"> [#>\d]", line)


def test_growing_columns_are_joined_to_one_text_that_only_grows() -> None:
    first = (Column("one"), Column("```\ntwo"), Column("three"))
    then = (Column("one.", final=True), Column("```\ntwo"), Column("three!", final=True))
    assert [join_growing_columns(first), join_growing_columns(then), join_growing_columns(())] == [
        "one",
        "one.\n\n```\ntwo",
        "",
    ]
    stopped = merge_columns(Reply(columns=then))
    assert (stopped.text, stopped.columns) == ("one.\n\n```\ntwo\n```\n\nthree!", ())
    assert stopped.text.startswith(join_growing_columns(then))


def test_the_refusal_of_a_form_repeats_the_typed_values() -> None:
    typed = select_typed_fields({"prompt": "Why ```so```?", "seed": " ", "file": b"four"})
    assert append_typed_fields("No.", typed, "de") == "No.\n\nDas hast du eingegeben:\nprompt:\n```\nWhy ˋˋˋsoˋˋˋ?\n```"
    assert append_typed_fields("No.", {}, "de") == "No."


@pytest.mark.parametrize("piece", ["`", "\n", "word ", "🇩🇪"])
def test_a_text_that_becomes_a_file_is_not_split_to_its_end(piece: str) -> None:
    def fit(text: str) -> SplitReply:
        return fit_into_messages(Reply(text=text, final=True), MessageLimits(characters=2000, messages=2), written=text)

    assert fit(piece * 9000).file is not None
    assert growth(fit, piece, 9000) < 2


@given(st.text(alphabet=["a", " ", "\n", "`", "-"], max_size=400), st.integers(1, 5))
def test_the_first_parts_are_those_of_the_whole(text: str, most: int) -> None:
    assert split(text, MIN_PART_CHARACTERS, most=most) == split(text, MIN_PART_CHARACTERS)[:most]

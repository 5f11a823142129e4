"""An answer that is held back by one sentence, from snapshots made by hand."""

from collections.abc import AsyncGenerator

import pytest

from bot.core.messages import Column, Reply
from bot.core.model_events import Token
from bot.safety.stream_filter import MAX_SENTENCE_CHARACTERS, filter_replies


class StoppedError(Exception):
    """What a check raises."""


async def growing(*texts: str, final: bool = True) -> AsyncGenerator[Reply, None]:
    for text in texts:
        yield Reply(text=text)
    if final:
        yield Reply(text=texts[-1], final=True)


async def shown(replies: AsyncGenerator[Reply, None], *, stop: str = "") -> tuple[list[str], list[str]]:
    """What was shown, and what was looked at; a check that finds `stop` ends it."""
    seen: list[str] = []
    looked: list[str] = []

    async def check(text: str) -> None:
        looked.append(text)
        if stop and stop in text:
            raise StoppedError

    try:
        async for reply in filter_replies(replies, check):
            seen.append(reply.text)  # noqa: PERF401 - what was shown before a check stops it counts
    except StoppedError:
        seen.append("stopped")
    return seen, looked


async def test_a_sentence_is_shown_when_it_is_over_and_was_looked_at() -> None:
    seen, looked = await shown(growing("One", "One. Tw", "One. Two. Thr"))
    assert seen == ["", "One.", "One. Two.", "One. Two. Thr"]
    assert looked == ["One.", "One. Two.", " Two. Thr"]


async def test_what_does_not_pass_is_never_shown() -> None:
    seen, _ = await shown(growing("Fine.", "Fine. Ba", "Fine. Bad. More"), stop="Bad")
    assert seen == ["", "Fine.", "stopped"]


async def test_nothing_hides_across_two_sentences() -> None:
    seen, _ = await shown(growing("A. b", "A. b c. d", "A. b c. d e. f"), stop="b c. d e")
    assert seen[-1] == "stopped"


async def test_tokens_are_held_back_with_the_text_that_they_make() -> None:
    async def written() -> AsyncGenerator[Reply, None]:
        tokens = tuple(Token(text, 0.5) for text in ("Fine", ".", " Two", " words. An", " end"))
        for count in range(1, len(tokens) + 1):
            yield Reply(text="".join(token.text for token in tokens[:count]), tokens=tokens[:count])
        yield Reply(text="Fine. Two words. An end …", tokens=tokens, final=True)

    async def check(text: str) -> None:
        pass

    seen = [(reply.text, len(reply.tokens)) for reply in [one async for one in filter_replies(written(), check)]]
    assert seen == [
        ("", 0),
        ("", 0),
        ("Fine.", 2),
        ("Fine. Two words.", 3),
        ("Fine. Two words.", 3),
        ("Fine. Two words. An end …", 5),
    ]


@pytest.mark.parametrize("final", [True, False])
async def test_the_end_is_looked_at_though_no_sentence_ends_there(final: bool) -> None:
    seen, looked = await shown(growing("One. And", final=final), stop="And")
    assert seen[-1] == "stopped"
    assert looked[-1].endswith("And")


async def test_a_sentence_without_an_end_moves_on() -> None:
    long = "word " * (MAX_SENTENCE_CHARACTERS // 5 + 2)
    seen, looked = await shown(growing(long + "tail"))
    assert seen[0] == long
    assert looked[0] == long


@pytest.mark.parametrize("marks", ["。", "！？", "。」"])
async def test_a_sentence_without_a_space_behind_it_is_shown_when_it_is_over(marks: str) -> None:
    one, two = f"你好{marks}", f"世界{marks}"
    seen, looked = await shown(growing(f"{one}世", f"{one}{two}", f"{one}{two}再"))
    assert seen == [one, one + two, one + two, f"{one}{two}再"]
    assert looked == [one, one + two, f"{two}再"]


@pytest.mark.parametrize("first", ["", "One.", "One. ", "你好。"])
@pytest.mark.parametrize("sign", ["ก", "x"])
async def test_a_text_without_spaces_moves_on_again_and_again(first: str, sign: str) -> None:
    runs = [first + sign * count * (MAX_SENTENCE_CHARACTERS + 2) for count in range(1, 5)]
    seen, _ = await shown(growing(*runs))
    assert [len(text) for text in seen[1:4]] == [len(run) for run in runs[1:]]


async def test_nothing_hides_where_a_text_without_spaces_is_cut() -> None:
    seen, _ = await shown(
        growing(
            "x" * MAX_SENTENCE_CHARACTERS + "ba", "x" * MAX_SENTENCE_CHARACTERS + "bad" + "x" * MAX_SENTENCE_CHARACTERS
        ),
        stop="bad",
    )
    assert seen[-1] == "stopped"


async def test_an_answer_that_begins_anew_is_looked_at_anew() -> None:
    _, looked = await shown(growing("One. Two", "Other. Words", final=True))
    assert looked == ["One.", "Other.", "Other. Words"]


async def test_parts_that_grow_side_by_side_are_held_back_each_by_itself_and_looked_at_once() -> None:
    async def beside() -> AsyncGenerator[Reply, None]:
        yield Reply(columns=(Column("One. Tw"), Column("Un")))
        yield Reply(columns=(Column("One. Two.", final=True), Column("Un. Deux")))
        yield Reply(columns=(Column("One. Two.", final=True), Column("Un. Deux", final=True)))
        yield Reply(text="One. Two.\n\nUn. Deux\n\nThree.", final=True)

    looked: list[str] = []

    async def check(text: str) -> None:
        looked.append(text)

    seen = [reply async for reply in filter_replies(beside(), check)]
    assert [[column.text for column in reply.columns] for reply in seen] == [
        ["One.", ""],
        ["One. Two.", "Un."],
        ["One. Two.", "Un. Deux"],
        [],
    ]
    assert looked == ["One.", "One. Two.", "Un.", "Un. Deux", "\n\nThree."]


async def test_what_does_not_pass_in_a_later_part_is_never_shown() -> None:
    async def beside() -> AsyncGenerator[Reply, None]:
        yield Reply(columns=(Column("Fine. An"), Column("Bad. An")))

    async def check(text: str) -> None:
        if "Bad" in text:
            raise StoppedError

    with pytest.raises(StoppedError):
        assert [reply async for reply in filter_replies(beside(), check)] == []

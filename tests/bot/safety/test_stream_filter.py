"""An answer is held back by one sentence; the snapshots are made by hand."""

from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from bot.core.messages import Column, Reply
from bot.core.model_events import Token
from bot.safety.stream_filter import MAX_SENTENCE_CHARACTERS, ReplyFilter


class StoppedError(Exception):
    """The error that a check raises in these tests."""


async def growing(*texts: str, final: bool = True) -> AsyncGenerator[Reply, None]:
    for text in texts:
        yield Reply(text=text)
    if final:
        yield Reply(text=texts[-1], final=True)


async def filtered(
    replies: AsyncGenerator[Reply, None], check: Callable[[str], Awaitable[None]]
) -> AsyncGenerator[Reply, None]:
    """Yield the replies as a filter with this check lets them be shown."""
    safe = ReplyFilter(check)
    async for reply in replies:
        yield await safe.filter(reply)
    if (rest := await safe.finish()) is not None:
        yield rest


async def collect(replies: AsyncGenerator[Reply, None], *, stop: str = "") -> tuple[list[str], list[str]]:
    """Return the texts that were shown and those that were checked; a check that finds `stop` ends the answer."""
    shown: list[str] = []
    checked: list[str] = []

    async def check(text: str) -> None:
        checked.append(text)
        if stop and stop in text:
            raise StoppedError

    try:
        async for reply in filtered(replies, check):
            shown.append(reply.text)  # noqa: PERF401 - what was shown before the error counts
    except StoppedError:
        shown.append("stopped")
    return shown, checked


async def test_a_sentence_is_shown_once_it_is_finished_and_checked() -> None:
    shown, checked = await collect(growing("One", "One. Tw", "One. Two. Thr"))
    assert shown == ["", "One.", "One. Two.", "One. Two. Thr"]
    assert checked == ["One.", "One. Two.", " Two. Thr"]


async def test_text_that_fails_the_check_is_never_shown() -> None:
    shown, _ = await collect(growing("Fine.", "Fine. Ba", "Fine. Bad. More"), stop="Bad")
    assert shown == ["", "Fine.", "stopped"]


async def test_each_sentence_is_checked_together_with_the_one_before() -> None:
    shown, _ = await collect(growing("A. b", "A. b c. d", "A. b c. d e. f"), stop="b c. d e")
    assert shown[-1] == "stopped"


async def test_tokens_are_held_back_with_the_text_that_they_make() -> None:
    async def written() -> AsyncGenerator[Reply, None]:
        tokens = tuple(Token(text, 0.5) for text in ("Fine", ".", " Two", " words. An", " end"))
        for count in range(1, len(tokens) + 1):
            yield Reply(text="".join(token.text for token in tokens[:count]), tokens=tokens[:count])
        yield Reply(text="Fine. Two words. An end …", tokens=tokens, final=True)

    async def check(text: str) -> None:
        pass

    shown = [(reply.text, len(reply.tokens)) for reply in [one async for one in filtered(written(), check)]]
    assert shown == [
        ("", 0),
        ("", 0),
        ("Fine.", 2),
        ("Fine. Two words.", 3),
        ("Fine. Two words.", 3),
        ("Fine. Two words. An end …", 5),
    ]


@pytest.mark.parametrize("final", [True, False])
async def test_the_end_of_the_answer_is_checked_even_without_a_full_stop(final: bool) -> None:
    shown, checked = await collect(growing("One. And", final=final), stop="And")
    assert shown[-1] == "stopped"
    assert checked[-1].endswith("And")


async def test_a_very_long_sentence_is_shown_in_parts() -> None:
    long = "word " * (MAX_SENTENCE_CHARACTERS // 5 + 2)
    shown, checked = await collect(growing(long + "tail"))
    assert shown[0] == long
    assert checked[0] == long


@pytest.mark.parametrize("marks", ["。", "！？", "。」"])
async def test_a_sentence_without_a_space_after_it_is_shown_once_finished(marks: str) -> None:
    one, two = f"你好{marks}", f"世界{marks}"
    shown, checked = await collect(growing(f"{one}世", f"{one}{two}", f"{one}{two}再"))
    assert shown == [one, one + two, one + two, f"{one}{two}再"]
    assert checked == [one, one + two, f"{two}再"]


@pytest.mark.parametrize("first", ["", "One.", "One. ", "你好。"])
@pytest.mark.parametrize("sign", ["ก", "x"])
async def test_a_long_text_without_spaces_is_shown_in_parts(first: str, sign: str) -> None:
    runs = [first + sign * count * (MAX_SENTENCE_CHARACTERS + 2) for count in range(1, 5)]
    shown, _ = await collect(growing(*runs))
    assert [len(text) for text in shown[1:4]] == [len(run) for run in runs[1:]]


async def test_parts_of_a_text_without_spaces_are_checked_together() -> None:
    shown, _ = await collect(
        growing(
            "x" * MAX_SENTENCE_CHARACTERS + "ba", "x" * MAX_SENTENCE_CHARACTERS + "bad" + "x" * MAX_SENTENCE_CHARACTERS
        ),
        stop="bad",
    )
    assert shown[-1] == "stopped"


async def test_an_answer_that_starts_over_is_checked_again() -> None:
    _, checked = await collect(growing("One. Two", "Other. Words", final=True))
    assert checked == ["One.", "Other.", "Other. Words"]


async def test_columns_are_held_back_separately_and_checked_once() -> None:
    async def columns() -> AsyncGenerator[Reply, None]:
        yield Reply(columns=(Column("One. Tw"), Column("Un")))
        yield Reply(columns=(Column("One. Two.", final=True), Column("Un. Deux")))
        yield Reply(columns=(Column("One. Two.", final=True), Column("Un. Deux", final=True)))
        yield Reply(text="One. Two.\n\nUn. Deux\n\nThree.", final=True)

    checked: list[str] = []

    async def check(text: str) -> None:
        checked.append(text)

    shown = [reply async for reply in filtered(columns(), check)]
    assert [[column.text for column in reply.columns] for reply in shown] == [
        ["One.", ""],
        ["One. Two.", "Un."],
        ["One. Two.", "Un. Deux"],
        [],
    ]
    assert checked == ["One.", "One. Two.", "Un.", "Un. Deux", "\n\nThree."]


async def test_a_later_column_that_fails_the_check_is_never_shown() -> None:
    async def columns() -> AsyncGenerator[Reply, None]:
        yield Reply(columns=(Column("Fine. An"), Column("Bad. An")))

    async def check(text: str) -> None:
        if "Bad" in text:
            raise StoppedError

    with pytest.raises(StoppedError):
        assert [reply async for reply in filtered(columns(), check)] == []

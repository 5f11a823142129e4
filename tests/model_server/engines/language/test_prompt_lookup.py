"""Guesses of the next tokens: what followed an n-gram before, as many as pay."""

import pytest

from model_server.engines.language.prompt_lookup import (
    GUESSES_PER_REPORT,
    NGRAM_LENGTH,
    STEP_COSTS,
    GuessLog,
    PromptLookup,
    choose_count,
)

PASSAGE = list(range(100, 150))


def make_lookup(tokens: list[int], limit: int = 10_000) -> PromptLookup:
    return PromptLookup(tokens, limit)


def write(lookup: PromptLookup, tokens: list[int], new: list[int]) -> tuple[int, ...]:
    """Append tokens as if each had been drawn in a step of its own; return the guesses after them."""
    for token in new:
        tokens.append(token)
        guesses = lookup.guess()
    return guesses


def test_a_guess_is_what_followed_the_same_ngram() -> None:
    tokens = [*PASSAGE, 1, *PASSAGE[20 : 20 + NGRAM_LENGTH]]
    guesses = make_lookup(tokens).guess()
    assert guesses
    assert guesses == tuple(PASSAGE[20 + NGRAM_LENGTH :][: len(guesses)])


@pytest.mark.parametrize("length", [1, NGRAM_LENGTH - 1, NGRAM_LENGTH, NGRAM_LENGTH + 1])
def test_a_short_text_has_no_guess_until_it_repeats_itself(length: int) -> None:
    tokens = PASSAGE[:length]
    lookup = make_lookup(tokens)
    assert lookup.guess() == ()
    assert (
        write(lookup, tokens, [5, *PASSAGE[length : length + 4], *PASSAGE[length : length + NGRAM_LENGTH]])[0]
        == (PASSAGE[length + NGRAM_LENGTH])
    )


def test_the_newest_occurrence_is_followed() -> None:
    ngram = [1, 2, 3, 4, 5][:NGRAM_LENGTH]
    tokens = [*ngram, 50, *PASSAGE, *ngram, 60, *PASSAGE, *ngram]
    assert make_lookup(tokens).guess()[0] == 60


def test_a_copy_is_followed_past_an_ngram_that_stands_elsewhere_too() -> None:
    tokens = [*PASSAGE[:30], 7, *PASSAGE[10 : 10 + NGRAM_LENGTH], 8, *PASSAGE[9 - NGRAM_LENGTH : 9]]
    lookup = make_lookup(tokens)
    assert lookup.guess()[0] == PASSAGE[9]
    assert write(lookup, tokens, PASSAGE[9 : 10 + NGRAM_LENGTH])[0] == PASSAGE[10 + NGRAM_LENGTH]


def test_tokens_that_were_drawn_in_between_are_read_later() -> None:
    tokens = [*PASSAGE, 1]
    lookup = make_lookup(tokens)
    assert lookup.guess() == ()
    tokens += [*range(10, 20), 2, *range(10, 10 + NGRAM_LENGTH)]
    assert lookup.guess()[0] == 10 + NGRAM_LENGTH


def test_no_guess_goes_beyond_the_limit() -> None:
    for free in (1, 2, 3):
        # A step draws a token even if it guesses none.
        tokens = [*PASSAGE, *PASSAGE[:NGRAM_LENGTH]]
        assert len(make_lookup(tokens, len(tokens) + free).guess()) <= free - 1


def test_guesses_stop_while_they_are_wrong_and_come_back_when_they_would_be_right() -> None:
    tokens = [*PASSAGE]
    lookup = make_lookup(tokens)
    lookup.guess()
    for start in range(30):
        write(lookup, tokens, [*PASSAGE[start : start + NGRAM_LENGTH], 1000 + start])
    assert write(lookup, tokens, PASSAGE[35 : 35 + NGRAM_LENGTH]) == ()
    assert write(lookup, tokens, PASSAGE[35 + NGRAM_LENGTH : 45])[0] == PASSAGE[45]


def test_more_is_guessed_the_more_guesses_were_right() -> None:
    counts = [choose_count(rate / 100) for rate in range(101)]
    assert counts == sorted(counts)
    assert (counts[0], counts[50], counts[100]) == (0, 2, len(STEP_COSTS) - 1)


def test_the_share_of_right_guesses_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    guesses = GuessLog()
    with caplog.at_level("INFO", logger="model_server"):
        for _ in range(GUESSES_PER_REPORT // 4 + 1):
            guesses.record(4, 1)
    assert [record.getMessage() for record in caplog.records] == [
        f"{GUESSES_PER_REPORT} tokens were guessed: 25% were right."
    ]

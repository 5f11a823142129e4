"""Guesses of the next tokens: what followed the last one before, as many as pay."""

import time

import pytest

from model_server.engines.language.prompt_lookup import (
    GUESSES_PER_REPORT,
    GuessLog,
    PromptLookup,
    choose_count,
    measure_step_costs,
)

COSTS = (1.0, 1.05, 1.25, 1.5, 1.75, 2.0, 2.1, 2.25)
PASSAGE = list(range(100, 150))


def write(lookup: PromptLookup, tokens: list[int], new: list[int]) -> tuple[int, ...]:
    """Append tokens as if each had been drawn in a step of its own; return the guesses after them."""
    guesses: tuple[int, ...] = ()
    for token in new:
        tokens.append(token)
        guesses = lookup.guess()
    return guesses


def test_a_guess_is_what_followed_the_last_token_before() -> None:
    guesses = PromptLookup([*PASSAGE, 1, PASSAGE[20]], 100, COSTS).guess()
    assert guesses
    assert guesses == tuple(PASSAGE[21 : 21 + len(guesses)])
    assert PromptLookup([1, 50, *PASSAGE, 1, 60, *PASSAGE, 1], 1000, COSTS).guess()[0] == 60


@pytest.mark.parametrize("length", [1, 2])
def test_a_short_text_has_no_guess_until_it_repeats_itself(length: int) -> None:
    tokens = PASSAGE[:length]
    lookup = PromptLookup(tokens, 100, COSTS)
    assert lookup.guess() == ()
    assert write(lookup, tokens, [5]) == ()
    assert write(lookup, tokens, PASSAGE[:1])[0] == (*PASSAGE[1:length], 5)[0]


def test_a_copy_is_followed_past_a_token_that_stands_elsewhere_too() -> None:
    tokens = [*PASSAGE[:30], 7, PASSAGE[10], 8, PASSAGE[8]]
    lookup = PromptLookup(tokens, 100, COSTS)
    assert lookup.guess()[0] == PASSAGE[9]
    assert write(lookup, tokens, PASSAGE[9:11])[0] == PASSAGE[11]


def test_tokens_that_were_drawn_in_between_are_read_later() -> None:
    tokens = [*PASSAGE, 1]
    lookup = PromptLookup(tokens, 100, COSTS)
    assert lookup.guess() == ()
    tokens += [*range(10, 20), 2, 13]
    assert lookup.guess()[0] == 14


def test_no_guess_goes_beyond_the_limit() -> None:
    tokens = [*PASSAGE]
    lookup = PromptLookup(tokens, 90, COSTS)
    counts = [len(write(lookup, tokens, [token])) for token in PASSAGE[:39]]
    # A step draws one token more than it guesses, and three steps before the end there is room for two guesses.
    assert counts[20] > 3
    assert counts[-3:] == [2, 1, 0]


def test_guesses_stop_while_they_are_wrong_and_come_back_when_they_would_be_right() -> None:
    tokens = [*PASSAGE]
    lookup = PromptLookup(tokens, 1000, COSTS)
    for start in range(30):
        write(lookup, tokens, [PASSAGE[start], 1000 + start])
    assert write(lookup, tokens, PASSAGE[35:36]) == ()
    assert write(lookup, tokens, PASSAGE[36:45])[0] == PASSAGE[45]


def test_more_is_guessed_the_more_guesses_were_right() -> None:
    counts = [choose_count(rate / 100, COSTS) for rate in range(101)]
    assert counts == sorted(counts)
    assert (counts[0], counts[30], counts[100]) == (0, 1, len(COSTS) - 1)


def test_the_time_of_more_rows_is_measured() -> None:
    computed = list[int]()
    costs = measure_step_costs(lambda rows: [computed.append(rows), time.sleep(0.004 * rows)])
    assert set(computed) == {1, 2, 4, 8}
    assert costs[0] == 1
    assert len(costs) == len(COSTS)
    assert list(costs) == sorted(costs)
    assert costs[-1] > 2
    # Where all take the same time, as many as possible are guessed even if hardly any is right.
    assert choose_count(0.5, (1.0, 1.0, 1.0)) == 2


def test_the_share_of_right_guesses_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    guesses = GuessLog()
    with caplog.at_level("INFO", logger="model_server"):
        for _ in range(GUESSES_PER_REPORT // 4 + 1):
            guesses.record(4, 1)
    assert [record.getMessage() for record in caplog.records] == [
        f"{GUESSES_PER_REPORT} tokens were guessed: 25% were right."
    ]

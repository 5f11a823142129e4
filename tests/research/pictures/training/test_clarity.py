"""Descriptions that a classifier recognises without having learnt them are shown more often."""

import numpy as np

from research.pictures.training.clarity import LOWEST_FREQUENCY, rate_descriptions

THINGS, PER_THING, TOKENS = 12, 10, 4


def descriptions() -> tuple[np.ndarray, list[np.ndarray]]:
    """States of several descriptions of each thing, which are near to each other."""
    noise = np.random.default_rng(0).normal(size=(THINGS * PER_THING, TOKENS, 40)) * 0.1
    noise[:, :, :THINGS] += np.repeat(np.eye(THINGS), PER_THING, axis=0)[:, None]
    return noise.astype(np.float16), np.split(np.arange(THINGS * PER_THING), THINGS)


def test_clear_descriptions_are_shown_often() -> None:
    states, rows = descriptions()
    frequencies = rate_descriptions(states, rows)
    assert [len(one) for one in frequencies] == [PER_THING] * THINGS
    assert all((one == 1).all() for one in frequencies)


def test_descriptions_that_must_be_memorised_are_shown_seldom() -> None:
    states, rows = descriptions()
    # Its embedding is like those of all other things, apart from one number that only a model which memorised it uses.
    states[3, :, :THINGS] = 1
    states[3, :, 0] = -1
    states[3, :, 39] = 50
    frequencies = np.concatenate(rate_descriptions(states, rows))
    assert frequencies[3] == LOWEST_FREQUENCY
    assert np.delete(frequencies, 3).mean() > 0.9


def test_all_descriptions_of_a_single_thing_are_clear() -> None:
    states, _ = descriptions()
    [frequencies] = rate_descriptions(states, [np.array([1, 5])])
    assert frequencies.tolist() == [1, 1]

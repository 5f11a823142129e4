"""How often descriptions are shown, by whether they can be told without having been learnt."""

import numpy as np

from model_server.training.images.clarity import LOWEST_FREQUENCY, description_frequencies

THINGS, EACH, TOKENS = 12, 10, 4


def descriptions() -> tuple[np.ndarray, list[np.ndarray]]:
    """Of each thing some that point its way, a little apart from each other."""
    noise = np.random.default_rng(0).normal(size=(THINGS * EACH, TOKENS, 40)) * 0.1
    noise[:, :, :THINGS] += np.repeat(np.eye(THINGS), EACH, axis=0)[:, None]
    return noise.astype(np.float16), np.split(np.arange(THINGS * EACH), THINGS)


def test_what_says_its_thing_is_shown_often() -> None:
    states, rows = descriptions()
    often = description_frequencies(states, rows)
    assert [len(one) for one in often] == [EACH] * THINGS
    assert all((one == 1).all() for one in often)


def test_what_can_only_be_learnt_by_heart_is_shown_seldom() -> None:
    states, rows = descriptions()
    # It points to all other things, and has a mark that nothing else has: whoever has learnt it knows it by that.
    states[3, :, :THINGS] = 1
    states[3, :, 0] = -1
    states[3, :, 39] = 50
    often = np.concatenate(description_frequencies(states, rows))
    assert often[3] == LOWEST_FREQUENCY
    assert np.delete(often, 3).mean() > 0.9


def test_the_only_thing_there_is_has_clear_descriptions_alone() -> None:
    states, _ = descriptions()
    [often] = description_frequencies(states, [np.array([1, 5])])
    assert often.tolist() == [1, 1]

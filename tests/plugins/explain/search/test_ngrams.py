import numpy as np

from plugins.explain.search.ngrams import CharacterNgrams, gather_ranges

ALL = np.arange(3)


def test_a_text_has_all_runs_of_itself_and_few_of_others() -> None:
    letters = CharacterNgrams(["Cats purr when stroked.", "Dogs bark at the postman.", "Hamsters run in a wheel."])
    shares = letters.overlap("dogs bark at the postman", ALL)
    assert shares[1] > 0.99
    assert shares[[0, 2]].max() < 0.3


def test_typing_errors_and_endings_leave_most_runs() -> None:
    letters = CharacterNgrams(["Cats purr when stroked.", "Dogs bark at the postman.", "Hamsters run in a wheel."])
    assert letters.overlap("barkin at posman", ALL).argmax() == 1
    assert letters.overlap("hamsterwheels", ALL).argmax() == 2


def test_what_all_texts_have_counts_less() -> None:
    letters = CharacterNgrams([f"The animal is a {name}." for name in ("cat", "dog", "hamster")])
    assert letters.overlap("the animal is a hamster", np.array([0]))[0] < letters.overlap("hamster", np.array([2]))[0]
    assert letters.overlap("the animal is a hamster", np.array([2]))[0] > 0.99


def test_texts_and_questions_without_words_share_nothing_that_matters() -> None:
    letters = CharacterNgrams(["", "Cats purr."])
    assert letters.overlap("???", np.arange(2)).tolist() == letters.overlap("", np.arange(2)).tolist()
    assert CharacterNgrams([]).overlap("cats", np.zeros(0, np.intp)).tolist() == []


def test_gathered_places() -> None:
    places, begin = gather_ranges(np.array([0, 2, 3, 6]), np.array([2, 0]))
    assert (places.tolist(), begin.tolist()) == ([3, 4, 5, 0, 1], [0, 3])

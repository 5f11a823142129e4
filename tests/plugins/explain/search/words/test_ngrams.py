import numpy as np

from plugins.explain.search.words.ngrams import CharacterNgrams

ALL = np.arange(3)


def test_a_text_shares_all_ngrams_with_itself_and_few_with_others() -> None:
    ngrams = CharacterNgrams(["Cats purr when stroked.", "Dogs bark at the postman.", "Hamsters run in a wheel."])
    shares = ngrams.overlap("dogs bark at the postman", ALL)
    assert shares[1] > 0.99
    assert shares[[0, 2]].max() < 0.3


def test_typing_errors_and_endings_leave_most_ngrams() -> None:
    ngrams = CharacterNgrams(["Cats purr when stroked.", "Dogs bark at the postman.", "Hamsters run in a wheel."])
    assert ngrams.overlap("barkin at posman", ALL).argmax() == 1
    assert ngrams.overlap("hamsterwheels", ALL).argmax() == 2


def test_ngrams_of_all_texts_count_less() -> None:
    ngrams = CharacterNgrams([f"The animal is a {name}." for name in ("cat", "dog", "hamster")])
    assert ngrams.overlap("the animal is a hamster", np.array([0]))[0] < ngrams.overlap("hamster", np.array([2]))[0]
    assert ngrams.overlap("the animal is a hamster", np.array([2]))[0] > 0.99


def test_texts_and_questions_without_words_share_no_ngrams() -> None:
    ngrams = CharacterNgrams(["", "Cats purr."])
    assert ngrams.overlap("???", np.arange(2)).tolist() == ngrams.overlap("", np.arange(2)).tolist()
    assert CharacterNgrams([]).overlap("cats", np.zeros(0, np.intp)).tolist() == []

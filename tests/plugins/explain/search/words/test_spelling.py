import pytest

from plugins.explain.search.words.spelling import is_word, nearest_word


@pytest.mark.parametrize("word", ["decided", "lawyers", "didnt", "photosynthesis"])
def test_english_words_are_known(word: str) -> None:
    assert is_word(word)


@pytest.mark.parametrize("word", ["desided", "lawers", "qqq", "sprachmodell"])
def test_typing_errors_and_words_of_other_languages_are_not_known(word: str) -> None:
    assert not is_word(word)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("desided", ("decided", 1)),
        ("lawers", ("lawyers", 1)),
        ("waht", ("what", 1)),
        ("diffrently", ("differently", 1)),
    ],
)
def test_the_nearest_common_word_is_found(written: str, meant: tuple[str, int]) -> None:
    assert nearest_word(written) == meant


def test_a_short_word_is_not_corrected_by_two_letters() -> None:
    assert nearest_word("xoqt") is None
    assert nearest_word("sprachmodellen") is None

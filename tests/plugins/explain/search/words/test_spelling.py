import pytest

from plugins.explain.search.words.spelling import is_word


@pytest.mark.parametrize("word", ["decided", "lawyers", "didnt", "photosynthesis"])
def test_english_words_are_known(word: str) -> None:
    assert is_word(word)


@pytest.mark.parametrize("word", ["desided", "lawers", "qqq", "sprachmodell"])
def test_typing_errors_and_words_of_other_languages_are_not_known(word: str) -> None:
    assert not is_word(word)

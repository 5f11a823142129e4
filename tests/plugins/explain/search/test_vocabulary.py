import pytest

from plugins.explain.search.vocabulary import Vocabulary, join_compounds, stems, words


def test_words_are_small_and_have_no_accents_or_apostrophes() -> None:
    assert words("What's a Café’s E-Mail?") == ["whats", "a", "cafes", "email"]


def test_words_with_hyphens_are_known_without_them_too() -> None:
    assert join_compounds("mock-ups and step-by-step, e-mail") == ["mockups", "stepbystep"]


def test_a_word_without_an_end_is_read_in_no_time() -> None:
    assert join_compounds("a" * 3_000_000) == []


def test_stems_leave_out_what_says_nothing() -> None:
    assert stems(words("What are the networks that compete?")) == ["network", "compet"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("temprature", "temperature"),
        ("difusion", "diffusion"),
        ("tokken", "token"),
        ("genrator", "generator"),
        ("deep fakes", "deepfakes"),
        ("pics", "pictures"),
        ("tokens", "tokens"),
        ("ganerator", "generator"),
        ("etmperature", "temperature"),
        ("photosynthesis", "photosynthesis"),
        ("cast", "cast"),
    ],
)
def test_what_was_meant(written: str, meant: str) -> None:
    vocabulary = Vocabulary(["Temperature, diffusion and a token; the generator makes pictures. Deepfakes cost cash."])
    assert " ".join(vocabulary.correct_words(written)) == meant


def test_chat_is_written_out() -> None:
    assert Vocabulary(["answers"]).correct_words("y r answers diff") == ["why", "are", "answers", "different"]

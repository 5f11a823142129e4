import pytest
import rapidfuzz.process

from plugins.explain.search.words.vocabulary import Vocabulary, join_compounds, stems, words


def test_words_are_in_lower_case_without_accents_and_apostrophes() -> None:
    assert words("What's a Café’s E-Mail?") == ["whats", "a", "cafes", "email"]


def test_words_with_hyphens_are_joined() -> None:
    assert join_compounds("mock-ups and step-by-step, e-mail") == ["mockups", "stepbystep"]


def test_a_very_long_word_takes_linear_time() -> None:
    assert join_compounds("a" * 3_000_000) == []


def test_stems_leave_out_stop_words() -> None:
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
def test_words_are_corrected(written: str, meant: str) -> None:
    vocabulary = Vocabulary(["Temperature, diffusion and a token; the generator makes pictures. Deepfakes cost cash."])
    assert " ".join(vocabulary.correct_words(written)) == meant


def test_short_forms_of_chats_are_written_out() -> None:
    assert Vocabulary(["answers"]).correct_words("y r answers diff") == ["why", "are", "answers", "different"]


def test_a_long_question_of_unknown_words_is_not_corrected_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    extract = rapidfuzz.process.extract

    def count(word: str, *arguments: object, **options: object) -> object:
        compared.append(word)
        return extract(word, *arguments, **options)

    monkeypatch.setattr(rapidfuzz.process, "extract", count)
    vocabulary = Vocabulary(["Temperature, diffusion and a token; the generator makes pictures."])
    gibberish = " ".join(f"xq{first}{second}zz" for first in "abcdefghij" for second in "abcdefghij")
    corrected = vocabulary.correct_words(f"temprature temprature {gibberish} difusion")
    assert (corrected[:2], len(corrected)) == (["temperature", "temperature"], 103)
    assert len(set(compared)) == 20

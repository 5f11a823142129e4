import pytest
import rapidfuzz.process

from plugins.explain.search.words.vocabulary import Vocabulary, join_compounds, stems, words


def test_words_are_folded_joined_and_stemmed() -> None:
    assert words("What's a Café’s E-Mail?") == ["whats", "a", "cafes", "email"]
    assert join_compounds("mock-ups and step-by-step, e-mail") == ["mockups", "stepbystep"]
    assert stems(words("What are the networks that compete?")) == ["network", "compet"]


def test_a_very_long_word_takes_linear_time() -> None:
    assert join_compounds("a" * 3_000_000) == []


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
        ("y r pictures diff", "why are pictures different"),
        # Common words that the lesson does not have.
        ("is it desided", "is it decided"),
        ("is it lawers", "is it lawyers"),
        ("waht is it", "what is it"),
        ("is it diffrently", "is it differently"),
        ("lawyers didnt", "lawyers didnt"),
        # Too far from any word, or of another language.
        ("is it xoqt", "is it xoqt"),
        ("is it sprachmodellen", "is it sprachmodellen"),
    ],
)
def test_words_are_corrected(written: str, meant: str) -> None:
    vocabulary = Vocabulary(["Temperature, diffusion and a token; the generator makes pictures. Deepfakes cost cash."])
    assert " ".join(vocabulary.correct_words(written)) == meant


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

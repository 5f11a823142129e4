import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.model_server.model_api import FakeModels

from bot import ModelClient
from model_server.engines.contract import EngineSpec
from plugins.explain.search.embedding.scale import REFERENCE_SCALE, measure_scale
from plugins.explain.search.reference_lesson import DEFAULT_LESSON
from research import DATA
from research.explain.calibration import LabelledQuestion, count_outcomes, load_questions
from research.explain.measure import (
    build_index,
    build_synthetic_index,
    main,
    median_search_milliseconds,
    open_model_server,
    rank_questions,
)

HELD_OUT = [DATA / "explain" / f"held_out{number}.jsonl" for number in ("", "_2", "_3")]
SAMPLED = 4
"""One of so many questions is in the sample."""
FIRST_ABOUT_HARM = 475
"""The development questions from here on ask whether something can hurt people: AI, called “it”, or anything else."""
PLAIN, HEADINGS = DATA / "explain" / "plain_lesson.txt", DATA / "explain" / "plain_lesson_headings.json"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    rows = [
        {"question": "Is ChatGPT generative AI?", "kind": "plain", "headings": ["Is ChatGPT generative AI?"]},
        {"question": "What is guidance?", "kind": "plain", "headings": ["Guidance: the knob of picture models"]},
        {"question": "how do volcanoes erupt", "kind": "off topic", "headings": []},
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def row(out: str, table: str, what: str) -> list[str]:
    """The cells of a row of a printed table."""
    lines = out[out.index(f"| {table} |") :].splitlines()
    return [
        cell.strip() for cell in next(line for line in lines if line.startswith(f"| {what} |")).strip("|").split("|")
    ]


async def test_rates_and_times_are_printed(
    labels: Path, models: FakeModels, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(labels), "--also", str(PLAIN), str(HEADINGS), "--url", models.url, "--sizes", "100", "200"]
    assert await main(arguments) == 0
    out = capsys.readouterr().out
    for lesson in (DEFAULT_LESSON.name, PLAIN.name, f"{PLAIN.name} without a reference lesson"):
        assert f"| labels of {lesson}, words and embeddings |" in out
        falsely = row(out, f"labels of {lesson}, words alone", "false answers")
        assert falsely[2:] == ["0 of 1", "0.0% to 79.3%", "≤ 8%"]
        assert row(out, f"labels of {lesson}, words alone", "right first")[1:] == [
            "100.0%",
            "2 of 2",
            "34.2% to 100.0%",
            "≥ 95%",
        ]
    assert [float(row(out, "passages", size)[1]) > 0 for size in ("100", "200")] == [True, True]


async def test_without_a_model_server_words_alone_are_measured(
    labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await main([str(labels), "--url", "http://127.0.0.1:9", "--sizes"]) == 0
    out = capsys.readouterr().out
    assert "words alone are measured" in out
    assert "words and embeddings" not in out


async def test_the_default_lesson_is_measured_and_fitted_to_in_other_languages(
    tmp_path: Path, models: FakeModels, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--url", models.url, "--calibrate"]
    for code, name in (("de", "german"), ("es", "spanish")):
        path = tmp_path / f"{name}.jsonl"
        lines = (DATA / "explain" / f"{name}_development.jsonl").read_text("utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[::8]), "utf-8")
        arguments += ["--language", code, str(path)]
    # Vectors of the fake server say nothing, but those of a model for English would not be asked for at all.
    models.told_of = {"fake-embeddings": {"languages": ["en"]}}
    assert await main(arguments) == 0
    out = capsys.readouterr().out
    assert "words and embeddings" not in out
    assert "FOREIGN_LEXICAL = DecisionModel(weights=(0.0, 0.0, " in out
    right, of = row(out, "german of what-is-generative-ai.de.md, words alone", "right first")[2].split(" of ")
    assert int(right) >= 0.8 * int(of) > 0
    models.told_of = {}
    assert await main(arguments) == 0
    out = capsys.readouterr().out
    assert "spanish of what-is-generative-ai.es.md, words and embeddings" in out
    assert out.index("FOREIGN_HYBRID = ") < out.index("FOREIGN_LEXICAL = ")


@pytest.mark.parametrize(("arguments", "reason"), [([], "--language"), (["--language", "fr", "x"], "de, es, not fr")])
async def test_what_is_measured_must_be_said(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        await main(arguments)
    assert reason in capsys.readouterr().err


async def test_an_index_has_embeddings_where_there_is_a_model_server(models: FakeModels) -> None:
    questions = [LabelledQuestion("What is a token?", "plain", frozenset({"What is a token?"}))]
    async with ModelClient(models.url) as client:
        index = await build_index(DEFAULT_LESSON, client)
        [with_them] = await rank_questions(index, questions, client)
    [without] = await rank_questions(index, questions, None)
    assert (with_them.with_embeddings, without.with_embeddings) == (True, False)


def test_a_synthetic_index_has_the_given_size_and_can_be_searched() -> None:
    index = build_synthetic_index(120, build_synthetic_index(1, []).passages)
    assert len(index.passages) == 120
    direction = np.random.default_rng(0).standard_normal(384).tolist()
    query = index.read_question(index.passages[7].text)
    assert index.rank(query, [direction] * len(query.embedded_texts)).passages[0] == index.passages[7]
    assert median_search_milliseconds(index, [LabelledQuestion("word1 word2", "plain", frozenset())], [direction]) > 0


class RememberingModels(ModelClient):
    """Embeds no text twice. Once it `is_narrow`, all cosines lie between 0.7 and 1, as those of multilingual E5."""

    is_narrow = False

    def __init__(self, models: ModelClient) -> None:
        self._models = models
        self._known: dict[str, list[float]] = {}

    async def embed(self, texts: Sequence[str], **more: Any) -> list[list[float]]:
        if missing := [text for text in texts if text not in self._known]:
            self._known |= zip(missing, await self._models.embed(missing, **more), strict=True)
        rows = np.array([self._known[text] for text in texts])
        if self.is_narrow:
            rows[:, ::2] += 1.6 / (rows.shape[1] / 2) ** 0.5
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.tolist()


@pytest.mark.weights
async def test_a_sample_of_questions_finds_its_passages(
    weights: Callable[[str], EngineSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample of the newest questions, with a server of its own; the next test has all of them.

    A sample of the development questions shows that a model whose similarities are larger decides alike.
    """
    weights("all-minilm-l6-v2")
    questions = load_questions(HELD_OUT[-1], None)[::SAMPLED]
    async with open_model_server("") as client:
        assert client is not None
        client = RememberingModels(client)
        index = await build_index(DEFAULT_LESSON, client)
        counted = count_outcomes(index, questions, await rank_questions(index, questions, client))
        harm = load_questions(DATA / "explain" / "development.jsonl")[FIRST_ABOUT_HARM:]
        about_harm = count_outcomes(index, harm, await rank_questions(index, harm, client))
        client.is_narrow = True
        sampled = load_questions(DATA / "explain" / "development.jsonl")[::SAMPLED]
        decided = []
        for measure in (measure_scale, lambda _: REFERENCE_SCALE):
            monkeypatch.setattr("research.explain.measure.measure_scale", measure)
            index = await build_index(DEFAULT_LESSON, client)
            decided.append(count_outcomes(index, sampled, await rank_questions(index, sampled, client)))
    scaled, unscaled = ({name: hits / of for name, (hits, of) in one.items()} for one in decided)
    assert scaled["right first"] >= 0.95
    assert scaled["right answers"] >= 0.85
    assert scaled["false answers"] <= 0.06
    assert unscaled["false answers"] >= scaled["false answers"] + 0.08
    assert about_harm["right first"] == (10, 10)
    assert about_harm["right answers"] == (9, 10)
    assert about_harm["false answers"] == about_harm["false suggestions"] == (0, 12)
    shares = {name: hits / of for name, (hits, of) in counted.items()}
    assert shares["right first"] >= 0.93
    assert shares["right in three"] >= 0.97
    assert shares["false answers"] <= 0.15


@pytest.mark.weights
@pytest.mark.quality
async def test_questions_of_pupils_find_their_passages(real_server: Callable[..., str]) -> None:
    async with open_model_server(real_server("all-minilm-l6-v2")) as client:
        assert client is not None
        default = await build_index(DEFAULT_LESSON, client)
        plain = await build_index(PLAIN, client, default)
        elsewhere = json.loads(HEADINGS.read_text("utf-8"))
        for path, index, told, first, three in (
            (HELD_OUT[0], default, None, 0.9, 0.96),
            (HELD_OUT[0], plain, elsewhere, 0.86, 0.94),
            (HELD_OUT[1], default, None, 0.95, 0.98),
            (HELD_OUT[1], plain, elsewhere, 0.94, 0.97),
            (HELD_OUT[2], default, None, 0.96, 0.98),
            (HELD_OUT[2], plain, elsewhere, 0.94, 0.98),
        ):
            questions = load_questions(path, told)
            counted = count_outcomes(index, questions, await rank_questions(index, questions, client))
            shares = {name: hits / of for name, (hits, of) in counted.items()}
            assert shares["right first"] >= first
            assert shares["right in three"] >= three
            assert shares["false answers"] <= (0.08 if index is default else 0.13)

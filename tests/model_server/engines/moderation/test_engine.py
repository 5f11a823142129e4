"""The moderation engine: a text gets the scores of its worst piece, and the model of words is the original."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model_server.engines.contract import Engine, EngineSpec
from model_server.engines.factory import create
from model_server.engines.moderation.engine import MAX_PIECE_CHARACTERS, Head, ModerationEngine, split_into_pieces
from model_server.engines.moderation.grams import COLUMNS, columns
from model_server.engines.moderation.profanity import Profanity
from model_server.jobs import Embed, Event, Failed, Job, Moderate, Scores, Started

WEIGHTS = Path(__file__).parents[4] / "model_server" / "weights" / "classroom-moderation"
Run = Callable[..., list[Event]]

ORIGINAL = {
    "hello": 0.02432774,
    "fuck you": 1.0,
    "you are an idiot": 0.99999873,
    "how do I kill a process": 0.37019468,
    "Scunthorpe": 0.03637575,
    "class assessment": 0.01026619,
    "make a bomb": 0.04709016,
}
"""The results of predict_prob of alt-profanity-check 1.9.1."""


@pytest.mark.parametrize("text", ORIGINAL)
def test_the_model_of_words_computes_what_the_original_computes(text: str) -> None:
    assert Profanity.load(WEIGHTS).probability(text) == pytest.approx(ORIGINAL[text], abs=1e-6)


def test_pieces_are_the_sentences_and_the_whole_text() -> None:
    assert split_into_pieces("Hello there. How are you?\nWell!") == [
        "Hello there.",
        "How are you?",
        "Well!",
        "Hello there. How are you? Well!",
    ]
    assert split_into_pieces("one") == ["one"]
    assert split_into_pieces("") == [""]


def test_long_sentences_are_cut_between_words() -> None:
    found = split_into_pieces("word " * 300)
    assert len(found) > 2
    assert all(len(piece) <= MAX_PIECE_CHARACTERS for piece in found)
    assert " ".join(found).split() == ["word"] * 300


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (f"{'!' * 300}kill all of them", "!!! kill all of them"),
        (f"one {'-=' * 20} two", "one -=- two"),
        (f"one{' ,' * 40} two", "one , , two"),
        (f"one {'_' * 8} two", "one two"),
        ("What?!?! No... (well!) 👍👍👍 10,000.00", "What?!?! No... (well!) 👍👍👍 10,000.00"),
    ],
)
def test_rows_of_symbols_are_shortened(text: str, read: str) -> None:
    assert split_into_pieces(text)[-1] == read


def test_a_row_of_symbols_does_not_join_lines() -> None:
    assert split_into_pieces(f"First\n{'=' * 20}\nSecond")[:3] == ["First", "===", "Second"]


def test_a_head_reads_weights_and_bias(tmp_path: Path) -> None:
    weight, bias = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0.0, 0.0])
    grams = torch.zeros(COLUMNS, 2).half()
    word = columns("no")
    grams[word, 1] = 3.0
    tensors = {"weight": weight, "grams": grams, "bias": bias, "word_grams": grams.clone(), "word_bias": bias.clone()}
    save_file(tensors, tmp_path / "h", metadata={"categories": json.dumps(["fine", "hate"])})
    head = Head(tmp_path / "h")
    features = torch.tensor([[0.0, 9.0], [5.0, 0.0], [0.0, 9.0]]).numpy()
    even, bad, hashed = head.scores(["yes", "yes", "no"], features, [True] * 3)
    assert list(even) == [0.5, 0.5]
    assert bad[1] == pytest.approx(0.99331, abs=1e-5)
    assert hashed[1] == pytest.approx(1 / (1 + math.exp(-3 * math.sqrt(len(word)))), abs=1e-5)


@pytest.fixture(scope="module")
def engine(weights: Callable[[str], EngineSpec]) -> Engine:
    loaded = create(weights("classroom-moderation"))
    assert isinstance(loaded, ModerationEngine)
    loaded.load()
    return loaded


def scores_of(events: list[Event]) -> list[dict[str, float]]:
    [found] = [event for event in events if isinstance(event, Scores)]
    return [dict(zip(found.categories, row, strict=True)) for row in found.scores]


@pytest.mark.weights
def test_each_text_has_its_own_scores(engine: Engine, run: Run) -> None:
    texts = ("What is photosynthesis?", "I am going to stab my classmate tomorrow.", "I hate myself and want to die")
    fine, threat, despair = scores_of(run(engine, Job(id="a", model="m", task=Moderate(texts=texts))))
    assert sum(fine.values()) < 0.1
    assert threat["violence"] > 0.8
    assert despair["self-harm"] > 0.8


@pytest.mark.weights
def test_what_the_encoder_cannot_read_is_not_accused_by_it_alone(engine: Engine, run: Run) -> None:
    food = ("Pommes mit Ketchup", "Bratwurst mit Brot", "Nudeln mit Soße", "un cerdo gordo")
    threats = ("ich stech den lehrer ab", "te voy a matar mañana")
    scores = [
        sum(of_text.values())
        for of_text in scores_of(run(engine, Job(id="a", model="m", task=Moderate(texts=food + threats))))
    ]
    assert max(scores[:4]) < 0.5 < min(scores[4:])


@pytest.mark.weights
def test_one_bad_sentence_among_many_good_ones_is_found(engine: Engine, run: Run) -> None:
    good = "Plants turn light into sugar. The sea is salty. Two and two are four. "
    [found] = scores_of(
        run(engine, Job(id="a", model="m", task=Moderate(texts=(f"{good * 9}I will kill you. {good}",))))
    )
    assert found["violence"] > 0.8
    [found] = scores_of(run(engine, Job(id="a", model="m", task=Moderate(texts=(good * 9,)))))
    assert sum(found.values()) < 0.3


@pytest.mark.weights
@pytest.mark.parametrize(
    "padding", ["!" * 300, "?!.,;" * 60, " ,;" * 100, "😀" * 300, "_" * 300], ids=lambda text: text[:3]
)
def test_symbols_around_a_threat_do_not_hide_it(engine: Engine, run: Run, padding: str) -> None:
    for text in (f"{padding}kill all of them", f"kill all of them{padding}"):
        [found] = scores_of(run(engine, Job(id="a", model="m", task=Moderate(texts=(text,)))))
        assert sum(found.values()) > 0.8


@pytest.mark.weights
@pytest.mark.parametrize("filler", ["字", "1.", "3.1 "])
def test_a_piece_with_too_many_tokens_is_cut(engine: Engine, run: Run, filler: str) -> None:
    text = f"{filler * (360 // len(filler))}I will kill you"
    assert len(text) <= MAX_PIECE_CHARACTERS
    events = run(engine, Job(id="a", model="m", task=Moderate(texts=(text,))))
    [tokens] = [event.prompt_tokens for event in events if isinstance(event, Started)]
    assert tokens > 270
    assert len(scores_of(events)) == 1


@pytest.mark.weights
def test_a_removed_job_causes_no_events_and_other_tasks_are_refused(engine: Engine, run: Run) -> None:
    engine.add(Job(id="gone", model="m", task=Moderate(texts=("hello",) * 100)))
    engine.step()
    engine.remove("gone")
    [refused] = run(engine, Job(id="b", model="m", task=Embed(texts=("hello",))))
    assert isinstance(refused, Failed)
    assert "only tells what is wrong with texts" in refused.message

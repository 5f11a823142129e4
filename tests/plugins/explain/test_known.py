"""What lessons lend to the questions of other commands, which may be about anything."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fakes.core.requests import ANN, ROOM
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from research import DATA
from research.explain.calibration import LabelledQuestion, load_questions

from .conftest import DEFAULT, MakeBot, explain_plugin

DEVELOPMENT, HELD_OUT = DATA / "explain" / "known_development.jsonl", DATA / "explain" / "known_held_out.jsonl"
SAMPLED = 6
"""One of so many held-out questions is in the sample."""
PATIENT_SECONDS = 60.0


async def test_a_passage_is_lent_with_its_heading_and_source(bot: Bot) -> None:
    known = await explain_plugin(bot).knows(ROOM, "What does the temperature of a language model change?", ANN)
    assert known.text.startswith("The temperature knob\nTemperature is a number that says how boldly")
    assert known.source == "What is generative AI? › The temperature knob"
    assert known.language == ""


async def test_the_language_of_a_question_is_told_with_the_passage(bot: Bot) -> None:
    known = await explain_plugin(bot).knows(ROOM, "Was bewirkt die Temperatur bei einem Sprachmodell?", ANN)
    assert "wie mutig" in known.text
    assert known.language == "German"
    # Of words that are usual in German it is not known that they are, so their English translations are weighed.
    for question in ("Welche Temperatur hat das Meer im Sommer?", "Was soll ich heute kochen?"):
        assert await explain_plugin(bot).knows(ROOM, question, ANN) is None


@pytest.mark.parametrize(
    "question", ["which one is slower?", "why does it take so long?", "and top-p?", "What is the temperature on Mars?"]
)
async def test_nothing_is_lent_to_a_question_that_only_the_conversation_explains(bot: Bot, question: str) -> None:
    assert await explain_plugin(bot).knows(ROOM, question, ANN) is None


@pytest.mark.usefixtures("without_reference_lesson")
async def test_only_a_question_that_names_the_subject_is_embedded(
    make_bot: MakeBot, models: FakeModels, pets: Path
) -> None:
    async with make_bot(pets) as bot:
        models.listed = {"fake-embeddings": "embeddings"}
        lesson_set = await explain_plugin(bot).library.lesson_set("")
        await lesson_set.ready.wait()
        assert lesson_set.model
        for question, is_embedded in (("which one is slower?", False), ("why do cats purr", True)):
            models.requests.clear()
            await explain_plugin(bot).knows(ROOM, question, ANN)
            assert [request["input"][0] for request in models.requests] == [question] * is_embedded


async def count_lent(bot: Bot, questions: Sequence[LabelledQuestion]) -> tuple[int, int, int]:
    """Return how many questions got the right passage, a wrong one, and one although no passage answers them."""
    library = explain_plugin(bot).library
    lesson_set = await library.lesson_set("")
    await lesson_set.ready.wait()
    assert lesson_set.model
    right = wrong = in_vain = 0
    for question in questions:
        passage = await library.find_answer("", question.question, PATIENT_SECONDS, user=ANN.id)
        if passage is not None:
            is_right = question.is_answered_by(passage, lesson_set.index.passages)
            right += is_right
            wrong += bool(question.headings) and not is_right
            in_vain += not question.headings
    return right, wrong, in_vain


@pytest.mark.weights
async def test_a_sample_of_questions_is_lent_its_passages(make_bot: MakeBot, real_server: Callable[..., str]) -> None:
    questions = load_questions(HELD_OUT)[::SAMPLED]
    async with make_bot(DEFAULT, url=real_server("all-minilm-l6-v2")) as bot:
        right, wrong, in_vain = await count_lent(bot, questions)
    assert right >= 6
    assert wrong + in_vain <= 1


@pytest.mark.weights
@pytest.mark.quality
async def test_questions_are_lent_their_passages_and_others_none(
    make_bot: MakeBot, real_server: Callable[..., str]
) -> None:
    questions = load_questions(DEVELOPMENT) + load_questions(HELD_OUT)
    async with make_bot(DEFAULT, url=real_server("all-minilm-l6-v2")) as bot:
        right, wrong, in_vain = await count_lent(bot, questions)
    assert right >= 72
    assert wrong <= 2
    assert in_vain <= 3

"""Beginnings of shortened prompts, which are computed before the next question comes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from model_server.engines.contract import Engine
from model_server.engines.language.engine import LanguageEngine
from model_server.jobs import Chat, ChatTurn, Event, Finished, Job, Sampling, Started, Text

Run = Callable[..., list[Event]]


def question(turns: int, name: str = "chat") -> Job:
    """Return the job of a chat with as many turns, of which the last one waits for its answer."""
    said = [
        ChatTurn(role, f"{role} {number} says: the cat sat on the mat")
        for number in range(turns)
        for role in ("user", "assistant")
    ]
    sampling = Sampling(seed=1, max_tokens=8, temperature=0)
    return Job(id=name, model="tiny", task=Chat(messages=tuple(said[:-1]), sampling=sampling, truncation="auto"))


def cached_share(events: list[Event]) -> float:
    (started,) = (event for event in events if isinstance(event, Started))
    (finished,) = (event for event in events if isinstance(event, Finished))
    return finished.cached_tokens / started.prompt_tokens


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


@pytest.fixture
def engine(loaded: Callable[..., Engine], qwen: Path, run: Run) -> tuple[LanguageEngine, int]:
    """An engine that can compute the beginning of the next prompt, which has as many turns as the number says."""
    engine = loaded("language", qwen, slots=2)
    assert isinstance(engine, LanguageEngine)
    for turns in range(10, 200):
        run(engine, question(turns))
        if engine.has_spare_work:
            return engine, turns + 1
    pytest.fail("the chat was never cut")


def test_the_next_prompt_is_computed_before_it_comes_and_changes_no_text(
    engine: tuple[LanguageEngine, int], run: Run, loaded: Callable[..., Engine], qwen: Path
) -> None:
    ahead, turns = engine
    while ahead.has_spare_work:
        assert not ahead.step()
    events = run(ahead, question(turns))
    fresh = run(loaded("language", qwen, slots=1), question(turns))
    assert cached_share(events) > 0.8
    assert cached_share(fresh) == 0
    assert text_of(events) == text_of(fresh)


def test_others_who_come_in_the_middle_get_every_slot_at_once(engine: tuple[LanguageEngine, int], run: Run) -> None:
    ahead, turns = engine
    ahead.step()
    assert ahead.has_spare_work
    for name in ("one", "other"):
        ahead.add(question(1, name))
    steps = [ahead.step() for _ in range(4)]
    assert any({event.job for event in step if isinstance(event, Text)} == {"one", "other"} for step in steps)
    for name in ("one", "other"):
        ahead.remove(name)
    while ahead.has_spare_work:
        assert not ahead.step()
    assert cached_share(run(ahead, question(turns))) > 0.8

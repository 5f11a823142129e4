"""The costs of jobs."""

import pytest

from model_server.jobs import (
    Chat,
    ChatTurn,
    Completion,
    Embed,
    EncodedPrompt,
    Faces,
    Failed,
    Finished,
    Imagine,
    Progress,
    ResolvedSettings,
    Sampling,
    Started,
    Sweep,
    Text,
)
from model_server.scheduling.cost import JobCost


def test_a_prompt_is_estimated_until_its_tokens_are_known() -> None:
    job_cost = JobCost(Chat(messages=(ChatTurn("user", "x" * 400),), sampling=Sampling(seed=0, max_tokens=10)), 50)
    assert job_cost.remaining == 1 + 100 + 2 * 10
    assert job_cost.record(Started("a", 77)) == 77
    assert job_cost.remaining == 20


def test_written_tokens_cost_twice_and_more_than_expected_cost_too() -> None:
    job_cost = JobCost(Completion(prompt=(1, 2, 3), sampling=Sampling(seed=0)), 2)
    assert job_cost.remaining == 3 + 2 * 2
    job_cost.record(Started("a", 3))
    assert [job_cost.record(Text("a", "x")) for _ in range(3)] == [2, 2, 2]
    assert job_cost.remaining == 0
    # What was counted is not refunded.
    assert [job_cost.record(Finished("a", "stop", 3, tokens)) for tokens in (1, 5)] == [0, 4]
    assert job_cost.record(Failed("a", "no")) == 0
    assert job_cost.tokens == 5


@pytest.mark.parametrize(
    ("max_tokens", "dial", "expected"), [(None, False, 50), (5, False, 5), (500, False, 50), (None, True, 0)]
)
def test_the_expected_answer_is_as_long_as_usual_or_as_allowed_and_a_dial_has_none(
    max_tokens: int | None, dial: bool, expected: int
) -> None:
    task = Completion(prompt=(1,), sampling=Sampling(seed=0, max_tokens=max_tokens), dial=dial)
    assert JobCost(task, 50).remaining == 1 + 2 * expected


def test_pictures_cost_their_pixels_step_by_step() -> None:
    job_cost = JobCost(Faces(seed=0, count=4, size=10), 50)
    assert job_cost.remaining == 400
    assert job_cost.record(Started("a")) == 0
    assert job_cost.record(Progress("a", 1, 4)) == 100
    assert job_cost.remaining == 300
    assert job_cost.record(Finished("a")) == 300
    assert JobCost(Faces(seed=0, count=4, size=10, best_of=3), 50).remaining == 400 + 2 * 64 * 64


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({}, 64 * 64 * 30),
        ({"steps": 10, "count": 4}, 4 * 64 * 64 * 10),
        ({"steps": 10, "width": 32, "height": 16}, 32 * 16 * 10),
        ({"steps": 10, "initial": b"x", "strength": 0.5}, 64 * 64 * 5),
        ({"steps": 10, "frames": (0, 2), "count": 2}, 2 * 64 * 64 * 2),
        ({"steps": 10, "initial": b"x", "strength": 0.5, "frames": (0, 5)}, 64 * 64 * 5),
        ({"steps": 3, "initial": b"x", "strength": 0.1}, 64 * 64),
        ({"steps": 10, "sweep": Sweep("guidance", (1, 3, 7))}, 3 * 64 * 64 * 10),
        ({"steps": 10, "sweep": Sweep("steps", (5, 15))}, 64 * 64 * 20),
    ],
)
def test_imagined_pictures_cost_their_pixels_once_for_each_step(fields: dict[str, object], cost: int) -> None:
    job_cost = JobCost(Imagine(prompt="a cat", seed=0, **fields), 50)
    assert job_cost.remaining == cost
    assert job_cost.record(Progress("a", 1, 4)) == cost / 4
    assert job_cost.record(Finished("a")) == cost * 3 / 4


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"least_steps": 150}, 64 * 64 * 150),
        ({"least_steps": 150, "initial": b"x", "strength": 0.5, "count": 2}, 2 * 64 * 64 * 75),
        ({"sweep": Sweep("steps", (50, 150))}, 64 * 64 * 200),
        ({"parts": ("a cat", "a dog", "a pig")}, 64 * 64 * 450),
    ],
    ids=str,
)
def test_pictures_cost_what_the_model_chose_for_them(fields: dict[str, object], cost: int) -> None:
    parts = fields.pop("parts", ())
    job_cost = JobCost(Imagine(prompt="a cat", seed=0, **fields), 50)
    read = EncodedPrompt((), (), 16)
    chosen = ResolvedSettings(
        job="a",
        steps=150,
        guidance=3.0,
        width=64,
        height=64,
        sampler="DDIM",
        strength=None,
        prompt=read,
        negative_prompt=None,
        parts=parts,  # type: ignore[arg-type]
    )
    assert job_cost.record(chosen) == 0
    assert job_cost.remaining == cost
    assert job_cost.record(Progress("a", 1, 2)) == cost / 2
    assert job_cost.record(Finished("a")) == cost / 2


def test_texts_to_embed_cost_their_length() -> None:
    assert JobCost(Embed(texts=("x" * 8, "y" * 8)), 50).remaining == 5

"""Guessed tokens change nothing but the number of steps: the same texts, tokens and probabilities as without them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from model_server.engines.contract import EngineSpec
from model_server.engines.language import engine
from model_server.engines.language.engine import LanguageEngine
from model_server.engines.language.prompt_lookup import PromptLookup
from model_server.engines.language.runners import native
from model_server.engines.language.runners.native import RunnerUnavailable
from model_server.engines.language.runners.packed import PackedRunner
from model_server.jobs import Completion, Event, Finished, Job, Sampling, Text

MakeEngine = Callable[..., LanguageEngine]
Answers = dict[str, list[Event]]


class InformedLookup(PromptLookup):
    """Guesses up to three tokens with which `TEXTS` goes on, and then what the text suggests or any token at all."""

    def __init__(self, tokens: Sequence[int], limit: int, costs: Sequence[float]) -> None:
        super().__init__(tokens, limit, costs)
        self._text = TEXTS.get(tuple(tokens), [])
        self._rng = Random(limit)

    def guess(self) -> tuple[int, ...]:
        self._rate = 0.8
        count = len(self._tokens)
        known = self._text[count : count + self._rng.randrange(4)]
        return (*known, *(super().guess() or self._tokens[:1]))[: self._limit - count - 1]


TEXTS: dict[tuple[int, ...], list[int]] = {}
"""The tokens of finished texts by those of their prompts."""


@pytest.fixture(scope="module", params=["torch", "C++"])
def make_engine(
    request: pytest.FixtureRequest, qwen: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeEngine]:
    """`make_engine(may_guess=…)`: a loaded engine with one of the runners that can cut their cache back.

    It guesses often: what it knows from an earlier run, and whatever followed the last token before.
    """

    def build(*, may_guess: bool) -> LanguageEngine:
        dtype = "float32" if request.param == "torch" else "auto"
        built = LanguageEngine(
            EngineSpec(name="tiny", engine="language", folder=qwen, device="cpu", dtype=dtype, options={"slots": 4})
        )
        built.load()
        assert isinstance(built._runner, PackedRunner) == (request.param == "C++")
        built._may_guess = may_guess
        return built

    if request.param == "C++":
        try:
            # Loaded before the cache is replaced, to use a library that was compiled earlier.
            native.load()
        except RunnerUnavailable as why:
            pytest.skip(f"{why}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEMPERA_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(engine, "PromptLookup", InformedLookup)
        yield build


def make_fifty_jobs() -> list[Job]:
    """Return jobs with prompts that repeat themselves, so that the texts do it, too, at many temperatures."""
    rng = Random(11)
    jobs = []
    for seed in range(50):
        pattern = [rng.randrange(3, 300) for _ in range(rng.choice([1, 2, 5]))]
        sampling = Sampling(
            seed=seed,
            temperature=rng.choice([0.0, 0.2, 0.5, 0.8, 1.5]),
            top_p=rng.choice([1.0, 0.8]),
            top_k=rng.choice([None, 2, 5]),
            min_p=rng.choice([0.0, 0.1]),
            max_tokens=rng.choice([1, 2, 3, 9, 16]),
            logprobs=rng.choice([None, 0, 2]),
        )
        task = Completion(prompt=tuple(pattern * 8), sampling=sampling)
        jobs.append(Job(id=str(seed), model="tiny", task=task))
    return jobs


def run_alone(loaded: LanguageEngine, jobs: Sequence[Job]) -> tuple[Answers, int]:
    """Return the events of each job, which has the engine for itself, and the number of all steps."""
    answers: Answers = {}
    steps = 0
    for job in jobs:
        loaded.add(job)
        events = answers[job.id] = []
        sequence = None
        while not (events and isinstance(events[-1], Finished)):
            sequence = loaded._sequences.get(job.id)
            events += loaded.step()
            steps += 1
        if sequence:
            TEXTS[tuple(sequence.tokens[: sequence.prompt_length])] = sequence.tokens
    return answers, steps


def run_in_company(loaded: LanguageEngine, jobs: Sequence[Job]) -> Answers:
    """Return the events of each job; they come and go, so that each is alone for some of its steps."""
    rng = Random(12)
    answers: Answers = {job.id: [] for job in jobs}
    waiting = list(jobs)
    while not all(events and isinstance(events[-1], Finished) for events in answers.values()):
        if waiting and (not loaded._sequences or rng.random() < 0.05):
            loaded.add(waiting.pop(0))
        for event in loaded.step():
            answers[event.job].append(event)
    return answers


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def end_inside(job: Job, text: str) -> Job:
    """Return the job with a stop string of several characters from the middle of its text."""
    middle = len(text) // 2
    assert isinstance(job.task, Completion)
    sampling = replace(job.task.sampling, stop=(text[middle : middle + 3],))
    return replace(job, id=f"{job.id}, stopped", task=replace(job.task, sampling=sampling))


def without_cached(answers: Answers) -> Answers:
    """Return the answers without the number of cached tokens, which depends on what ran before."""
    return {
        name: [replace(event, cached_tokens=0) if isinstance(event, Finished) else event for event in events]
        for name, events in answers.items()
    }


def test_guessing_changes_nothing_but_the_number_of_steps(make_engine: MakeEngine) -> None:
    plain, guessing = make_engine(may_guess=False), make_engine(may_guess=True)
    jobs = make_fifty_jobs()
    texts, _ = run_alone(plain, jobs)
    jobs[::2] = [end_inside(job, text_of(texts[job.id])) for job in jobs[::2]]
    expected, plain_steps = run_alone(plain, jobs)
    found, steps = run_alone(guessing, jobs)
    assert without_cached(found) == without_cached(expected)
    guesses = guessing._guess_log
    assert guesses._right == plain_steps - steps
    assert 0.3 * guesses._guessed < guesses._right < 0.7 * guesses._guessed
    assert sum(isinstance(end, Finished) and end.reason == "stop" for *_, end in expected.values()) > 10
    assert without_cached(run_in_company(make_engine(may_guess=True), jobs)) == without_cached(expected)

"""Batches: each text is the same as alone, whichever jobs join and leave."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

from model_server.engines.contract import Engine
from model_server.engines.language.batching import StepPlanner, TokenBudget
from model_server.engines.language.runners.runner import Chunk, Runner
from model_server.jobs import Completion, Event, Failed, Finished, Job, Sampling, Text

Run = Callable[..., list[Event]]
Answers = dict[str, list[Text]]
SYSTEM = tuple(3 + place * 11 % 290 for place in range(40))


def job(name: str, prompt: Sequence[int], **fields: object) -> Job:
    sampling = Sampling(**{"seed": 1, "max_tokens": 12} | fields)  # type: ignore[arg-type]
    return Job(id=name, model="tiny", task=Completion(prompt=tuple(prompt), sampling=sampling))


def make_fifty_jobs() -> list[Job]:
    """Return jobs with short and long prompts, half of them with a common prefix, at several temperatures."""
    rng = Random(5)
    jobs = []
    for place in range(50):
        own = [rng.randrange(3, 300) for _ in range(rng.choice([1, 9, 30, 130, 300]))]
        how = {"temperature": rng.choice([0.0, 0.7, 1.5]), "top_p": rng.choice([1.0, 0.9]), "logprobs": 2}
        jobs.append(job(str(place), [*SYSTEM, *own] if place % 2 else own, seed=place, **how))
    return jobs


def answers(events: Sequence[Event]) -> Answers:
    """Return texts with all log-probabilities, to the last bit, by job."""
    texts = [event for event in events if isinstance(event, Text)]
    return {name: [text for text in texts if text.job == name] for name in {text.job for text in texts}}


def ends(events: Sequence[Event]) -> dict[str, Finished]:
    return {event.job: event for event in events if isinstance(event, Finished)}


@pytest.fixture(scope="module")
def alone(loaded: Callable[..., Engine], qwen: Path, run: Run) -> Answers:
    """The answer to each of the fifty jobs in an engine without other jobs and with nothing in its cache."""
    engine = loaded("language", qwen, slots=1)
    events: list[Event] = []
    for each in make_fifty_jobs():
        run(engine, job("other", (299,) * 20, max_tokens=1))
        events += run(engine, each)
    assert [end.cached_tokens for end in ends(events).values()] == [0] * 50
    return answers(events)


def test_fifty_texts_in_full_batches_are_the_same_as_alone(
    loaded: Callable[..., Engine], qwen: Path, run: Run, alone: Answers
) -> None:
    engine = loaded("language", qwen, slots=16)
    assert engine.capacity == 16
    assert answers(run(engine, *make_fifty_jobs())) == alone


def test_after_a_prefix_hit_the_texts_are_the_same(
    loaded: Callable[..., Engine], qwen: Path, run: Run, alone: Answers
) -> None:
    engine = loaded("language", qwen, slots=16)
    run(engine, job("system", SYSTEM))
    alike = make_fifty_jobs()[1::2]
    events = run(engine, *alike)
    assert answers(events) == {each.id: alone[each.id] for each in alike}
    assert all(end.cached_tokens >= len(SYSTEM) for end in ends(events).values())
    latest = [each for each in alike if each.id in list(ends(events))[-2:]]
    again = run(engine, *latest)
    assert all(end.cached_tokens == end.prompt_tokens - 1 for end in ends(again).values())
    assert answers(again) == {each.id: alone[each.id] for each in latest}


@pytest.mark.parametrize(
    "budget", [TokenBudget(with_decoding=1, without_decoding=5), TokenBudget(with_decoding=23, without_decoding=37)]
)
def test_joining_late_and_the_size_of_chunks_change_nothing(
    loaded: Callable[..., Engine], qwen: Path, alone: Answers, budget: TokenBudget
) -> None:
    engine = loaded("language", qwen, slots=8)
    engine._planner = StepPlanner(engine._table, budget)  # type: ignore[attr-defined]
    events: list[Event] = []
    waiting = make_fifty_jobs()[:20]
    expected = {each.id for each in waiting}
    while waiting or expected != ends(events).keys():
        if waiting:
            engine.add(waiting.pop(0))
        new = [*engine.step(), *engine.step()]
        assert new
        events += new
    assert answers(events) == {name: alone[name] for name in expected}


def test_the_slots_of_removed_jobs_are_free_in_the_next_step(loaded: Callable[..., Engine], qwen: Path) -> None:
    engine = loaded("language", qwen, slots=32)
    first = [job(f"a{place}", (5 + place, 9), temperature=2.0, max_tokens=400, seed=place) for place in range(32)]
    for each in first:
        engine.add(each)
    for _ in range(3):
        engine.step()
    for each in first[:10]:
        engine.remove(each.id)
    assert {event.job for event in engine.step()} <= {each.id for each in first[10:]}
    for place in range(10):
        engine.add(job(f"b{place}", (200 + place,)))
    texts = {event.job for event in engine.step() if isinstance(event, Text)}
    assert {f"b{place}" for place in range(10)} <= texts


class LimitedRunner:
    """A runner that runs out of memory above a number of tokens in one call."""

    def __init__(self, runner: Runner, tokens: int) -> None:
        self._runner, self._tokens = runner, tokens

    def forward(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        if sum(len(chunk.tokens) for chunk in chunks) > self._tokens:
            raise torch.OutOfMemoryError
        return self._runner.forward(chunks)


def test_a_batch_that_does_not_fit_the_memory_is_halved_until_only_single_jobs_fail(
    loaded: Callable[..., Engine], qwen: Path, run: Run, alone: Answers
) -> None:
    engine = loaded("language", qwen, slots=16)
    engine._runner = LimitedRunner(engine._runner, 150)  # type: ignore[attr-defined]
    jobs = make_fifty_jobs()[:16]
    events = run(engine, *jobs)
    failed = {event.job: event for event in events if isinstance(event, Failed)}
    assert 0 < len(failed) < 16
    assert {(event.status, event.code) for event in failed.values()} == {(503, "out_of_memory")}
    assert answers(events) == {each.id: alone[each.id] for each in jobs if each.id not in failed}
    assert isinstance(run(engine, job("next", (5, 6)))[-1], Finished)


def test_an_error_that_is_not_about_memory_ends_the_engine(loaded: Callable[..., Engine], qwen: Path) -> None:
    engine = loaded("language", qwen)

    class Broken:
        def forward(self, _: object) -> torch.Tensor:
            raise RuntimeError("CUDA error: device-side assert triggered")

    engine._runner = Broken()  # type: ignore[attr-defined]
    engine.add(job("a", (5, 6)))
    with pytest.raises(RuntimeError, match="CUDA error"):
        engine.step()


@pytest.fixture(scope="module")
def windowed(tmp_path_factory: pytest.TempPathFactory, byte_level: PreTrainedTokenizerFast) -> Path:
    """A model with a sliding window of eight tokens."""
    folder = tmp_path_factory.mktemp("windowed")
    torch.manual_seed(4)
    config = MistralConfig(
        vocab_size=len(byte_level),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        sliding_window=8,
        initializer_range=0.4,
        eos_token_id=byte_level.eos_token_id,
    )
    MistralForCausalLM(config).save_pretrained(folder)
    byte_level.save_pretrained(folder)
    return folder


def test_a_model_with_a_sliding_window_works_one_text_at_a_time(
    loaded: Callable[..., Engine], windowed: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="model_server"):
        engine = loaded("language", windowed)
    assert "one text at a time (it has a sliding window)" in caplog.text
    assert engine.capacity == 1
    model = AutoModelForCausalLM.from_pretrained(windowed)
    prompts = [[*SYSTEM[:20], 5], [*SYSTEM[:20], 5, 6, 7]]
    events = run(engine, *(job(str(len(prompt)), prompt, temperature=0, logprobs=1) for prompt in prompts))
    assert [end.cached_tokens for end in ends(events).values()] == [0, 0]
    for prompt in prompts:
        ids = list(prompt)
        for text in answers(events)[str(len(prompt))]:
            with torch.inference_mode():
                logs = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, -1], 0)
            ids.append(int(logs.argmax()))
            assert text.logprobs[0].logprob == pytest.approx(float(logs.max()), abs=1e-4)

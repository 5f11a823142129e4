"""The language engine, compared with the plain model that it runs."""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from model_server.engines.common.refusal import JobRefused
from model_server.engines.contract import Engine, EngineSpec
from model_server.engines.factory import create
from model_server.engines.language.detokenize import TokenBytes
from model_server.engines.language.generation import Generation
from model_server.engines.language.loading import CPU_BUDGET
from model_server.engines.language.prompt import Prompt
from model_server.jobs import (
    Chat,
    ChatTurn,
    Completion,
    Dial,
    Embed,
    Event,
    Failed,
    Finished,
    Job,
    Progress,
    Sampling,
    Started,
    Text,
    TokenLogprob,
)

Run = Callable[..., list[Event]]
PROMPT = (5, 80, 300, 9)
PIECE = CPU_BUDGET.without_decoding


@pytest.fixture(scope="module")
def engine(loaded: Callable[..., Engine], qwen: Path) -> Engine:
    return loaded("language", qwen)


def completion(name: str = "a", prompt: str | tuple[int, ...] = PROMPT, **fields: object) -> Job:
    sampling = Sampling(**{"seed": 1, "max_tokens": 24} | fields)  # type: ignore[arg-type]
    return Job(id=name, model="tiny", task=Completion(prompt=prompt, sampling=sampling))


def text_of(events: list[Event], name: str = "a") -> str:
    return "".join(event.text for event in events if isinstance(event, Text) and event.job == name)


def logprobs_of(events: list[Event]) -> list[TokenLogprob]:
    return [one for event in events if isinstance(event, Text) for one in event.logprobs]


def greedy_by_hand(folder: Path, prompt: tuple[int, ...], count: int) -> tuple[list[int], torch.Tensor]:
    """Return `count` tokens and the logits of each, from a forward pass over all tokens before it."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    # Later rows only pad the embedding.
    size = len(AutoTokenizer.from_pretrained(folder))
    ids, rows = list(prompt), []
    with torch.inference_mode():
        for _ in range(count):
            rows.append(model(input_ids=torch.tensor([ids])).logits[0, -1, :size])
            ids.append(int(rows[-1].argmax()))
    return ids[len(prompt) :], torch.stack(rows)


def test_greedy_decoding_is_the_models_argmax_with_its_own_log_probabilities(
    engine: Engine, run: Run, qwen: Path, byte_level: PreTrainedTokenizerFast
) -> None:
    events = run(engine, completion(temperature=0, logprobs=3, max_tokens=12))
    tokens, logits = greedy_by_hand(qwen, PROMPT, 12)
    vocabulary = TokenBytes(byte_level)
    assert byte_level.eos_token_id not in tokens
    drawn = logprobs_of(events)
    assert [one.bytes for one in drawn] == [vocabulary.bytes(token) for token in tokens]
    logs = torch.log_softmax(logits, -1)
    assert [one.logprob for one in drawn] == pytest.approx(logs.amax(-1).tolist(), abs=1e-4)
    assert [[other.logprob for other in one.top] for one in drawn] == [
        pytest.approx(row.topk(3).values.tolist(), abs=1e-4) for row in logs
    ]


def test_events_come_in_order_and_usage_counts(engine: Engine, run: Run) -> None:
    events = run(engine, completion(max_tokens=9))
    assert events[0] == Started("a", len(PROMPT))
    assert events[-1] == Finished("a", "length", len(PROMPT), 9)
    assert all(isinstance(event, Text) for event in events[1:-1])
    assert len(events) == 9 + 2


def test_the_streamed_text_is_that_of_all_tokens_together(engine: Engine, run: Run) -> None:
    events = run(engine, completion(temperature=1.5, logprobs=0, max_tokens=60))
    whole = b"".join(one.bytes for one in logprobs_of(events)).decode(errors="replace")
    # Part of a character at the very end is left out.
    assert text_of(events) in (whole, whole.removesuffix("\ufffd"))


def test_the_seed_decides_the_text(engine: Engine, run: Run) -> None:
    texts = [text_of(run(engine, completion(seed=seed))) for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


def test_a_chat_is_answered_through_its_template(engine: Engine, run: Run) -> None:
    sampling = Sampling(seed=1, max_tokens=4)
    history = tuple(ChatTurn(role, "the cat " * 40) for _ in range(30) for role in ("user", "assistant"))
    task = Chat(messages=(*history, ChatTurn("user", "hi")), sampling=sampling, truncation="auto")
    started, *_, finished = run(engine, Job(id="a", model="tiny", task=task))
    assert isinstance(started, Started)
    assert started.dropped_turns > 0
    assert finished == Finished("a", "length", started.prompt_tokens, 4)


def test_a_long_prompt_is_computed_in_chunks_and_gives_the_same_answer(engine: Engine, run: Run, qwen: Path) -> None:
    prompt = tuple(3 + place * 7 % 300 for place in range(2 * PIECE + 100))
    events = run(engine, completion(prompt=prompt, temperature=0, logprobs=0, max_tokens=3))
    assert [event for event in events if isinstance(event, Progress)] == [
        Progress("a", PIECE, len(prompt)),
        Progress("a", 2 * PIECE, len(prompt)),
    ]
    _, logits = greedy_by_hand(qwen, prompt, 3)
    expected = torch.log_softmax(logits, -1).amax(-1).tolist()
    assert [one.logprob for one in logprobs_of(events)] == pytest.approx(expected, abs=1e-3)


def test_a_stop_string_across_tokens_ends_the_text_before_it(engine: Engine, run: Run) -> None:
    whole = run(engine, completion(temperature=0, logprobs=0, max_tokens=12))
    text = text_of(whole)
    border = len(logprobs_of(whole)[0].text + logprobs_of(whole)[1].text)
    stop = text[border - 1 : border + 1]
    events = run(engine, completion(temperature=0, max_tokens=12, stop=(stop,)))
    assert text_of(events) == text[: text.index(stop)]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.completion_tokens) == ("stop", 3)


def test_held_back_text_is_shown_when_the_limit_ends_the_answer(engine: Engine, run: Run) -> None:
    text = text_of(run(engine, completion(temperature=0, max_tokens=6)))
    events = run(engine, completion(temperature=0, max_tokens=6, stop=(text[-2:] + "never",)))
    assert text_of(events) == text
    assert text_of(events[:-2]) != text


def test_every_end_token_of_the_generation_config_ends_the_text(
    run: Run, loaded: Callable[..., Engine], qwen: Path, tmp_path: Path
) -> None:
    tokens, _ = greedy_by_hand(qwen, PROMPT, 12)
    fifth = tokens[4]
    assert fifth not in tokens[:4]
    folder = shutil.copytree(qwen, tmp_path / "model")
    settings = json.loads((folder / "generation_config.json").read_text())
    settings["eos_token_id"] = [*settings["eos_token_id"], fifth]
    (folder / "generation_config.json").write_text(json.dumps(settings))
    events = run(loaded("language", folder), completion(temperature=0, logprobs=0, max_tokens=12))
    assert events[-1] == Finished("a", "stop", len(PROMPT), 5)
    assert len(logprobs_of(events)) == 4


def test_the_context_can_be_capped_but_not_raised(
    run: Run, loaded: Callable[..., Engine], engine: Engine, qwen: Path
) -> None:
    long = completion(prompt=(5,) * 64)
    capped = run(loaded("language", qwen, context=64), long)
    assert [event.code for event in capped if isinstance(event, Failed)] == ["context_length_exceeded"]
    raised = run(loaded("language", qwen, context=10**6), completion(prompt=(5,) * 5000))
    assert [event.code for event in raised if isinstance(event, Failed)] == ["context_length_exceeded"]
    assert isinstance(run(engine, long)[-1], Finished)


def test_without_max_tokens_the_default_ends_the_text(run: Run, loaded: Callable[..., Engine], qwen: Path) -> None:
    events = run(loaded("language", qwen, max_tokens=5), completion(max_tokens=None, temperature=0))
    assert events[-1] == Finished("a", "length", len(PROMPT), 5)


def test_a_removed_job_causes_no_events_and_does_not_change_the_next_one(engine: Engine, run: Run) -> None:
    alone = text_of(run(engine, completion("b", seed=5)), "b")
    engine.add(completion("a"))
    for _ in range(6):
        assert engine.step()
    engine.remove("a")
    engine.remove("unknown")
    assert engine.step() == []
    assert text_of(run(engine, completion("b", seed=5)), "b") == alone


def test_a_job_can_be_removed_while_its_prompt_is_computed_and_while_it_waits(engine: Engine) -> None:
    engine.add(completion("a", prompt=(9,) * (PIECE + 9)))
    assert engine.step() == [Started("a", PIECE + 9), Progress("a", PIECE, PIECE + 9)]
    engine.add(completion("b"))
    engine.remove("b")
    engine.remove("a")
    assert engine.step() == []


def test_a_mistake_in_a_job_fails_that_job_alone(engine: Engine, run: Run) -> None:
    wrong = Job(id="w", model="tiny", task=Embed(texts=("x",)))
    events = run(engine, wrong, completion("e", prompt=""), completion("ok"))
    failed = {event.job: event for event in events if isinstance(event, Failed)}
    assert failed.keys() == {"w", "e"}
    assert "only writes text" in failed["w"].message
    assert {event.status for event in failed.values()} == {400}
    assert any(isinstance(event, Finished) and event.job == "ok" for event in events)


def test_logits_that_are_not_numbers_are_refused(byte_level: PreTrainedTokenizerFast) -> None:
    prompt = Prompt(ids=PROMPT, max_tokens=4, stop=())
    generation = Generation("a", prompt, Sampling(seed=1), TokenBytes(byte_level), frozenset())
    with pytest.raises(JobRefused, match="not finite"):
        generation.accept(torch.tensor([0.0, float("nan"), 1.0]), 0)


def test_log_probabilities_before_and_after_sampling_are_reported(engine: Engine, run: Run) -> None:
    events = run(engine, completion(temperature=0.5, top_k=3, logprobs=5, max_tokens=8))
    for before, after in [(e.logprobs[0], e.logprobs_after[0]) for e in events if isinstance(e, Text)]:
        assert (len(before.top), len(after.top)) == (5, 3)
        assert before.bytes == after.bytes
        assert [one.bytes for one in before.top[:3]] == [one.bytes for one in after.top]
        # At half the temperature differences between logarithms are twice as large.
        gaps = [one.logprob - before.top[0].logprob for one in before.top[:3]]
        assert [one.logprob - after.top[0].logprob for one in after.top] == pytest.approx(
            [2 * g for g in gaps], abs=1e-4
        )


def test_unused_ids_are_never_among_the_most_probable(engine: Engine, run: Run) -> None:
    tops = [one.top for one in logprobs_of(run(engine, completion(temperature=2.0, logprobs=20)))]
    assert all(len(top) == 20 and all(one.bytes for one in top) for top in tops)


def test_a_dial_shows_the_next_token_and_draws_none(engine: Engine, run: Run, qwen: Path) -> None:
    job = completion()
    events = run(engine, replace(job, task=replace(job.task, dial=True)))
    started, shown, finished = events
    assert (started, finished) == (Started("a", len(PROMPT)), Finished("a", "stop", len(PROMPT), 0))
    assert isinstance(shown, Dial)
    (token,), logits = greedy_by_hand(qwen, PROMPT, 1)
    assert shown.tokens[0].id == token
    assert [one.logit for one in shown.tokens] == pytest.approx(logits[0].topk(50).values.tolist(), abs=1e-4)
    at_one = shown.temperatures.index(1.0)
    assert shown.log_sum_exp[at_one] == pytest.approx(float(logits[0].double().logsumexp(0)), abs=1e-5)


@pytest.mark.weights
def test_the_real_model_knows_the_capital_of_france(weights: Callable[[str], EngineSpec], run: Run) -> None:
    engine = create(weights("qwen2.5-coder-0.5b-instruct"))
    engine.load()
    sampling = Sampling(seed=1, temperature=0, max_tokens=30)
    task = Chat(messages=(ChatTurn("user", "What is the capital of France?"),), sampling=sampling)
    events = run(engine, Job(id="a", model="m", task=task))
    assert "Paris" in text_of(events)
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stop"


def test_the_entropy_of_each_draw_is_that_of_the_distribution_after_temperature(engine: Engine, run: Run) -> None:
    def entropies(**more: float) -> list[float]:
        events = run(engine, completion(logprobs=0, max_tokens=4, **more))
        return [value for event in events if isinstance(event, Text) for value in event.entropies]

    job = completion(temperature=2.0)
    _, shown, _ = run(engine, replace(job, task=replace(job.task, dial=True)))
    assert isinstance(shown, Dial)
    measured = entropies(temperature=2.0)
    assert len(measured) == 4
    assert measured[0] == pytest.approx(shown.entropy[shown.temperatures.index(2.0)], abs=1e-4)
    assert entropies(temperature=2.0, top_k=1) == [0.0] * 4
    assert entropies(temperature=0) == [0.0] * 4
    assert entropies(temperature=2.0, top_k=2)[0] <= math.log(2)

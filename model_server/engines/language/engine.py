"""The language engine: many conversations decoded together, each as if it were alone.

What it does not know: how logits are computed (a runner does), speculation, images or tools in a prompt.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from model_server.engines.common.memory import give_memory_back, out_of_memory
from model_server.engines.common.refusal import JobRefused
from model_server.engines.language.batching import BatchedSequence, StepPlanner
from model_server.engines.language.generation import Generation, NextTokenProbe
from model_server.engines.language.kv_slots import SlotTable
from model_server.engines.language.loading import load_model
from model_server.engines.language.prompt import PromptBuilder
from model_server.jobs import Chat, Completion, Progress, Started

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model_server.engines.contract import EngineSpec
    from model_server.engines.language.runners.runner import Chunk
    from model_server.jobs import Event, Job

log = logging.getLogger(__name__)

MAX_TOKENS = 1024
"""The longest answer when a request names no limit; `options.max_tokens` in the catalogue changes it."""

Plan = list[tuple[BatchedSequence, "Chunk"]]


class LanguageEngine:
    """Chats and completions.

    `spec.folder`: what `from_pretrained` reads. Options: `slots` (texts at once), `context` (tokens of prompt and
    answer together, at most the model's own), `max_tokens`.
    """

    capacity = 1

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._new: list[Job] = []
        self._members: dict[str, BatchedSequence] = {}

    def load(self) -> None:
        model = load_model(self._spec)
        self._runner, self._vocabulary, self._ends = model.runner, model.vocabulary, model.ends
        self._unused = model.unused
        self._prompts = PromptBuilder(
            model.tokenizer,
            model.vocabulary,
            size=model.size,
            context=model.runner.context,
            default_max_tokens=int(self._spec.options.get("max_tokens", MAX_TOKENS)),
        )
        self.capacity = model.runner.slots
        self._table = SlotTable(model.runner, reuse=model.reuse)
        self._planner = StepPlanner(self._table, model.budget)
        size = (self.capacity, model.runner.context)
        log.info("%s: %s; %d texts at once, %d tokens each.", self._spec.name, model.choice, *size)

    def add(self, job: Job) -> None:
        self._new.append(job)

    @torch.inference_mode()
    def step(self) -> Sequence[Event]:
        events = [event for job in self._new for event in self._start(job)]
        self._new.clear()
        plan = self._planner.plan(list(self._members.values()))
        if plan:
            events += self._run(plan)
        return events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        if job_id in self._members:
            self._leave(self._members[job_id])

    def _start(self, job: Job) -> list[Event]:
        task = job.task
        if not isinstance(task, Chat | Completion):
            wrong = JobRefused(f"{self._spec.name} is a language model; it only writes text.", param="model")
            return [wrong.event(job.id)]
        try:
            prompt = self._prompts.build(task)
        except JobRefused as refused:
            return [refused.event(job.id)]
        writer = (
            NextTokenProbe(job.id, prompt, task.sampling, self._vocabulary)
            if task.dial
            else Generation(job.id, prompt, task.sampling, self._vocabulary, self._ends)
        )
        self._members[job.id] = BatchedSequence(job.id, list(prompt.ids), writer)
        return [Started(job.id, len(prompt.ids), prompt.dropped_turns)]

    def _run(self, plan: Plan) -> list[Event]:
        """Read what was planned; where the memory ends, in halves, until what does not fit is alone."""
        logits = self._forward([chunk for _, chunk in plan])
        if logits is None:
            give_memory_back()
            if len(plan) == 1:
                return self._give_up(plan[0][0])
            half = len(plan) // 2
            return self._run(plan[:half]) + self._run(plan[half:])
        logits[:, self._unused] = float("-inf")
        with _one_thread():
            rows = zip(plan, logits, strict=True)
            return [event for (member, chunk), row in rows for event in self._take(member, chunk, row)]

    def _forward(self, chunks: Sequence[Chunk]) -> torch.Tensor | None:
        """Logits, or None when they need more memory than there is."""
        try:
            return self._runner.forward(chunks)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        # Only after the block, because the exception keeps the tensors alive.
        return None

    def _take(self, member: BatchedSequence, chunk: Chunk, logits: torch.Tensor) -> list[Event]:
        self._table.hold(chunk.slot, chunk.start, chunk.tokens)
        member.held += len(chunk.tokens)
        if not member.decodes:
            return [Progress(member.job_id, member.held, member.prompt_length)]
        try:
            token, events = member.writer.accept(logits, member.cached)
        except JobRefused as refused:
            self._leave(member)
            return [refused.event(member.job_id)]
        if token is None:
            self._leave(member)
        else:
            member.tokens.append(token)
        return events

    def _leave(self, member: BatchedSequence) -> None:
        del self._members[member.job_id]
        if member.slot is not None:
            self._table.leave(member.slot)

    def _give_up(self, member: BatchedSequence) -> list[Event]:
        self._leave(member)
        sentence = f"A text of {len(member.tokens):,} tokens does not fit the memory; try a shorter one."
        return [JobRefused(sentence, code="out_of_memory", status=503).event(member.job_id)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """For operations on one row, which are over before a second thread has woken up on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

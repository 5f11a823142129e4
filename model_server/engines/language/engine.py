"""The language engine: decodes many sequences together, each as if it were alone.

What it does not know: how logits are computed, which a runner does; a second model that guesses tokens; images or tools
in a prompt.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING

import torch

from model_server.engines.common.memory import run_within_memory
from model_server.engines.common.refusal import JobRefused
from model_server.engines.language.batching import BatchedSequence, Beginning, StepPlanner
from model_server.engines.language.generation import Generation, NextTokenProbe
from model_server.engines.language.kv_slots import SlotTable
from model_server.engines.language.loading import load_model
from model_server.engines.language.prompt import PromptBuilder
from model_server.engines.language.prompt_lookup import GuessLog, PromptLookup, measure_step_costs
from model_server.engines.language.runners.runner import Chunk
from model_server.jobs import Chat, Completion, Progress, Started

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, Job

log = logging.getLogger(__name__)

DEFAULT_MAX_TOKENS = 1024
"""The longest answer to a request without a limit; `options.max_tokens` in the catalogue changes it."""

MAX_BEGINNINGS = 8
"""How many chats may wait for the beginnings of their next prompts to be computed; of more, the newest count."""

Plan = list[tuple[BatchedSequence, Chunk]]


class LanguageEngine:
    """Answers chats and continues texts.

    `spec.folder`: what `from_pretrained` reads. Options: `slots` (sequences at once), `context` (tokens of prompt and
    answer together, at most the model's own), `max_tokens`.
    """

    capacity = 1

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._new: list[Job] = []
        self._sequences: dict[str, BatchedSequence] = {}
        self._chats: dict[str, tuple[Chat, int]] = {}
        self._beginnings: deque[Beginning] = deque(maxlen=MAX_BEGINNINGS)

    @property
    def has_spare_work(self) -> bool:
        """True while the beginning of a chat's next prompt can be computed before somebody waits for it."""
        return bool(self._beginnings)

    def load(self) -> None:
        model = load_model(self._spec)
        self._runner, self._vocabulary, self._end_tokens = model.runner, model.vocabulary, model.end_tokens
        self._unused_ids = model.unused_ids
        self._prompts = PromptBuilder(
            model.tokenizer,
            model.vocabulary,
            size=model.size,
            context=model.runner.context,
            default_max_tokens=int(self._spec.options.get("max_tokens", DEFAULT_MAX_TOKENS)),
        )
        self.capacity, self.context = model.runner.slots, model.runner.context
        self._table = SlotTable(model.runner, reuse=model.can_reuse_prefixes)
        self._planner = StepPlanner(self._table, model.budget)
        # A guess that was wrong stays in the slot until it is cut back, as for a prompt that reuses a prefix.
        self._may_guess = model.can_reuse_prefixes
        self._step_costs = measure_step_costs(self._compute_rows) if self._may_guess else ()
        self._guess_log = GuessLog()
        size = (self.capacity, model.runner.context)
        log.info("%s: %s; %d sequences at once, %d tokens each.", self._spec.name, model.runner_description, *size)

    @torch.inference_mode()
    def _compute_rows(self, rows: int) -> None:
        self._runner.forward([Chunk(0, 0, (0,) * rows, wanted=rows)])

    def add(self, job: Job) -> None:
        self._new.append(job)

    @torch.inference_mode()
    def step(self) -> Sequence[Event]:
        """Start the new jobs, then compute one planned step; without jobs, a part of a chat's next prompt."""
        events = [event for job in self._new for event in self._start(job)]
        self._new.clear()
        if not self._sequences:
            # Whoever was refused does not wait for spare work.
            if not events:
                self._compute_beginning()
            return events
        self._free_slot_of_beginning()
        plan = self._planner.plan(list(self._sequences.values()))
        if plan:
            events += self._run_plan(plan)
        return events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        if job_id in self._sequences:
            self._remove_sequence(self._sequences[job_id])

    def _start(self, job: Job) -> list[Event]:
        task = job.task
        if not isinstance(task, Chat | Completion):
            wrong = JobRefused(f"{self._spec.name} is a language model; it only writes text.", param="model")
            return [wrong.to_event(job.id)]
        try:
            prompt = self._prompts.build(task)
        except JobRefused as refused:
            return [refused.to_event(job.id)]
        consumer = (
            NextTokenProbe(job.id, prompt, task.sampling, self._vocabulary)
            if task.dial
            else Generation(job.id, prompt, task.sampling, self._vocabulary, self._end_tokens)
        )
        sequence = BatchedSequence(job.id, list(prompt.ids), consumer)
        if self._may_guess:
            sequence.lookup = PromptLookup(sequence.tokens, len(prompt.ids) + prompt.max_tokens, self._step_costs)
        self._sequences[job.id] = sequence
        if isinstance(task, Chat) and not task.dial:
            self._chats[job.id] = task, prompt.dropped_turns
        return [Started(job.id, len(prompt.ids), prompt.dropped_turns)]

    def _run_plan(self, plan: Plan) -> list[Event]:
        """Compute a planned step. If memory runs out, try halves, and fail what does not fit alone."""
        chunks = [chunk for _, chunk in plan]
        logits = run_within_memory(lambda: self._runner.forward(chunks))
        if logits is None:
            if len(plan) == 1:
                return self._refuse_for_memory(plan[0][0])
            half = len(plan) // 2
            return self._run_plan(plan[:half]) + self._run_plan(plan[half:])
        logits[:, self._unused_ids] = float("-inf")
        rows = iter(logits.unbind())
        with _single_thread():
            return [
                event
                for sequence, chunk in plan
                for event in self._accept_logits(sequence, chunk, list(islice(rows, chunk.wanted)))
            ]

    def _accept_logits(self, sequence: BatchedSequence, chunk: Chunk, rows: list[torch.Tensor]) -> list[Event]:
        """Take the logits after each wanted token of a chunk, as far as its guesses are the tokens that were drawn."""
        sure = len(chunk.tokens) - chunk.wanted + 1
        guesses = chunk.tokens[sure:]
        self._table.record(chunk.slot, chunk.start, chunk.tokens[:sure])
        sequence.computed += sure
        if not sequence.is_decoding:
            return [Progress(sequence.job_id, sequence.computed, sequence.prompt_length)]
        events = self._draw(sequence, rows[0])
        if not guesses:
            return events
        for guess, row in zip(guesses, rows[1:], strict=True):
            if sequence.tokens[sequence.computed :] != [guess]:
                # Another token was drawn, or the text has ended.
                break
            self._table.record(chunk.slot, sequence.computed, (guess,))
            sequence.computed += 1
            events += self._draw(sequence, row)
        self._guess_log.record(len(guesses), sequence.computed - chunk.start - sure)
        return events

    def _draw(self, sequence: BatchedSequence, logits: torch.Tensor) -> list[Event]:
        """Draw the next token of a sequence, or end it."""
        try:
            token, events = sequence.consumer.accept(logits, sequence.cached)
        except JobRefused as refused:
            self._remove_sequence(sequence)
            return [refused.to_event(sequence.job_id)]
        if token is None:
            self._note_beginning(sequence)
            self._remove_sequence(sequence)
        else:
            sequence.tokens.append(token)
        return events

    def _remove_sequence(self, sequence: BatchedSequence) -> None:
        del self._sequences[sequence.job_id]
        self._chats.pop(sequence.job_id, None)
        if sequence.slot is not None:
            self._table.release(sequence.slot)

    def _note_beginning(self, sequence: BatchedSequence) -> None:
        """After an answer, note how the chat's next prompt will begin if that is not cached."""
        if sequence.job_id not in self._chats or not self._may_guess:
            return
        task, dropped = self._chats[sequence.job_id]
        written = b"".join(map(self._vocabulary.bytes, sequence.tokens[sequence.prompt_length :]))
        with suppress(JobRefused):
            if ids := self._prompts.next_beginning(task, written.decode(errors="replace"), dropped):
                self._beginnings.append(Beginning(list(ids)))

    def _compute_beginning(self) -> None:
        """Compute a part of the oldest beginning; its slot then holds it for the prompt that begins so."""
        if not self._beginnings:
            return
        beginning = self._beginnings[0]
        chunk = self._planner.plan_ahead(beginning)
        fits = run_within_memory(lambda: self._runner.forward([chunk])) is not None
        if fits:
            self._table.record(chunk.slot, chunk.start, chunk.tokens)
            beginning.computed += len(chunk.tokens)
        if not fits or beginning.computed == len(beginning.tokens):
            self._free_slot_of_beginning()
            self._beginnings.popleft()

    def _free_slot_of_beginning(self) -> None:
        """Free the slot of the beginning that is being computed. Its tokens stay, as those of a sequence do."""
        if self._beginnings and (slot := self._beginnings[0].slot) is not None:
            self._table.release(slot)
            self._beginnings[0].slot = None

    def _refuse_for_memory(self, sequence: BatchedSequence) -> list[Event]:
        self._remove_sequence(sequence)
        sentence = f"A text of {len(sequence.tokens):,} tokens does not fit the memory; try a shorter one."
        return [JobRefused(sentence, code="out_of_memory", status=503).to_event(sequence.job_id)]


@contextmanager
def _single_thread() -> Iterator[None]:
    """Let torch use one thread: operations on one row are over before a second thread has started."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

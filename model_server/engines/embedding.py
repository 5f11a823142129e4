"""The embedding engine: a BERT-like encoder, pooled as sentence-transformers pools all-MiniLM-L6-v2.

A text's vector is the mean of the last layer over its tokens, scaled to length 1. Of a text longer than
`options.context` tokens (default 256, on which that model was trained) only the beginning is read. Models that were
trained with a word before each text, as E5 with “query: ”, get it by `options.prefix`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from model_server.engines.common.device import pick_device, pick_dtype
from model_server.engines.common.refusal import JobRefused, check_texts
from model_server.jobs import Embed, Finished, Progress, Started, Vectors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, Job

TEXTS_PER_STEP = 32
"""The most texts in one step, of all jobs together."""
DEFAULT_CONTEXT_TOKENS = 256


@dataclass(slots=True)
class EmbeddingJob:
    """An active job: the token ids of its texts, and the vectors of the first texts, which are done."""

    job_id: str
    token_ids: list[list[int]]
    vectors: list[tuple[float, ...]] = field(default_factory=list)

    @property
    def token_count(self) -> int:
        return sum(map(len, self.token_ids))

    @property
    def is_finished(self) -> bool:
        return len(self.vectors) == len(self.token_ids)


class EmbeddingEngine:
    """Turns texts into vectors of length 1, as wide as the model (384 numbers for all-MiniLM-L6-v2)."""

    capacity = TEXTS_PER_STEP

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._device = pick_device(spec.device)
        # Vectors are compared with stored ones, so that equal numbers matter more than speed; and an encoder is small.
        self._dtype = torch.float32 if spec.dtype == "auto" else pick_dtype(spec.dtype, self._device)
        self._new: list[Job] = []
        self._running: list[EmbeddingJob] = []

    def load(self) -> None:
        self.load_encoder(self._spec.folder)

    def load_encoder(self, folder: Path) -> None:
        """Load the encoder in `folder`, and warm it up."""
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        # The name of a special token in somebody's text is text.
        self._tokenizer.split_special_tokens = True
        model: Any = AutoModel.from_pretrained(folder, dtype=self._dtype, local_files_only=True)
        self._model = model.to(self._device).eval()
        model_context = int(model.config.max_position_embeddings)
        self._context = min(model_context, int(self._spec.options.get("context", DEFAULT_CONTEXT_TOKENS)))
        self._embed([[0]])

    def add(self, job: Job) -> None:
        self._new.append(job)

    def step(self) -> Sequence[Event]:
        """Start the new jobs, then embed up to 32 texts, shared equally so that no job waits for another."""
        new, self._new = self._new, []
        events = [self._start(job) for job in new]
        chosen = self._choose_texts()
        if chosen:
            vectors = self._embed([ids for _, ids in chosen])
            for (active, _), vector in zip(chosen, vectors, strict=True):
                active.vectors.append(vector)
        for active in self._running:
            if active.is_finished:
                events += [self._make_result(active), Finished(active.job_id, "stop", active.token_count)]
            else:
                events.append(Progress(active.job_id, len(active.vectors), len(active.token_ids)))
        self._running = [active for active in self._running if not active.is_finished]
        return events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        self._running = [active for active in self._running if active.job_id != job_id]

    def _start(self, job: Job) -> Event:
        try:
            active = EmbeddingJob(job.id, self._tokenize(self._read_texts(job)))
        except JobRefused as refused:
            return refused.to_event(job.id)
        self._running.append(active)
        return Started(job.id, active.token_count)

    def _read_texts(self, job: Job) -> Sequence[str]:
        """Return the texts of which a job needs vectors. Raises JobRefused when the job is not for this engine."""
        if not isinstance(job.task, Embed):
            raise JobRefused(f"{self._spec.name} only turns texts into vectors; it cannot do this.", param="model")
        check_texts(job.task.texts, "input")
        return job.task.texts

    def _make_result(self, active: EmbeddingJob) -> Event:
        """Return the event with the result of a job whose vectors are complete."""
        return Vectors(active.job_id, tuple(active.vectors))

    def _tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        prefix = str(self._spec.options.get("prefix", ""))
        ids: list[list[int]] = self._tokenizer(
            [f"{prefix}{text}" for text in texts], truncation=True, max_length=self._context, padding=False
        ).input_ids
        return ids

    def _choose_texts(self) -> list[tuple[EmbeddingJob, list[int]]]:
        chosen: list[tuple[EmbeddingJob, list[int]]] = []
        for waiting, active in enumerate(self._running):
            share = max(1, (TEXTS_PER_STEP - len(chosen)) // (len(self._running) - waiting))
            done = len(active.vectors)
            chosen += [(active, ids) for ids in active.token_ids[done : done + share]]
        return chosen[:TEXTS_PER_STEP]

    @torch.inference_mode()
    def _embed(self, texts: list[list[int]]) -> list[tuple[float, ...]]:
        """Return one vector of length 1 for each list of token ids."""
        rows = [torch.tensor(ids) for ids in texts]
        ids = pad_sequence(rows, batch_first=True, padding_value=self._tokenizer.pad_token_id or 0)
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        ids, mask = ids.to(self._device), mask.to(self._device)
        hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.to(torch.float32)
        weights = mask.unsqueeze(-1).to(torch.float32)
        mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return [tuple(vector) for vector in normalize(mean, dim=-1).tolist()]

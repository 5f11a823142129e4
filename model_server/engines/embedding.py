"""The embedding engine: a BERT-like encoder, pooled as sentence-transformers pools all-MiniLM-L6-v2.

The mean of the last layer over a text's tokens, scaled to length 1; a longer text than `options.context` tokens
(default 256, what that model was trained on) counts with its beginning only.
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

CHUNK = 32
"""Texts in one step, of all jobs together."""
CONTEXT = 256


@dataclass(slots=True)
class EmbeddingJob:
    """A job on its way: its texts as token ids, and the vectors of those that are done."""

    job_id: str
    texts: list[list[int]]
    vectors: list[tuple[float, ...]] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(map(len, self.texts))


class EmbeddingEngine:
    """Vectors of unit length, as many numbers as the model is wide (384 for all-MiniLM-L6-v2)."""

    capacity = CHUNK

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._device = pick_device(spec.device)
        # An encoder is small, and its vectors are compared with stored ones: the same numbers matter more than speed.
        self._dtype = torch.float32 if spec.dtype == "auto" else pick_dtype(spec.dtype, self._device)
        self._new: list[Job] = []
        self._running: list[EmbeddingJob] = []

    def load(self) -> None:
        self.load_encoder(self._spec.folder)

    def load_encoder(self, folder: Path) -> None:
        """Read the encoder in `folder`, and warm it up."""
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModel.from_pretrained(folder, dtype=self._dtype, local_files_only=True)
        self._model = model.to(self._device).eval()
        longest = int(model.config.max_position_embeddings)
        self._context = min(longest, int(self._spec.options.get("context", CONTEXT)))
        self._embed([[0]])

    def add(self, job: Job) -> None:
        self._new.append(job)

    def step(self) -> Sequence[Event]:
        """Take in what is new, then embed up to 32 texts, the jobs' shares equal, so that none waits for another."""
        new, self._new = self._new, []
        events = [self._start(job) for job in new]
        chosen = self._choose()
        if chosen:
            vectors = self._embed([ids for _, ids in chosen])
            for (batch, _), vector in zip(chosen, vectors, strict=True):
                batch.vectors.append(vector)
        for batch in self._running:
            done, total = len(batch.vectors), len(batch.texts)
            if done < total:
                events.append(Progress(batch.job_id, done, total))
            else:
                events += [self._answer(batch), Finished(batch.job_id, "stop", batch.tokens)]
        self._running = [batch for batch in self._running if len(batch.vectors) < len(batch.texts)]
        return events

    def remove(self, job_id: str) -> None:
        self._new = [job for job in self._new if job.id != job_id]
        self._running = [batch for batch in self._running if batch.job_id != job_id]

    def _start(self, job: Job) -> Event:
        try:
            batch = EmbeddingJob(job.id, self._encode(self._texts(job)))
        except JobRefused as refused:
            return refused.event(job.id)
        self._running.append(batch)
        return Started(job.id, batch.tokens)

    def _texts(self, job: Job) -> Sequence[str]:
        """The texts that a job needs the vectors of. Raises Refused when it is not for this engine."""
        if not isinstance(job.task, Embed):
            raise JobRefused(f"{self._spec.name} only turns texts into vectors; it cannot do this.", param="model")
        check_texts(job.task.texts, "input")
        return job.task.texts

    def _answer(self, batch: EmbeddingJob) -> Event:
        """What a job hears whose vectors are all there."""
        return Vectors(batch.job_id, tuple(batch.vectors))

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self._tokenizer(
            list(texts), truncation=True, max_length=self._context, padding=False
        ).input_ids
        return ids

    def _choose(self) -> list[tuple[EmbeddingJob, list[int]]]:
        chosen: list[tuple[EmbeddingJob, list[int]]] = []
        for waiting, batch in enumerate(self._running):
            share = max(1, (CHUNK - len(chosen)) // (len(self._running) - waiting))
            done = len(batch.vectors)
            chosen += [(batch, ids) for ids in batch.texts[done : done + share]]
        return chosen[:CHUNK]

    @torch.inference_mode()
    def _embed(self, texts: list[list[int]]) -> list[tuple[float, ...]]:
        """One unit vector per list of token ids."""
        rows = [torch.tensor(ids) for ids in texts]
        ids = pad_sequence(rows, batch_first=True, padding_value=self._tokenizer.pad_token_id or 0)
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        ids, mask = ids.to(self._device), mask.to(self._device)
        hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.to(torch.float32)
        weights = mask.unsqueeze(-1).to(torch.float32)
        mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1)
        return [tuple(vector) for vector in normalize(mean, dim=-1).tolist()]

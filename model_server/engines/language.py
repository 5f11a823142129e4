"""The language engine: any causal language model of transformers, decoded by our own loop.

What it does not know: batching (one sequence at a time), speculation, images or tools in a prompt.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from model_server.engines.device import pick_device, pick_dtype
from model_server.engines.prompt import Prompt, PromptBuilder
from model_server.engines.refusal import Refused
from model_server.engines.sampling import draw, log_probabilities, seeded
from model_server.engines.text import TextStream, Vocabulary
from model_server.job import Chat, Completion, Finished, Progress, Started, Text, TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import PreTrainedTokenizerBase

    from model_server.engines import EngineSpec
    from model_server.job import Event, Job, Sampling

PREFILL = 512
"""Prompt tokens read in one step, so that a cancellation is noticed in between."""
CONTEXT = 2048
"""For a model whose configuration does not say how much it reads."""
MAX_TOKENS = 1024
"""The longest answer when a request names no limit; `options.max_tokens` in the catalogue changes it."""


class Generation:
    """One answer on its way: what the model has yet to read, and what was written so far.

    Completion tokens are all that the model drew, the one that ends the text included.
    """

    def __init__(
        self, job_id: str, prompt: Prompt, sampling: Sampling, vocabulary: Vocabulary, ends: frozenset[int]
    ) -> None:
        self.job_id = job_id
        self.prompt = prompt
        self.unread: tuple[int, ...] = prompt.ids
        self.finished = False
        self._sampling = sampling
        self._vocabulary = vocabulary
        self._ends = ends
        self._generator = seeded(sampling.seed)
        self._text = TextStream(vocabulary, prompt.stop, drop_first_space=prompt.opens_text)
        self._drawn = 0

    def accept(self, logits: torch.Tensor) -> list[Event]:
        """Draw the next token from `logits` (V numbers) and say what that means.

        Raises Refused when they are not numbers to draw from.
        """
        if not torch.isfinite(logits.max()):
            raise Refused("The model lost its way in this text (its output is not finite).", code="model", status=500)
        token = draw(logits, self._sampling, self._generator)
        self.unread = (token,)
        self._drawn += 1
        ended = token in self._ends
        text = "" if ended else self._text.push(token)
        stopped = ended or self._text.stopped
        self.finished = stopped or self._drawn == self.prompt.max_tokens
        if self.finished:
            text += self._text.finish()
        logprobs = () if ended else self._logprobs(logits, token)
        # A token that ends the text has none of its own, but may let go of what was held back.
        events: list[Event] = [Text(self.job_id, text, logprobs)] if text or not ended else []
        if self.finished:
            events.append(Finished(self.job_id, "stop" if stopped else "length", len(self.prompt.ids), self._drawn))
        return events

    def _logprobs(self, logits: torch.Tensor, token: int) -> tuple[TokenLogprob, ...]:
        if self._sampling.logprobs is None:
            return ()
        own, best = log_probabilities(logits, token, self._sampling.logprobs)
        return (self._named(token, own, tuple(self._named(other, value) for other, value in best)),)

    def _named(self, token: int, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        data = self._vocabulary.bytes(token)
        return TokenLogprob(data.decode(errors="replace"), data, logprob, top)


class LanguageEngine:
    """Chats and completions.

    `spec.folder`: what `from_pretrained` reads. Options: `context` (tokens, at most the model's own), `max_tokens`.
    """

    capacity = 1

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._device = pick_device(spec.device)
        self._dtype = pick_dtype(spec.dtype, self._device)
        self._waiting: deque[Job] = deque()
        self._running: Generation | None = None
        self._cache: Any = None
        """transformers' keys and values of the running sequence; None before its first token was read."""

    def load(self) -> None:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        folder = str(self._spec.folder)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=self._dtype, local_files_only=True)
        self._model = model.to(self._device).eval()
        self._vocabulary = Vocabulary(tokenizer)
        self._ends = end_tokens(model, tokenizer)
        self._prompts = PromptBuilder(
            tokenizer,
            vocabulary_size=model.get_input_embeddings().num_embeddings,
            context=context_length(model, self._spec),
            default_max_tokens=int(self._spec.options.get("max_tokens", MAX_TOKENS)),
        )
        self._read((0,))
        self._cache = None

    def add(self, job: Job) -> None:
        self._waiting.append(job)

    def step(self) -> Sequence[Event]:
        generation = self._running
        if generation is None:
            return self._start(self._waiting.popleft()) if self._waiting else []
        try:
            return self._advance(generation)
        except Refused as refused:
            self._leave()
            return [refused.event(generation.job_id)]
        except torch.OutOfMemoryError:
            # Dealt with after the block, because the exception keeps the tensors alive.
            pass
        return self._give_up(generation)

    def remove(self, job_id: str) -> None:
        self._waiting = deque(job for job in self._waiting if job.id != job_id)
        if self._running is not None and self._running.job_id == job_id:
            self._leave()

    def _start(self, job: Job) -> list[Event]:
        if not isinstance(job.task, Chat | Completion):
            wrong = Refused(f"{self._spec.name} is a language model; it only writes text.", param="model")
            return [wrong.event(job.id)]
        try:
            prompt = self._prompts.build(job.task)
        except Refused as refused:
            return [refused.event(job.id)]
        self._running = Generation(job.id, prompt, job.task.sampling, self._vocabulary, self._ends)
        return [Started(job.id, len(prompt.ids), prompt.dropped_turns)]

    def _advance(self, generation: Generation) -> list[Event]:
        chunk, generation.unread = generation.unread[:PREFILL], generation.unread[PREFILL:]
        logits = self._read(chunk)
        if generation.unread:
            total = len(generation.prompt.ids)
            steps, left = -(-total // PREFILL), -(-len(generation.unread) // PREFILL)
            return [Progress(generation.job_id, steps - left, steps)]
        events = generation.accept(logits)
        if generation.finished:
            self._leave()
        return events

    @torch.inference_mode()
    def _read(self, tokens: Sequence[int]) -> torch.Tensor:
        """Append `tokens` to the running sequence; the logits after the last one, V float32 on the CPU."""
        ids = torch.tensor([tokens], device=self._device)
        output = self._model(input_ids=ids, cache=self._cache, use_cache=True, logits_to_keep=1)
        self._cache = output.cache
        logits: torch.Tensor = output.logits[0, -1].to("cpu", torch.float32)
        return logits

    def _leave(self) -> None:
        self._running = self._cache = None

    def _give_up(self, generation: Generation) -> list[Event]:
        self._leave()
        torch.cuda.empty_cache()
        sentence = f"A text of {len(generation.prompt.ids):,} tokens does not fit the memory; try a shorter one."
        return [Refused(sentence, code="out_of_memory", status=503).event(generation.job_id)]


def end_tokens(model: Any, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All tokens that end a text; a generation configuration may list several, a tokenizer knows one."""
    named = (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id)
    lists = [[one] if isinstance(one, int) else one or [] for one in named]
    return frozenset(token for tokens in lists for token in tokens)


def context_length(model: Any, spec: EngineSpec) -> int:
    """Tokens of prompt and answer together."""
    own = getattr(model.config.get_text_config(), "max_position_embeddings", None) or CONTEXT
    return min(own, int(spec.options.get("context", own)))

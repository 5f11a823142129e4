"""Consumers of the logits of one sequence: an answer, token by token, or a dial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from model_server.engines.common.refusal import JobRefused
from model_server.engines.common.seeding import make_generator
from model_server.engines.language.detokenize import TextStream
from model_server.engines.language.dial import make_dial
from model_server.engines.language.sampling import distribution, log_probabilities
from model_server.jobs import Finished, Text, TokenLogprob

if TYPE_CHECKING:
    from model_server.engines.language.detokenize import TokenBytes
    from model_server.engines.language.prompt import Prompt
    from model_server.engines.language.sampling import Distribution
    from model_server.jobs import Event, Sampling


class LogitsConsumer(Protocol):
    """Takes the logits after a prompt, and after each token that it drew."""

    is_finished: bool

    def accept(self, logits: torch.Tensor, cached: int) -> tuple[int | None, list[Event]]:
        """Take V logits, which are overwritten; return the token to compute next, None at the end, and the events.

        `cached`: the number of the prompt's tokens that the cache held already.
        Raises JobRefused when no token can be drawn from the logits.
        """


class Generation:
    """An answer that is being written.

    Completion tokens are all tokens that the model drew, including the one that ends the text.
    """

    def __init__(
        self,
        job_id: str,
        prompt: Prompt,
        sampling: Sampling,
        vocabulary: TokenBytes,
        end_tokens: frozenset[int],
    ) -> None:
        self.is_finished = False
        self._job_id = job_id
        self._prompt = prompt
        self._sampling = sampling
        self._vocabulary = vocabulary
        self._end_tokens = end_tokens
        self._generator = make_generator(sampling.seed)
        self._text = TextStream(vocabulary, prompt.stop, drop_first_space=prompt.opens_text)
        self._drawn = 0

    def accept(self, logits: torch.Tensor, cached: int) -> tuple[int | None, list[Event]]:
        """See `LogitsConsumer`."""
        check_finite(logits)
        model_logits = None if self._sampling.logprobs is None else logits.clone()
        drawable = distribution(logits, self._sampling)
        token = drawable.draw(self._generator)
        self._drawn += 1
        ended = token in self._end_tokens
        text = "" if ended else self._text.push(token)
        stopped = ended or self._text.stopped
        self.is_finished = stopped or self._drawn == self._prompt.max_tokens
        if self.is_finished:
            text += self._text.finish()
        # The token that ends the text has no text of its own, but may release text that was held back.
        event = (
            Text(self._job_id, text)
            if ended or model_logits is None
            else self._make_text_event(text, model_logits, drawable, token)
        )
        events: list[Event] = [event] if text or not ended else []
        if not self.is_finished:
            return token, events
        end = Finished(self._job_id, "stop" if stopped else "length", len(self._prompt.ids), self._drawn, cached)
        return None, [*events, end]

    def _make_text_event(self, text: str, model_logits: torch.Tensor, drawable: Distribution, token: int) -> Text:
        """Return the event for new text with its token's probabilities; `model_logits`: the logits before sampling."""
        count = self._sampling.logprobs or 0
        before = self._make_logprob(token, *log_probabilities(model_logits, token, count))
        after = self._make_logprob(token, *drawable.log_probabilities(token, count))
        return Text(self._job_id, text, (before,), (after,), (drawable.entropy(),))

    def _make_logprob(self, token: int, logprob: float, best: list[tuple[int, float]]) -> TokenLogprob:
        data = self._vocabulary.bytes(token)
        top = tuple(self._make_logprob(other, value, []) for other, value in best)
        return TokenLogprob(data.decode(errors="replace"), data, logprob, top, token in self._vocabulary.special)


class NextTokenProbe:
    """Makes a dial of the next token, and draws nothing."""

    def __init__(self, job_id: str, prompt: Prompt, sampling: Sampling, vocabulary: TokenBytes) -> None:
        self.is_finished = False
        self._job_id = job_id
        self._prompt = prompt
        self._sampling = sampling
        self._vocabulary = vocabulary

    def accept(self, logits: torch.Tensor, cached: int) -> tuple[int | None, list[Event]]:
        """See `LogitsConsumer`."""
        check_finite(logits)
        self.is_finished = True
        end = Finished(self._job_id, "stop", len(self._prompt.ids), 0, cached)
        return None, [make_dial(self._job_id, logits, self._vocabulary, self._sampling, self._prompt.ids), end]


def check_finite(logits: torch.Tensor) -> None:
    """Raise JobRefused if no token can be drawn from the logits; -inf for some tokens is allowed."""
    if not torch.isfinite(logits.max()):
        raise JobRefused("The model lost its way in this text (its output is not finite).", code="model", status=500)

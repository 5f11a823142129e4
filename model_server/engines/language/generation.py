"""What becomes of one sequence's logits: an answer, token by token, or a dial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from model_server.engines.common.refusal import JobRefused
from model_server.engines.common.seeding import seeded
from model_server.engines.language.detokenize import TextStream
from model_server.engines.language.dial import dial
from model_server.engines.language.sampling import distribution, log_probabilities
from model_server.jobs import Finished, Text, TokenLogprob

if TYPE_CHECKING:
    from model_server.engines.language.detokenize import TokenBytes
    from model_server.engines.language.prompt import Prompt
    from model_server.engines.language.sampling import Distribution
    from model_server.jobs import Event, Sampling


class LogitsConsumer(Protocol):
    """Whoever the logits after a prompt, and after each token it drew since, are for."""

    finished: bool

    def accept(self, logits: torch.Tensor, cached: int) -> tuple[int | None, list[Event]]:
        """Take V logits, which are used up; the token to read next, None when there is none, and what happened.

        `cached`: how many of the prompt's tokens the cache held already.
        Raises Refused when the logits are not numbers to draw from.
        """


class Generation:
    """One answer on its way.

    Completion tokens are all that the model drew, the one that ends the text included.
    """

    def __init__(
        self,
        job_id: str,
        prompt: Prompt,
        sampling: Sampling,
        vocabulary: TokenBytes,
        ends: frozenset[int],
    ) -> None:
        self.finished = False
        self._job_id = job_id
        self._prompt = prompt
        self._sampling = sampling
        self._vocabulary = vocabulary
        self._ends = ends
        self._generator = seeded(sampling.seed)
        self._text = TextStream(vocabulary, prompt.stop, drop_first_space=prompt.opens_text)
        self._drawn = 0

    def accept(self, logits: torch.Tensor, cached: int) -> tuple[int | None, list[Event]]:
        """See `LogitsConsumer`."""
        check_finite(logits)
        own = None if self._sampling.logprobs is None else logits.clone()
        likely = distribution(logits, self._sampling)
        token = likely.draw(self._generator)
        self._drawn += 1
        ended = token in self._ends
        text = "" if ended else self._text.push(token)
        stopped = ended or self._text.stopped
        self.finished = stopped or self._drawn == self._prompt.max_tokens
        if self.finished:
            text += self._text.finish()
        # A token that ends the text has none of its own, but may let go of what was held back.
        told = Text(self._job_id, text) if ended or own is None else self._told(text, own, likely, token)
        events: list[Event] = [told] if text or not ended else []
        if not self.finished:
            return token, events
        end = Finished(self._job_id, "stop" if stopped else "length", len(self._prompt.ids), self._drawn, cached)
        return None, [*events, end]

    def _told(self, text: str, own: torch.Tensor, likely: Distribution, token: int) -> Text:
        """The new text with what is known of its token: `own` are the model's logits, untouched."""
        count = self._sampling.logprobs or 0
        before = self._named(token, *log_probabilities(own, token, count))
        after = self._named(token, *likely.log_probabilities(token, count))
        return Text(self._job_id, text, (before,), (after,), (likely.entropy(),))

    def _named(self, token: int, logprob: float, best: list[tuple[int, float]]) -> TokenLogprob:
        data = self._vocabulary.bytes(token)
        top = tuple(self._named(other, value, []) for other, value in best)
        return TokenLogprob(data.decode(errors="replace"), data, logprob, top, token in self._vocabulary.special)


class NextTokenProbe:
    """Reads the prompt and shows what the next token could be."""

    def __init__(self, job_id: str, prompt: Prompt, sampling: Sampling, vocabulary: TokenBytes) -> None:
        self.finished = False
        self._job_id = job_id
        self._prompt = prompt
        self._sampling = sampling
        self._vocabulary = vocabulary

    def accept(self, logits: torch.Tensor, cached: int) -> tuple[int | None, list[Event]]:
        """See `LogitsConsumer`."""
        check_finite(logits)
        self.finished = True
        end = Finished(self._job_id, "stop", len(self._prompt.ids), 0, cached)
        return None, [dial(self._job_id, logits, self._vocabulary, self._sampling, self._prompt.ids), end]


def check_finite(logits: torch.Tensor) -> None:
    """Refuses what no token can be drawn from; -inf for single tokens is fine."""
    if not torch.isfinite(logits.max()):
        raise JobRefused("The model lost its way in this text (its output is not finite).", code="model", status=500)

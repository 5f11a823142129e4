"""The decision on a request: how it is acknowledged, known at once, and the answer that follows."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bot.core import metrics
from bot.core.latest import Stream
from bot.core.messages import base_platform

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bot.commands.command import Command
    from bot.core.latest import Latest
    from bot.core.messages import Attachment, Form, Reply, Request

    Work = Callable[[Request, Latest[Reply]], Awaitable[None]]


async def _no_work(_request: Request, _replies: Latest[Reply]) -> None:
    """Send no replies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How to acknowledge a request, decided from memory alone. `start` continues from there without deciding again.

    - `refused`: one private error follows;
    - `form`: await it for the form to show (or a UserError for the asker alone); no replies follow;
    - `in_place`: final replies, if any, are the new state of the message with the pressed button;
    - `passing`: one private reply follows that is not stored; with `in_place`, too, it takes the place of the message
      with the pressed button if that is private, unless it is an error. Hold `turn` while it is made and shown;
    - otherwise a new message follows, `private` to the asker or not.

    A reply can be private although the acknowledgement was public, as errors are: it then goes to the asker alone, and
    the public placeholder is removed.
    """

    request: Request
    """The request with the asker's rights and language, and with the options as they were given."""
    command: Command | None = None
    private: bool = True
    refused: bool = False
    in_place: bool = False
    passing: bool = False
    turn: AbstractAsyncContextManager[None] = field(default_factory=nullcontext, repr=False, compare=False)
    """Entered by one passing reply of an answer to one person after the other, so that the newest is shown last."""
    form: Callable[[], Awaitable[Form]] | None = None
    _work: Work = field(default=_no_work, repr=False)
    _made: float = field(default_factory=time.monotonic, repr=False)

    def start(self, *, files: Mapping[str, Attachment] | None = None, **known: Any) -> Stream[Reply]:
        """Return the stream of replies; iterating it starts the answer, closing it cancels the answer.

        `files` are the options whose contents had to be fetched first. `known` replaces fields of the request that are
        known only now: `place`, `message`, `resume` or `alone`.
        """
        metrics.ACKNOWLEDGEMENT.labels(base_platform(self.request.place.platform)).observe(
            time.monotonic() - self._made
        )
        request = replace(self.request, **known)
        if files and request.action is not None:
            fields = {**(request.action.fields or {}), **files}
            request = replace(request, action=replace(request.action, fields=fields))
        elif files:
            request = replace(request, options={**request.options, **files})
        return Stream(lambda replies: self._work(request, replies))

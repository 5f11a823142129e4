"""The decision on a request: how it is acknowledged, known at once, and what follows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.core import metrics
from bot.core.latest import Stream
from bot.core.messages import base_platform

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from bot.commands.command import Command
    from bot.core.button_ids import ButtonId
    from bot.core.errors import UserError
    from bot.core.latest import Latest
    from bot.core.messages import Attachment, Form, Reply, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How to acknowledge a request: the subclass says how. `start` continues from there without deciding again.

    A reply can be private although the acknowledgement was public, as errors are: it then goes to the asker alone, and
    the public placeholder is removed.
    """

    request: Request
    """The request with the asker's rights and language, and with the options as they were given."""
    private: bool = True
    _carry_out: Callable[[Any, Latest[Reply]], Awaitable[None]] = field(repr=False)
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
        return Stream(partial(self._carry_out, replace(self, request=request)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Decision):
    """One private error follows."""

    error: UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenForm(Decision):
    """A form is shown at once, and no replies follow. `make` returns it, or raises a UserError for the asker alone."""

    make: Callable[[], Awaitable[Form]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Decision):
    """The final replies, if any, are the new state of the message with the button."""

    button: ButtonId


@dataclass(frozen=True, slots=True, kw_only=True)
class Choose(Decision):
    """One private reply follows that is not stored. Hold `turn` while it is made and shown, so that the newest is last.

    If it `replaces`, it takes the place of the message with the button if that is private, unless it is an error.
    """

    button: ButtonId
    turn: AbstractAsyncContextManager[None] = field(repr=False, compare=False)

    @property
    def replaces(self) -> bool:
        """True for a choice; the message with the button that leads to the choices stays, as others press that, too."""
        return self.button.number > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Decision):
    """A new message follows, `private` to the asker or not: the answer of a command."""

    command: Command
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp(Decision):
    """A new message follows, as for `Answer`: what a button of an answer leads to."""

    button: ButtonId

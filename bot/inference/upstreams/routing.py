"""Decides which upstream gets a request: the one whose model was chosen, and others if it fails before it answers.

Nothing is sent to a remote upstream, not even a question for its models, unless the route `reaches_remote`. Everything
that is sent passes `Route.upstreams`, the only place where that is decided.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from bot.core.errors import Busy, ModelError, ModelUnavailable
from bot.core.model_events import Answered, Delta, Drawn, Preview, Waiting
from bot.inference.models import AT, short_name
from bot.inference.responses import down
from bot.inference.upstreams.breaker import with_jitter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from bot.inference.upstreams.upstream import Upstream

    Listed = dict[str, dict[str, Mapping[str, Any]]]
    """What is said about models, by task and name."""

T = TypeVar("T")

LIST_SECONDS = 3.0
"""How long one upstream of several may take to list its models, so that a dead one does not hold up the others."""
ROUNDS = 3
"""How often a request is tried with all upstreams of its task, where they are busy or failed for the moment."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""The pause before the second round, and the longest one that a request waits; after that it is refused."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model at an upstream: `model` is what the upstream calls it, `name` what people do."""

    upstream: Upstream
    model: str
    name: str

    def named(self, model: str) -> str:
        """Return what people call a model of this upstream."""
        return _name(self.upstream, model)

    @property
    def sent_to(self) -> str:
        """The name of the upstream if it is remote, else ""."""
        return "" if self.upstream.is_local else self.upstream.name


@dataclass(frozen=True, slots=True)
class Load:
    """What a queue has to know of a request: who asks, and how many characters there are to read."""

    user: str
    characters: int


class Route:
    """The way of requests to some of the upstreams: to the local ones, or to all if it `reaches_remote`."""

    def __init__(self, upstreams: Sequence[Upstream], *, reaches_remote: bool = False) -> None:
        self._all = tuple(upstreams)
        self.upstreams = tuple(one for one in self._all if one.is_local or reaches_remote)

    def reaching(self, *, remote: bool) -> Route:
        """Return a route over the same upstreams that reaches remote ones, or does not."""
        return Route(self._all, reaches_remote=remote)

    # Models

    async def listed(self, *tasks: str) -> Listed:
        """Return what the upstreams say about their models. Those that do not answer are left out.

        Raises the error of the first one if none answers.
        """
        known, errors = await self._known_models(self._well())
        if errors and not known:
            raise errors[0]
        found: Listed = {task: {} for task in tasks}
        for target, about in known:
            if (task := str(about.get("task"))) in found:
                found[task][target.name] = about
        return found

    async def _known_models(
        self, asked: Sequence[Upstream]
    ) -> tuple[list[tuple[Target, Mapping[str, Any]]], list[ModelError]]:
        """Return the models of those of these upstreams that answer, and the errors of the others."""
        if not self.upstreams:
            raise ModelUnavailable("No server for models is set up that may be asked here.")
        known, errors = [], []
        for listed in await asyncio.gather(*map(self._list, asked), return_exceptions=True):
            if isinstance(listed, ModelError):
                errors.append(listed)
            elif isinstance(listed, BaseException):
                raise listed
            else:
                known += listed
        return known, errors

    def _well(self) -> Sequence[Upstream]:
        """Return the upstreams that did not fail lately; all of them if all did."""
        return [one for one in self.upstreams if not one.breaker.is_open] or self.upstreams

    async def _list(self, upstream: Upstream) -> list[tuple[Target, Mapping[str, Any]]]:
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIST_SECONDS if len(self.upstreams) > 1 else None):
                listed = await upstream.list_models()
        except ModelError as error:
            _note_failure(upstream, error)
            raise
        except TimeoutError as error:
            # Some servers do nothing else while they write an answer, as the pieces of it show.
            if upstream.heard_at < began or not upstream.known_models:
                upstream.breaker.record_failure()
                raise down(upstream.shown_name) from error
            listed = upstream.known_models
        return [(_target(upstream, model), about) for model, about in listed]

    async def find(
        self, task: str, model: str | None, *, others: bool = True, reads_images: bool = False
    ) -> list[Target]:
        """Return where a request goes: to the `model` first, and then to other models for the task.

        Without `others` it goes to models of the same name alone; with `reads_images`, others must read pictures.
        Raises ModelError if there is none.
        """
        if len(self.upstreams) == 1 and model is not None:
            return [self._only_target(self.upstreams[0], model)]
        known, errors = await self._known_models(self._well() if others else self.upstreams)
        fitting = [target for target, about in known if about.get("task") == task]
        same = [target for target in fitting if model is None or fits(target, model)]
        if others:
            chosen = {target.upstream for target in same}
            able = {target for target, about in known if about.get("reads_images") is True or not reads_images}
            rest = [target for target in fitting if target.upstream not in chosen and target in able]
            same += [target for number, target in enumerate(rest) if target.upstream not in _upstreams(rest[:number])]
        if model is None:
            # One model of each upstream is enough.
            same = [target for number, target in enumerate(same) if target.upstream not in _upstreams(same[:number])]
        if same:
            return same
        if not errors and (passed_over := [one for one in self.upstreams if one.breaker.is_open]):
            raise down(passed_over[0].shown_name)
        raise errors[0] if errors else no_model(task)

    async def first(self, task: str) -> str:
        """Return the name of the first model for a task in the order of the configuration, whoever failed lately.

        So what is stored for it, such as vectors, does not change with the health of servers. Raises ModelError.
        """
        for upstream in self.upstreams:
            for target, about in await self._list(upstream):
                if about.get("task") == task:
                    return target.name
        raise no_model(task)

    def moderators(self) -> list[Target]:
        """Return the local upstreams that score texts, which is our model server unless the operator named others."""
        local = [one for one in self.upstreams if one.is_local]
        named = [(one, next(iter(one.address.models.get("moderations", ())), "")) for one in local]
        targets = [Target(one, model, model) for one, model in named if model or not one.name]
        if not targets:
            raise no_model("moderations")
        return targets

    def _only_target(self, upstream: Upstream, model: str) -> Target:
        """Return the model at the only upstream, which is asked for its models only where its names need it."""
        name, _, at = model.rpartition(AT)
        if upstream.name and at == upstream.name:
            model = name
        known = (one for one, _ in upstream.known_models if short_name(one) == model)
        return Target(upstream, next(known, model), _name(upstream, model))

    # Requests

    async def call(self, targets: Sequence[Target], ask: Callable[[Target], Awaitable[T]], load: Load | None) -> T:
        """Return what the first of the targets answers that answers at all. Raises ModelError if none does.

        Without a `load` it waits in no queue, as what an answer waits for that has its place there itself.
        """

        async def answers(target: Target) -> AsyncGenerator[T, None]:
            result = await ask(target)
            # The reader takes this one result and closes the stream.
            target.upstream.breaker.record_success()
            yield result

        async with aclosing(self.stream(targets, answers, load)) as results:
            async for result in results:
                if not isinstance(result, Waiting):
                    return result
        raise RuntimeError("a call ended without a result")

    async def stream(
        self, targets: Sequence[Target], ask: Callable[[Target], AsyncGenerator[T, None]], load: Load | None
    ) -> AsyncGenerator[T | Waiting, None]:
        """Yield what the first of the targets streams. Until it has shown something, the next one may take over.

        Targets that are busy or failed for the moment are tried again, after a pause that they ask for or that grows.
        Raises the first error.
        """
        errors: list[ModelError] = []
        not_before: dict[Target, float] = {}
        for number in range(ROUNDS):
            for target in targets:
                if time.monotonic() < not_before.get(target, 0.0):
                    continue
                has_begun = False
                try:
                    async with aclosing(_take_turn(target, ask, load)) as events:
                        async for event in events:
                            if not has_begun and isinstance(event, Delta | Preview | Drawn):
                                has_begun = True
                                # Noted now, since who stops an answer closes the stream.
                                target.upstream.breaker.record_success()
                            yield event
                except (ModelUnavailable, Busy) as error:
                    _note_failure(target.upstream, error)
                    if has_begun:
                        raise
                    errors.append(error)
                    if not target.upstream.is_ours and (pause := _pause_after(error, number)):
                        not_before[target] = time.monotonic() + pause
                except ModelError:
                    # A refusal is an answer.
                    target.upstream.breaker.record_success()
                    raise
                else:
                    target.upstream.breaker.record_success()
                    return
            # Our own server has a queue, and what it refuses it would refuse again.
            waits = [then - time.monotonic() for then in not_before.values()]
            pause = round(max(0.0, min(waits, default=LONGEST_PAUSE + 1)), 2)
            if pause > LONGEST_PAUSE or number == ROUNDS - 1:
                raise errors[0]
            yield Waiting(1, pause)
            await asyncio.sleep(with_jitter(pause))


async def _take_turn(
    target: Target, ask: Callable[[Target], AsyncGenerator[T, None]], load: Load | None
) -> AsyncGenerator[T | Waiting, None]:
    """Wait for a turn at the upstream of a target, yielding the places; then yield what it streams."""
    upstream = target.upstream
    # Our own server has such a queue itself, which knows more.
    queue = None if upstream.is_ours or load is None else upstream.queue
    ticket = queue.enter(load.user, load.characters) if queue is not None and load is not None else None
    try:
        shown = 0
        while ticket is not None and ticket.place:
            if ticket.place == shown:
                await ticket.change()
            else:
                # It may move on while the reader is busy, so its place is looked at again.
                shown = ticket.place
                yield Waiting(shown, None)
        upstream.breaker.begin()
        async with aclosing(ask(target)) as events:
            async for event in events:
                if ticket is not None and isinstance(event, Delta):
                    ticket.output += max(1, len(event.tokens))
                elif ticket is not None and isinstance(event, Answered):
                    ticket.output = event.completion_tokens
                yield event
    finally:
        if ticket is not None and queue is not None:
            queue.leave(ticket)


def fits(target: Target, model: str) -> bool:
    """Return whether a model is meant by a name, which may lack the name of its upstream."""
    return model in (target.name, short_name(target.model), target.model)


def no_model(task: str) -> ModelUnavailable:
    """Return the error for a task that no upstream has a model for."""
    return ModelUnavailable("There is no model for {task}.", task=task)


def _target(upstream: Upstream, model: str) -> Target:
    return Target(upstream, model, _name(upstream, short_name(model)))


def _name(upstream: Upstream, model: str) -> str:
    return f"{model}{AT}{upstream.name}" if upstream.name else model


def _upstreams(targets: Sequence[Target]) -> set[Upstream]:
    return {target.upstream for target in targets}


def _note_failure(upstream: Upstream, error: ModelError) -> None:
    """Tell the breaker of an upstream what went wrong. A refusal is an answer, and no failure."""
    if upstream.is_ours and (isinstance(error, Busy) or error.status == 503):
        # Our server is busy for one person at a time, and loads one model at a time.
        upstream.breaker.record_success()
    elif isinstance(error, Busy):
        upstream.breaker.record_failure(error.retry_after)
    elif isinstance(error, ModelUnavailable) and error.status not in (402, 404):
        upstream.breaker.record_failure()
    else:
        upstream.breaker.record_success()


def _pause_after(error: ModelError, number: int) -> float:
    """Return the seconds after which a request may be tried again; 0 if that would be in vain."""
    if isinstance(error, Busy):
        return max(error.retry_after, FIRST_PAUSE)
    return FIRST_PAUSE * 2**number if error.status >= 500 else 0.0

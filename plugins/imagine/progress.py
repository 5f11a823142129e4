"""While a picture is made: the events of the model server become what the message says meanwhile."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from bot import Attachment, Context, Drawn, Preview, Reply, Step, UserError, Waiting
from plugins.imagine.recipe import Recipe
from plugins.imagine.sweep import KNOBS


class Watch:
    """Looks on while one picture is drawn, perhaps more than once.

    `steps` is how many it takes in all, and `source` the picture that it begins with, once these are known.
    """

    def __init__(self, ctx: Context) -> None:
        self.steps = 0
        self.source: bytes | None = None
        self._ctx = ctx
        self._shown: tuple[Attachment, ...] = ()
        self._first: tuple[int, float] | None = None

    def begin(self) -> Reply:
        """The message before the first event."""
        self._shown, self._first = (), None
        return Reply(status=self._ctx.translate("Drawing …"))

    def reply(self, event: Waiting | Step | Preview) -> Reply:
        """The message after `event`."""
        if isinstance(event, Waiting):
            return Reply(status=self._queue(event))
        if isinstance(event, Preview):
            alt = self._ctx.translate(
                "A first glimpse after step {step} of {steps}", step=event.step, steps=event.steps
            )
            self._shown = (Attachment("preview.png", event.png, "image/png", alt=alt),)
        self.steps = event.steps
        return Reply(attachments=self._shown, status=self._progress(event.step, event.steps))

    def _queue(self, event: Waiting) -> str:
        if event.seconds is None:
            return self._ctx.translate("Number {place} in the queue …", place=event.place)
        sentence = "Number {place} in the queue, your turn in about {seconds} s …"
        return self._ctx.translate(sentence, place=event.place, seconds=max(1, round(event.seconds)))

    def _progress(self, step: int, steps: int) -> str:
        now = time.monotonic()
        begun, since = self._first = self._first or (step, now)
        if step <= begun or step >= steps:
            return self._ctx.translate("Step {step} of {steps} …", step=step, steps=steps)
        left = (now - since) / (step - begun) * (steps - step)
        sentence = "Step {step} of {steps}, about {seconds} s to go …"
        return self._ctx.translate(sentence, step=step, steps=steps, seconds=max(1, round(left)))


async def still_there(ctx: Context, model: str) -> None:
    """Raise UserError where `model`, by which a picture was drawn before, is served no longer."""
    if model not in await ctx.models.offered("images"):
        raise UserError(
            "The model “{model}”, which drew this, is no longer there. Begin anew with /imagine.", model=model
        )


async def draw(
    ctx: Context, watch: Watch, wish: Mapping[str, Any], start: Recipe | None = None
) -> AsyncGenerator[Reply | Drawn, None]:
    """Draw `wish`, which `ctx.models.imagine` takes: the message meanwhile, and at last what was drawn.

    A variation has `start`, the picture that it begins with, which is drawn once more before it. Raises UserError where
    either takes more than moderators allow here, as what was drawn before they said so may.
    """
    _check(ctx, wish)
    if start is not None and watch.source is None:
        note = ctx.translate("First, the picture that it begins with.")
        async for seen in draw(ctx, Watch(ctx), start.wish(), start.source):
            if isinstance(seen, Drawn):
                watch.source = seen.files[0]
            else:
                yield replace(seen, status=f"{note} {seen.status.removeprefix(note).strip()}")
    yield watch.begin()
    least, most = ({knob: ctx.settings[f"imagine.{knob}.{end}"] for knob in KNOBS} for end in ("minimum", "maximum"))
    drawing = ctx.models.imagine(**wish, least=least, most=most, source=watch.source, user=ctx.user.id)
    async with aclosing(drawing) as events:
        async for event in events:
            yield event if isinstance(event, Drawn) else watch.reply(event)


def _check(ctx: Context, wish: Mapping[str, Any]) -> None:
    for knob in KNOBS:
        most, value = ctx.settings[f"imagine.{knob}.maximum"], wish.get(knob)
        if value is not None and value > most:
            sentence = (
                "This was drawn with {knob} {value}; moderators allow {most} at most here. Begin anew with /imagine."
            )
            raise UserError(sentence, knob=knob, value=f"{value:g}", most=f"{most:g}")

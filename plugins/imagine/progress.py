"""Drawing: sends a request to the model server and turns its events into messages that show the progress."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from bot import Attachment, Context, Drawn, Preview, RemoteFile, Reply, Step, UserError, Waiting
from plugins.imagine.recipe import ImageRequest, Recipe
from plugins.imagine.sweep import KNOBS


class DrawingProgress:
    """The progress of one drawing, which may be drawn more than once, in several layouts.

    `steps` is the number of steps that it takes, 0 until it is known. `source_image` is the encoded picture of which it
    is a variation; it is kept so that the source is drawn only once.
    """

    def __init__(self, ctx: Context) -> None:
        self.steps = 0
        self.source_image: bytes | None = None
        self._ctx = ctx
        self._previews: tuple[Attachment, ...] = ()
        self._first: tuple[int, float] | None = None

    def start(self) -> Reply:
        """Forget the previews of an earlier layout, and return the message before the first event."""
        self._previews, self._first = (), None
        return Reply(status=self._ctx.translate("Drawing …"))

    def reply(self, event: Waiting | Step | Preview) -> Reply:
        """Return the message after `event`."""
        if isinstance(event, Waiting):
            return Reply(status=self._queue_status(event))
        if isinstance(event, Preview):
            alt = self._ctx.translate(
                "A first glimpse after step {step} of {steps}", step=event.step, steps=event.steps
            )
            self._previews = (Attachment("preview.png", event.png, "image/png", alt=alt),)
        self.steps = event.steps
        return Reply(attachments=self._previews, status=self._step_status(event.step, event.steps))

    def _queue_status(self, event: Waiting) -> str:
        if event.seconds is None:
            return self._ctx.translate("Number {place} in the queue …", place=event.place)
        sentence = "Number {place} in the queue, your turn in about {seconds} s …"
        return self._ctx.translate(sentence, place=event.place, seconds=max(1, round(event.seconds)))

    def _step_status(self, step: int, steps: int) -> str:
        now = time.monotonic()
        first_step, first_time = self._first = self._first or (step, now)
        if step <= first_step or step >= steps:
            return self._ctx.translate("Step {step} of {steps} …", step=step, steps=steps)
        seconds_left = (now - first_time) / (step - first_step) * (steps - step)
        sentence = "Step {step} of {steps}, about {seconds} s to go …"
        return self._ctx.translate(sentence, step=step, steps=steps, seconds=max(1, round(seconds_left)))


async def recall(ctx: Context, text: str) -> Recipe:
    """Return the recipe that a button has. Raises UserError if it is malformed, or if its model is no longer served."""
    recipe = Recipe.from_json(text)
    await require_model(ctx, recipe.model)
    return recipe


async def require_model(ctx: Context, model: str) -> None:
    """Raise UserError if `model`, which drew an earlier picture, is no longer served."""
    if model not in await ctx.models.offered("images"):
        raise UserError(
            "The model “{model}”, which drew this, is no longer there. Begin anew with /imagine.", model=model
        )


async def read_picture(ctx: Context, given: Sequence[Attachment | RemoteFile]) -> int:
    """Store the picture that was `given` to begin with, and return the row of its question; 0 if there is none.

    Raises UserError if it is no picture.
    """
    files = await ctx.files.read(given) if given else await ctx.files.stored()
    for file in files:
        if not file.picture:
            raise UserError("{file} is no picture; send a PNG, JPEG, WebP or GIF file.", file=file.filename)
    if given:
        await ctx.files.keep(files)
    return ctx.question if files else 0


async def draw(ctx: Context, request: ImageRequest, progress: DrawingProgress) -> AsyncGenerator[Reply | Drawn, None]:
    """Draw `request`: yield the messages that show the progress, and `Drawn` at the end.

    The source of a variation is drawn again first. Raises UserError if either exceeds what moderators allow here, which
    happens when they set a lower limit after a picture was drawn.
    """
    _check_limits(ctx, request)
    if request.source is not None and progress.source_image is None:
        note = ctx.translate("First, the picture that it begins with.")
        async for source_event in draw(ctx, request.source.to_request(), DrawingProgress(ctx)):
            if isinstance(source_event, Drawn):
                progress.source_image = source_event.files[0]
            else:
                status = source_event.status.removeprefix(note).strip()
                yield replace(source_event, status=f"{note} {status}")
    if request.picture and progress.source_image is None:
        progress.source_image = await _load_picture(ctx, request.picture)
    yield progress.start()
    least, most = ({knob: ctx.settings[f"imagine.{knob}.{end}"] for knob in KNOBS} for end in ("minimum", "maximum"))
    drawing = ctx.models.imagine(
        request.prompt,
        seed=request.seed,
        count=request.count,
        negative_prompt=request.negative,
        steps=request.steps,
        guidance=request.guidance,
        references=request.references,
        least=least,
        most=most,
        source=progress.source_image,
        strength=request.strength,
        layout=request.layout,
        enlarge=request.enlarge,
        previews=request.previews,
        frames=request.frames,
        sweep={request.sweep.knob: request.sweep.values} if request.sweep else None,
        model=request.model,
        user=ctx.user.id,
    )
    async with aclosing(drawing) as events:
        async for event in events:
            yield event if isinstance(event, Drawn) else progress.reply(event)


async def _load_picture(ctx: Context, question: int) -> bytes:
    """Return the picture that came with the question in a row. Raises UserError if it was deleted."""
    for file in await ctx.files.of(question):
        if file.picture:
            return file.picture
    raise UserError("The picture that this began with is no longer stored. Begin anew with /imagine.")


def _check_limits(ctx: Context, request: ImageRequest) -> None:
    for knob in KNOBS:
        value = getattr(request, knob)
        most = ctx.settings[f"imagine.{knob}.maximum"]
        if value is not None and value > most:
            sentence = (
                "This was drawn with {knob} {value}; moderators allow {most} at most here. Begin anew with /imagine."
            )
            raise UserError(sentence, knob=knob, value=f"{value:g}", most=f"{most:g}")

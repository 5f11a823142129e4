"""/compare: one prompt for the three families of generative models, and how each of them worked on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from bot import Answered, Attachment, Context, Delta, Drawn, Preview, Reply, Step, Turn
from plugins.lab.parallel import ParallelPart, close_markdown, run_parallel
from plugins.shared.sampling import usual_min_p
from plugins.shared.upstreams import add_upstream_facts

TEMPERATURE = 0.7
MAX_TOKENS = 120
"""The text is short, because it is to be compared."""
INSTRUCTIONS = "Write two or three sentences about whatever the message names, or do what it asks for."
"""The task of the language model. Asked for “a red apple” and nothing else, it answers that it lacks the context."""
PICTURE_PIXELS = 384
"""Longer side of the pictures, in pixels."""
PREVIEWS = 5
KNOBS = ("steps", "guidance", "references")
"""Values that the diffusion model chooses, within the limits that moderators set for /imagine."""


class Family(ParallelPart):
    """One family of models at work.

    `steps` is the number of steps so far, `seconds` the time that the model server took, and `model` its model.
    """

    def __init__(self, ctx: Context, prompt: str, seed: int) -> None:
        super().__init__()
        self.ctx = ctx
        self.prompt = prompt
        self.seed = seed
        self.steps = 0
        self.seconds = 0.0
        self.model = ""
        self.files: tuple[Attachment, ...] = ()

    @property
    def name(self) -> str:
        """The name of the family in the language of the asker."""
        raise NotImplementedError

    @property
    def has_output(self) -> bool:
        return self.steps > 0

    @property
    def progress(self) -> str:
        """The number of steps so far, or “…” before the first."""
        return str(self.steps) if self.steps else "…"

    def describe(self) -> str:
        """Return a sentence about how it worked."""
        raise NotImplementedError


class Language(Family):
    """The language model writes."""

    text = ""
    is_cut = False
    answered: Answered | None = None

    @property
    def name(self) -> str:
        return self.ctx.translate("Language model")

    async def work(self) -> AsyncIterator[None]:
        settings = self.ctx.settings
        # As in a first question to /ask. No earlier turns: the other two families read none either.
        asked = [settings["ask.system_prompt"]] if settings.knows("ask.system_prompt") else []
        events = self.ctx.models.chat(
            [Turn("system", " ".join([*asked, INSTRUCTIONS])), Turn("user", self.prompt)],
            temperature=min(max(TEMPERATURE, settings["temperature.minimum"]), settings["temperature.maximum"]),
            min_p=usual_min_p(self.ctx),
            seed=self.seed,
            max_tokens=MAX_TOKENS,
            model=await settings.model("ask.model"),
            user=self.ctx.user.id,
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Delta):
                    self.text += event.text
                    self.steps += 1
                    yield
                elif isinstance(event, Answered):
                    self.steps, self.seconds, self.model = event.completion_tokens, event.seconds, event.model
                    self.is_cut = event.finish_reason == "length"
                    self.answered = event

    def describe(self) -> str:
        return self.ctx.translate(
            "The language model wrote one token: each step adds one, and reads all before it.",
            "The language model wrote {count} tokens one after the other: each step adds one, and reads all before it.",
            count=self.steps,
        )


class Diffusion(Family):
    """The diffusion model draws what the prompt says."""

    drawn: Drawn | None = None

    @property
    def name(self) -> str:
        return self.ctx.translate("Diffusion")

    async def work(self) -> AsyncIterator[None]:
        settings = self.ctx.settings
        least, most = (
            {knob: settings[name] for knob in KNOBS if settings.knows(name := f"imagine.{knob}.{end}")}
            for end in ("minimum", "maximum")
        )
        events = self.ctx.models.imagine(
            self.prompt,
            seed=self.seed,
            least=least,
            most=most,
            enlarge=PICTURE_PIXELS,
            previews=PREVIEWS,
            model=await settings.model("imagine.model"),
            user=self.ctx.user.id,
        )
        alt = self.ctx.translate("The diffusion model’s picture of “{prompt}”", prompt=self.prompt)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Step):
                    self.steps = event.step
                elif isinstance(event, Preview):
                    self.files = (Attachment("diffusion.png", event.png, "image/png", alt=alt),)
                elif isinstance(event, Drawn):
                    self.drawn = event
                    self.steps, self.seconds, self.model = event.steps, event.seconds, event.model
                    self.files = (Attachment("diffusion.png", event.files[0], event.media_type, alt=alt),)
                yield

    def describe(self) -> str:
        if not self.steps:
            return self.ctx.translate("The image model drew this from the words, and does not tell in how many steps.")
        text = self.ctx.translate(
            "The diffusion model began with noise and took all of it away in one step, everywhere at once.",
            "The diffusion model began with noise and took some of it away {count} times, everywhere at once.",
            count=self.steps,
        )
        if self.drawn is None or not self.drawn.enlarged_by:
            return text
        enlarged = self.ctx.translate("Another network, {network}, made it larger.", network=self.drawn.enlarged_by)
        return f"{text} {enlarged}"


class Gan(Family):
    """The GAN draws a face, whatever the prompt says."""

    @property
    def name(self) -> str:
        return self.ctx.translate("GAN")

    async def work(self) -> AsyncIterator[None]:
        drawn = await self.ctx.models.faces(seed=self.seed, face_size=PICTURE_PIXELS, user=self.ctx.user.id)
        alt = self.ctx.translate("The GAN’s face, which the prompt did not change")
        self.steps, self.seconds, self.model = 1, drawn.seconds, drawn.model
        self.files = (Attachment("gan.png", drawn.png[0], "image/png", alt=alt),)
        yield

    def describe(self) -> str:
        return self.ctx.translate(
            "The GAN drew its face in a single step. It cannot read: nothing of what you wrote reached it, only the "
            "seed {seed}.",
            seed=self.seed,
        )


async def compare_families(ctx: Context, prompt: str, seed: int) -> AsyncIterator[Reply]:
    """Yield the message that grows with the text. The status tells how far each family is; the end has a table."""
    language = Language(ctx, prompt, seed)
    diffusion = Diffusion(ctx, prompt, seed)
    families: tuple[Family, ...] = (language, diffusion, Gan(ctx, prompt, seed))
    yield Reply(status=ctx.translate("All three begin …"))
    async with aclosing(run_parallel(families)) as changes:
        async for _ in changes:
            status = " · ".join(f"{family.name}: {family.progress}" for family in families)
            yield Reply(text=language.text, status=status, attachments=_collect_files(families))
    succeeded = [family for family in families if family.error is None]
    failed = [
        f"- {family.name}: {family.error.sentence.in_language(ctx.user.locale)}"
        for family in families
        if family.error is not None
    ]
    sentences = [f"- {family.describe()}" for family in succeeded]
    parts = [
        close_markdown(language.text, is_cut=language.is_cut),
        _build_table(ctx, succeeded),
        "\n".join([*sentences, *failed]),
    ]
    yield Reply(
        text="\n\n".join(filter(None, parts)),
        attachments=_collect_files(families),
        card=add_upstream_facts(
            ctx,
            {"seed": str(seed), "models": ", ".join(family.model for family in succeeded)},
            *(made for made in (language.answered, diffusion.drawn) if made is not None),
        ),
        final=True,
    )


def _collect_files(families: Sequence[Family]) -> tuple[Attachment, ...]:
    return tuple(file for family in families for file in family.files)


def _build_table(ctx: Context, families: Sequence[Family]) -> str:
    """Return the steps and seconds as a code block with columns, because not every platform shows Markdown tables."""
    head = ("", ctx.translate("steps"), ctx.translate("seconds"), ctx.translate("ms a step"))
    rows = [
        (one.name, str(one.steps), f"{one.seconds:.2f}", f"{1000 * one.seconds / max(one.steps, 1):.0f}")
        for one in families
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in (head, *rows)
    ]
    return "\n".join(["```", *lines, "```"])

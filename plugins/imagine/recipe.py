"""Requests for pictures, and recipes: the facts from which a picture is drawn again, since none is stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from bot import Context, Drawn, UserError, new_seed
from plugins.imagine.denial import leave_out_denied
from plugins.imagine.sweep import INTEGER_KNOBS, Sweep
from plugins.imagine.translation import translate_prompt

MAX_SEED = 2147483647
"""The largest seed, also of the last of several pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """A drawing to ask the model server for. A value of None is left to the model.

    With `source` it is a variation of that picture, with `picture` of the one that came with the question in that row;
    `strength` in (0, 1] says how much of it is given up.
    Picture i of `count` has the seed `seed + i`. `enlarge` is the longer side of each picture in pixels; `previews` is
    the number of unfinished pictures to show on the way; `frames` are the steps that a strip shows, all if empty.
    `references`: how many drawings by people the model may look at for each thing.
    `fingerprint` names the weights that drew it before, "" for pictures of before these had names, None for new ones.
    """

    prompt: str
    seed: int
    model: str | None = None
    steps: int | None = None
    guidance: float | None = None
    references: int | None = None
    negative: str | None = None
    strength: float | None = None
    source: Recipe | None = None
    picture: int = 0
    count: int = 1
    sweep: Sweep | None = None
    layout: Literal["separate", "grid", "strip", "animation"] = "separate"
    enlarge: int | None = None
    previews: int = 0
    frames: tuple[int, ...] = ()
    fingerprint: str | None = None
    unknown_words: tuple[str, ...] = ()
    """The words that stayed as they were when the prompt was put into English."""
    is_translated: bool = False
    denied: tuple[str, ...] = ()
    """The things that the prompt denied, which were left out of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that is needed to draw one picture again. `source` is the picture of which it is a variation.

    `picture` is the row of the question that brought the picture it began with, 0 if none did. The buttons below old
    messages hold recipes as JSON, so the names of the fields never change. `fingerprint` names the model's weights.
    `references` is None for pictures of before models could look at drawings.
    """

    model: str
    prompt: str
    seed: int
    steps: int
    guidance: float
    negative: str | None = None
    strength: float | None = None
    source: Recipe | None = None
    picture: int = 0
    fingerprint: str = ""
    references: int | None = None

    @classmethod
    def from_drawn(cls, drawn: Drawn, request: ImageRequest) -> Recipe:
        """Return the recipe of the first picture that was drawn for `request`."""
        return cls(
            model=drawn.model,
            prompt=request.prompt,
            seed=drawn.seed,
            steps=drawn.steps,
            guidance=drawn.guidance,
            negative=request.negative,
            strength=drawn.strength,
            source=request.source,
            picture=request.picture,
            fingerprint=drawn.fingerprint,
            references=drawn.references,
        )

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what `to_json` wrote. Raises UserError for anything else."""
        try:
            return cls._from_mapping(json.loads(text))
        except (KeyError, RecursionError, TypeError, ValueError):
            raise UserError("This button has expired.") from None

    @classmethod
    def _from_mapping(cls, values: Mapping[str, Any]) -> Recipe:
        source = values["source"]
        return cls(**{**values, "source": None if source is None else cls._from_mapping(source)})

    def to_json(self) -> str:
        """Return the recipe as a button stores it."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @property
    def depth(self) -> int:
        """The number of other pictures that are drawn before this one, each as the source of the next."""
        return 0 if self.source is None else self.source.depth + 1

    def with_knob(self, knob: str, value: float) -> Recipe:
        """Return a copy with another value of `knob`, which is one of KNOBS."""
        changes: dict[str, Any] = {knob: int(value) if knob in INTEGER_KNOBS else value}
        return replace(self, **changes)

    def to_request(self) -> ImageRequest:
        """Return the request that draws this picture again."""
        return ImageRequest(**{one.name: getattr(self, one.name) for one in fields(self)})


async def build_request(
    ctx: Context,
    prompt: str,
    negative: str | None,
    seed: int | None,
    count: int = 1,
    *,
    locale: str = "en",
    **chosen: Any,
) -> ImageRequest:
    """Return the request with what was `chosen`, in English and with a random seed unless one is given.

    Words that several languages have are read in `locale`; what a button brings along is in English already. What the
    prompt denies is left out of it and avoided. Raises Unsafe if no picture may be drawn of the translated words, and
    UserError if the prompt only denies.
    """
    max_seed = MAX_SEED - count + 1
    if seed is not None and seed > max_seed:
        sentence = "Each picture has the next seed, so for {count} of them seed is {most} at most."
        raise UserError(sentence, count=count, most=max_seed)
    translation = await asyncio.to_thread(translate_prompt, prompt, locale)
    unwanted = await asyncio.to_thread(translate_prompt, negative, locale) if negative else None
    if translated := [one.text for one in (translation, unwanted) if one is not None]:
        await ctx.check_prompt(*translated, draws=True)
    kept, denied = leave_out_denied(translation.text if translation else prompt)
    if not kept:
        raise UserError(
            "A picture model draws what its words name, even after “no” or “without”. Say what the picture should "
            "show; what it should keep away from belongs into `negative`."
        )
    avoided = ((unwanted.text if unwanted else negative), *denied)
    return ImageRequest(
        prompt=kept,
        is_translated=translation is not None,
        denied=denied,
        unknown_words=tuple(word for word in translation.unknown if word in kept) if translation else (),
        seed=min(new_seed(), max_seed) if seed is None else seed,
        negative=", ".join(filter(None, avoided)) or None,
        count=count,
        **chosen,
    )

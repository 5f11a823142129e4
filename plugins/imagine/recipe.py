"""Requests for pictures, and recipes: the facts from which a picture is drawn again, since none is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from bot import Drawn, UserError
from plugins.imagine.sweep import INTEGER_KNOBS, Sweep


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
    negative_prompt: str | None = None
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
            negative=request.negative_prompt,
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
    def _from_mapping(cls, fields: Mapping[str, Any]) -> Recipe:
        source = fields["source"]
        return cls(**{**fields, "source": None if source is None else cls._from_mapping(source)})

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
        return ImageRequest(
            prompt=self.prompt,
            seed=self.seed,
            model=self.model,
            steps=self.steps,
            guidance=self.guidance,
            negative_prompt=self.negative,
            strength=self.strength,
            source=self.source,
            picture=self.picture,
            fingerprint=self.fingerprint,
            references=self.references,
        )

"""The wire, inwards, for pictures: one format for faces and for what a prompt describes, and one for variations."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from model_server.api.requests import ApiRequest, Count, new_seed, shown
from model_server.errors import ApiError
from model_server.jobs import Faces, Imagine, Layout, Sweep

SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
MOST_FRAMES = 151
LONGEST_PROMPT = 32_000
"""In characters, as OpenAI has it; what is read of it is much less."""
SEVERAL_STEPS = ("strip", "animation")
"""Layouts that show a picture at several of its steps."""

BOUNDS = ("least_steps", "most_steps", "least_guidance", "most_guidance")
"""Within which the model's own choice stays."""
NOT_FOR_FACES: dict[str, Any] = dict.fromkeys(
    ("steps", "guidance", *BOUNDS, "negative_prompt", "frames", "enlarge", "sweep")
)
NOT_FOR_FACES |= {"stream": False, "partial_images": 0}
"""Each with the value that changes nothing."""


class SweepRequest(BaseModel):
    """One knob and the values that it is turned to."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    guidance: Annotated[list[float], Field(min_length=2, max_length=8)] | None = None
    steps: Annotated[list[Count], Field(min_length=2, max_length=8)] | None = None

    @model_validator(mode="after")
    def _turns_one_knob(self) -> SweepRequest:
        if (self.guidance is None) == (self.steps is None):
            raise ValueError("`sweep` must have either `guidance` or `steps`, with a list of values.")
        return self

    def sweep(self) -> Sweep:
        """The same for the engine."""
        if self.guidance is not None:
            return Sweep("guidance", tuple(self.guidance))
        return Sweep("steps", tuple(self.steps or ()))


class _Drawing(ApiRequest):
    """What requests for pictures have in common. All but OpenAI's own fields are this server's."""

    neutral: ClassVar[dict[str, tuple[Any, ...]]] = {"background": ("auto", "opaque")}

    n: Annotated[int, Field(ge=1, le=16)] | None = None
    size: str | None = None
    response_format: str | None = None
    output_format: Literal["png", "gif"] | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=16)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    steps: Count | None = None
    guidance: Annotated[float, Field(ge=0)] | None = None
    least_steps: Count | None = None
    most_steps: Count | None = None
    least_guidance: Annotated[float, Field(ge=0)] | None = None
    most_guidance: Annotated[float, Field(ge=0)] | None = None
    negative_prompt: Annotated[str, StringConstraints(max_length=LONGEST_PROMPT)] | None = None
    layout: Layout | None = None
    frames: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=MOST_FRAMES)] | None = None
    enlarge: Count | None = None

    @field_validator("size")
    @classmethod
    def _has_two_sides(cls, size: str | None) -> str | None:
        if size not in {None, "auto"} and not SIZE.fullmatch(size or ""):
            raise ValueError(f"`size` must be auto or look like 256x256, but {shown(size)} was given.")
        return size

    @field_validator("response_format")
    @classmethod
    def _inline(cls, value: str | None) -> str | None:
        if value not in {None, "b64_json"}:
            raise ValueError("`response_format` must be b64_json; this server keeps no pictures that a URL could name.")
        return value

    @model_validator(mode="after")
    def _says_what_goes_together(self) -> _Drawing:
        moving = self.layout == "animation"
        if self.output_format is not None and moving != (self.output_format == "gif"):
            raise ValueError("`output_format` must be gif for the layout animation, and png for all others.")
        if self.partial_images and not self.stream:
            raise ValueError("`partial_images` only has a meaning with `stream`: true.")
        if self.frames and self.layout not in SEVERAL_STEPS:
            raise ValueError("`frames` only has a meaning with the layout strip or animation.")
        return self

    @property
    def sides(self) -> tuple[int, int] | None:
        """Width and height in pixels, where they are named."""
        match = SIZE.fullmatch(self.size or "")
        return (int(match[1]), int(match[2])) if match else None

    @property
    def chosen_seed(self) -> int:
        """The seed; one is drawn where none is named."""
        return new_seed() if self.seed is None else self.seed

    def imagining(self, prompt: str, **more: Any) -> Imagine:
        """The task of pictures of a prompt."""
        width, height = self.sides or (None, None)
        return Imagine(
            prompt=prompt,
            seed=self.chosen_seed,
            negative_prompt=self.negative_prompt or "",
            steps=self.steps,
            guidance=self.guidance,
            least_steps=self.least_steps,
            most_steps=self.most_steps,
            least_guidance=self.least_guidance,
            most_guidance=self.most_guidance,
            count=self.n or 1,
            width=width,
            height=height,
            edge=self.enlarge,
            layout=self.layout or "separate",
            frames=tuple(sorted(set(self.frames or ()))),
            previews=self.partial_images or 0,
            **more,
        )


class ImageRequest(_Drawing):
    """POST /v1/images/generations."""

    prompt: Annotated[str, StringConstraints(max_length=LONGEST_PROMPT)] | None = None
    truncation: Annotated[float, Field(gt=0, le=1)] | None = None
    sweep: SweepRequest | None = None

    @model_validator(mode="after")
    def _sweeps_one_picture(self) -> ImageRequest:
        if self.sweep and ((self.n or 1) > 1 or (self.layout or "separate") != "separate"):
            raise ValueError("`sweep` lays one picture out in a row of its own; please leave `n` and `layout` out.")
        return self

    def faces(self) -> Faces:
        """What a generator of faces is asked for. Raises ApiError for what it cannot be asked."""
        for name, harmless in NOT_FOR_FACES.items():
            if getattr(self, name) not in (None, harmless):
                raise _refusal(name, f"`{name}` has no meaning for faces; please leave it out.")
        if self.layout in SEVERAL_STEPS:
            raise _refusal(
                "layout", f"`layout` must be separate or grid for faces, but {shown(self.layout)} was given."
            )
        if self.sides and self.sides[0] != self.sides[1]:
            sentence = f"`size` must be a square such as 256x256 for faces, but {shown(self.size)} was given."
            raise _refusal("size", sentence)
        return Faces(
            seed=self.chosen_seed,
            count=self.n or 1,
            truncation=self.truncation or 1.0,
            layout="grid" if self.layout == "grid" else "separate",
            size=self.sides[0] if self.sides else None,
        )

    def imagine(self) -> Imagine:
        """What an engine that draws what a prompt says is asked for. Raises ApiError for what it cannot be asked."""
        if not (self.prompt or "").strip():
            raise _refusal("prompt", "`prompt` must not be empty; say what the picture shall show.")
        if self.truncation is not None:
            raise _refusal("truncation", "`truncation` only has a meaning for faces; please leave it out.")
        return self.imagining(self.prompt or "", sweep=self.sweep.sweep() if self.sweep else None)


class VariationRequest(_Drawing):
    """POST /v1/images/variations, all of it but the picture."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_PROMPT)]
    strength: Annotated[float, Field(gt=0, le=1)] | None = None

    def variation(self, initial: bytes) -> Imagine:
        """What an engine is asked for that starts from the encoded picture `initial`."""
        more = {} if self.strength is None else {"strength": self.strength}
        return self.imagining(self.prompt, initial=initial, **more)


def _refusal(param: str, sentence: str) -> ApiError:
    return ApiError(400, sentence, code="invalid_value", param=param)

"""Requests for images: one format for faces and for images of a prompt, and one for variations."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from http_server.wire import Layout, new_seed
from model_server.api.requests import ApiRequest, Count, quote_value
from model_server.errors import invalid_value
from model_server.jobs import FaceLayout, FaceRun, Faces, Imagine, Knob, Sweep

SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
References = Annotated[int, Field(ge=0, le=4)]
"""How many drawings the network may look at for each thing of the prompt."""
MAX_FRAMES = 151
MAX_PROMPT_CHARACTERS = 32_000
"""OpenAI's limit; text encoders read much less."""
MAX_BEST_OF = 64
"""Seeds that one request can have compared; each costs as much as drawing a face."""
MULTI_STEP_LAYOUTS = ("strip", "animation")
"""Layouts that show one image at several of its steps."""

KNOBS: tuple[Knob, ...] = ("steps", "guidance", "references")
CHOICES = (*KNOBS, *(f"{bound}_{knob}" for knob in KNOBS for bound in ("least", "most")))
"""Fields that are left to the model, or bound what it chooses."""
UNUSED_FOR_FACES: dict[str, Any] = dict.fromkeys((*CHOICES, "negative_prompt", "enlarge", "sweep"))
UNUSED_FOR_FACES |= {"stream": False, "partial_images": 0}
"""Fields that have no meaning for faces, each with the value that changes nothing."""
FACE_FIELDS: dict[str, Any] = dict.fromkeys(("truncation", "snapshot", "run", "blend", "best_of"))
FACE_FIELDS |= {"captions": False}
"""Fields that only have a meaning for faces, each with the value that changes nothing."""


class SweepRequest(BaseModel):
    """One parameter and the values that it takes in turn."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    guidance: Annotated[list[float], Field(min_length=2, max_length=8)] | None = None
    steps: Annotated[list[Count], Field(min_length=2, max_length=8)] | None = None
    references: Annotated[list[References], Field(min_length=2, max_length=5)] | None = None

    @model_validator(mode="after")
    def _check_one_knob(self) -> SweepRequest:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("`sweep` must have `guidance`, `steps` or `references`, with a list of values.")
        return self

    def to_sweep(self) -> Sweep:
        """Return the sweep as the engine takes it."""
        return next(Sweep(knob, tuple(values)) for knob in KNOBS if (values := getattr(self, knob)) is not None)


class _BaseImageRequest(ApiRequest):
    """The fields that requests for images share: OpenAI's and this server's own."""

    neutral_values: ClassVar[dict[str, tuple[Any, ...]]] = {"background": ("auto", "opaque")}

    n: Annotated[int, Field(ge=1, le=16)] | None = None
    size: Annotated[str, Field(json_schema_extra={"pattern": f"^(auto|{SIZE.pattern})$"})] | None = None
    response_format: Annotated[str, Field(json_schema_extra={"enum": ["b64_json"]})] | None = None
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
    references: References | None = None
    least_references: References | None = None
    most_references: References | None = None
    negative_prompt: Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARACTERS)] | None = None
    layout: Layout | None = None
    frames: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=MAX_FRAMES)] | None = None
    enlarge: Count | None = None

    @field_validator("size")
    @classmethod
    def _check_size(cls, size: str | None) -> str | None:
        if size not in {None, "auto"} and not SIZE.fullmatch(size or ""):
            raise ValueError(f"`size` must be auto or look like 256x256, but {quote_value(size)} was given.")
        return size

    @field_validator("response_format")
    @classmethod
    def _check_response_format(cls, value: str | None) -> str | None:
        if value not in {None, "b64_json"}:
            raise ValueError("`response_format` must be b64_json; this server keeps no pictures that a URL could name.")
        return value

    @model_validator(mode="after")
    def _check_combinations(self) -> _BaseImageRequest:
        moving = self.layout == "animation"
        if self.output_format is not None and moving != (self.output_format == "gif"):
            raise ValueError("`output_format` must be gif for the layout animation, and png for all others.")
        if self.partial_images and not self.stream:
            raise ValueError("`partial_images` only has a meaning with `stream`: true.")
        if self.frames and self.layout not in MULTI_STEP_LAYOUTS:
            raise ValueError("`frames` only has a meaning with the layout strip or animation.")
        return self

    @property
    def dimensions(self) -> tuple[int, int] | None:
        """Width and height in pixels, or None if the request leaves them open."""
        match = SIZE.fullmatch(self.size or "")
        return (int(match[1]), int(match[2])) if match else None

    @property
    def chosen_seed(self) -> int:
        """The seed of the request, or a new random one if it names none."""
        return new_seed() if self.seed is None else self.seed

    def _build_imagine(self, prompt: str, **more: Any) -> Imagine:
        """Return the task for images of a prompt."""
        width, height = self.dimensions or (None, None)
        return Imagine(
            prompt=prompt,
            seed=self.chosen_seed,
            negative_prompt=self.negative_prompt or "",
            count=self.n or 1,
            width=width,
            height=height,
            edge=self.enlarge,
            layout=self.layout or "separate",
            frames=tuple(sorted(set(self.frames or ()))),
            previews=self.partial_images or 0,
            **{name: getattr(self, name) for name in CHOICES},
            **more,
        )


class ImageRequest(_BaseImageRequest):
    """POST /v1/images/generations."""

    prompt: Annotated[str, StringConstraints(max_length=MAX_PROMPT_CHARACTERS)] | None = None
    truncation: Annotated[float, Field(gt=0, le=1)] | None = None
    sweep: SweepRequest | None = None
    # One layout more than pictures of a prompt have.
    layout: FaceLayout | None = None  # type: ignore[assignment]
    snapshot: Annotated[int, Field(ge=0, lt=MAX_FRAMES)] | None = None
    run: FaceRun | None = None
    blend: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    captions: bool | None = None
    best_of: Annotated[int, Field(ge=1, le=MAX_BEST_OF)] | None = None

    @model_validator(mode="after")
    def _check_sweep(self) -> ImageRequest:
        if self.sweep and ((self.n or 1) > 1 or (self.layout or "separate") != "separate"):
            raise ValueError("`sweep` lays one picture out in a row of its own; please leave `n` and `layout` out.")
        return self

    def to_faces(self) -> Faces:
        """Return the task for a face generator. Raises ApiError for fields that have no meaning for faces."""
        for name, neutral in UNUSED_FOR_FACES.items():
            if getattr(self, name) not in (None, neutral):
                raise invalid_value(f"`{name}` has no meaning for faces; please leave it out.", name)
        if self.dimensions and self.dimensions[0] != self.dimensions[1]:
            sentence = f"`size` must be a square such as 256x256 for faces, but {quote_value(self.size)} was given."
            raise invalid_value(sentence, "size")
        return Faces(
            seed=self.chosen_seed,
            count=self.n or 1,
            truncation=self.truncation or 1.0,
            layout=self.layout or "separate",
            size=self.dimensions[0] if self.dimensions else None,
            captions=bool(self.captions),
            best_of=self.best_of or 1,
            snapshot=self.snapshot,
            run=self.run or "good",
            blend=self.blend,
            frames=tuple(sorted(set(self.frames or ()))),
        )

    def to_imagine(self) -> Imagine:
        """Return the task for an engine that draws a prompt. Raises ApiError for fields that it cannot take."""
        if not (self.prompt or "").strip():
            raise invalid_value("`prompt` must not be empty; say what the picture shall show.", "prompt")
        for name, neutral in FACE_FIELDS.items():
            if getattr(self, name) not in (None, neutral):
                raise invalid_value(f"`{name}` only has a meaning for faces; please leave it out.", name)
        if self.layout == "duel":
            raise invalid_value("The layout duel only has a meaning for faces; please choose another one.", "layout")
        return self._build_imagine(self.prompt or "", sweep=self.sweep.to_sweep() if self.sweep else None)


class VariationRequest(_BaseImageRequest):
    """POST /v1/images/variations without the image itself."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS)]
    strength: Annotated[float, Field(gt=0, le=1)] | None = None

    def to_variation(self, initial: bytes) -> Imagine:
        """Return the task for an engine that starts from the encoded image `initial`."""
        more = {} if self.strength is None else {"strength": self.strength}
        return self._build_imagine(self.prompt, initial=initial, **more)

"""What a request for pictures becomes for one model: checked, and with every choice made that it left open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from PIL import Image, ImageOps

from model_server.engines.common.refusal import JobRefused, check_encodable
from model_server.engines.contract import Misconfigured
from model_server.images import decode
from model_server.jobs import EncodedPrompt, Imagine

if TYPE_CHECKING:
    from typing import Any

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Job

Number = TypeVar("Number", int, float)

MOST_PICTURES = 16
STEPS = (1, 150)
GUIDANCE = (0.0, 30.0)
GUIDANCE_RESCALE = (0.0, 1.0)
EDGES = (16, 1024)
"""Smallest and largest longer side, in pixels, that a picture is enlarged to."""
MOST_PIXELS = 1 << 22
"""In one file of several pictures or of enlarged ones; more would keep everybody waiting while it is encoded."""
MOST_KEPT = 4 * MOST_PIXELS
"""In all files of one request, whose frames are kept until the last is there."""
MOST_PREVIEWS = 16
STRIP_FRAMES, ANIMATION_FRAMES = 10, 40
"""In a strip and in an animation, where a request names none."""
NO_ROOM = JobRefused(
    "These pictures do not fit the memory; ask for fewer or for smaller ones.", code="out_of_memory", status=503
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model draws where a request leaves it open, and what else it can draw. Sizes are in pixels."""

    name: str
    sampler: str
    steps: int
    guidance: float
    width: int
    height: int
    multiple: int
    """What both sides are divisible by."""
    negative_prompts: bool = True
    starts: bool = True
    """Whether it can start from a picture."""
    shows: bool = True
    """Whether it can be looked at between its steps."""
    guidance_rescale: float = 0.0
    """How far guidance is kept from raising the contrast: 0 not at all, 1 wholly."""


def ability(
    spec: EngineSpec, *, sampler: str, steps: int, guidance: float, edge: int, multiple: int, **more: bool
) -> Capabilities:
    """What a model can, with the defaults that `spec.options` (steps, guidance, guidance_rescale, size) may change.

    Raises Misconfigured when one of these is out of bounds.
    """
    options = spec.options
    side = int(options.get("size", edge))
    made = Capabilities(
        name=spec.name,
        sampler=sampler,
        steps=int(options.get("steps", steps)),
        guidance=float(options.get("guidance", guidance)),
        guidance_rescale=float(options.get("guidance_rescale", 0.0)),
        width=side,
        height=side,
        multiple=multiple,
        **more,
    )
    try:
        _check_range("guidance_rescale", made.guidance_rescale, GUIDANCE_RESCALE, "guidance_rescale")
        complete(Imagine(prompt="", seed=0), made)
    except JobRefused as refused:
        raise Misconfigured(f"The options of {spec.name} are wrong: {refused.message}") from None
    return made


def imagined(job: Job, can: Capabilities) -> Imagine:
    """The job's task with all choices made. Raises Refused for what the model cannot do."""
    if not isinstance(job.task, Imagine):
        raise JobRefused(f"{can.name} only draws pictures; it cannot do this.", param="model")
    return complete(job.task, can)


def complete(task: Imagine, can: Capabilities) -> Imagine:
    """`task` with the model's own choices where it has none. Raises Refused for what the model cannot do."""
    width, height = task.width or can.width, task.height or can.height
    steps = _within(can.steps, task.least_steps, task.most_steps)
    guidance = _within(can.guidance, task.least_guidance, task.most_guidance)
    whole = replace(
        task,
        steps=steps if task.steps is None else task.steps,
        guidance=guidance if task.guidance is None else task.guidance,
        width=width,
        height=height,
    )
    check_encodable(task.prompt, "prompt")
    check_encodable(task.negative_prompt, "negative_prompt")
    _check_range("number of pictures", whole.count, (1, MOST_PICTURES), "n")
    for one in singles(whole):
        _check_range("number of steps", one.steps, STEPS, "steps")
        _check_range("guidance", one.guidance, GUIDANCE, "guidance")
    _check_range("number of previews", whole.previews, (0, MOST_PREVIEWS), "partial_images")
    _check_side("width", width, can.width, can.multiple)
    _check_side("height", height, can.height, can.multiple)
    if whole.edge is not None:
        _check_enlarged(whole, whole.edge)
    if not can.shows and task.layout in {"strip", "animation"}:
        raise JobRefused(f"The steps of {can.name} cannot be shown; ask for the picture alone.", param="layout")
    if task.negative_prompt and not can.negative_prompts:
        raise JobRefused(f"{can.name} takes no negative prompt; please leave it out.", param="negative_prompt")
    if task.initial is not None:
        if not can.starts:
            raise JobRefused(f"{can.name} cannot start from a picture.", param="image")
        if not 0 < task.strength <= 1:
            sentence = f"The strength is {task.strength:g}; it must be over 0 and at most 1."
            raise JobRefused(sentence, param="strength")
    return whole


def singles(task: Imagine) -> list[Imagine]:
    """One task for each picture of `task`, with its own seed or, in a sweep, its own value."""
    if task.sweep is None:
        return [replace(task, count=1, seed=task.seed + index) for index in range(task.count)]
    if task.sweep.knob == "steps":
        return [replace(task, steps=int(value), sweep=None) for value in task.sweep.values]
    return [replace(task, guidance=float(value), sweep=None) for value in task.sweep.values]


def last_step(task: Imagine, steps: int) -> int:
    """How many of its `steps` a picture has to take, which are fewer when only frames before its end are asked for.

    Raises Refused for frames that it does not have.
    """
    last = max(task.frames, default=steps)
    if last > steps:
        sentence = f"A frame after {last} steps was asked for, but the picture takes {steps}; 0 is the noise."
        raise JobRefused(sentence, param="frames")
    return last


def start_of(task: Imagine) -> Image.Image | None:
    """The picture that a task starts from, cut to its shape and brought to its size.

    Raises Refused where that is no picture, or may not be one.
    """
    if task.initial is None:
        return None
    try:
        picture = decode(task.initial)
    except ValueError as error:
        raise JobRefused(str(error), param="image") from None
    return ImageOps.fit(picture, (task.width or 0, task.height or 0), Image.Resampling.LANCZOS)


def frames_in(task: Imagine) -> int:
    """How many pictures lie in one file of the layout."""
    if task.sweep is not None:
        return len(task.sweep.values)
    if task.frames:
        return len(task.frames)
    match task.layout:
        case "grid":
            return task.count
        case "strip":
            return STRIP_FRAMES
        case "animation":
            return ANIMATION_FRAMES
        case _:
            return 1


def files_in(task: Imagine) -> int:
    """In how many files the pictures of the layout lie."""
    return 1 if task.layout == "grid" or task.sweep is not None else task.count


def read(tokenizer: Any, text: str, limit: int) -> EncodedPrompt:
    """What of `text` fits into `limit` tokens of a tokenizer of transformers."""
    encoded = tokenizer(text)
    whole = tokenizer.convert_ids_to_tokens(encoded.input_ids)
    if len(whole) <= limit:
        return EncodedPrompt(tuple(whole), (), limit, _unknown(tokenizer, encoded, text, len(whole)))
    # What marks the end keeps its place there, so that a word more goes for it.
    ends = 1 if whole[-1] in tokenizer.all_special_tokens else 0
    kept = limit - ends
    tokens, dropped = (*whole[:kept], *whole[len(whole) - ends :]), tuple(whole[kept : len(whole) - ends])
    return EncodedPrompt(tokens, dropped, limit, _unknown(tokenizer, encoded, text, kept))


def _unknown(tokenizer: Any, encoded: Any, text: str, count: int) -> tuple[str, ...]:
    """The words of `text` among its first `count` tokens that are all the same token, that of unknown words."""
    stand_in = tokenizer.unk_token_id
    if stand_in is None or not encoded.is_fast:
        return ()
    places = (place for place, token in enumerate(encoded.input_ids[:count]) if token == stand_in)
    # Marks stand for no characters; CLIP's for the end is the same token.
    spans = filter(None, map(encoded.token_to_chars, places))
    return tuple(dict.fromkeys(text[span.start : span.end].strip() for span in spans))


def _within(value: Number, least: Number | None, most: Number | None) -> Number:
    value = value if least is None else max(value, least)
    return value if most is None else min(value, most)


def _check_range(what: str, value: float | None, bounds: tuple[float, float], param: str) -> None:
    low, high = bounds
    if value is None or not low <= value <= high:
        raise JobRefused(f"The {what} is {value:g}; it must be from {low:g} to {high:g}.", param=param)


def _check_side(what: str, side: int, usual: int, multiple: int) -> None:
    smallest, largest = -(-usual // 2 // multiple) * multiple, 2 * usual
    if side % multiple or not smallest <= side <= largest:
        raise JobRefused(
            f"The {what} is {side} pixels; it must be a multiple of {multiple} from {smallest} to {largest}.",
            param="size",
        )


def _check_enlarged(task: Imagine, edge: int) -> None:
    smallest, largest = EDGES
    frames, files = frames_in(task), files_in(task)
    largest = min(largest, int((MOST_PIXELS / frames) ** 0.5), int((MOST_KEPT / (frames * files)) ** 0.5))
    if not smallest <= edge <= largest:
        kind = "" if frames == 1 else f" in this layout, which has {frames * files} of them"
        sentence = f"Pictures may be enlarged to {smallest} to {largest} pixels{kind}, but {edge} were asked for."
        raise JobRefused(sentence, param="enlarge")

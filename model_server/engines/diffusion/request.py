"""Checks a request for pictures against what a model can do, and completes what the request left open."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from PIL import Image, ImageOps

from model_server.engines.common.fingerprint import compute_fingerprint
from model_server.engines.common.refusal import JobRefused, check_encodable
from model_server.engines.contract import Misconfigured
from model_server.images import decode
from model_server.jobs import EncodedPrompt, Imagine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Job

Number = TypeVar("Number", int, float)

MAX_PICTURES = 16
WORDS = re.compile(r"\w+")
STEP_RANGE = (1, 150)
GUIDANCE_RANGE = (0.0, 30.0)
REFERENCES_RANGE = (0, 4)
GUIDANCE_RESCALE_RANGE = GUIDANCE_INTERVAL_RANGE = (0.0, 1.0)
EDGE_RANGE_PIXELS = (16, 1024)
"""The smallest and the largest longer side to which a request can enlarge a picture."""
MAX_FILE_PIXELS = 1 << 22
"""The most pixels in one file of several or enlarged pictures; encoding more would delay every other job."""
MAX_REQUEST_PIXELS = 4 * MAX_FILE_PIXELS
"""The most pixels in all files of one request, whose frames are kept in memory until the last one is drawn."""
MAX_PREVIEWS = 16
STRIP_FRAMES, ANIMATION_FRAMES = 10, 40
"""Number of frames in a strip and in an animation for requests that name none."""
OUT_OF_MEMORY = JobRefused(
    "These pictures do not fit the memory; ask for fewer or for smaller ones.", code="out_of_memory", status=503
)

TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")
"""The attributes in which pipelines of diffusers have tokenizers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model can draw, and its defaults for what a request leaves open. Sizes are in pixels."""

    name: str
    sampler: str
    steps: int
    guidance: float
    width: int
    height: int
    multiple: int
    """Both sides of a picture must be multiples of this."""
    negative_prompts: bool = True
    can_start_from_picture: bool = True
    can_show_steps: bool = True
    """If False, a picture can be seen only after its last step."""
    guidance_rescale: float = 0.0
    """How much of the contrast that guidance adds is undone, from 0 to 1."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """The part of the steps that is guided; the others follow the prompt alone."""
    styles: tuple[str, ...] = ()
    """Words for the styles that the model was trained to tell apart."""
    draws_parts: bool = False
    """If True, the things of a prompt are drawn one by one and then put together."""
    references: int = 0
    """How many drawings the network looks at for each thing of a prompt; 0 for a model that cannot look at any."""
    fingerprint: str = ""
    """Names the model's weights."""

    @property
    def defaults(self) -> dict[str, float]:
        """What a request that leaves these fields open gets."""
        looking = {"references": self.references} if self.references else {}
        return {"steps": self.steps, "guidance": self.guidance, **looking}


def make_capabilities(
    spec: EngineSpec, *, sampler: str, steps: int, guidance: float, edge: int, multiple: int, **more: bool
) -> Capabilities:
    """Return a model's capabilities, with the defaults that `spec.options` may change.

    These options are steps, guidance, guidance_rescale, guidance_start, guidance_stop, size, styles and parts. Raises
    Misconfigured when one of them is out of range.
    """
    options = spec.options
    side = int(options.get("size", edge))
    capabilities = Capabilities(
        name=spec.name,
        sampler=sampler,
        steps=int(options.get("steps", steps)),
        guidance=float(options.get("guidance", guidance)),
        guidance_rescale=float(options.get("guidance_rescale", 0.0)),
        guidance_interval=(float(options.get("guidance_start", 0.0)), float(options.get("guidance_stop", 1.0))),
        styles=tuple(WORDS.findall(str(options.get("styles", "")))),
        draws_parts=bool(options.get("parts", False)),
        width=side,
        height=side,
        multiple=multiple,
        fingerprint=compute_fingerprint(spec.folder),
        **more,
    )
    try:
        _check_range("guidance_rescale", capabilities.guidance_rescale, GUIDANCE_RESCALE_RANGE, "guidance_rescale")
        for name, place in zip(("guidance_start", "guidance_stop"), capabilities.guidance_interval, strict=True):
            _check_range(name, place, GUIDANCE_INTERVAL_RANGE, name)
        complete_task(Imagine(prompt="", seed=0), capabilities)
    except JobRefused as refused:
        raise Misconfigured(f"The options of {spec.name} are wrong: {refused.message}") from None
    return capabilities


def complete_job(job: Job, capabilities: Capabilities) -> Imagine:
    """Return the job's task, completed. Raises JobRefused for what the model cannot do."""
    if not isinstance(job.task, Imagine):
        raise JobRefused(f"{capabilities.name} only draws pictures; it cannot do this.", param="model")
    return complete_task(job.task, capabilities)


def complete_task(task: Imagine, capabilities: Capabilities) -> Imagine:
    """Return `task` with the model's defaults where it leaves a choice. Raises JobRefused if the model cannot do it."""
    width, height = task.width or capabilities.width, task.height or capabilities.height
    steps = _clamp(capabilities.steps, task.least_steps, task.most_steps)
    guidance = _clamp(capabilities.guidance, task.least_guidance, task.most_guidance)
    # A model that cannot look at drawings has no choice, whatever the bounds are.
    references = capabilities.references
    if references:
        references = _clamp(references, task.least_references, task.most_references)
    completed = replace(
        task,
        steps=steps if task.steps is None else task.steps,
        guidance=guidance if task.guidance is None else task.guidance,
        references=references if task.references is None else task.references,
        width=width,
        height=height,
    )
    check_encodable(task.prompt, "prompt")
    check_encodable(task.negative_prompt, "negative_prompt")
    _check_range("number of pictures", completed.count, (1, MAX_PICTURES), "n")
    for one in split_task(completed):
        _check_range("number of steps", one.steps, STEP_RANGE, "steps")
        _check_range("guidance", one.guidance, GUIDANCE_RANGE, "guidance")
        _check_range("number of drawings to look at", one.references, REFERENCES_RANGE, "references")
        if one.references and not capabilities.references:
            sentence = f"{capabilities.name} draws from memory alone; please leave out the drawings to look at."
            raise JobRefused(sentence, param="references")
    _check_range("number of previews", completed.previews, (0, MAX_PREVIEWS), "partial_images")
    _check_side("width", width, capabilities.width, capabilities.multiple)
    _check_side("height", height, capabilities.height, capabilities.multiple)
    if completed.edge is not None:
        _check_edge(completed, completed.edge)
    if not capabilities.can_show_steps and task.layout in {"strip", "animation"}:
        raise JobRefused(
            f"The steps of {capabilities.name} cannot be shown; ask for the picture alone.", param="layout"
        )
    if task.negative_prompt and not capabilities.negative_prompts:
        raise JobRefused(f"{capabilities.name} takes no negative prompt; please leave it out.", param="negative_prompt")
    if task.initial is not None:
        if not capabilities.can_start_from_picture:
            raise JobRefused(f"{capabilities.name} cannot start from a picture.", param="image")
        if not 0 < task.strength <= 1:
            sentence = f"The strength is {task.strength:g}; it must be over 0 and at most 1."
            raise JobRefused(sentence, param="strength")
    return completed


def split_task(task: Imagine) -> list[Imagine]:
    """Return one task for each picture of `task`, with the seed of that picture or, in a sweep, its value."""
    if task.sweep is None:
        return [replace(task, count=1, seed=task.seed + index) for index in range(task.count)]
    match task.sweep.knob:
        case "steps":
            return [replace(task, steps=int(value), sweep=None) for value in task.sweep.values]
        case "references":
            return [replace(task, references=int(value), sweep=None) for value in task.sweep.values]
    return [replace(task, guidance=float(value), sweep=None) for value in task.sweep.values]


def choose_style(task: Imagine, styles: Sequence[str]) -> str:
    """Return the word for the style of a picture; "" if there are none, or if its prompt names one or is empty.

    The seed decides, so that pictures with consecutive seeds, as in a grid, have different styles.
    """
    words = WORDS.findall(task.prompt.lower())
    if not styles or not words or not set(styles).isdisjoint(words):
        return ""
    return styles[task.seed % len(styles)]


def add_style(task: Imagine, styles: Sequence[str]) -> str:
    """Return the prompt of a picture as the model reads it, with the word for its style."""
    return append_style(task.prompt, choose_style(task, styles))


def append_style(text: str, style: str) -> str:
    """Return a text with the word for a style at its end, as the model was trained to read it; "" is no style."""
    return f"{text}, {style}" if style else text


def count_needed_steps(task: Imagine, steps: int) -> int:
    """Return how many of its `steps` a picture must take: fewer than all if only earlier frames are asked for.

    Raises JobRefused for a frame after the last step.
    """
    last = max(task.frames, default=steps)
    if last > steps:
        sentence = f"A frame after {last} steps was asked for, but the picture takes {steps}; 0 is the noise."
        raise JobRefused(sentence, param="frames")
    return last


def open_initial_picture(task: Imagine) -> Image.Image | None:
    """Return the picture that a task starts from, cropped and resized to the task's size, or None.

    Raises JobRefused if the data are not a picture, or one that is too large.
    """
    if task.initial is None:
        return None
    try:
        picture = decode(task.initial)
    except ValueError as error:
        raise JobRefused(str(error), param="image") from None
    return ImageOps.fit(picture, (task.width or 0, task.height or 0), Image.Resampling.LANCZOS)


def count_pictures_per_file(task: Imagine) -> int:
    """Return the number of pictures in each file of the task's layout."""
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


def count_files(task: Imagine) -> int:
    """Return the number of files of the task's layout."""
    return 1 if task.layout == "grid" or task.sweep is not None else task.count


def read_special_names_as_text(pipeline: Any) -> None:
    """Let the tokenizers of a pipeline of diffusers read the name of a special token in a prompt as text."""
    for name in TOKENIZERS:
        if (tokenizer := getattr(pipeline, name, None)) is not None:
            tokenizer.split_special_tokens = True


def encode_prompt(tokenizer: Any, text: str, limit: int) -> EncodedPrompt:
    """Return how a tokenizer of transformers splits `text`, of which the encoder reads `limit` tokens."""
    encoded = tokenizer(text)
    pieces = tokenizer.convert_ids_to_tokens(encoded.input_ids)
    if len(pieces) <= limit:
        return EncodedPrompt(tuple(pieces), (), limit, _find_unknown_words(tokenizer, encoded, text, len(pieces)))
    # The mark at the end is kept, so that one more token of the text is dropped.
    end_marks = 1 if pieces[-1] in tokenizer.all_special_tokens else 0
    kept, end = limit - end_marks, len(pieces) - end_marks
    tokens, dropped = (*pieces[:kept], *pieces[end:]), tuple(pieces[kept:end])
    return EncodedPrompt(tokens, dropped, limit, _find_unknown_words(tokenizer, encoded, text, kept))


def _find_unknown_words(tokenizer: Any, encoded: Any, text: str, count: int) -> tuple[str, ...]:
    """Return the words among the first `count` tokens of `text` that became the token of unknown words."""
    unknown = tokenizer.unk_token_id
    if unknown is None or not encoded.is_fast:
        return ()
    places = (place for place, token in enumerate(encoded.input_ids[:count]) if token == unknown)
    # Marks belong to no characters: in CLIP the mark at the end is the token of unknown words.
    spans = filter(None, map(encoded.token_to_chars, places))
    return tuple(dict.fromkeys(text[span.start : span.end].strip() for span in spans))


def _clamp(value: Number, lower: Number | None, upper: Number | None) -> Number:
    value = value if lower is None else max(value, lower)
    return value if upper is None else min(value, upper)


def _check_range(quantity: str, value: float | None, bounds: tuple[float, float], param: str) -> None:
    low, high = bounds
    if value is None or not low <= value <= high:
        raise JobRefused(f"The {quantity} is {value:g}; it must be from {low:g} to {high:g}.", param=param)


def _check_side(quantity: str, side: int, default: int, multiple: int) -> None:
    smallest, largest = -(-default // 2 // multiple) * multiple, 2 * default
    if side % multiple or not smallest <= side <= largest:
        raise JobRefused(
            f"The {quantity} is {side} pixels; it must be a multiple of {multiple} from {smallest} to {largest}.",
            param="size",
        )


def _check_edge(task: Imagine, edge: int) -> None:
    smallest, largest = EDGE_RANGE_PIXELS
    frames, files = count_pictures_per_file(task), count_files(task)
    largest = min(largest, int((MAX_FILE_PIXELS / frames) ** 0.5), int((MAX_REQUEST_PIXELS / (frames * files)) ** 0.5))
    if not smallest <= edge <= largest:
        kind = "" if frames == 1 else f" in this layout, which has {frames * files} of them"
        sentence = f"Pictures may be enlarged to {smallest} to {largest} pixels{kind}, but {edge} were asked for."
        raise JobRefused(sentence, param="enlarge")

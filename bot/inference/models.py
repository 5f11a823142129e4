"""Reads what servers say of their models, guesses what they do not say, and chooses one of the models."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from bot.core.model_events import Alternative, ModelChoice, Readiness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


ListedModel = tuple[str, dict[str, Any]]
"""The name of a model, and what is said about it."""
AT = "@"
"""Between the name of a model and that of its upstream, where that is not the model server."""
OURS = "ours"
"""The key for whether a server of Tempera told about a model: it understands every field that we send."""
TASK_BY_NAME = (
    ("", re.compile(r"rerank|whisper|\btts\b|-tts|transcri|realtime|speech|audio", re.IGNORECASE)),
    ("embeddings", re.compile(r"embed|\bbge\b|\bgte\b|\be5\b|minilm", re.IGNORECASE)),
    ("moderations", re.compile(r"moderation", re.IGNORECASE)),
    ("images", re.compile(r"dall-?e|gpt-image|stable-?diffusion|\bsdxl?\b|\bflux\b|imagen", re.IGNORECASE)),
)
"""What the names of models tell of their tasks; "" is one that the bot has no use for. All others can chat."""
READS_IMAGES = re.compile(
    r"llava|vision|pixtral|moondream|minicpm-v|\bvl\b|\d-?vl\b|gpt-4o|gpt-5|gemma-?3", re.IGNORECASE
)
"""Names of models that read pictures."""
CONTEXT_KEYS = ("max_model_len", "loaded_context_length", "context_length")
"""Under which keys vLLM, LM Studio and hosted APIs tell how many tokens a model reads; llama.cpp has it in `meta`."""


def read_list(listed: Mapping[str, Any]) -> list[ListedModel]:
    """Return the names in a list of models, and what it says about each, with its “task”.

    A model that has two tasks may stand in it twice. Where the server is not ours, the task is guessed. A list in an
    unknown format raises AttributeError, KeyError, TypeError or ValueError.
    """
    models = [(str(model["id"]), model) for model in listed["data"]]
    if any(model.get("tempera") for _, model in models):
        return [(name, {**(model.get("tempera") or {}), OURS: True}) for name, model in models]
    return [(name, _guess(name, model)) for name, model in models]


def _guess(name: str, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a server by others says about one of its models, and what the model's name tells."""
    architecture = model.get("architecture") or {}
    taken, given = (tuple(map(str, architecture.get(f"{way}_modalities") or ())) for way in ("input", "output"))
    kind = str(model.get("type") or "")
    task = next((task for task, pattern in TASK_BY_NAME if pattern.search(name)), "chat")
    if kind.startswith("embedding"):
        task = "embeddings"
    elif given == ("image",):
        task = "images"
    capabilities = model.get("capabilities")
    says_vision = isinstance(capabilities, dict) and bool(capabilities.get("vision"))
    reads_images = kind == "vlm" or "image" in taken or says_vision
    described = model.get("meta")
    meta = described if isinstance(described, dict) else {}
    context = next(filter(None, (model.get(key) for key in CONTEXT_KEYS)), meta.get("n_ctx"))
    told = {"task": task, "reads_images": reads_images or (not taken and bool(READS_IMAGES.search(name)))}
    return told | ({"context": context} if isinstance(context, int) else {})


def short_name(name: str) -> str:
    """Return how a model is called for people: some servers call it by the path of its file."""
    is_path = name.startswith(("/", "~", "./")) or re.match(r"[A-Za-z]:[\\/]", name)
    return re.split(r"[\\/]", name.rstrip("\\/"))[-1] if is_path else name


def read_defaults(model: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that a model takes for what a request leaves open, by field; {} if it does not tell."""
    told = model.get("defaults")
    if not isinstance(told, dict):
        return {}
    return {
        name: float(value) for name, value in told.items() if isinstance(value, int | float) and math.isfinite(value)
    }


def read_languages(model: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the codes of the languages that a model knows; None if it does not tell, as one that knows many."""
    told = model.get("languages")
    return frozenset(map(str, told)) if told and isinstance(told, list) else None


def find_name(listed: Iterable[str], name: str) -> str:
    """Return the listed name that is meant by a name, which may lack its upstream; "" if there is none."""
    names = tuple(listed)
    return name if name in names else next((one for one in names if one.rpartition(AT)[0] == name), "")


def choose_model(listed: Mapping[str, Mapping[str, Any]], wanted: Sequence[str]) -> ModelChoice:
    """Return the first of the `wanted` names that is listed, "" passed over, or else the first one of the list."""
    named = [name for name in wanted if name]
    found = [find_name(listed, name) for name in named]
    chosen = next(filter(None, found), next(iter(listed)))
    gone = named[0] if named and found[0] != chosen else ""
    stand_in, state = (str(listed[chosen].get(key) or "") for key in ("stand_in", "state"))
    readers = tuple(name for name, about in listed.items() if about.get("reads_images") is True)
    context = listed[chosen].get("context")
    return ModelChoice(
        *(chosen, tuple(listed), gone, stand_in, state),
        picture_readers=readers,
        context=context if isinstance(context, int) else 0,
        languages=read_languages(listed[chosen]),
    )


def read_scores(answer: Mapping[str, Any], count: int) -> list[dict[str, float]]:
    """Return the scores of `count` texts by category. Raises as `read_models` does."""
    scores = [{name: float(value) for name, value in one["category_scores"].items()} for one in answer["results"]]
    if len(scores) != count or not all(math.isfinite(value) for one in scores for value in one.values()):
        # A text without scores would count as harmless.
        raise ValueError("there is not one result for each text")
    return scores


def read_readiness(body: Mapping[str, Any], *, is_ready: bool) -> Readiness:
    """Return which models are ready, and the states of others. Raises as `read_models` does."""
    missing, coming = (
        {str(name): str(state) for name, state in (body.get(key) or {}).items()} for key in ("missing", "coming")
    )
    notes = tuple(map(str, body.get("notes") or ()))
    alternatives = tuple(map(_read_alternative, body.get("alternatives") or ()))
    return Readiness(is_ready, tuple(map(str, body["models"])), missing, coming, notes, alternatives)


def _read_alternative(told: Mapping[str, Any]) -> Alternative:
    name, chosen = str(told["model"]), bool(told["chosen"])
    if not (lacks := told.get("lacks")):
        return Alternative(name, chosen)
    return Alternative(name, chosen, str(lacks["part"]), int(lacks["needed_gb"]), int(lacks["present_gb"]))

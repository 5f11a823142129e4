"""Reads what the model server says of its models, and chooses one of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bot.core.model_events import ModelChoice, Readiness

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def read_models(listed: Mapping[str, Any], task: str) -> dict[str, Mapping[str, Any]]:
    """Return what a list says about each of its models for `task`, keyed by name.

    A list in an unknown format raises AttributeError, KeyError, TypeError or ValueError.
    """
    described = [(str(model["id"]), model.get("tempera") or {}) for model in listed["data"]]
    return {name: about for name, about in described if about.get("task") == task}


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


def choose_model(listed: Mapping[str, Mapping[str, Any]], wanted: Sequence[str]) -> ModelChoice:
    """Return the first of the `wanted` names that is listed, "" passed over, or else the first one of the list."""
    named = [name for name in wanted if name]
    chosen = next((name for name in named if name in listed), next(iter(listed)))
    gone = named[0] if named and named[0] != chosen else ""
    stand_in, state = (str(listed[chosen].get(key) or "") for key in ("stand_in", "state"))
    return ModelChoice(chosen, tuple(listed), gone, stand_in, state)


def read_readiness(body: Mapping[str, Any], *, is_ready: bool) -> Readiness:
    """Return which models are ready, and the states of others. Raises as `read_models` does."""
    missing, coming = (
        {str(name): str(state) for name, state in (body.get(key) or {}).items()} for key in ("missing", "coming")
    )
    return Readiness(
        is_ready, tuple(map(str, body["models"])), missing, coming, tuple(map(str, body.get("notes") or ()))
    )

"""Buttons below a finished picture: draw it alone, vary it, see how it was made, and get it as it was drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot import Button, Context, Drawn
from plugins.imagine.recipe import Recipe

DEFAULT_STRENGTH = 0.6
"""The share of a picture that its variations give up, unless somebody names another one."""
STEPS_PER_JUMP = 5
"""The number of steps by which ◀◀ and ▶▶ turn."""


def build_picture_buttons(ctx: Context, drawn: Drawn, first: Recipe, count: int) -> tuple[Button, ...]:
    """Return the buttons below `count` pictures, as far as their model can do it. `first` is the first one's recipe."""
    label = ctx.translate("How it was made" if count == 1 else "How 1 was made")
    how = [Button(label, "imagine-how", _build_recipe_options(first))] if drawn.shows else []
    original = [_build_original_button(ctx.translate("Original size"), first, count)] if drawn.enlarged_by else []
    if count == 1:
        vary_one = [_build_variations_button(ctx.translate("Variations"), first)] if drawn.starts else []
        return (*how, *vary_one, *original)
    numbered = list(enumerate((replace(first, seed=first.seed + number) for number in range(count)), 1))
    alone, vary = ctx.translate("Draw it alone"), ctx.translate("Variations")
    numbers = [
        replace(build_single_button(str(number), recipe), title=alone, picture=number) for number, recipe in numbered
    ]
    variations = [
        replace(_build_variations_button(f"V{number}", recipe), title=vary, picture=number)
        for number, recipe in numbered
    ]
    # In this order, the buttons of four pictures fill Discord's rows of five.
    return (*numbers, *how, *(variations if drawn.starts else []), *original)


def build_single_button(label: str, recipe: Recipe) -> Button:
    """Return the button that draws this picture alone."""
    options: dict[str, Any] = {
        "prompt": recipe.prompt,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "negative": recipe.negative,
        "references": recipe.references,
        "fingerprint": recipe.fingerprint,
    }
    if recipe.source is None:
        begun = {"picture": recipe.picture, "strength": recipe.strength} if recipe.picture else {}
        return Button(label, "imagine-one", options | {"model": recipe.model} | begun)
    start = {"strength": recipe.strength, "source": recipe.source.to_json()}
    return Button(label, "imagine-vary-one", options | start)


def build_step_buttons(recipe: Recipe, step: int, last: int) -> tuple[Button, ...]:
    """Return the buttons that turn the pages: from the picture after `step` to those of other steps."""
    back = [("◀◀", step - STEPS_PER_JUMP), ("◀", step - 1)] if step > 0 else []
    forward = [("▶", step + 1), ("▶▶", step + STEPS_PER_JUMP)] if step < last else []
    targets = (build_step_button(label, recipe, min(max(to, 0), last), last) for label, to in (*back, *forward))
    return tuple(replace(button, turns=True) for button in targets)


def build_step_button(label: str, recipe: Recipe, step: int, last: int) -> Button:
    """Return the button that shows the picture after `step` of its `last` steps."""
    return Button(label, "imagine-step", _build_recipe_options(recipe) | {"step": step, "last": last})


def _build_variations_button(label: str, recipe: Recipe) -> Button:
    options = {
        "prompt": recipe.prompt,
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "negative": recipe.negative,
        "references": recipe.references,
        "strength": DEFAULT_STRENGTH,
        "source": recipe.to_json(),
    }
    return Button(label, "imagine-vary", options)


def _build_original_button(label: str, first: Recipe, count: int) -> Button:
    return Button(label, "imagine-original", _build_recipe_options(first) | {"count": count})


def _build_recipe_options(recipe: Recipe) -> dict[str, Any]:
    # The prompt stands there by itself as well, because the answer quotes it.
    return {"prompt": recipe.prompt, "recipe": recipe.to_json()}

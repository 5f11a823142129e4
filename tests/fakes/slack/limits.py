"""The limits of Block Kit, views and text, as Slack enforces them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100
POST_TEXT, UPDATE_TEXT, MARKDOWN_TEXT = 40_000, 4_000, 12_000
ALT_TEXT, FILE_ALT_TEXT = 2_000, 1_000
PRIVATE_METADATA = 3_000
VIEW_TITLE = 24
BLOCKS_TOGETHER = 13_200
"""Characters of all blocks of a message together, as JSON; a measured value that Slack does not document."""
VIEW_BYTES = 250_000

Json = dict[str, Any]

TEXTS = {
    "section": {"text": 3_000},
    "header": {"text": 150},
    "image": {"title": 2_000, "alt_text": ALT_TEXT, "image_url": 3_000},
    "input": {"label": 2_000, "hint": 2_000},
    "button": {"text": 75, "value": 2_000, "url": 3_000, "accessibility_label": 75},
    "plain_text_input": {"placeholder": 150, "initial_value": 3_000},
    "number_input": {"placeholder": 150},
    "static_select": {"placeholder": 150},
    "option": {"text": 75, "value": 150, "description": 75},
    "confirm": {"title": 100, "text": 300, "confirm": 30, "deny": 30},
}
"""Most characters, by kind of block or element, and key."""
COUNTS = {"actions": ("elements", 25), "context": ("elements", 10), "section": ("fields", 10)}
IDS = {"block_id": 255, "action_id": 255}


def block_errors(blocks: Any, maximum: int = MESSAGE_BLOCKS) -> list[str]:
    """Return what Slack would refuse in a list of blocks, one line each."""
    if not isinstance(blocks, list):
        return ["must be an array of blocks"]
    found = [f"no more than {maximum} items allowed [json-pointer:/blocks]"] if len(blocks) > maximum else []
    for number, block in enumerate(blocks):
        if not isinstance(block, dict) or "type" not in block:
            found.append(f"a block needs a type [json-pointer:/blocks/{number}]")
            continue
        found += [f"{problem} [json-pointer:/blocks/{number}]" for problem in _block(block)]
    shaped = [block for block in blocks if isinstance(block, dict)]
    ids = [block["block_id"] for block in shaped if block.get("block_id")]
    found += [f"`block_id` {one} is there twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    markdown = sum(
        len(block["text"]) for block in blocks if isinstance(block, dict) and block.get("type") == "markdown"
    )
    if markdown > MARKDOWN_TEXT:
        found.append(f"markdown blocks hold {markdown} characters together; {MARKDOWN_TEXT} are allowed")
    return found


def _block(block: Json) -> Iterator[str]:
    kind = block["type"]
    yield from _lengths(kind, block)
    if kind in COUNTS:
        key, maximum = COUNTS[kind]
        if len(block.get(key, ())) > maximum:
            yield f"{kind}: no more than {maximum} {key} allowed"
    if kind in ("actions", "context") and not block.get("elements"):
        yield f"{kind}: needs an element"
    if kind == "section":
        if not block.get("text") and not block.get("fields"):
            yield "section: needs text or fields"
        for one in block.get("fields", ()):
            if not 1 <= len(one["text"]) <= 2_000:
                yield "section: a field has 1 to 2000 characters"
    if kind == "image" and not block.get("alt_text"):
        yield "image: needs alt_text"
    actions = []
    for element in [*block.get("elements", ()), block.get("element"), block.get("accessory")]:
        if isinstance(element, dict):
            yield from _element(element)
            actions.append(element.get("action_id"))
    named = [one for one in actions if one]
    if len(named) > len(set(named)):
        yield f"{kind}: an `action_id` is there twice"


def _element(element: Json) -> Iterator[str]:
    kind = element.get("type", "")
    yield from _lengths(kind, element)
    options, groups = element.get("options"), element.get("option_groups")
    if groups is not None:
        if options is not None or not 1 <= len(groups) <= 100:
            yield f"{kind}: either options or 1 to 100 option_groups"
        for group in groups:
            yield from _lengths("option_group", group)
            if not 1 <= len(group.get("options") or ()) <= 100:
                yield f"{kind}: 1 to 100 options in each group"
        options = [option for group in groups for option in group.get("options") or ()]
    if kind == "static_select" or options is not None:
        if groups is None and not 1 <= len(options or ()) <= 100:
            yield f"{kind}: 1 to 100 options"
        for option in options or ():
            yield from _lengths("option", option)
        initial = element.get("initial_option")
        if initial is not None and initial not in (options or ()):
            yield f"{kind}: initial_option is none of the options"
    if confirm := element.get("confirm"):
        yield from _lengths("confirm", confirm)
    if kind == "number_input" and "is_decimal_allowed" not in element:
        yield "number_input: needs is_decimal_allowed"
    if kind == "plain_text_input" and not 0 <= element.get("max_length", 0) <= 3_000:
        yield "plain_text_input: max_length is at most 3000"


def _lengths(kind: str, part: Json) -> Iterator[str]:
    for key, maximum in (TEXTS.get(kind, {}) | IDS).items():
        if key not in part or part[key] is None:
            continue
        value = part[key]["text"] if isinstance(part[key], dict) else part[key]
        if not isinstance(value, str):
            yield f"{kind}: {key} must be a string"
        elif not value and key not in ("value", "initial_value", *IDS):
            yield f"{kind}: {key} must not be empty"
        elif len(value) > maximum:
            yield f"{kind}: {key} must be less than {maximum + 1} characters, not {len(value)}"


def view_errors(view: Any) -> list[str]:
    """Return what Slack would refuse in a view, one line each."""
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home"):
        return ["a view is a “modal” or a “home”"]
    found = block_errors(view.get("blocks"), VIEW_BLOCKS)
    for key in ("title", "submit", "close"):
        if (part := view.get(key)) is not None and not 1 <= len(part["text"]) <= VIEW_TITLE:
            found.append(f"{key} must have 1 to {VIEW_TITLE} characters [json-pointer:/view/{key}]")
    if view["type"] == "modal" and not view.get("title"):
        found.append("a modal needs a title [json-pointer:/view/title]")
    for key, maximum in (("private_metadata", PRIVATE_METADATA), ("callback_id", 255), ("external_id", 255)):
        if len(view.get(key) or "") > maximum:
            found.append(f"{key} must be less than {maximum + 1} characters [json-pointer:/view/{key}]")
    has_input = any(block.get("type") == "input" for block in view.get("blocks", ()) if isinstance(block, dict))
    if view["type"] == "modal" and has_input and not view.get("submit"):
        found.append("a modal with input blocks needs `submit` [json-pointer:/view/submit]")
    return found


def are_too_long(blocks: list[Json]) -> bool:
    """Return whether the blocks of a message are too long together."""
    return len(json.dumps(blocks, separators=(",", ":"), ensure_ascii=False)) > BLOCKS_TOGETHER


def format_errors(problems: Sequence[str]) -> list[str]:
    """Return the problems as Slack words them in `response_metadata.messages`."""
    return [f"[ERROR] {problem}" for problem in problems]

"""The settings that most teachers need, which the page shows in plain words; the settings page has all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.settings.resolver import Settings
    from bot.settings.setting import Scope

NAMES = (
    "safety.level",
    "limits.user.hour",
    "limits.cooldown",
    "ask.max_tokens.maximum",
    "imagine.count.maximum",
    "ask.model",
    "answers.language",
    "answers.private",
    "ask.use_lessons",
    "ask.system_prompt",
)
"""In the order in which they are shown. `basics.js` has the words for them."""


async def describe_basics(settings: Settings, scope: Scope, locale: str) -> list[dict[str, Any]]:
    """Return those that are declared, with their values in a room or in the whole chat, as JSON."""
    names = [name for name in NAMES if settings.knows(name)]
    return await asyncio.gather(*(_setting_json(settings, name, scope, locale) for name in names))


async def _setting_json(settings: Settings, name: str, scope: Scope, locale: str) -> dict[str, Any]:
    setting, value = settings.find(name), settings.value(name, scope.place)
    return {
        "name": name,
        "kind": setting.option.kind,
        "minimum": setting.minimum,
        "maximum": setting.maximum,
        "choices": await settings.shown_choices(setting, value, scope.place, locale),
        "value": value,
    }

"""The settings that switch plugins on and off, and the plugins that cannot be switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.i18n import Sentence
from bot.settings.setting import Setting

if TYPE_CHECKING:
    from bot.core.messages import Place
    from bot.settings.resolver import Settings

PINNED = frozenset({"help", "plugins", "config", "why", "privacy"})
"""Plugins that are never switched off, nor refused because of a pause, a channel, a role or a time-out: without them
nobody could undo a setting or use their right to privacy."""


def switch_name(plugin: str) -> str:
    """Return the name of the setting that switches a plugin on or off."""
    return f"{plugin}.enabled"


def switch_settings(plugin: str) -> tuple[Setting, ...]:
    """Return the setting that switches a plugin on or off; none for a pinned plugin."""
    if plugin in PINNED:
        return ()
    about = Sentence("Whether the plugin “{plugin}” may be used.", {"plugin": plugin})
    return (Setting(name=switch_name(plugin), type=bool, default=True, description=about),)


def is_on(plugin: str, place: Place, settings: Settings) -> bool:
    """Return whether `plugin` may be used in `place`."""
    return plugin in PINNED or bool(settings.value(switch_name(plugin), place))

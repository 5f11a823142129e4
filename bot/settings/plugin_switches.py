"""The settings that switch plugins on and off, and the plugins that cannot be switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.core.i18n import Sentence
from bot.settings.setting import Setting

if TYPE_CHECKING:
    from bot.core.messages import Place
    from bot.settings.resolver import Settings

PINNED = frozenset({"help", "plugins", "config", "why", "privacy"})
"""Plugins that are never switched off, nor kept from anybody by channel, role or time-out: else there were no way back,
and nobody's rights would be theirs."""


def enabled(plugin: str) -> str:
    """The setting that switches a plugin on or off."""
    return f"{plugin}.enabled"


def switches(plugin: str) -> tuple[Setting, ...]:
    """That setting, for a plugin that has one."""
    if plugin in PINNED:
        return ()
    about = Sentence("Whether the plugin “{plugin}” may be used.", {"plugin": plugin})
    return (Setting(name=enabled(plugin), type=bool, default=True, description=about),)


def is_on(plugin: str, place: Place, settings: Settings) -> bool:
    """Whether `plugin` may be used in `place`."""
    return plugin in PINNED or bool(settings.value(enabled(plugin), place))

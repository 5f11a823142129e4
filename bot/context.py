"""What a handler is given besides its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.language import translate

if TYPE_CHECKING:
    from bot.command import Command
    from bot.defaults import DefaultsHere
    from bot.history import History
    from bot.message import Place, Request, User
    from bot.model_client import ModelClient
    from bot.registry import Registry
    from bot.settings import SettingsHere
    from bot.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request, as a plugin sees it."""

    request: Request
    models: ModelClient
    commands: tuple[Command, ...]
    """The commands that this user may use here."""
    settings: SettingsHere
    """The settings as they are here: `ctx.settings["ask.system_prompt"]`."""
    store: Store
    """The plugin's own JSON values."""
    history: History
    """The conversation so far."""
    defaults: DefaultsHere
    """What this user set as their own defaults of options."""
    plugins: Registry
    """The plugins that are loaded; for the plugin that manages them."""

    @property
    def user(self) -> User:
        """Who asks."""
        return self.request.user

    @property
    def place(self) -> Place:
        """Where they ask."""
        return self.request.place

    def translate(self, sentence: str, /, **values: object) -> str:
        """`sentence` in the asker's language, if a translation exists, with its `{name}` fields filled in."""
        return translate(sentence, self.user.locale, **values)

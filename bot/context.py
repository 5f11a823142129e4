"""What a handler is given besides its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.language import translate

if TYPE_CHECKING:
    from bot.command import Command
    from bot.message import Place, Request, User
    from bot.model_client import ModelClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request, as a plugin sees it."""

    request: Request
    models: ModelClient
    commands: tuple[Command, ...]
    """The commands that this user may use here."""

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

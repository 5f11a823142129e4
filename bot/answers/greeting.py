"""The greeting for a new place, or for a message without words: what the bot is, and lines to try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.access.policy import NO_DIRECT_MESSAGES
from bot.core.i18n import Sentence, translate
from bot.core.messages import Reply

if TYPE_CHECKING:
    from bot.answers.services import Services
    from bot.core.messages import Place


def welcome(services: Services, locale: str, place: Place | None = None, *, names_all: bool = False) -> Reply:
    """Return the greeting for a new place, or for a message without words in `place`.

    `names_all` writes out the names of all options.
    """
    if place is not None and not services.policy.answers_in(place):
        return Reply(text=NO_DIRECT_MESSAGES.in_language(locale), final=True)
    registry = services.registry
    plugins = registry.plugins if place is None else registry.enabled_plugins(place)
    lines, below = [translate("Hello! I show how generative AI works. Try one of these:", locale)], list[str]()
    for line, words in (example for plugin in plugins for example in plugin.examples):
        text = words.in_language(locale) if isinstance(words, Sentence) else words
        if not line:
            below += ["", text]
            continue
        free = registry.split_line(line)[0].free_text
        name = f"{free.name}:" if text and names_all and free is not None else ""
        lines.append(f"- `{f'{line} {name}{text}'.strip()}`")
    return Reply(text="\n".join([*lines, *below]), final=True)

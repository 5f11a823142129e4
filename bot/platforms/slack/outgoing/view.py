"""The protocol of what shows one answer on Slack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bot.core.i18n import Sentence
    from bot.core.messages import Reply
    from bot.platforms.slack.convert.requests import AnswerPlace


class AnswerView(Protocol):
    """Something that shows one answer."""

    row: int
    final: bool
    place: AnswerPlace

    async def show(self, reply: Reply) -> None:
        """Make what is seen look like `reply`. Raises SlackError where that cannot be."""

    async def tell(self, sentence: Sentence) -> None:
        """Say something to the asker alone; what keeps it from being heard is logged."""

    async def remove(self) -> None:
        """Take away what can be."""

    def snapshot_delay(self) -> float:
        """Seconds until a snapshot that is not the last can be shown; 0 for at once."""

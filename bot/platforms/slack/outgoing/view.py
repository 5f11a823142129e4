"""The protocol of the objects that show an answer on Slack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bot.core.i18n import Sentence
    from bot.core.messages import Reply
    from bot.platforms.slack.convert.requests import AnswerPlace


class AnswerView(Protocol):
    """Shows one answer. `row` is its database row, `final` whether the final snapshot was shown."""

    row: int
    final: bool
    place: AnswerPlace

    async def show(self, reply: Reply) -> None:
        """Make the messages look like `reply`. Raises SlackError."""

    async def notify_asker(self, sentence: Sentence) -> None:
        """Send a sentence to the asker only; a failure is logged."""

    async def remove(self) -> None:
        """Delete the messages that can be deleted."""

    def snapshot_delay(self) -> float:
        """Return the seconds until a snapshot that is not final can be shown; 0 means now."""

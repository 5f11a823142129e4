"""The protocol of the objects that show an answer on Slack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bot.platforms.answer_tasks import View

if TYPE_CHECKING:
    from bot.core.i18n import Sentence
    from bot.platforms.slack.convert.requests import AnswerPlace


class AnswerView(View, Protocol):
    """Shows one answer on Slack. `show` raises SlackError."""

    place: AnswerPlace

    async def notify_asker(self, sentence: Sentence) -> None:
        """Send a sentence to the asker only; a failure is logged."""

    async def remove(self) -> None:
        """Delete the messages that can be deleted."""

    def snapshot_delay(self) -> float:
        """Return the seconds until a snapshot that is not final can be shown; 0 means now."""

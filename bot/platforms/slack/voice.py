"""What the bot says on Slack without being asked: the lines of a log channel."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from bot.core.i18n import Sentence
from bot.moderation.log_channel import CannotPost
from bot.platforms.slack.api import message_format
from bot.platforms.slack.api.api import ChannelClosed, NotInChannel, SlackError
from bot.platforms.slack.convert import commands

if TYPE_CHECKING:
    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.requests import BotIdentity

log = logging.getLogger(__name__)

NO_CHANNEL = Sentence("there is no such channel.")
NOT_A_MEMBER = Sentence("I am not in that channel; somebody there has to invite {name}.")
CLOSED = Sentence("nobody can write there.")
OUT_OF_REACH = Sentence("Slack cannot be reached right now.")
CHANNELS = ("C", "G")
"""How ids of channels begin; one of a person would become a direct message."""


class SlackVoice:
    """Speaks in channels of the workspace that the bot is in."""

    def __init__(self, web: SlackApi, me: BotIdentity) -> None:
        self._web = web
        self._me = me

    def locale(self, server: str) -> str:
        """English: a workspace has no language."""
        return "en"

    async def say(self, server: str, channel: str, text: str) -> None:
        """Post in a channel. Raises CannotPost."""
        if server != self._me.team or not channel.startswith(CHANNELS):
            raise CannotPost(NO_CHANNEL)
        try:
            await self._web.post(channel, message_format.note(commands.typed(text.replace("\n", "\n\n"), ["audit"])))
        except NotInChannel as error:
            raise CannotPost(Sentence(NOT_A_MEMBER.text, {"name": f"@{self._me.name}"})) from error
        except ChannelClosed as error:
            raise CannotPost(CLOSED) from error
        except SlackError as error:
            log.warning("Slack did not take a line of the log channel: %s", error)
            raise CannotPost(OUT_OF_REACH) from error

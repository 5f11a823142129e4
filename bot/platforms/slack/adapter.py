"""Slack as the core uses it: people and channels found, messages posted and deleted."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from bot.core.adapters import ShownMessage
from bot.core.errors import CannotPost, UserError
from bot.core.i18n import Sentence
from bot.core.messages import Place, User
from bot.platforms.capabilities import SLACK
from bot.platforms.slack.api import message_format
from bot.platforms.slack.api.errors import ChannelClosed, MessageGone, NotInChannel, SlackError
from bot.platforms.slack.convert import commands

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bot.platforms.slack.api.api import SlackApi
    from bot.platforms.slack.convert.people import UserDirectory
    from bot.platforms.slack.convert.requests import BotIdentity

log = logging.getLogger(__name__)

LINK = re.compile(
    r"<?https://[\w.-]*slack\.com/archives/(?P<channel>[A-Z0-9]{1,20})/p(?P<seconds>[0-9]{1,12})(?P<rest>[0-9]{6})"
    r"(?:\?[^|>\s]*)?(?:\|[^>]*)?>?"
)
ID = re.compile(r"[UW][A-Z0-9]{1,20}")
CHANNELS = ("C", "G")
"""First letters of channel ids; posting to the id of a person would send a direct message."""
NO_CHANNEL = Sentence("there is no such channel.")
NOT_A_MEMBER = Sentence("I am not in that channel; somebody there has to invite {name}.")
CLOSED = Sentence("nobody can write there.")
OUT_OF_REACH = Sentence("Slack cannot be reached right now.")


def link_to(channel: str, ts: str) -> str:
    """Return a link to a message, as `LINK` reads it."""
    return f"https://slack.com/archives/{channel}/p{ts.replace('.', '')}"


class SlackAdapter:
    """Finds, posts and deletes in one workspace that the bot is in."""

    capabilities = SLACK

    def __init__(self, api: SlackApi, users: UserDirectory, identity: BotIdentity) -> None:
        self._api = api
        self._users = users
        self._identity = identity

    async def find_user(self, name: str, place: Place) -> User | None:
        """Return somebody by their id."""
        return await self._users.find_current(name) if ID.fullmatch(name) else None

    async def find_channels(self, name: str, place: Place) -> Sequence[str]:
        """Return public channels of the workspace by their name; an id as it is, since private ones are not listed."""
        if SLACK.is_id(name):
            return [name]
        if place.server != self._identity.team:
            return []
        try:
            return await self._api.find_channels(name.casefold())
        except SlackError as error:
            log.warning("The channels of the workspace could not be listed: %s", error)
            sentence = "I could not look up the channel “{name}”. Pick it from the list that appears, or give its id."
            raise UserError(sentence, name=name[:60]) from error

    def parse_link(self, link: str, place: Place) -> ShownMessage | None:
        """Read the link that Slack's menu copies."""
        if (match := LINK.fullmatch(link.strip())) is None:
            return None
        server = "" if match["channel"].startswith("D") else self._identity.team
        return ShownMessage(
            Place(self._identity.platform, match["channel"], server), f"{match['seconds']}.{match['rest']}"
        )

    async def delete_messages(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        """Delete messages and files, and the question that the bot posted; Slack deletes none but the bot's own."""
        is_gone = True
        question = shown.resume.get("question") if shown.is_last else None
        for external in [*externals, *([question] if question else [])]:
            try:
                await self._api.delete_message_or_file(shown.place.channel, external)
            except MessageGone:
                is_gone = is_gone and bool(shown.row)
            except SlackError as error:
                log.info("A message on Slack could not be deleted: %s", error)
                is_gone = False
        return is_gone

    async def forget_user(self, user_id: str, gone: Collection[int]) -> None:
        """Do nothing: Slack itself stores and shows what was written there."""

    async def locale(self, server: str) -> str:
        """Return English: a workspace has no language."""
        return "en"

    async def post(self, server: str, channel: str, text: str) -> None:
        """Post in a channel. Raises CannotPost."""
        if server != self._identity.team or not channel.startswith(CHANNELS):
            raise CannotPost(NO_CHANNEL)
        try:
            await self._api.post(
                channel, message_format.note_message(commands.adapt_text(text.replace("\n", "\n\n"), ["audit"]))
            )
        except NotInChannel as error:
            raise CannotPost(Sentence(NOT_A_MEMBER.text, {"name": f"@{self._identity.name}"})) from error
        except ChannelClosed as error:
            raise CannotPost(CLOSED) from error
        except SlackError as error:
            log.warning("A message could not be posted on Slack: %s", error)
            raise CannotPost(OUT_OF_REACH) from error

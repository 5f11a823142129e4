"""What moderators have done on Slack by the core: messages taken down, people looked at."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from bot.core.adapters import ShownMessage
from bot.core.errors import UserError
from bot.core.messages import Place, User
from bot.platforms.slack.api.api import MessageGone, SlackError
from bot.platforms.slack.convert.requests import PLATFORM
from bot.settings.setting import is_id

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


def link_to(channel: str, ts: str) -> str:
    """A link to a message, as `LINK` reads it."""
    return f"https://slack.com/archives/{channel}/p{ts.replace('.', '')}"


class SlackAdapter:
    """Reaches the bot's own messages in its workspace."""

    def __init__(self, web: SlackApi, people: UserDirectory, me: BotIdentity) -> None:
        self._web = web
        self._people = people
        self._me = me

    async def person(self, name: str, place: Place) -> User | None:
        """Somebody by their id."""
        return await self._people.surely(name) if ID.fullmatch(name) else None

    async def channels(self, name: str, place: Place) -> Sequence[str]:
        """Public ones of the workspace, and whatever has an id."""
        if is_id(name, PLATFORM):
            return [name]
        if place.server != self._me.team:
            return []
        try:
            return await self._web.channels(name.casefold())
        except SlackError as error:
            log.warning("Slack did not tell its channels: %s", error)
            sentence = "I could not look up the channel “{name}”. Pick it from the list that appears, or give its id."
            raise UserError(sentence, name=name[:60]) from error

    def message(self, link: str, place: Place) -> ShownMessage | None:
        """From the link that Slack's menu copies."""
        if (match := LINK.fullmatch(link.strip())) is None:
            return None
        server = "" if match["channel"].startswith("D") else self._me.team
        return ShownMessage(Place(PLATFORM, match["channel"], server), f"{match['seconds']}.{match['rest']}")

    async def take_down(self, shown: ShownMessage, externals: Sequence[str]) -> bool:
        """Delete messages and files, and the question that the bot posted; Slack deletes none but the bot's own."""
        is_gone = True
        question = shown.resume.get("question") if shown.is_last else None
        for external in [*externals, *([question] if question else [])]:
            try:
                if external.startswith("F"):
                    await self._web.delete_file(external)
                else:
                    await self._web.delete(shown.place.channel, external)
            except MessageGone:
                is_gone = is_gone and bool(shown.row)
            except SlackError as error:
                log.info("A message stays on Slack: %s", error)
                is_gone = False
        return is_gone

    async def forget(self, user_id: str, gone: Collection[int]) -> None:
        """Nothing: what is on Slack is Slack's to show."""

"""What each platform can do, for processes in which it does not run, too. Imports no platform's library."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bot.core.adapters import Capabilities
from bot.core.messages import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

TIME_MENTION = "<t:{seconds}:f>"
"""How Discord writes a time; the page of the web chat reads the same."""
DISCORD = Capabilities(
    ids=re.compile(r"[0-9]{5,20}"),
    keeps_messages=True,
    channel_mention="<#{id}>",
    time_mention=TIME_MENTION,
    countdown="<t:{seconds}:R>",
)
SLACK = Capabilities(ids=re.compile(r"[A-Z][A-Z0-9]{5,20}"), keeps_messages=True)
WEB = Capabilities(home=Place("web", "", "web"), has_pages=True, translates_notes=True, time_mention=TIME_MENTION)
TERMINAL = Capabilities(home=Place("terminal", "terminal"), is_local=True)

PLATFORMS: Mapping[str, Capabilities] = {"discord": DISCORD, "slack": SLACK, "web": WEB, "terminal": TERMINAL}
"""All platforms by their names. A new platform has its entry here."""

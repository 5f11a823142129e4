"""The settings of the core itself: moderators, access, limits and answers."""

from __future__ import annotations

from typing import Any

from bot.core.errors import OptionError
from bot.core.i18n import list_languages
from bot.settings.setting import LONGEST_LIST, ROLE, SERVER, Setting, most_or_all

DAY_SECONDS = 24 * 3600
MOST = 1_000_000
"""The largest quota."""
LOG_CHANNEL = "audit.channel"
FOR_SERVERS = frozenset({SERVER})
FOR_ROLES = frozenset({ROLE})


def _ids(name: str, kind: str, description: str, **more: Any) -> Setting:
    """A list of people, channels or roles."""
    return Setting(name=name, type=str, default="", ids=kind, maximum=LONGEST_LIST, description=description, **more)


def _quota(name: str, description: str, **more: Any) -> Setting:
    return Setting(name=name, type=int, default=0, minimum=0, maximum=MOST, description=description, **more)


ANSWERS = (
    Setting(
        name="answers.private",
        type=bool,
        default=False,
        description="Show every answer to the person who asked alone.",
    ),
    Setting(
        name="answers.quote",
        type=bool,
        default=True,
        description="Begin a public answer with the question it answers.",
    ),
    Setting(
        name="answers.spoiler",
        type=bool,
        default=False,
        description="Hide pictures until somebody wants to see them; Slack always shows them.",
    ),
    Setting(
        name="answers.language",
        type=str,
        default="each",
        choices=("each", *list_languages()),
        description="The language of the bot's own sentences; “each” is each person's own.",
    ),
)
MODERATORS = (
    _ids(
        "moderators.users",
        "users",
        "Who counts as a moderator beside those with the platform's rights.",
        scopes=FOR_SERVERS,
    ),
    _ids("moderators.roles", "roles", "Whoever has one of these roles counts as a moderator.", scopes=FOR_SERVERS),
)
ACCESS = (
    _ids("access.channels", "channels", "The channels where the bot may be used; empty for all.", scopes=FOR_SERVERS),
    _ids("access.channels.denied", "channels", "The channels where the bot may not be used.", scopes=FOR_SERVERS),
    _ids("access.roles", "roles", "Whoever has one of these roles may use the bot; empty for everybody."),
    _ids("access.roles.denied", "roles", "Whoever has one of these roles may not use the bot."),
)
LIMITS = (
    Setting(
        name="limits.cooldown",
        type=int,
        default=0,
        minimum=0,
        maximum=DAY_SECONDS,
        among=min,
        description="How many seconds lie between two questions of one person; 0 for no limit.",
    ),
    _quota("limits.user.hour", "How often one person may ask in an hour; 0 for no limit.", among=most_or_all),
    _quota("limits.user.day", "How often one person may ask in a day; 0 for no limit.", among=most_or_all),
    _quota(
        "limits.role.hour",
        "How often all who have a role together may ask in an hour; 0 for no limit.",
        scopes=FOR_ROLES,
        among=most_or_all,
    ),
    _quota(
        "limits.role.day",
        "How often all who have a role together may ask in a day; 0 for no limit.",
        scopes=FOR_ROLES,
        among=most_or_all,
    ),
    _quota("limits.server.hour", "How often the whole server may ask in an hour; 0 for no limit.", scopes=FOR_SERVERS),
    _quota("limits.server.day", "How often the whole server may ask in a day; 0 for no limit.", scopes=FOR_SERVERS),
)


def _one_channel(value: str) -> None:
    if (count := len(value.replace(",", " ").split())) > 1:
        raise OptionError(LOG_CHANNEL, "{name} must be one channel; you gave {count}.", name=LOG_CHANNEL, count=count)


AUDIT = (
    _ids(
        LOG_CHANNEL,
        "channels",
        "The channel where I tell what moderators change and do, what is refused, and who appeals; empty for none.",
        scopes=FOR_SERVERS,
        check=_one_channel,
    ),
)
CORE = (*ANSWERS, *MODERATORS, *ACCESS, *LIMITS, *AUDIT)
GROUPS = {
    "answers": "Answers",
    "moderators": "Moderators",
    "access": "Who may use the bot, and where",
    "limits": "How often one may ask",
    "audit": "The record (/audit)",
    "safety": "Safety",
}
"""What those are called for people whose names begin like this; a plugin's are called by its `title`."""

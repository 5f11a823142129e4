"""The settings of the core itself: moderators, access, limits and answers."""

from __future__ import annotations

from bot.language import available
from bot.setting import LONGEST_LIST, ROLE, SERVER, Setting, most_or_all

DAY_SECONDS = 24 * 3600
MOST = 1_000_000
"""The largest quota."""
FOR_SERVERS = frozenset({SERVER})
FOR_ROLES = frozenset({ROLE})

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
        description="Hide pictures until somebody wants to see them.",
    ),
    Setting(
        name="answers.language",
        type=str,
        default="each",
        choices=("each", *available()),
        description="The language of the bot's own sentences; “each” is each person's own.",
    ),
)
MODERATORS = (
    Setting(
        name="moderators.users",
        type=str,
        default="",
        ids="users",
        maximum=LONGEST_LIST,
        scopes=FOR_SERVERS,
        description="Who counts as a moderator beside those with the platform's rights.",
    ),
    Setting(
        name="moderators.roles",
        type=str,
        default="",
        ids="roles",
        maximum=LONGEST_LIST,
        scopes=FOR_SERVERS,
        description="Whoever has one of these roles counts as a moderator.",
    ),
)
ACCESS = (
    Setting(
        name="access.channels",
        type=str,
        default="",
        ids="channels",
        maximum=LONGEST_LIST,
        scopes=FOR_SERVERS,
        description="The channels where the bot may be used; empty for all.",
    ),
    Setting(
        name="access.channels.denied",
        type=str,
        default="",
        ids="channels",
        maximum=LONGEST_LIST,
        scopes=FOR_SERVERS,
        description="The channels where the bot may not be used.",
    ),
    Setting(
        name="access.roles",
        type=str,
        default="",
        ids="roles",
        maximum=LONGEST_LIST,
        description="Whoever has one of these roles may use the bot; empty for everybody.",
    ),
    Setting(
        name="access.roles.denied",
        type=str,
        default="",
        ids="roles",
        maximum=LONGEST_LIST,
        description="Whoever has one of these roles may not use the bot.",
    ),
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
    Setting(
        name="limits.user.hour",
        type=int,
        default=0,
        minimum=0,
        maximum=MOST,
        among=most_or_all,
        description="How often one person may ask in an hour; 0 for no limit.",
    ),
    Setting(
        name="limits.user.day",
        type=int,
        default=0,
        minimum=0,
        maximum=MOST,
        among=most_or_all,
        description="How often one person may ask in a day; 0 for no limit.",
    ),
    Setting(
        name="limits.role.hour",
        type=int,
        default=0,
        minimum=0,
        maximum=MOST,
        scopes=FOR_ROLES,
        among=most_or_all,
        description="How often all who have a role together may ask in an hour; 0 for no limit.",
    ),
    Setting(
        name="limits.role.day",
        type=int,
        default=0,
        minimum=0,
        maximum=MOST,
        scopes=FOR_ROLES,
        among=most_or_all,
        description="How often all who have a role together may ask in a day; 0 for no limit.",
    ),
    Setting(
        name="limits.server.hour",
        type=int,
        default=0,
        minimum=0,
        maximum=MOST,
        scopes=FOR_SERVERS,
        description="How often the whole server may ask in an hour; 0 for no limit.",
    ),
    Setting(
        name="limits.server.day",
        type=int,
        default=0,
        minimum=0,
        maximum=MOST,
        scopes=FOR_SERVERS,
        description="How often the whole server may ask in a day; 0 for no limit.",
    ),
)
AUDIT = (
    Setting(
        name="audit.channel",
        type=str,
        default="",
        ids="channels",
        maximum=100,
        scopes=FOR_SERVERS,
        description="The channel where the bot tells what moderators did and what was refused; empty for none.",
    ),
)

CORE = (*ANSWERS, *MODERATORS, *ACCESS, *LIMITS, *AUDIT)

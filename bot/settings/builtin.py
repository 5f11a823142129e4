"""The settings of the core itself: moderators, access, limits and answers."""

from __future__ import annotations

from typing import Any

from bot.core.errors import OptionError
from bot.core.i18n import list_languages
from bot.settings.setting import MAX_LIST_CHARACTERS, ROLE, SERVER, Setting, largest_quota

DAY_SECONDS = 24 * 3600
MAX_QUOTA = 1_000_000
PERSON_PER_MINUTE, PERSON_PER_HOUR = 30, 400
"""More than anybody asks by hand: a press every two seconds of a minute, and every nine seconds of an hour."""
ADDRESS_PER_MINUTE, ADDRESS_PER_HOUR = 30 * PERSON_PER_MINUTE, 30 * PERSON_PER_HOUR
"""Room for a class behind one address, each of whom uses up their own quota, or for 200 pupils who ask as pupils do."""
READERS_OWN = "each"
"""The value of `answers.language` that stands for each reader's own language."""
LOG_CHANNEL, PAUSED, TASK = "audit.channel", "access.paused", "room.task"
TEACHERS_READ = "private.teachers_read"
UPSTREAMS = "upstreams.allowed"
LOCAL, REMOTE = "local", "local and remote"
"""The values of `upstreams.allowed`."""
MAX_TASK_CHARACTERS = 600
SERVERS_ONLY = frozenset({SERVER})
ROLES_ONLY = frozenset({ROLE})


def _id_list_setting(name: str, kind: str, description: str, **more: Any) -> Setting:
    """Return a setting that is a list of people, channels or roles; `kind` is "users", "channels" or "roles"."""
    return Setting(
        name=name, type=str, default="", ids=kind, maximum=MAX_LIST_CHARACTERS, description=description, **more
    )


def _quota_setting(name: str, description: str, default: int = 0, **more: Any) -> Setting:
    return Setting(name=name, type=int, default=default, minimum=0, maximum=MAX_QUOTA, description=description, **more)


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
        name="answers.mark",
        type=bool,
        default=True,
        description="Put a small “AI” into a corner of the pictures that a model made.",
    ),
    Setting(
        name="answers.threads",
        type=bool,
        default=False,
        description="On Slack, answer every message of a thread that people began once the bot was mentioned there.",
    ),
    Setting(
        name="answers.language",
        type=str,
        default=READERS_OWN,
        choices=(READERS_OWN, *list_languages()),
        description="The language of the bot's own sentences; “each” is each person's own.",
    ),
)
MODERATORS = (
    _id_list_setting(
        "moderators.users",
        "users",
        "Who counts as a moderator beside those with the platform's rights.",
        scopes=SERVERS_ONLY,
    ),
    _id_list_setting(
        "moderators.roles", "roles", "Whoever has one of these roles counts as a moderator.", scopes=SERVERS_ONLY
    ),
)
ACCESS = (
    _id_list_setting(
        "access.channels", "channels", "The channels where the bot may be used; empty for all.", scopes=SERVERS_ONLY
    ),
    _id_list_setting(
        "access.channels.denied", "channels", "The channels where the bot may not be used.", scopes=SERVERS_ONLY
    ),
    Setting(
        name="access.knock",
        type=bool,
        default=False,
        description="Let newcomers to the web chat wait until a moderator lets them in.",
        scopes=SERVERS_ONLY,
    ),
    _id_list_setting("access.roles", "roles", "Whoever has one of these roles may use the bot; empty for everybody."),
    _id_list_setting("access.roles.denied", "roles", "Whoever has one of these roles may not use the bot."),
    Setting(
        name=PAUSED,
        type=bool,
        default=False,
        description="Refuse everybody but moderators for now; answers that have begun may end.",
    ),
)
ROOM = (
    Setting(
        name=TASK,
        type=str,
        default="",
        maximum=MAX_TASK_CHARACTERS,
        description="A line of Markdown above the messages until it is taken down; only the web chat shows it.",
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
    _quota_setting(
        "limits.user.minute",
        "How often one person may ask in a minute; 0 for no limit.",
        PERSON_PER_MINUTE,
        among=largest_quota,
    ),
    _quota_setting(
        "limits.user.hour",
        "How often one person may ask in an hour; 0 for no limit.",
        PERSON_PER_HOUR,
        among=largest_quota,
    ),
    _quota_setting("limits.user.day", "How often one person may ask in a day; 0 for no limit.", among=largest_quota),
    _quota_setting(
        "limits.role.hour",
        "How often all who have a role together may ask in an hour; 0 for no limit.",
        scopes=ROLES_ONLY,
        among=largest_quota,
    ),
    _quota_setting(
        "limits.role.day",
        "How often all who have a role together may ask in a day; 0 for no limit.",
        scopes=ROLES_ONLY,
        among=largest_quota,
    ),
    _quota_setting(
        "limits.address.minute",
        "How often all visitors at one IP address may ask in a minute; 0 for no limit.",
        ADDRESS_PER_MINUTE,
        scopes=SERVERS_ONLY,
    ),
    _quota_setting(
        "limits.address.hour",
        "How often all visitors at one IP address may ask in an hour; 0 for no limit.",
        ADDRESS_PER_HOUR,
        scopes=SERVERS_ONLY,
    ),
    _quota_setting(
        "limits.server.hour", "How often the whole server may ask in an hour; 0 for no limit.", scopes=SERVERS_ONLY
    ),
    _quota_setting(
        "limits.server.day", "How often the whole server may ask in a day; 0 for no limit.", scopes=SERVERS_ONLY
    ),
)


def _check_single_channel(value: str) -> None:
    if (count := len(value.replace(",", " ").split())) > 1:
        raise OptionError(LOG_CHANNEL, "{name} must be one channel; you gave {count}.", name=LOG_CHANNEL, count=count)


AUDIT = (
    _id_list_setting(
        LOG_CHANNEL,
        "channels",
        "The channel where I tell what moderators change and do, what is refused, and who appeals; empty for none.",
        scopes=SERVERS_ONLY,
        check=_check_single_channel,
    ),
)
MAX_TEMPERATURE = 2
"""The highest temperature that language models are asked for."""
TEMPERATURE = (
    Setting(
        name="temperature.minimum",
        type=float,
        default=0.0,
        minimum=0,
        maximum=MAX_TEMPERATURE,
        among=min,
        description="The least that a temperature may be, in every command, under every button and on the dial’s page.",
    ),
    Setting(
        name="temperature.maximum",
        type=float,
        default=float(MAX_TEMPERATURE),
        minimum=0,
        maximum=MAX_TEMPERATURE,
        among=max,
        description="The most that a temperature may be, in every command, under every button and on the dial’s page.",
    ),
)
PRIVATE_PLACES = (
    Setting(
        name=TEACHERS_READ,
        type=bool,
        default=False,
        description="Let teachers read in the web chat what is asked in “Just me” from now on; it says so there.",
        scopes=SERVERS_ONLY,
    ),
)
UPSTREAM_RULES = (
    Setting(
        name=UPSTREAMS,
        type=str,
        default=LOCAL,
        choices=(LOCAL, REMOTE),
        description="Which servers may get what is asked: those of whoever runs the bot, or remote ones as well.",
        scopes=SERVERS_ONLY,
    ),
)
CORE_SETTINGS = (
    *ANSWERS,
    *MODERATORS,
    *ACCESS,
    *ROOM,
    *LIMITS,
    *TEMPERATURE,
    *AUDIT,
    *PRIVATE_PLACES,
    *UPSTREAM_RULES,
)
GROUP_TITLES = {
    "answers": "Answers",
    "moderators": "Moderators",
    "access": "Who may use the bot, and where",
    "room": "Rooms of the web chat",
    "limits": "How often one may ask",
    "temperature": "Temperature",
    "audit": "The record (/audit)",
    "safety": "Safety",
    "private": "Private places",
    "upstreams": "Where models run",
}
"""Titles of the groups of settings, keyed by the first part of their names; a plugin's `title` is that of its group."""

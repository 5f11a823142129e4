"""The safety settings of moderators."""

from __future__ import annotations

from bot.core.errors import OptionError
from bot.safety.patterns import MAX_INSTRUCTIONS, compile_lines, count_lines
from bot.safety.words import count_entries
from bot.settings.setting import Setting

OFF, STANDARD, CLASSROOM = "off", "standard", "classroom"
PICTURES = "safety.pictures"
MAX_LIST_CHARACTERS, MAX_HELP_CHARACTERS = 200_000, 2000
"""What is read of a list that was stored before all lists of a server were limited together; and a help text."""


def _check_patterns(lines: str) -> None:
    pattern = compile_lines(lines)
    if pattern is not None and pattern.programsize > MAX_INSTRUCTIONS:
        raise OptionError(
            "safety.patterns",
            "These patterns are too large to be searched at each message: they have {count} instructions together, and "
            "may have {most}. List plain words in {words} instead.",
            count=pattern.programsize,
            most=MAX_INSTRUCTIONS,
            words="safety.words",
        )


SETTINGS = (
    Setting(
        name="safety.level",
        type=str,
        default=STANDARD,
        choices=(OFF, STANDARD, CLASSROOM),
        description="How strictly messages and answers are checked; “off” leaves this server's own words and patterns.",
    ),
    Setting(
        name="safety.words",
        type=str,
        default="",
        maximum=MAX_LIST_CHARACTERS,
        count_entries=count_entries,
        description="Blocked words and phrases, with commas between; a * at an end stands for any letters.",
    ),
    Setting(
        name="safety.patterns",
        type=str,
        default="",
        maximum=MAX_LIST_CHARACTERS,
        check_new=_check_patterns,
        count_entries=count_lines,
        description="A blocked pattern, as a regular expression of RE2; several with | between.",
    ),
    Setting(
        name="safety.people",
        type=str,
        default="",
        maximum=MAX_LIST_CHARACTERS,
        count_entries=count_entries,
        description="Names of people whom pictures may not show, beside those known to the bot; with commas between.",
    ),
    Setting(
        name=PICTURES,
        type=bool,
        default=True,
        description="Whether people may attach pictures, of which nobody checks what they show.",
    ),
    Setting(
        name="safety.help_text",
        type=str,
        default="",
        maximum=MAX_HELP_CHARACTERS,
        description="What somebody reads who writes of hurting themselves; empty for a text in their language.",
    ),
)

"""The audit of a place as its moderators read it, and what an entry says in a line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.core.i18n import translate
from bot.core.text import cut
from bot.safety.verdict import ANSWER
from bot.settings.builtin import CORE
from bot.storage.audit import APPEAL, MODERATION, REFUSAL, SETTING, AuditEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.core.adapters import Adapters, Capabilities
    from bot.core.caller import Caller
    from bot.settings.setting import Scope
    from bot.storage.audit import Audit, AuditFilter, AuditRow

NOT_ALLOWED = "Only moderators can read the audit."
NAME, VALUE = 40, 80
"""Characters of a name and of a value in a line."""
AT_ONCE = 500
NAMED = 5
"""How many channels are named in a line."""
CHANNELS = frozenset(setting.name for setting in CORE if setting.ids == "channels")
ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}\+[0-9]{2}:[0-9]{2}\Z")
SIGNS = {SETTING: "⚙️", REFUSAL: "⛔", APPEAL: "✋"}
PLAIN = str.maketrans({"*": "∗", "`": "ˋ", "<": "‹", ">": "›", "[": "(", "]": ")", "|": "¦", "~": "∼", "\\": "∖"})
"""What people can have in their names and what would look like Markdown, with what looks alike and is none."""


class AuditReader:
    """The entries of a server, for its moderators alone; everybody else is refused with PermissionDenied."""

    def __init__(self, audit: Audit, adapters: Adapters) -> None:
        self._audit = audit
        self._adapters = adapters

    async def find(self, caller: Caller, scope: Scope, wanted: AuditFilter, *, most: int) -> Sequence[AuditRow]:
        """What happened in a server, the newest first, `most` at most."""
        caller.require_moderator(NOT_ALLOWED)
        return await self._audit.find(scope.platform, scope.server, wanted, limit=most)

    async def all(self, caller: Caller, scope: Scope, wanted: AuditFilter) -> AsyncIterator[Sequence[AuditRow]]:
        """All of it in pieces, the newest first, for what is too much to be read at once."""
        caller.require_moderator(NOT_ALLOWED)
        async for rows in self._audit.find_in_chunks(scope.platform, scope.server, wanted, AT_ONCE):
            yield rows

    async def names(self, caller: Caller, scope: Scope) -> Sequence[str]:
        """What there are entries about: settings, commands, what moderators did."""
        caller.require_moderator(NOT_ALLOWED)
        return await self._audit.list_names(scope.platform, scope.server)

    async def note(
        self, caller: Caller, scope: Scope, what: str, about: str, *, before: Any = None, after: Any = None
    ) -> None:
        """Note what a moderator did in a server, to what, and what was before and after, as JSON can hold it."""
        caller.require_moderator(NOT_ALLOWED)
        entry = AuditEntry(
            actor=caller.user,
            place=scope.place,
            kind=MODERATION,
            what=what,
            subject_name=about,
            before=before,
            after=after,
        )
        await self._audit.record(entry)

    def line(self, caller: Caller, row: AuditRow) -> str:
        """Return an entry as a line of Markdown in the reader's language, without its time."""
        return line(row, caller.user.locale, self._adapters.capabilities(row.platform))

    def before(self, row: AuditRow) -> Any:
        """What was before, as far as moderators are shown it: the words of a refusal only once somebody appealed."""
        return None if row.kind == REFUSAL else row.before


def line(row: AuditRow, locale: str, capabilities: Capabilities) -> str:
    """Return an entry as a line of Markdown, without its time. The names of people stand in it as plain text.

    `capabilities` are those of the platform where it happened.
    """
    return f"{SIGNS.get(row.kind, '🛡️')} {_told(row, locale, capabilities)}"


def _told(row: AuditRow, locale: str, capabilities: Capabilities) -> str:
    who = _name(row.actor_name or row.actor)
    what = _code(row.what)
    where = _where(row, locale, capabilities)
    if row.kind == SETTING:
        change = " → ".join(_set(row, value, locale, capabilities) for value in (row.before, row.after))
        sentence = "{who} set {what}{where}: {change}"
        return translate(sentence, locale, who=who, what=what, where=where, change=change)
    if row.kind == REFUSAL:
        sentence = "{who} was refused {what}{where} ({reason})"
        about = {"who": who, "what": what, "where": where, "reason": row.reason}
        return translate(sentence, locale, **about)
    if row.kind == APPEAL:
        sentence = "{who} appeals against refusal {number} of {what} ({reason}): {text}"
        if not row.before:
            sentence = "{who} appeals against refusal {number} of {what} ({reason}). The words are not stored."
        elif row.reason.startswith(ANSWER):
            # These words are not theirs whose name stands before them.
            sentence = "{who} appeals against refusal {number} of {what} ({reason}). The bot had written: {text}"
        about = {"who": who, "what": what, "number": f"#{row.subject}", "reason": row.reason}
        return translate(sentence, locale, text=_value(row.before, locale), **about)
    whom = f" {_name(row.subject_name or row.subject)}" if row.subject_name or row.subject else ""
    known = [_value(value, locale) for value in (row.before, row.after) if value is not None]
    change = f": {' → '.join(known)}" if known else ""
    reason = f" ({_code(row.reason)})" if row.reason else ""
    return f"{who}: {what}{whom}{where}{change}{reason}"


def _where(row: AuditRow, locale: str, capabilities: Capabilities) -> str:
    if row.kind == SETTING and row.subject:
        return f" ({translate('role {id}', locale, id=row.subject)})"
    if not row.channel or not row.server:
        return ""
    named = capabilities.mention_channel(row.channel) or _code(row.channel)
    return f" ({translate('channel {id}', locale, id=named)})"


def _set(row: AuditRow, value: Any, locale: str, capabilities: Capabilities) -> str:
    """Return the value of a setting; channels by their names, where the platform shows these for their ids."""
    if not value or not capabilities.channel_mention or row.what not in CHANNELS:
        return _value(value, locale)
    first, more = str(value).split()[:NAMED], str(value).split()[NAMED:]
    return " ".join([*map(capabilities.mention_channel, first), *(["…"] if more else [])])


def _name(text: str) -> str:
    return f"**{_cut(text.translate(PLAIN), NAME)}**"


def _code(text: str) -> str:
    return f"`{_cut(text.replace('`', 'ˋ'), VALUE)}`"


def _value(value: Any, locale: str) -> str:
    if value in (None, ""):
        return "–"
    if isinstance(value, bool):
        return _code(translate("yes", locale) if value else translate("no", locale))
    if isinstance(value, dict):
        return _code(", ".join(f"{name}: {_short(one)}" for name, one in value.items() if one not in (None, "")))
    return _code(_short(value))


def _short(value: Any) -> str:
    """A value as people read it: of a point in time, the day and the minute."""
    text = str(value)
    if not ISO_TIME.match(text):
        return text
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _cut(text: str, most: int) -> str:
    return cut(" ".join(text.split()), most)

"""The audit of a server for its moderators, and an entry as a line of text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.core.i18n import translate
from bot.core.text import cut
from bot.safety.errors import ANSWER_PREFIX
from bot.settings.builtin import CORE_SETTINGS
from bot.storage.audit import APPEAL, MANY, MODERATION, REFUSAL, SETTING, AuditEntry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot.core.adapters import Adapters, Capabilities
    from bot.core.caller import Caller
    from bot.settings.setting import Scope
    from bot.storage.audit import Audit, AuditFilter, AuditRow

NOT_ALLOWED = "Only moderators can read the audit."
MAX_NAME_CHARACTERS, MAX_VALUE_CHARACTERS = 40, 80
"""The most characters of a name and of a value in a line."""
BATCH_ROWS = 500
MAX_CHANNELS_NAMED = 5
"""The most channels that a line names."""
CHANNEL_SETTINGS = frozenset(setting.name for setting in CORE_SETTINGS if setting.ids == "channels")
ISO_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}\+[0-9]{2}:[0-9]{2}\Z")
SIGNS = {SETTING: "⚙️", REFUSAL: "⛔", APPEAL: "✋"}
MARKDOWN_LOOKALIKES = str.maketrans(
    {"*": "∗", "`": "ˋ", "<": "‹", ">": "›", "[": "(", "]": ")", "|": "¦", "~": "∼", "\\": "∖"}
)
"""Characters that Markdown gives a meaning, each with a similar character that has none, for names of people."""


class AuditReader:
    """Reads the audit entries of a server for its moderators. Raises PermissionDenied for everybody else.

    At the terminal, what its operator did in other servers belongs to these entries, too.
    """

    def __init__(self, audit: Audit, adapters: Adapters) -> None:
        self._audit = audit
        self._adapters = adapters

    async def find(self, caller: Caller, scope: Scope, wanted: AuditFilter, *, most: int) -> Sequence[AuditRow]:
        """Return at most `most` entries of a server, the newest first."""
        caller.require_moderator(NOT_ALLOWED)
        also_by = self._operator(caller, scope)
        return await self._audit.find(scope.platform, scope.server, wanted, limit=most, also_by=also_by)

    async def all(self, caller: Caller, scope: Scope, wanted: AuditFilter) -> AsyncIterator[Sequence[AuditRow]]:
        """Yield all entries of a server in batches, the newest first."""
        caller.require_moderator(NOT_ALLOWED)
        where, also_by = (scope.platform, scope.server), self._operator(caller, scope)
        async for rows in self._audit.find_in_chunks(*where, wanted, BATCH_ROWS, also_by=also_by):
            yield rows

    async def names(self, caller: Caller, scope: Scope) -> Sequence[str]:
        """Return the names that entries are about: settings, commands and moderators' actions."""
        caller.require_moderator(NOT_ALLOWED)
        return await self._audit.list_names(scope.platform, scope.server, also_by=self._operator(caller, scope))

    def _operator(self, caller: Caller, scope: Scope) -> str:
        """Return the id of the operator if they ask for the entries of the terminal; else ""."""
        is_own = caller.user.is_operator and self._adapters.capabilities(scope.platform).is_local
        return caller.user.id if is_own else ""

    async def note(
        self, caller: Caller, scope: Scope, what: str, about: str, *, before: Any = None, after: Any = None
    ) -> None:
        """Record a moderator's action in a server: what was done, to what, and the JSON values before and after."""
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
        """Return the value before, but not the words of a refusal: moderators see these only in an appeal."""
        return None if row.kind == REFUSAL else row.before


def line(row: AuditRow, locale: str, capabilities: Capabilities) -> str:
    """Return an entry as a line of Markdown, without its time. The names of people stand in it as plain text.

    `capabilities` are those of the platform where it happened.
    """
    times = f" ×{row.times}" if row.times > 1 else ""
    return f"{SIGNS.get(row.kind, '🛡️')} {_sentence(row, locale, capabilities)}{times}"


def _sentence(row: AuditRow, locale: str, capabilities: Capabilities) -> str:
    who = plain_name(row.actor_name or row.actor)
    what = _code(row.what)
    where = _place_suffix(row, locale, capabilities)
    if row.kind == SETTING:
        change = " → ".join(_setting_value(row, value, locale, capabilities) for value in (row.before, row.after))
        sentence = "{who} set {what}{where}: {change}"
        return translate(sentence, locale, who=who, what=what, where=where, change=change)
    if row.kind == REFUSAL and row.reason == MANY:
        sentence = "{who} was refused further requests" if row.actor else "Several people were refused further requests"
        return translate(sentence, locale, who=who)
    if row.kind == REFUSAL:
        sentence = "{who} was refused {what}{where} ({reason})"
        about = {"who": who, "what": what, "where": where, "reason": row.reason}
        return translate(sentence, locale, **about)
    if row.kind == APPEAL:
        sentence = "{who} appeals against refusal {number} of {what} ({reason}): {text}"
        if not row.before:
            sentence = "{who} appeals against refusal {number} of {what} ({reason}). The words are not stored."
        elif row.reason.startswith(ANSWER_PREFIX):
            # The words are the bot's, not those of the person who appeals.
            sentence = "{who} appeals against refusal {number} of {what} ({reason}). The bot had written: {text}"
        about = {"who": who, "what": what, "number": f"#{row.subject}", "reason": row.reason}
        return translate(sentence, locale, text=_value(row.before, locale), **about)
    subject = f" {plain_name(row.subject_name or row.subject)}" if row.subject_name or row.subject else ""
    known = [_value(value, locale) for value in (row.before, row.after) if value is not None]
    change = f": {' → '.join(known)}" if known else ""
    reason = f" ({_code(row.reason)})" if row.reason else ""
    return f"{who}: {what}{subject}{where}{change}{reason}"


def _place_suffix(row: AuditRow, locale: str, capabilities: Capabilities) -> str:
    if row.kind == SETTING and row.subject:
        return f" ({translate('role {id}', locale, id=row.subject)})"
    if not row.channel or not row.server:
        return ""
    named = capabilities.mention_channel(row.channel) or _code(row.channel)
    return f" ({translate('channel {id}', locale, id=named)})"


def _setting_value(row: AuditRow, value: Any, locale: str, capabilities: Capabilities) -> str:
    """Return the value of a setting, with channels as mentions where the platform has them."""
    if not value or not capabilities.channel_mention or row.what not in CHANNEL_SETTINGS:
        return _value(value, locale)
    first, more = str(value).split()[:MAX_CHANNELS_NAMED], str(value).split()[MAX_CHANNELS_NAMED:]
    return " ".join([*map(capabilities.mention_channel, first), *(["…"] if more else [])])


def plain_name(text: str) -> str:
    """Return the name of a person in bold, with nothing in it that Markdown would interpret."""
    return f"**{_cut(text.translate(MARKDOWN_LOOKALIKES), MAX_NAME_CHARACTERS)}**"


def _code(text: str) -> str:
    return f"`{_cut(text.replace('`', 'ˋ'), MAX_VALUE_CHARACTERS)}`"


def _value(value: Any, locale: str) -> str:
    if value in (None, ""):
        return "–"
    if isinstance(value, bool):
        return _code(translate("yes", locale) if value else translate("no", locale))
    if isinstance(value, dict):
        return _code(
            ", ".join(f"{name}: {_short_text(inner)}" for name, inner in value.items() if inner not in (None, ""))
        )
    return _code(_short_text(value))


def _short_text(value: Any) -> str:
    """Return a value as text, and a time as its day and minute."""
    text = str(value)
    if not ISO_TIME.match(text):
        return text
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _cut(text: str, most: int) -> str:
    return cut(" ".join(text.split()), most)

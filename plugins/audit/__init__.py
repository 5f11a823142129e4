"""/audit: what moderators changed and did here, and what was refused, for those who answer for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bot import (
    Attachment,
    AuditFilter,
    AuditRow,
    Button,
    Channel,
    Choice,
    Context,
    Plugin,
    Range,
    Reply,
    Scope,
    User,
    UserError,
    autocomplete,
    command,
)
from plugins.audit.period import parse_period
from plugins.audit.spreadsheet import write_csv

TIME_ALONE = re.compile(r"\d{1,2}:\d{2}\b")
"""The rest of a day with a time that was typed without quotation marks."""
PAGE_ENTRIES = 10
"""Entries in one message; each takes a line or two."""
MAX_FILE_ENTRIES = 50_000
FILE = "audit.csv"


class AuditPlugin(Plugin):
    """The audit of a server."""

    @command(moderator=True, private=True)
    async def audit(
        self,
        ctx: Context,
        what: Range[str, 1, 200] | None = None,
        who: User | None = None,
        kind: Choice["setting", "moderation", "refusal", "appeal"] | None = None,  # noqa: UP037 - values, not types
        channel: Channel | None = None,
        reason: Range[str, 1, 60] | None = None,
        since: Range[str, 1, 60] | None = None,
        until: Range[str, 1, 60] | None = None,
        before: Range[int, 1, None] | None = None,
        csv: bool = False,
        server: str | None = None,
    ) -> AsyncIterator[Reply]:
        """Show what was changed, done and refused here: who, what, before, after, when.

        what: A setting, a command, or what a moderator did, such as limits
        who: Who did it, or whom a moderator did it to
        kind: Only changes of settings, moderation, refusals or appeals
        channel: Only what happened in this channel
        reason: Only refusals with this code, such as cooldown
        since: From then on: 2026-03-31, "2026-03-31 14:30" (UTC), 3h, 7d
        until: Until then; a day counts as a whole
        before: Only entries with lower numbers
        csv: As a file for spreadsheets, with all entries
        server: Another server, such as web; for whoever runs this bot
        """
        if what and TIME_ALONE.match(what):
            raise UserError("Write a day with a time in quotation marks: {example}", example='since:"2026-03-31 14:30"')
        start, end = parse_period(since, until, datetime.now(UTC))
        audit_filter = AuditFilter(
            what=(what or "").strip().removeprefix("/"),
            who=who.id if who else "",
            kind=kind or "",
            channel=channel.id if channel else "",
            reason=reason or "",
            since=start,
            until=end,
            older=before,
        )
        scope = ctx.settings.scope(server=server)
        if csv:
            yield Reply(status=ctx.translate("Writing the file …"))
            yield await _build_file_reply(ctx, scope, audit_filter)
            return
        options = {
            "what": what,
            "who": who and who.id,
            "kind": kind,
            "channel": channel and channel.id,
            "reason": reason,
            "since": since,
            "until": until,
            "server": server,
        }
        rows = await ctx.audit.find(ctx.caller, scope, audit_filter, most=PAGE_ENTRIES + 1)
        yield _build_page(ctx, rows, scope, {name: value for name, value in options.items() if value})

    @autocomplete("audit", "what")
    async def complete(self, ctx: Context, typed: str) -> Sequence[str]:
        """Return the settings, commands and actions that have entries."""
        names = await ctx.audit.names(ctx.caller, ctx.settings.scope())
        return [name for name in names if typed.removeprefix("/").casefold() in name]


def _build_page(ctx: Context, rows: Sequence[AuditRow], scope: Scope, options: Mapping[str, Any]) -> Reply:
    """Return the reply with the first PAGE_ENTRIES of `rows`; another row says that there are older ones.

    Entries of other servers than `scope` say of which. `options` are those of the command, for the buttons.
    """
    if not rows:
        return Reply(text=ctx.translate("There is no such entry."), final=True)
    shown = rows[:PAGE_ENTRIES]
    lines = [_format_line(ctx, row, scope) for row in shown]
    buttons = [Button(ctx.translate("All as a CSV file"), "audit", {**options, "csv": True})]
    if len(rows) > PAGE_ENTRIES:
        buttons.insert(0, Button(ctx.translate("Older ones"), "audit", {**options, "before": shown[-1].id}))
    return Reply(text="\n".join(lines), buttons=tuple(buttons), final=True)


def _format_line(ctx: Context, row: AuditRow, scope: Scope) -> str:
    line = f"- `#{row.id}` {ctx.capabilities().show_time(row.created)} {ctx.audit.line(ctx.caller, row)}"
    if (row.platform, row.server) == (scope.platform, scope.server):
        return line
    return f"{line} ({ctx.translate('server {id}', id=f'{row.platform}:{row.server}')})"


async def _build_file_reply(ctx: Context, scope: Scope, audit_filter: AuditFilter) -> Reply:
    rows: list[AuditRow] = []
    async for chunk in ctx.audit.all(ctx.caller, scope, audit_filter):
        rows += chunk
        if len(rows) >= MAX_FILE_ENTRIES:
            break
    if not rows:
        return Reply(text=ctx.translate("There is no such entry."), final=True)
    entries = [(row, ctx.audit.before(row)) for row in rows[:MAX_FILE_ENTRIES]]
    data = await asyncio.to_thread(write_csv, entries)
    text = ctx.translate("Entries: {count}, the newest first.", count=len(entries))
    if len(rows) >= MAX_FILE_ENTRIES:
        text = ctx.translate("The newest {count} entries; since and until lead to older ones.", count=len(entries))
    file = Attachment(FILE, data, "text/csv", alt=ctx.translate("The audit as a table"))
    return Reply(text=text, attachments=(file,), final=True)

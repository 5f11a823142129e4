"""/audit: what moderators changed and did here, and what was refused, for those who answer for it."""

from __future__ import annotations

import asyncio
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
    autocomplete,
    command,
)
from plugins.audit.sheet import sheet
from plugins.audit.span import span

PAGE = 10
"""How many entries a message shows; each is a line or two."""
MOST_ROWS = 50_000
FILE = "audit.csv"


class AuditPlugin(Plugin):
    """The record of a server."""

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
        since: From then on: 2026-03-31, 2026-03-31 14:30 (UTC), 3h, 7d
        until: Until then; a day counts as a whole
        before: Only entries with lower numbers
        csv: As a file for spreadsheets, with all entries
        server: Another server, such as web; for whoever runs this bot
        """
        first, last = span(since, until, datetime.now(UTC))
        wanted = AuditFilter(
            what=(what or "").strip().removeprefix("/"),
            who=who.id if who else "",
            kind=kind or "",
            channel=channel.id if channel else "",
            reason=reason or "",
            since=first,
            until=last,
            older=before,
        )
        scope = ctx.settings.scope(server=server)
        if csv:
            yield Reply(status=ctx.translate("Writing the file …"))
            yield await _file(ctx, scope, wanted)
            return
        given = {
            "what": what,
            "who": who and who.id,
            "kind": kind,
            "channel": channel and channel.id,
            "reason": reason,
            "since": since,
            "until": until,
            "server": server,
        }
        rows = await ctx.audit.find(scope, wanted, most=PAGE + 1)
        yield _page(ctx, rows, {name: value for name, value in given.items() if value})

    @autocomplete("audit", "what")
    async def complete(self, ctx: Context, typed: str) -> Sequence[str]:
        """What there are entries about."""
        names = await ctx.audit.names(ctx.settings.scope())
        return [name for name in names if typed.removeprefix("/").casefold() in name]


def _page(ctx: Context, rows: Sequence[AuditRow], given: Mapping[str, Any]) -> Reply:
    """Up to PAGE entries; one more says that there are older ones. `given` is what was asked for."""
    if not rows:
        return Reply(text=ctx.translate("There is no such entry."), final=True)
    shown = rows[:PAGE]
    lines = [f"- `#{row.id}` {_when(ctx, row)} {ctx.audit.line(row)}" for row in shown]
    buttons = [Button(ctx.translate("All as a CSV file"), "audit", {**given, "csv": True})]
    if len(rows) > PAGE:
        buttons.insert(0, Button(ctx.translate("Older ones"), "audit", {**given, "before": shown[-1].id}))
    return Reply(text="\n".join(lines), buttons=tuple(buttons), final=True)


def _when(ctx: Context, row: AuditRow) -> str:
    """Return when it happened, in the reader's own zone where the platform can show that."""
    if mention := ctx.capabilities(row.platform).time_mention:
        return mention.format(seconds=int(row.created.timestamp()))
    return f"{row.created.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


async def _file(ctx: Context, scope: Scope, wanted: AuditFilter) -> Reply:
    rows: list[AuditRow] = []
    async for piece in ctx.audit.all(scope, wanted):
        rows += piece
        if len(rows) >= MOST_ROWS:
            break
    if not rows:
        return Reply(text=ctx.translate("There is no such entry."), final=True)
    entries = [(row, ctx.audit.before(row)) for row in rows[:MOST_ROWS]]
    data = await asyncio.to_thread(sheet, entries)
    text = ctx.translate("Entries: {count}, the newest first.", count=len(entries))
    if len(rows) >= MOST_ROWS:
        text = ctx.translate("The newest {count} entries; since and until lead to older ones.", count=len(entries))
    file = Attachment(FILE, data, "text/csv", alt=ctx.translate("The audit as a table"))
    return Reply(text=text, attachments=(file,), final=True)

"""/mod, /timeout and /queue: what moderators do to messages, to people and to answers under way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from bot import Button, Context, Plugin, Range, Reply, Scope, User, UserError, autocomplete, command, message_command

SPAN = re.compile(r"(?P<count>[0-9]{1,5})\s*(?P<unit>[^\W\d_]*)")
UNITS = {
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "minuto", "minutos", "minuten"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours", "hora", "horas", "stunde", "stunden", "std"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days", "día", "días", "tag", "tage"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks", "semana", "semanas", "woche", "wochen"), timedelta(weeks=1)),
}
LONGEST = timedelta(days=28)
LISTED = 20
"""How many time-outs or answers are listed; as many buttons fit under a message everywhere."""


class ModerationPlugin(Plugin):
    """What moderators do: delete messages, time people out, and look at the queue."""

    title = "Messages, people and the queue (/mod, /timeout, /queue)"

    @message_command("Remove", text="{link}")
    @command("mod remove", moderator=True, private=True)
    async def remove(self, ctx: Context, message: Range[str, 1, 300]) -> AsyncIterator[Reply]:
        """Remove a message of the bot, with what is stored of it.

        message: A link to it
        """
        if await ctx.moderation.remove(message):
            text = ctx.translate("The message is removed.")
        else:
            text = ctx.translate("What was stored of it is deleted; the message itself could not be removed there.")
        yield Reply(text=text, final=True)

    @command(moderator=True, private=True)
    async def timeout(
        self,
        ctx: Context,
        user: User,
        duration: Range[str, 1, 20],
        reason: Range[str, 1, 200] | None = None,
    ) -> AsyncIterator[Reply]:
        """Keep somebody from the bot for a while, buttons included.

        user: Whom
        duration: For how long, such as 10m, 2h or 3d
        reason: Why; they are told
        """
        made = await ctx.moderation.time_out(user, ctx.settings.scope(), span(duration), reason or "")
        sentence = "{name} cannot use me until {until}. `/timeouts lift` ends it before."
        yield Reply(text=ctx.translate(sentence, name=_plain(made.name), until=_time(made.until)), final=True)

    @command("timeouts list", moderator=True, private=True)
    async def list_timeouts(self, ctx: Context, server: str | None = None) -> AsyncIterator[Reply]:
        """Show who cannot use the bot at the moment, and lift that.

        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(server=server)
        lines, buttons = [], []
        found = ctx.moderation.time_outs(scope)
        for one in found[:LISTED]:
            name = one.name or ctx.translate("somebody who had their data deleted")
            sentence = "- #{number} {name} until {until}, by {moderator}"
            told = ctx.translate(
                sentence,
                number=one.id,
                name=_plain(name),
                until=_time(one.until),
                moderator=_plain(one.actor_name),
            )
            lines.append(f"{told}: {_plain(one.reason)}" if one.reason else told)
            options = {"number": one.id, **({"server": server} if server else {})}
            buttons.append(Button(ctx.translate("Lift #{number}", number=one.id), "timeout-end", options))
        if len(found) > LISTED:
            lines.append("- …")
        text = "\n".join(lines) or ctx.translate("Nobody is timed out here.")
        yield Reply(text=text, buttons=tuple(buttons), final=True)

    @command("timeouts lift", moderator=True, private=True)
    async def lift(self, ctx: Context, user: Range[str, 1, 100], server: str | None = None) -> AsyncIterator[Reply]:
        """End a time-out before its time.

        user: Whose: their name, their id, or the number that /timeouts list shows
        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(server=server)
        number = self._number(ctx, scope, user)
        async for reply in self.end(ctx, number, server):
            yield reply

    @command("timeout-end", hidden=True, moderator=True, private=True)
    async def end(self, ctx: Context, number: int, server: str | None = None) -> AsyncIterator[Reply]:
        """End a time-out."""
        lifted = await ctx.moderation.lift(number, ctx.settings.scope(server=server))
        name = lifted.name or ctx.translate("somebody who had their data deleted")
        yield Reply(text=ctx.translate("Lifted: {name} can use me again.", name=_plain(name)), final=True)

    @command(moderator=True, private=True)
    async def queue(self, ctx: Context, server: str | None = None) -> AsyncIterator[Reply]:
        """Show what is being answered here, and cancel it.

        server: Another server, such as web; for whoever runs this bot
        """
        lines, buttons = [], []
        # This very answer is one of them.
        jobs = [job for job in await ctx.moderation.queue(ctx.settings.scope(server=server)) if job.command != "queue"]
        for job in jobs[:LISTED]:
            seconds = max(0, int((datetime.now(UTC) - job.since).total_seconds()))
            sentence = "- #{number} /{command} of {name}, waiting for {seconds} s"
            if job.is_written:
                sentence = "- #{number} /{command} of {name}, being written for {seconds} s"
            told = ctx.translate(
                sentence, number=job.row, command=job.command, name=_plain(job.author_name), seconds=seconds
            )
            lines.append(f"{told}: {job.status}" if job.status else told)
            options = {"row": job.row, **({"server": server} if server else {})}
            label = ctx.translate("Cancel #{number}", number=job.row)
            buttons.append(Button(label, "queue-cancel", options, style="danger"))
        if len(jobs) > LISTED:
            lines.append("- …")
        buttons.append(Button(ctx.translate("Look again"), "queue", {"server": server} if server else {}))
        text = "\n".join(lines) or ctx.translate("Nothing is being answered here at the moment.")
        yield Reply(text=text, buttons=tuple(buttons), final=True)

    @command("queue-cancel", hidden=True, moderator=True, private=True)
    async def cancel(self, ctx: Context, row: int, server: str | None = None) -> AsyncIterator[Reply]:
        """Cancel an answer."""
        job = await ctx.moderation.cancel(row, ctx.settings.scope(server=server))
        about = {"command": job.command, "name": _plain(job.author_name)}
        yield Reply(text=ctx.translate("Cancelled: /{command} of {name}.", **about), final=True)

    @autocomplete("timeout", "duration")
    async def complete_duration(self, ctx: Context, typed: str) -> Sequence[str]:
        """Some that are common."""
        return [one for one in ("10m", "30m", "1h", "8h", "1d", "7d", "28d") if one.startswith(typed.strip())]

    @autocomplete("timeouts lift", "user")
    async def complete_lift(self, ctx: Context, typed: str) -> Sequence[str]:
        """Whoever is timed out here."""
        found = ctx.moderation.time_outs(ctx.settings.scope())
        names = [one.name or f"#{one.id}" for one in found]
        return [name for name in dict.fromkeys(names) if typed.casefold() in name.casefold()]

    def _number(self, ctx: Context, scope: Scope, user: str) -> int:
        """Which time-out somebody means. Raises UserError unless it is one."""
        wanted = user.strip().strip("<@!>").partition("|")[0]
        found = ctx.moderation.time_outs(scope)
        numbered = [one.id for one in found if wanted.removeprefix("#") == str(one.id)]
        named = [one.id for one in found if wanted in (one.user, f"@{one.user}")] or [
            one.id for one in found if one.name and wanted.removeprefix("@").casefold() == one.name.casefold()
        ]
        if len(several := named or numbered) == 1:
            return several[0]
        if several:
            sentence = "Several people here are called “{name}”; give the number that /timeouts list shows."
            raise UserError(sentence, name=user)
        raise UserError("“{name}” is not timed out here. /timeouts list shows who is.", name=user)


def span(text: str) -> timedelta:
    """A time as people write it: "10m", "2h", "1d 12h". Raises UserError for what is none, or too long."""
    words = unicodedata.normalize("NFC", text.casefold()).replace(",", " ")
    parts = list(SPAN.finditer(words))
    wrong = SPAN.sub("", words).strip() or any(part["unit"] not in UNITS for part in parts)
    total = timedelta() if wrong else sum((int(part["count"]) * UNITS[part["unit"]] for part in parts), timedelta())
    if not timedelta() < total <= LONGEST:
        sentence = "duration must be a time such as 10m, 2h or 3d, up to {days} days; you gave “{text}”."
        raise UserError(sentence, days=LONGEST.days, text=text)
    return total


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _plain(text: str) -> str:
    """Somebody's words so that nothing in them is taken for Markdown."""
    return re.sub(r"([\\`*_~|<>\[\]#])", r"\\\1", " ".join(text.split()))

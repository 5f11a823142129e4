"""/mod, /timeout and /queue: what moderators do to messages, to people and to answers under way."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from bot import Button, Context, Plugin, Range, Reply, Scope, User, UserError, autocomplete, command, message_command
from plugins.shared.times import parse_duration

MAX_TIMEOUT = timedelta(days=28)
MAX_LISTED = 20
"""Limit of the time-outs or answers in a list; as many buttons fit below a message on every platform."""


class ModerationPlugin(Plugin):
    """Commands for moderators: messages, people and answers under way."""

    title = "Messages, people and the queue (/mod, /timeout, /queue)"

    @message_command("Remove", text="{link}")
    @command("mod remove", moderator=True, private=True)
    async def remove(self, ctx: Context, message: Range[str, 1, 300]) -> AsyncIterator[Reply]:
        """Remove a message of the bot, with what is stored of it.

        message: A link to it
        """
        if await ctx.moderation.remove(ctx.caller, message):
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
        scope, span = ctx.settings.scope(), parse_timeout(duration)
        timed_out = await ctx.moderation.time_out(ctx.caller, user, scope, span, reason or "")
        sentence = "{name} cannot use me until {until}. `/timeouts lift` ends it before."
        about = {"name": _escape_markdown(timed_out.name), "until": ctx.capabilities().show_time(timed_out.until)}
        yield Reply(text=ctx.translate(sentence, **about), final=True)

    @command("timeouts list", moderator=True, private=True)
    async def list_timeouts(self, ctx: Context, server: str | None = None) -> AsyncIterator[Reply]:
        """Show who cannot use the bot at the moment, and lift that.

        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(server=server)
        lines, buttons = [], []
        time_outs = ctx.moderation.time_outs(ctx.caller, scope)
        for one in time_outs[:MAX_LISTED]:
            name = one.name or ctx.translate("somebody who had their data deleted")
            sentence = "- #{number} {name} until {until}, by {moderator}"
            line = ctx.translate(
                sentence,
                number=one.id,
                name=_escape_markdown(name),
                until=ctx.capabilities().show_time(one.until),
                moderator=_escape_markdown(one.actor_name),
            )
            lines.append(f"{line}: {_escape_markdown(one.reason)}" if one.reason else line)
            options = {"number": one.id, **_build_server_option(server)}
            buttons.append(Button(ctx.translate("Lift #{number}", number=one.id), "timeout-end", options))
        if len(time_outs) > MAX_LISTED:
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
        number = self._find_number(ctx, scope, user)
        async for reply in self.end_timeout(ctx, number, server):
            yield reply

    @command("timeout-end", hidden=True, moderator=True, private=True)
    async def end_timeout(self, ctx: Context, number: int, server: str | None = None) -> AsyncIterator[Reply]:
        """End a time-out."""
        lifted = await ctx.moderation.lift(ctx.caller, number, ctx.settings.scope(server=server))
        name = lifted.name or ctx.translate("somebody who had their data deleted")
        yield Reply(text=ctx.translate("Lifted: {name} can use me again.", name=_escape_markdown(name)), final=True)

    @command(moderator=True, private=True)
    async def queue(self, ctx: Context, server: str | None = None) -> AsyncIterator[Reply]:
        """Show what is being answered here, and cancel it.

        server: Another server, such as web; for whoever runs this bot
        """
        lines, buttons = [], []
        # The answer to this command is under way itself.
        running = await ctx.moderation.queue(ctx.caller, ctx.settings.scope(server=server))
        jobs = [job for job in running if job.command != "queue"]
        for job in jobs[:MAX_LISTED]:
            seconds = max(0, int((datetime.now(UTC) - job.since).total_seconds()))
            sentence = "- #{number} /{command} of {name}, waiting for {seconds} s"
            if job.is_written:
                sentence = "- #{number} /{command} of {name}, being written for {seconds} s"
            line = ctx.translate(
                sentence, number=job.row, command=job.command, name=_escape_markdown(job.author_name), seconds=seconds
            )
            lines.append(f"{line}: {job.status}" if job.status else line)
            options = {"row": job.row, **_build_server_option(server)}
            label = ctx.translate("Cancel #{number}", number=job.row)
            buttons.append(Button(label, "queue-cancel", options, style="danger"))
        if len(jobs) > MAX_LISTED:
            lines.append("- …")
        buttons.append(Button(ctx.translate("Look again"), "queue", _build_server_option(server)))
        text = "\n".join(lines) or ctx.translate("Nothing is being answered here at the moment.")
        yield Reply(text=text, buttons=tuple(buttons), final=True)

    @command("queue-cancel", hidden=True, moderator=True, private=True)
    async def cancel(self, ctx: Context, row: int, server: str | None = None) -> AsyncIterator[Reply]:
        """Cancel an answer."""
        job = await ctx.moderation.cancel(ctx.caller, row, ctx.settings.scope(server=server))
        about = {"command": job.command, "name": _escape_markdown(job.author_name)}
        yield Reply(text=ctx.translate("Cancelled: /{command} of {name}.", **about), final=True)

    @autocomplete("timeout", "duration")
    async def complete_duration(self, ctx: Context, typed: str) -> Sequence[str]:
        """Return common durations."""
        return [one for one in ("10m", "30m", "1h", "8h", "1d", "7d", "28d") if one.startswith(typed.strip())]

    @autocomplete("timeouts lift", "user")
    async def complete_lift(self, ctx: Context, typed: str) -> Sequence[str]:
        """Return the names of people who are timed out here."""
        time_outs = ctx.moderation.time_outs(ctx.caller, ctx.settings.scope())
        names = [one.name or f"#{one.id}" for one in time_outs]
        return [name for name in dict.fromkeys(names) if typed.casefold() in name.casefold()]

    def _find_number(self, ctx: Context, scope: Scope, user: str) -> int:
        """Return the number of the time-out that `user` names. Raises UserError unless there is exactly one."""
        name = user.strip().strip("<@!>").partition("|")[0]
        time_outs = ctx.moderation.time_outs(ctx.caller, scope)
        numbered = [one.id for one in time_outs if name.removeprefix("#") == str(one.id)]
        named = [one.id for one in time_outs if name in (one.user, f"@{one.user}")] or [
            one.id for one in time_outs if one.name and name.removeprefix("@").casefold() == one.name.casefold()
        ]
        matches = named or numbered
        if len(matches) == 1:
            return matches[0]
        if matches:
            sentence = "Several people here are called “{name}”; give the number that /timeouts list shows."
            raise UserError(sentence, name=user)
        raise UserError("“{name}” is not timed out here. /timeouts list shows who is.", name=user)


def parse_timeout(text: str) -> timedelta:
    """Parse the duration of a time-out. Raises UserError if it is malformed or too long."""
    duration = parse_duration(text)
    if duration is None or not timedelta() < duration <= MAX_TIMEOUT:
        sentence = "duration must be a time such as 10m, 2h or 3d, up to {days} days; you gave “{text}”."
        raise UserError(sentence, days=MAX_TIMEOUT.days, text=text)
    return duration


def _build_server_option(server: str | None) -> dict[str, str]:
    """Return the option of a button that keeps to another server, if one was named."""
    return {"server": server} if server else {}


def _escape_markdown(text: str) -> str:
    """Return `text` in one line, with every character escaped that Markdown would interpret."""
    return re.sub(r"([\\`*_~|<>\[\]#])", r"\\\1", " ".join(text.split()))

"""/stats: how much a server uses the bot, how long people wait, what is refused and what they like. No names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from bot import Attachment, Choice, Context, Plugin, Reply, SerialExecutor, UsageStatistics, command
from plugins.stats.chart import COLOURS, UsageChart, draw_chart

MAX_NAMED_COMMANDS = len(COLOURS) - 1
"""Limit of the commands with a colour of their own; all others share the last one."""
FILE = "stats.png"


class StatsPlugin(Plugin):
    """Statistics for moderators."""

    title = "Statistics (/stats)"

    async def start(self) -> None:
        self._drawing_thread = SerialExecutor("stats")

    async def stop(self) -> None:
        self._drawing_thread.leave()

    @command(moderator=True, private=True)
    async def stats(
        self,
        ctx: Context,
        days: Choice[7, 30] = 7,
        server: str | None = None,
    ) -> AsyncIterator[Reply]:
        """Show how much the bot is used here, waiting times, refusals and thumbs; nobody is named.

        days: How many days, today included
        server: Another server, such as web; for whoever runs this bot
        """
        figures = await ctx.statistics.last(ctx.caller, days, ctx.settings.scope(server=server))
        if not figures.total and not figures.reasons:
            yield Reply(text=ctx.translate("Nobody used me here in the last {days} days.", days=days), final=True)
            return
        yield Reply(status=ctx.translate("Drawing the figures …"))
        picture = await self._drawing_thread.run(draw_chart, _build_chart(ctx, figures))
        file = Attachment(FILE, picture, "image/png", alt=_describe_chart(ctx, figures))
        yield Reply(text=_build_text(ctx, figures), attachments=(file,), final=True)


def _group_uses(ctx: Context, figures: UsageStatistics) -> list[tuple[str, Sequence[int]]]:
    """Return the most used commands, each with its uses by day, and all others together."""
    kinds: list[tuple[str, Sequence[int]]] = [(f"/{name}", uses) for name, uses in figures.uses.items()]
    if len(kinds) <= MAX_NAMED_COMMANDS + 1:
        return kinds
    others = [sum(numbers) for numbers in zip(*(uses for _, uses in kinds[MAX_NAMED_COMMANDS:]), strict=True)]
    return [*kinds[:MAX_NAMED_COMMANDS], (ctx.translate("all others"), others)]


def _build_chart(ctx: Context, figures: UsageStatistics) -> UsageChart:
    return UsageChart(ctx.translate("Answers by day"), figures.days, _group_uses(ctx, figures))


def _describe_chart(ctx: Context, figures: UsageStatistics) -> str:
    """Return the numbers in words, the most important ones first, because platforms cut long descriptions."""
    commands = ", ".join(f"{name} {sum(uses)}" for name, uses in _group_uses(ctx, figures))
    totals = [sum(numbers) for numbers in zip(*figures.uses.values(), strict=True)] or [0] * len(figures.days)
    days = ", ".join(f"{day[5:]}: {total}" for day, total in zip(figures.days, totals, strict=True))
    about = {"first": figures.days[0], "last": figures.days[-1], "commands": commands, "days": days}
    return ctx.translate("Answers from {first} to {last}: {commands}. By day: {days}.", **about)


def _build_text(ctx: Context, figures: UsageStatistics) -> str:
    first, last = figures.days[0], figures.days[-1]
    about = {"first": first, "last": last, "count": figures.total, "failed": figures.failed}
    head = ctx.translate("**{first} to {last}** (UTC). Answers: {count}, with an error: {failed}.", **about)
    lines = [head, "", *(f"- {_describe_command(ctx, figures, name)}" for name in figures.uses)]
    if figures.reasons:
        reasons = ", ".join(f"`{code}` {count}" for code, count in figures.reasons.items())
        lines += ["", ctx.translate("Refused: {count} ({reasons}).", count=sum(figures.refused), reasons=reasons)]
    else:
        lines += ["", ctx.translate("Nothing was refused.")]
    return "\n".join(lines)


def _describe_command(ctx: Context, figures: UsageStatistics, name: str) -> str:
    """Return a line about one command: its uses, the time until people saw something, and its thumbs."""
    parts = [f"`/{name}`: {sum(figures.uses[name])}"]
    if (waits := figures.waits.get(name)) is not None:
        half, most = _format_bucket(ctx, waits.half), _format_bucket(ctx, waits.most)
        parts.append(ctx.translate("half waited {half}, nine in ten {most}", half=half, most=most))
    if (votes := figures.votes.get(name)) is not None:
        parts.append(f"👍 {votes[0]} 👎 {votes[1]}")
    return " · ".join(parts)


def _format_bucket(ctx: Context, upper_edge: float | None) -> str:
    if upper_edge is None:
        return ctx.translate("more than 5 minutes")
    return ctx.translate("less than {seconds} s", seconds=f"{upper_edge:g}")

"""/defaults: everybody's own default values of options."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot import Context, Plugin, Range, Reply, UserError, autocomplete, command

Name = Range[str, 1, 100]


class DefaultsPlugin(Plugin):
    """Everybody's own defaults."""

    title = "Everybody's own defaults (/defaults)"

    @command("defaults show", private=True, free=True)
    async def show(self, ctx: Context) -> AsyncIterator[Reply]:
        """Show your own defaults, and what else could have one."""
        mine = ctx.defaults.mine(ctx.caller, ctx.commands)
        lines = []
        for name, option in ctx.defaults.offered(ctx.commands).items():
            standard = ctx.translate("default")
            value = f"**{_format(mine[name])}**" if name in mine else f"{_format(option.default)} ({standard})"
            lines.append(f"- `{name}`: {value}")
        lines += ["", ctx.translate("Change one like this: `/defaults set ask.temperature value:0.3`")]
        yield Reply(text="\n".join(lines), final=True)

    @command("defaults set", private=True, free=True, written_if={})
    async def set(self, ctx: Context, option: Name, value: Range[str, 1, 1000]) -> AsyncIterator[Reply]:
        """Choose what an option is for you when you do not say.

        option: The command and the option, such as ask.temperature
        value: What it shall be
        """
        value_set = await ctx.defaults.set(ctx.caller, ctx.commands, option.casefold(), value)
        text = ctx.translate(
            "{name} is {value} for you from now on.", name=f"`{option.casefold()}`", value=_format(value_set)
        )
        yield Reply(text=text, final=True)

    @command("defaults reset", private=True, free=True, written_if={})
    async def reset(self, ctx: Context, option: Name | None = None) -> AsyncIterator[Reply]:
        """Go back to the bot's own default, for one option or for all.

        option: The command and the option, such as ask.temperature; all if you name none
        """
        if option is not None and option.casefold() not in ctx.defaults.mine(ctx.caller, ctx.commands):
            raise UserError("You have set no default of your own for {name}.", name=option)
        await ctx.defaults.reset(ctx.caller, (option or "").casefold())
        yield Reply(text=ctx.translate("Done: the bot's own default counts again."), final=True)

    @autocomplete("defaults set", "option")
    async def complete_set(self, ctx: Context, typed: str) -> tuple[str, ...]:
        """Return the options that can have a default."""
        return tuple(name for name in ctx.defaults.offered(ctx.commands) if typed.casefold() in name)

    @autocomplete("defaults reset", "option")
    async def complete_reset(self, ctx: Context, typed: str) -> tuple[str, ...]:
        """Return the options that have one."""
        return tuple(name for name in ctx.defaults.mine(ctx.caller, ctx.commands) if typed.casefold() in name)


def _format(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else "–" if value is None else str(value)

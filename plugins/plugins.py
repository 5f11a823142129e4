"""/plugins: lists plugins, switches them on or off for a server, and reloads them for the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot import Channel, Context, Plugin, Reply, Scope, UserError, autocomplete, command


class PluginsPlugin(Plugin):
    """Commands about the plugins themselves."""

    @command("plugins list", moderator=True, private=True)
    async def list(self, ctx: Context) -> AsyncIterator[Reply]:
        """List the plugins and their commands."""
        lines = []
        for plugin in ctx.plugins.listed(ctx.place):
            state = ctx.translate("on") if plugin.is_on else ctx.translate("off")
            names = ", ".join(f"`/{name}`" for name in plugin.commands) or "–"
            lines.append(f"- **{plugin.name}** ({state}): {names}")
        yield Reply(text="\n".join(lines), final=True)

    @command("plugins enable", moderator=True, private=True)
    async def enable(
        self, ctx: Context, name: str, channel: Channel | None = None, server: str | None = None
    ) -> AsyncIterator[Reply]:
        """Switch a plugin on in this server.

        name: The plugin's name
        channel: In this channel alone
        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(channel=channel, server=server)
        await ctx.plugins.switch(name, scope, ctx.user, on=True)
        lines = [ctx.translate("“{name}” is on now.", name=name), *_list_exceptions(ctx, name, scope, on=True)]
        yield Reply(text="\n".join(lines), final=True)

    @command("plugins disable", moderator=True, private=True)
    async def disable(
        self, ctx: Context, name: str, channel: Channel | None = None, server: str | None = None
    ) -> AsyncIterator[Reply]:
        """Switch a plugin off in this server.

        name: The plugin's name
        channel: In this channel alone
        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(channel=channel, server=server)
        await ctx.plugins.switch(name, scope, ctx.user, on=False)
        lines = [ctx.translate("“{name}” is off now.", name=name), *_list_exceptions(ctx, name, scope, on=False)]
        yield Reply(text="\n".join(lines), final=True)

    @command("plugins reload", moderator=True, private=True)
    async def reload(self, ctx: Context, name: str) -> AsyncIterator[Reply]:
        """Read a plugin's file anew; for whoever runs this bot.

        name: The plugin's name
        """
        if not ctx.user.is_operator:
            raise UserError("Only whoever runs this bot can reload a plugin, from the terminal.")
        await ctx.plugins.reload(name)
        yield Reply(text=ctx.translate("“{name}” was read anew.", name=name), final=True)

    @autocomplete("plugins enable", "name")
    async def complete_enable(self, ctx: Context, typed: str) -> tuple[str, ...]:
        """Return the plugins that are off."""
        return _complete_name(ctx, typed, on=False)

    @autocomplete("plugins disable", "name")
    async def complete_disable(self, ctx: Context, typed: str) -> tuple[str, ...]:
        """Return the plugins that are on and can be switched off."""
        return tuple(name for name in _complete_name(ctx, typed, on=True) if ctx.settings.knows(f"{name}.enabled"))

    @autocomplete("plugins reload", "name")
    async def complete_reload(self, ctx: Context, typed: str) -> tuple[str, ...]:
        """Return all plugins."""
        return tuple(plugin.name for plugin in ctx.plugins.listed(ctx.place) if plugin.name.startswith(typed))


def _list_exceptions(ctx: Context, name: str, scope: Scope, *, on: bool) -> list[str]:
    """Return a line with the channels of a server in which a plugin is switched otherwise; none if there are none."""
    mention = ctx.capabilities().mention_channel
    setting = f"{name}.enabled"
    within = ctx.settings.within(scope).items()
    others = [one.channel for one, values in within if one != scope and values.get(setting, on) is not on]
    channels = [mention(channel) or f"#{channel}" for channel in others]
    return [ctx.translate("Not so in: {channels}", channels=", ".join(channels))] if channels else []


def _complete_name(ctx: Context, typed: str, *, on: bool) -> tuple[str, ...]:
    return tuple(
        plugin.name for plugin in ctx.plugins.listed(ctx.place) if plugin.is_on is on and plugin.name.startswith(typed)
    )

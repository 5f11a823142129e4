"""/config: moderators show and change the settings of their server, of a channel or of a role."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from bot import (
    Attachment,
    Changed,
    Channel,
    Context,
    Plugin,
    Range,
    Reply,
    Role,
    Scope,
    Setting,
    UserError,
    autocomplete,
    command,
    cut_line,
    unquote,
)

FILE = "tempera-settings.toml"
MAX_LISTED_CHARACTERS = 60
"""Limit of a value in a list."""
MAX_IMPORTED_CHARACTERS = 100_000
"""Limit of a file of settings: reading one takes a while, in which nobody else gets an answer."""


class ConfigPlugin(Plugin):
    """Settings that moderators change in chat."""

    @command("config show", moderator=True, private=True)
    async def show(
        self,
        ctx: Context,
        setting: str | None = None,
        channel: Channel | None = None,
        role: Role | None = None,
        server: str | None = None,
    ) -> AsyncIterator[Reply]:
        """Show what is set here, and where each value comes from.

        setting: One setting, in full
        channel: As it is in this channel
        role: As it is for this role
        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(channel=channel, role=role, server=server)
        if setting is None:
            yield Reply(text=_describe_all(ctx, scope), final=True)
        else:
            yield Reply(text=await _describe_one(ctx, ctx.settings.find(setting), scope), final=True)

    @command("config set", moderator=True, private=True)
    async def set(
        self,
        ctx: Context,
        setting: Range[str, 1, 5000],
        value: Range[str, 1, 4000] | None = None,
        channel: Channel | None = None,
        role: Role | None = None,
        server: str | None = None,
    ) -> AsyncIterator[Reply]:
        """Change a setting, from the next request on.

        setting: Its name, such as ask.temperature.maximum
        value: What it shall be
        channel: For this channel alone
        role: For people with this role; for limits alone
        server: Another server, such as web; for whoever runs this bot
        """
        name, new_value = _split_setting(setting, value)
        known = ctx.settings.find(name)
        if not new_value:
            sentence = "{name} needs a value: {expected}. Like this: `/config set {name} value:…`"
            raise UserError(sentence, name=known.name, expected=await _describe_expected(ctx, known))
        scope = ctx.settings.scope(channel=channel, role=role, server=server)
        change = await ctx.settings_editor.set(ctx.caller, known.name, new_value, scope)
        lines = [_describe_change(ctx, change), *_list_exceptions(ctx, known, scope)]
        yield Reply(text="\n".join(lines), final=True)

    @command("config reset", moderator=True, private=True)
    async def reset(
        self,
        ctx: Context,
        setting: str | None = None,
        channel: Channel | None = None,
        role: Role | None = None,
        server: str | None = None,
    ) -> AsyncIterator[Reply]:
        """Take back what was set for the server, a channel or a role.

        setting: Which one; all of them if you name none
        channel: What was set for this channel
        role: What was set for this role
        server: Another server, such as web; for whoever runs this bot
        """
        scope = ctx.settings.scope(channel=channel, role=role, server=server)
        if setting is not None:
            changes: Sequence[Changed] = [await ctx.settings_editor.set(ctx.caller, setting, None, scope)]
        else:
            changes = await ctx.settings_editor.reset(ctx.caller, scope)
        lines = [_describe_change(ctx, change) for change in changes]
        yield Reply(text="\n".join(lines) or ctx.translate("Nothing was set there."), final=True)

    @command("config export", moderator=True, private=True)
    async def export(self, ctx: Context, server: str | None = None) -> AsyncIterator[Reply]:
        """Write all that is set here into a file, for another server or for later.

        server: Another server, such as web; for whoever runs this bot
        """
        text = ctx.settings.export(ctx.settings.scope(server=server))
        if not text:
            yield Reply(text=ctx.translate("Nothing was set there."), final=True)
            return
        file = Attachment(FILE, text.encode(), "application/toml", alt=ctx.translate("The settings"))
        sentence = ctx.translate("Here they are. `/config import` reads them again.")
        yield Reply(text=f"{sentence}\n```toml\n{text}```", attachments=(file,), final=True)

    @command("config import", form=("file", "text"), moderator=True, private=True)
    async def import_(
        self,
        ctx: Context,
        file: Attachment | None = None,
        text: Range[str, 1, MAX_IMPORTED_CHARACTERS] | None = None,
        server: str | None = None,
    ) -> AsyncIterator[Reply]:
        """Set all that a file of settings says; what it does not name stays.

        file: What /config export wrote
        text: Or the same as text
        server: Another server, such as web; for whoever runs this bot
        """
        if (file is None) == (text is None):
            raise UserError("Give the settings either as a file or as text.")
        scope = ctx.settings.scope(server=server)
        changes = await ctx.settings_editor.load(ctx.caller, _decode(file) if file is not None else text or "", scope)
        lines = [_describe_change(ctx, change) for change in changes if change.before != change.after]
        yield Reply(text="\n".join(lines) or ctx.translate("All of that was set already."), final=True)

    @autocomplete("config show", "setting")
    async def complete_show(self, ctx: Context, typed: str) -> Sequence[str]:
        """Return all names."""
        return _complete_name(ctx, typed)

    @autocomplete("config set", "setting")
    async def complete_set(self, ctx: Context, typed: str) -> Sequence[str]:
        """Return names, or the values of a name that is complete."""
        name, space, begun = typed.lstrip().partition(" ")
        if not space:
            return _complete_name(ctx, name)
        return [f"{name} {value}" for value in await _complete_value(ctx, name, begun.strip())]

    @autocomplete("config reset", "setting")
    async def complete_reset(self, ctx: Context, typed: str) -> Sequence[str]:
        """Return the names of settings that have a value here."""
        names_with_value = {name for values in ctx.settings.within(ctx.settings.scope()).values() for name in values}
        return [name for name in _complete_name(ctx, typed) if name in names_with_value]

    @autocomplete("config set", "value")
    async def complete_value(self, ctx: Context, typed: str) -> Sequence[str]:
        """Return the values of the setting, if they can be listed."""
        return await _complete_value(ctx, str(ctx.request.options.get("setting") or ""), typed)


def _split_setting(setting: str, value: str | None) -> tuple[str, str]:
    """Return the name and the value, which may both stand in `setting`: "ask.temperature.maximum 1.0"."""
    name, *rest = setting.split(maxsplit=1) or [""]
    if value is not None or not rest:
        return setting.strip(), (value or "").strip()
    return name, unquote(rest[0].removeprefix("=").strip())


def _complete_name(ctx: Context, typed: str) -> list[str]:
    return [setting.name for setting in ctx.settings.declared if typed.casefold() in setting.name]


async def _complete_value(ctx: Context, name: str, typed: str) -> Sequence[str]:
    """Return the values that begin with `typed` and that setting `name` can have; none if there is no such setting."""
    try:
        setting = ctx.settings.find(name)
        values = await ctx.settings.choices(setting) or _list_usual_values(ctx, setting)
    except UserError:
        return []
    return [value for value in values if value.casefold().startswith(typed.casefold())]


def _list_usual_values(ctx: Context, setting: Setting) -> list[str]:
    if setting.type is bool:
        return [ctx.translate("yes"), ctx.translate("no")]
    current = ctx.settings.levels(setting.name, ctx.settings.scope())[-1].value
    limits = [] if setting.type is str else [setting.minimum, setting.maximum]
    usual = [current, setting.default, *limits]
    return list(dict.fromkeys(_format_value(ctx, value) for value in usual if value not in (None, "")))


def _format_value(ctx: Context, value: object) -> str:
    if isinstance(value, bool):
        return ctx.translate("yes") if value else ctx.translate("no")
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value in (None, "") else str(value)


def _format_full(ctx: Context, setting: Setting, value: object) -> str:
    """Return a value as people read it; Discord shows channels by their names."""
    if setting.ids == "channels" and ctx.capabilities().channel_mention and value:
        return " ".join(map(ctx.capabilities().mention_channel, str(value).split()))
    return _format_value(ctx, value)


def _format_short(ctx: Context, setting: Setting, value: object) -> str:
    return cut_line(" ".join(_format_full(ctx, setting, value).split()), MAX_LISTED_CHARACTERS)


def _name_scope(ctx: Context, scope: Scope) -> str:
    if scope.role:
        return ctx.translate("role {id}", id=scope.role)
    if scope.channel and scope.server:
        mention = ctx.capabilities(scope.platform).mention_channel(scope.channel)
        return ctx.translate("channel {id}", id=mention or scope.channel)
    if scope == ctx.settings.scope():
        return ctx.translate("this server") if scope.server else ctx.translate("here")
    return ctx.translate("server {id}", id=f"{scope.platform}:{scope.server}" if scope.server else scope.platform)


def _name_level(ctx: Context, where: str) -> str:
    return {
        "default": ctx.translate("default"),
        "deployment": ctx.translate("whoever runs this bot"),
        "server": ctx.translate("this server"),
        "channel": ctx.translate("this channel"),
        "role": ctx.translate("this role"),
    }[where]


def _describe_all(ctx: Context, scope: Scope) -> str:
    lines = []
    for setting in ctx.settings.declared:
        level = ctx.settings.levels(setting.name, scope)[-1]
        value = _format_short(ctx, setting, level.value)
        lines.append(
            f"- `{setting.name}`: {value}"
            if level.where == "default"
            else f"- `{setting.name}`: **{value}** ({_name_level(ctx, level.where)})"
        )
    others = [_name_scope(ctx, one) for one in ctx.settings.within(scope) if one != scope]
    if others:
        lines += ["", ctx.translate("There is more, set for: {others}", others=", ".join(others))]
    lines += ["", ctx.translate("`/config show ask.temperature.maximum` shows one in full; `/config set` changes it.")]
    return "\n".join(lines)


async def _describe_expected(ctx: Context, setting: Setting) -> str:
    """Return the values that a setting takes, as part of a sentence; for a model, the models that are served."""
    choices = await ctx.settings.shown_choices(setting)
    return replace(setting, choices=choices or setting.choices).expects().in_language(ctx.user.locale)


async def _describe_one(ctx: Context, setting: Setting, scope: Scope) -> str:
    levels = ctx.settings.levels(setting.name, scope)
    expected = await _describe_expected(ctx, setting)
    lines = [f"**{setting.name}** – {setting.about(ctx.user.locale)}", ctx.translate("It takes {what}.", what=expected)]
    for level in levels:
        mark = f" ← {ctx.translate('counts here')}" if level is levels[-1] else ""
        lines.append(f"- {_name_level(ctx, level.where)}: **{_format_full(ctx, setting, level.value)}**{mark}")
    if (narrower := ctx.settings.narrower(setting, scope)) is not None:
        lines.append(narrower.in_language(ctx.user.locale))
    return "\n".join([*lines, *_list_exceptions(ctx, setting, scope)])


def _list_exceptions(ctx: Context, setting: Setting, scope: Scope) -> list[str]:
    """Return a line for each channel and role of a server that has its own value."""
    return [
        f"- {_name_scope(ctx, one)}: **{_format_short(ctx, setting, values[setting.name])}**"
        for one, values in ctx.settings.within(scope).items()
        if one != scope and setting.name in values
    ]


def _describe_change(ctx: Context, change: Changed) -> str:
    before, after = (_format_short(ctx, change.setting, value) for value in (change.before, change.after))
    return f"`{change.setting.name}` ({_name_scope(ctx, change.scope)}): {before} → {after}"


def _decode(file: Attachment) -> str:
    try:
        # With or without the mark that some editors write first.
        text = file.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError("{name} is not a text file.", name=file.filename) from error
    if len(text) > MAX_IMPORTED_CHARACTERS:
        sentence = "{name} is too long: a file of settings may have {most} characters."
        raise UserError(sentence, name=file.filename, most=MAX_IMPORTED_CHARACTERS)
    return text

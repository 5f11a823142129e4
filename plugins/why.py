"""/why: the reasons why somebody cannot use a command here, and who can change that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from bot import Command, Context, Plugin, Range, Reply, User, UserError, autocomplete, command


class WhyPlugin(Plugin):
    """Explains why a command cannot be used."""

    @command(private=True, free=True, written_if={})
    async def why(self, ctx: Context, command: Range[str, 1, 100], user: User | None = None) -> AsyncIterator[Reply]:
        """Tell why a command cannot be used here.

        command: The command, such as imagine
        user: Somebody else; for moderators
        """
        if user is not None and user.id == ctx.user.id:
            # A user who is typed by name has no rights attached, while the one who asks has.
            user = None
        if user is not None:
            if not ctx.user.is_moderator:
                raise UserError("Only moderators can ask about somebody else.")
            user = await ctx.moderation.find_user(ctx.caller, user)
        known = ctx.plugins.find(command.strip().removeprefix("/").casefold())
        reasons = await ctx.why(known, user)
        if not reasons and user is None:
            lines = [ctx.translate("You can use /{command} here.", command=known.name), *_list_limits(ctx, known)]
            yield Reply(text="\n".join(lines), final=True)
            return
        if not reasons:
            sentence = "{name} can use /{command} here."
            if user is not None and user.roles is None:
                sentence = "{name} can use /{command} here, as far as I know without their roles."
            about = {"name": user.name if user else "", "command": known.name}
            yield Reply(text=ctx.translate(sentence, **about), final=True)
            return
        lines = []
        for reason in reasons:
            sentence = reason.sentence.in_language(ctx.user.locale)
            if reason.is_fixed:
                remedy = ""
            elif reason.setting:
                remedy = ctx.translate("Moderators can change that: {setting}", setting=f"`{reason.setting}`")
            else:
                remedy = ctx.translate(
                    "Moderators are those who manage this server, and whom they name in {settings}.",
                    settings="`moderators.users`, `moderators.roles`",
                )
            lines.append(f"- {sentence} {remedy}".rstrip())
        yield Reply(text="\n".join(lines), final=True)

    @autocomplete("why", "command")
    async def complete(self, ctx: Context, typed: str) -> Sequence[str]:
        """Return all commands, including those that cannot be used here."""
        prefix = typed.removeprefix("/").casefold()
        return [known.name for known in ctx.plugins.commands if prefix in known.name]


def _list_limits(ctx: Context, command: Command) -> list[str]:
    """Return a line for each option of a command that moderators have narrowed for the asker, with the settings."""
    lines = []
    for option in ctx.plugins.narrow(command, ctx.place, ctx.user).options:
        if settings := [f"`{name}`" for name in dict.fromkeys((option.minimum_by, option.maximum_by)) if name]:
            sentence = "- {option} must be {expected}. Moderators can change that: {setting}"
            about = {"option": f"`{option.name}`", "expected": option.expects(), "setting": ", ".join(settings)}
            lines.append(ctx.translate(sentence, **about))
    return lines

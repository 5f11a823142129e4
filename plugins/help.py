"""/help: lists the commands and describes each of them, from their declarations."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot import Command, Context, Plugin, Range, Reply, Sentence, UserError, command


class HelpPlugin(Plugin):
    """The list of commands, and one command in full."""

    examples = (("", Sentence("`/help` lists everything I can do.")),)

    @command(name="help", private=True, free=True, written_if={})
    async def show(self, ctx: Context, command: Range[str, 1, 100] | None = None) -> AsyncIterator[Reply]:
        """Show what this bot can do.

        command: The command you want to know more about
        """
        if command is None:
            yield Reply(text=self._list_commands(ctx), final=True)
            return
        name = command.removeprefix("/").casefold()
        matches = [known for known in ctx.commands if known.name == name or known.name.startswith(f"{name} ")]
        if not matches:
            # Raises an error with the nearest name, unless the command exists and only this user may not use it.
            known = ctx.plugins.find(name)
            reasons = [] if known.moderator and not ctx.user.is_moderator else await ctx.why(known)
            if not reasons:
                raise UserError("There is no command /{name}. /help lists what there is.", name=name)
            raise UserError("{text}", text=reasons[0].sentence)
        yield Reply(text="\n\n".join(self._describe_command(ctx, known) for known in matches), final=True)

    def _list_commands(self, ctx: Context) -> str:
        lines = [f"- `/{known.name}` – {ctx.translate(known.description)}" for known in ctx.commands]
        more = ctx.translate("`/help ask` shows the options of a command.")
        return "\n".join([*lines, "", more])

    def _describe_command(self, ctx: Context, known: Command) -> str:
        lines = [f"**/{known.name}** – {ctx.translate(known.description)}", f"`{known.usage()}`"]
        lines += [f"- {option.explain(ctx.user.locale)}" for option in known.options]
        return "\n".join(lines)

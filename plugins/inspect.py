"""/inspect: how an answer or a picture was made."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot import Context, Plugin, Provenance, Reply, UserError, command, message_command


class InspectPlugin(Plugin):
    """The options and the facts behind one answer."""

    title = "How an answer was made (/inspect)"

    @message_command("Inspect")
    @command(private=True, free=True)
    async def inspect(self, ctx: Context) -> AsyncIterator[Reply]:
        """Show how an answer or a picture was made: the one you reply to, or the last one here."""
        made = await ctx.history.made()
        if made is None:
            raise UserError("There is no answer of mine to inspect here, or it is no longer stored.")
        yield Reply(text="\n".join(self._lines(ctx, made)), final=True)

    def _lines(self, ctx: Context, made: Provenance) -> list[str]:
        command = ctx.plugins.get(made.command)
        if was_pressed := command is not None and command.hidden:
            command = ctx.plugins.get(command.known_as) or command
        asked = ctx.translate("asked by {name}", name=made.author_name)
        lines = [f"**/{command.name if command else made.command}** – {asked}, {made.created:%Y-%m-%d %H:%M} UTC"]
        facts = dict(made.card)
        for name, value in made.options.items():
            option = None if command is None else command.option(name)
            about = f" – {ctx.translate(option.description)}" if option and option.description else ""
            if was_pressed and not about:
                # What only the button says to its command, such as the recipe of a picture.
                continue
            # A seed that was drawn is on the card alone, and the card says best what was used.
            used = facts.pop(name, None) or value
            if used is not None:
                lines.append(f"- `{name}`: {' '.join(str(used).split())}{about}")
        lines += [f"- {name}: {value}" for name, value in facts.items()]
        return lines

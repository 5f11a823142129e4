"""/inspect: shows how an answer or a picture was made."""

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
        provenance = await ctx.history.made()
        if provenance is None:
            raise UserError("There is no answer of mine to inspect here, or it is no longer stored.")
        yield Reply(text="\n".join(self._build_lines(ctx, provenance)), final=True)

    def _build_lines(self, ctx: Context, provenance: Provenance) -> list[str]:
        command = ctx.plugins.get(provenance.command)
        if is_from_button := command is not None and command.hidden:
            command = ctx.plugins.get(command.known_as) or command
        asked = ctx.translate("asked by {name}", name=provenance.author_name)
        when = ctx.capabilities().show_time(provenance.created)
        lines = [f"**/{command.name if command else provenance.command}** – {asked}, {when}"]
        facts = dict(provenance.card)
        for name, value in provenance.options.items():
            option = None if command is None else command.option(name)
            about = f" – {ctx.translate(option.description)}" if option and option.description else ""
            if is_from_button and not about:
                # An option that only the button gives to its command, such as the recipe of a picture.
                continue
            # The card is preferred: only it has the seed that was drawn and the values that were used.
            used = facts.pop(name, None) or value
            if used is not None:
                lines.append(f"- `{name}`: {' '.join(str(used).split())}{about}")
        lines += [f"- {name}: {value}" for name, value in facts.items()]
        return lines

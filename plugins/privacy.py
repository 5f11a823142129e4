"""/privacy: everybody can export or delete what is stored about them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot import Button, Context, Plugin, Range, Reply, command


class PrivacyPlugin(Plugin):
    """Commands about one's own data."""

    @command("privacy export", private=True, free=True, kept=False)
    async def export(self, ctx: Context, part: Range[int, 1, None] = 1) -> AsyncIterator[Reply]:
        """Get a file of all that is stored about you here.

        part: Which part, where it is too much for one message
        """
        export = await ctx.privacy.export(ctx.caller, ctx.question, part)
        parts = export.parts
        text = ctx.translate("This is all that I have stored about you. PRIVACY.md tells what each part is.")
        if parts > 1:
            sentence = (
                "This is part {part} of {parts} of all that I have stored about you. PRIVACY.md tells what it is."
            )
            text = ctx.translate(sentence, part=part, parts=parts)
        if part < parts:
            text += f" {ctx.translate('`/privacy export part:{part}` gives you the next one.', part=part + 1)}"
        yield Reply(text=" ".join((text, *_describe_remote(ctx))), attachments=export.files, final=True)

    @command("privacy delete", private=True, free=True)
    async def delete(self, ctx: Context) -> AsyncIterator[Reply]:
        """Delete all that is stored about you here."""
        lines = [
            ctx.translate(
                "I will delete your questions, my answers to them with their pictures, your thumbs, your defaults and "
                "your rights as a moderator, if I gave them to you. Nobody can bring that back."
            ),
            ctx.translate(
                "Where it is on record what moderators did, a random name will stand in the place of yours. A time-out "
                "stays until it ends."
            ),
        ]
        if ctx.capabilities().keeps_messages:
            sentence = "What is shown here is kept by {platform}, too: delete there what shall not be read any more."
            lines.append(ctx.translate(sentence, platform=ctx.place.platform.partition("/")[0].capitalize()))
        lines += _describe_remote(ctx)
        button = Button(ctx.translate("Delete all of it"), "privacy-delete", style="danger")
        yield Reply(text="\n\n".join(lines), buttons=(button,), final=True)

    @command("privacy-delete", hidden=True, private=True, free=True, kept=False)
    async def delete_now(self, ctx: Context) -> AsyncIterator[Reply]:
        """Delete it."""
        await ctx.privacy.delete(ctx.caller, ctx.question)
        yield Reply(text=ctx.translate("Everything that I had stored about you is deleted."), final=True)


def _describe_remote(ctx: Context) -> list[str]:
    """Return a sentence about the remote servers that may get what is asked here; nothing if there are none."""
    if not ctx.models.remote_names:
        return []
    sentence = (
        "What is asked here may be sent to {upstreams}, without your name. What is kept there, and for how long, is "
        "not in my hands."
    )
    return [ctx.translate(sentence, upstreams=", ".join(ctx.models.remote_names))]

"""/inspect: shows how an answer was made, and what is known of a picture that anybody may have made."""

import mimetypes
from collections.abc import AsyncIterator, Sequence

from bot import (
    Attachment,
    Context,
    Plugin,
    Provenance,
    RemoteFile,
    Reply,
    UserError,
    command,
    message_command,
)
from plugins.inspect import cards

MAX_PICTURES = 4
"""The number of pictures of a message that are examined."""


class InspectPlugin(Plugin):
    """The options and the facts behind one answer, and where a picture comes from."""

    title = "How an answer or a picture was made (/inspect)"

    @message_command("Inspect")
    @command(form=("file",), private=True)
    async def inspect(self, ctx: Context, file: Attachment | None = None) -> AsyncIterator[Reply]:
        """Show how a picture or an answer was made: a file, the one you reply to, or the last one here.

        file: A picture from anywhere: PNG, JPEG, WebP or GIF
        """
        files: Sequence[Attachment | RemoteFile] = ctx.request.message_files if file is None else (file,)
        # Files in a message of the asker's own are what they ask about.
        is_about_answer = file is None and not (files and ctx.request.message)
        provenance = await ctx.history.made() if is_about_answer else None
        pictures = files if file is not None else [one for one in files if _is_picture(one)]
        if not pictures and provenance is not None:
            pictures = provenance.pictures
        if not pictures and provenance is None:
            if files:
                raise UserError("That message has no picture that I can examine: PNG, JPEG, WebP or GIF.")
            raise UserError("There is no answer of mine to inspect here, or it is no longer stored.")
        if pictures:
            yield Reply(status=ctx.translate("Examining the picture …"))
        parts = [part async for part in _examine_all(ctx, pictures, provenance)]
        if provenance is not None and not parts:
            parts.append("\n".join(cards.describe_answer(ctx, provenance)))
        yield Reply(text="\n\n".join(parts), final=True)


async def _examine_all(
    ctx: Context, pictures: Sequence[Attachment | RemoteFile], provenance: Provenance | None
) -> AsyncIterator[str]:
    """Yield what is known of each picture; those of the answer with this `provenance` of which nothing is are left out.

    Raises UserError if it can be told of no picture.
    """
    for number, one in enumerate(pictures[:MAX_PICTURES], 1):
        try:
            picture = one if isinstance(one, Attachment) else await one.fetch()
            findings = await ctx.examine(picture)
        except UserError as error:
            if provenance is None and len(pictures) == 1:
                raise
            text = error.sentence.in_language(ctx.user.locale)
        else:
            if provenance is not None and findings.is_empty:
                continue
            is_stored = provenance is not None and any(picture.data == kept.data for kept in provenance.pictures)
            text = cards.describe_picture(ctx, findings, provenance if number == 1 else None, is_stored=is_stored)
        if len(pictures) > 1:
            heading = ctx.translate("Picture {number} of {count}", number=number, count=len(pictures))
            text = f"### {heading}\n{text}"
        yield text
    if len(pictures) > MAX_PICTURES:
        yield ctx.translate("I examine up to {most} pictures of a message.", most=MAX_PICTURES)


def _is_picture(file: Attachment | RemoteFile) -> bool:
    media_type = file.media_type or mimetypes.guess_type(file.filename)[0] or ""
    return media_type.startswith("image/")

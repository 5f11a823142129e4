"""The files of a question to a language model: which of them it can read, and how much of them was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot import Attachment, Context, ReadFile, RemoteFile, Turn, UserError

USUAL_CONTEXT_TOKENS = 4096
"""The context of a model that does not tell its own."""


async def read_files(ctx: Context, given: Sequence[Attachment | RemoteFile], model: str | None) -> tuple[ReadFile, ...]:
    """Return the files of a question: those that were `given` with it, else those that are stored with it.

    Half of the model's context is for their texts; the question, the conversation and the answer have the rest. Raises
    UserError if a file cannot be read, by anybody or by this model.
    """
    files = await ctx.files.stored() if not given else ()
    if not given and not any(file.picture for file in files):
        return files
    choice = await ctx.models.choose("chat", model or "")
    files = files or await ctx.files.read(given, (choice.context or USUAL_CONTEXT_TOKENS) // 2)
    if any(file.picture for file in files) and not choice.reads_images:
        if not choice.picture_readers:
            raise UserError("No language model here can read pictures.")
        sentence = "The model {model} cannot read pictures; {others} can. Moderators choose with `ask.model`."
        raise UserError(sentence, model=choice.stand_in or choice.name, others=", ".join(choice.picture_readers))
    if given:
        await ctx.files.keep(files)
    return files


async def drop_unread_pictures(ctx: Context, turns: Sequence[Turn], model: str | None) -> list[Turn]:
    """Return `turns` without their pictures, if the model reads none or moderators forbade them meanwhile."""
    if any(turn.images for turn in turns) and not (
        ctx.settings["safety.pictures"] and (await ctx.models.choose("chat", model or "")).reads_images
    ):
        return [replace(turn, images=()) for turn in turns]
    return list(turns)


def describe_cuts(ctx: Context, files: Sequence[ReadFile]) -> str:
    """Return a sentence about the files of which only the beginning was read; "" if there are none."""
    sentence = "Of {file}, I have read the first {count} of {all} characters; more does not fit into the model."
    return " ".join(
        ctx.translate(sentence, file=file.filename, count=len(file.text), all=file.characters)
        for file in files
        if len(file.text) < file.characters
    )


def build_files_fact(ctx: Context, files: Sequence[ReadFile]) -> dict[str, str]:
    """Return the fact on the card about the files that were read; {} if there are none."""
    sentence = "{file} (the first {count} of {all} characters)"
    shown = [
        ctx.translate(sentence, file=file.filename, count=len(file.text), all=file.characters)
        if len(file.text) < file.characters
        else file.filename
        for file in files
    ]
    return {"file": ", ".join(shown)} if shown else {}

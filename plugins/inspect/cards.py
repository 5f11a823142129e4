"""What /inspect says of an answer and of a picture: the verdict, how it was made, and what each check found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bot import Context, PictureFindings, Provenance, cut_line

MAX_FOREIGN_CHARACTERS = 60
"""How much is shown of what a stranger wrote into a file."""


def describe_answer(ctx: Context, provenance: Provenance) -> list[str]:
    """Return lines about how an answer was made: who asked, and all options and facts."""
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
    return [*lines, *_list_facts(facts)]


def describe_picture(ctx: Context, findings: PictureFindings, provenance: Provenance | None, *, is_stored: bool) -> str:
    """Return the card of one picture.

    `provenance` is how the answer was made that the picture is known to belong to, if it is known; `is_stored` says
    that the picture is byte for byte one of it.
    """
    made, is_stored = provenance or findings.made, is_stored or findings.is_stored
    lines = [f"**{_judge(ctx, findings, is_stored=is_stored)}**"]
    if made is not None and made.author_name:
        lines += describe_answer(ctx, made)
    else:
        lines += _describe_making(ctx, findings)
    checks = (
        (ctx.translate("Hash"), _check_hash(ctx, findings, is_stored=is_stored)),
        (ctx.translate("Manifest"), _check_manifest(ctx, findings)),
        (ctx.translate("Metadata"), _check_metadata(ctx, findings)),
    )
    return "\n".join([*lines, "", *(f"- **{name}**: {found}" for name, found in checks)])


def _judge(ctx: Context, findings: PictureFindings, *, is_stored: bool) -> str:
    """Return what all checks together mean: the strongest finding comes first."""
    manifest = findings.manifest
    if is_stored or (manifest is not None and manifest.is_own and manifest.is_intact):
        return ctx.translate("Made by this bot, unchanged.")
    if findings.made is not None:
        return ctx.translate("Looks like a picture of this bot, but was changed or saved anew.")
    if manifest is not None and not manifest.is_intact:
        return ctx.translate("Its manifest is broken: something was changed after it was signed.")
    if manifest is not None and manifest.is_expired:
        return ctx.translate("Nothing was changed since it was signed, with a certificate that has expired since.")
    if manifest is not None and manifest.is_ai:
        return ctx.translate("Made by an AI model, says a valid manifest of somebody else.")
    if manifest is not None:
        return ctx.translate("Has a valid manifest of somebody else, which names no AI model.")
    if findings.label is not None:
        return ctx.translate("Made by an AI model, say its metadata.")
    return ctx.translate("Nothing found. That proves nothing: an AI model may have made it all the same.")


def _describe_making(ctx: Context, findings: PictureFindings) -> list[str]:
    """Return lines about model, seed, settings and time: as this bot knows them, or as the file claims."""
    made, manifest, label = findings.made, findings.manifest, findings.label
    if made is not None:
        return [*_list_facts(made.card), _tell_time(ctx, made.created)]
    if manifest is not None and manifest.is_intact and manifest.is_own:
        return [*_list_facts(manifest.facts), *([_tell_time(ctx, manifest.created)] if manifest.created else [])]
    claims: dict[str, str] = {}
    if manifest is not None and manifest.is_intact:
        created = manifest.created.isoformat(" ", "minutes") if manifest.created else ""
        claims = {"program": manifest.generator, **manifest.facts, "created": created}
    elif manifest is None and label is not None:
        claims = {"program": label.software, **label.facts}
    return _list_facts({name: _quote(value) for name, value in claims.items() if value})


def _check_hash(ctx: Context, findings: PictureFindings, *, is_stored: bool) -> str:
    if is_stored:
        return ctx.translate("This file is stored here, byte for byte.")
    if findings.made is not None:
        return ctx.translate(
            "A picture that I made looks almost the same. That is no proof: another one can look like it by chance."
        )
    return ctx.translate("No picture that is stored here looks like it. Deleted ones are not found any more.")


def _check_manifest(ctx: Context, findings: PictureFindings) -> str:
    manifest = findings.manifest
    if manifest is None:
        return ctx.translate("None. It is lost when a picture is saved anew, and a screenshot has none.")
    if not manifest.is_intact:
        return ctx.translate("Broken: file or manifest was changed after it was signed, so it proves nothing.")
    if manifest.is_expired:
        return ctx.translate(
            "Expired: it was signed in the name of {signer}, whose certificate is not valid any more.",
            signer=_quote(manifest.signer or "?"),
        )
    if not manifest.is_own:
        return ctx.translate(
            "Valid: nothing was changed since it was signed in the name of {signer}, for whom nobody here vouches.",
            signer=_quote(manifest.signer or "?"),
        )
    if findings.is_vouched_for:
        return ctx.translate(
            "Valid, by this bot's certificate, in the name of {signer}. Nothing was changed since it was signed.",
            signer=_quote(manifest.signer or "?"),
        )
    return ctx.translate(
        "Valid, by this bot's own key, which nobody else vouches for. Nothing was changed since it was signed."
    )


def _check_metadata(ctx: Context, findings: PictureFindings) -> str:
    if findings.label is None:
        return ctx.translate("They name no AI model, which proves nothing.")
    return ctx.translate("They say that an AI model made it. Anybody can write or remove them.")


def _tell_time(ctx: Context, made: datetime) -> str:
    return f"- {ctx.translate('made {when}', when=ctx.capabilities().show_time(made))}"


def _list_facts(facts: Mapping[str, str]) -> list[str]:
    return [f"- {name}: {value}" for name, value in facts.items()]


def _quote(text: str) -> str:
    """Return what a stranger wrote as code, which no platform takes for Markdown, a link or a mention."""
    return f"`{cut_line(' '.join(text.replace('`', '').split()), MAX_FOREIGN_CHARACTERS)}`"

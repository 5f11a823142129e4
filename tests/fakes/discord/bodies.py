"""Bodies of messages and modals: the checks that Discord makes, and the messages that they create or change."""

from __future__ import annotations

import mimetypes
import re
import time
from typing import TYPE_CHECKING, Any

from fakes.discord.errors import ApiError, invalid, not_in_range, too_long
from fakes.discord.state import EPHEMERAL, LOADING, FakeAttachment, FakeMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fakes.discord.world import World

Files = dict[str, tuple[str, bytes]]
"""Uploaded files by their field, "files[0]": name and content."""
CONTENT_LIMIT = 2000
ROWS, BUTTONS_A_ROW, CHOICES = 5, 5, 25
EMBED_LIMITS = {"title": 256, "description": 4096}
EMBEDS_TOTAL = 6000
MENTION = re.compile(r"<@(!?|&)(\d+)>")


def check_message(body: dict[str, Any], *path: str) -> None:
    """Raise error 50035 if a limit is exceeded. `path` is where the message stands in the request's body."""
    if len(body.get("content") or "") > CONTENT_LIMIT:
        raise too_long(*path, "content", limit=CONTENT_LIMIT)
    _check_embeds(body.get("embeds") or [], *path, "embeds")
    _check_components(body.get("components") or [], *path, "components")
    if len(body.get("attachments") or []) > 10:
        raise not_in_range(*path, "attachments", low=0, high=10)


def _check_embeds(embeds: list[dict[str, Any]], *path: str) -> None:
    if len(embeds) > 10:
        raise not_in_range(*path, low=0, high=10)
    total = 0
    for number, embed in enumerate(embeds):
        texts = {(name,): (embed.get(name) or "", limit) for name, limit in EMBED_LIMITS.items()}
        texts["footer", "text"] = ((embed.get("footer") or {}).get("text") or "", 2048)
        fields = embed.get("fields") or []
        if len(fields) > 25:
            raise not_in_range(*path, number, "fields", low=0, high=25)
        for index, one in enumerate(fields):
            texts["fields", index, "name"] = (one["name"], 256)
            texts["fields", index, "value"] = (one["value"], 1024)
        for where, (text, limit) in texts.items():
            total += len(text)
            if len(text) > limit:
                raise too_long(*path, number, *where, limit=limit)
    if total > EMBEDS_TOTAL:
        raise invalid(*path, code="MAX_EMBED_SIZE_EXCEEDED", message="Embed size exceeds maximum size of 6000")


def _check_components(rows: list[dict[str, Any]], *path: str) -> None:
    if len(rows) > ROWS:
        raise not_in_range(*path, low=0, high=ROWS)
    seen: set[str] = set()
    for number, row in enumerate(rows):
        parts = row.get("components") or []
        if row.get("type") == 1 and not 1 <= len(parts) <= BUTTONS_A_ROW:
            raise not_in_range(*path, number, "components", low=1, high=BUTTONS_A_ROW)
        for index, part in enumerate(parts):
            _check_component(part, *path, number, "components", index)
            own = part.get("custom_id")
            if own in seen:
                message = "Component custom id cannot be duplicated"
                where = (*path, number, "components", index, "custom_id")
                raise invalid(*where, code="COMPONENT_CUSTOM_ID_DUPLICATED", message=message)
            seen.update(filter(None, [own]))


def _check_component(part: dict[str, Any], *path: str | int) -> None:
    own = part.get("custom_id")
    if own is not None and not 1 <= len(own) <= 100:
        raise not_in_range(*path, "custom_id", low=1, high=100)
    if part.get("type") == 2:
        if not (part.get("label") or part.get("emoji")):
            message = "A button must have a label or emoji"
            raise invalid(*path, code="BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", message=message)
        if len(part.get("label") or "") > 80:
            raise too_long(*path, "label", limit=80)
        if part.get("style") != 5 and not own:
            raise invalid(*path, "custom_id", code="BASE_TYPE_REQUIRED", message="This field is required")
    if part.get("type") == 3 and not 1 <= len(part.get("options") or []) <= CHOICES:
        raise not_in_range(*path, "options", low=1, high=CHOICES)


def inputs(modal: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the inputs of a modal, each with the component that contains it."""
    for holder in modal.get("components") or []:
        if holder.get("type") == 1:
            yield from ((holder, part) for part in holder["components"])
        elif holder.get("type") == 18:
            yield holder, holder["component"]


def check_modal(modal: dict[str, Any]) -> None:
    """Raise error 50035 if a modal exceeds a limit."""
    if not 1 <= len(modal.get("title") or "") <= 45:
        raise not_in_range("data", "title", low=1, high=45)
    if not 1 <= len(modal.get("custom_id") or "") <= 100:
        raise not_in_range("data", "custom_id", low=1, high=100)
    if not 1 <= len(modal.get("components") or []) <= 5:
        raise not_in_range("data", "components", low=1, high=5)
    names: set[str] = set()
    for number, (holder, part) in enumerate(inputs(modal)):
        where = ("data", "components", number)
        _check_component(part, *where)
        if not 1 <= len(holder.get("label") or part.get("label") or "") <= 45:
            raise not_in_range(*where, "label", low=1, high=45)
        if len(holder.get("description") or "") > 100:
            raise too_long(*where, "description", limit=100)
        if len(part.get("placeholder") or "") > (150 if part["type"] == 3 else 100):
            raise too_long(*where, "placeholder", limit=100)
        value, longest = part.get("value") or "", part.get("max_length") or 4000
        if len(value) > longest:
            raise too_long(*where, "value", limit=longest)
        if value and len(value) < (part.get("min_length") or 0):
            raise not_in_range(*where, "value", low=part["min_length"], high=longest)
        if part["custom_id"] in names:
            raise invalid(*where, code="COMPONENT_CUSTOM_ID_DUPLICATED", message="Component custom id duplicated")
        names.add(part["custom_id"])


def post(world: World, message: FakeMessage, body: dict[str, Any], files: Files, limit: int) -> FakeMessage:
    """Fill a new message from `body`, add it to its channel and send the bot its event."""
    check_message(body)
    message.attachments = _attached(world, message, body, files, limit)
    fill(world, message, body)
    if not _has_content(message) and not message.loading:
        raise ApiError(400, 50006)
    message.channel.messages.append(message)
    if message.channel.archived:
        world.open_thread(message.channel)
    world.send_message_event("MESSAGE_CREATE", message)
    return message


def edit(world: World, message: FakeMessage, body: dict[str, Any], files: Files, limit: int) -> FakeMessage:
    """Change the fields of a message that `body` names."""
    check_message(body)
    kept = _attached(world, message, body, files, limit)
    content = body.get("content", message.content) or ""
    embeds, components = body.get("embeds", message.embeds), body.get("components", message.components)
    if not (content or kept or embeds or components):
        raise ApiError(400, 50006)
    message.attachments = kept
    was_loading, message.flags = message.loading, message.flags & ~LOADING
    fill(world, message, body, pinging=was_loading)
    message.edits.append((time.monotonic(), message.content))
    world.send_message_event("MESSAGE_UPDATE", message)
    return message


def fill(world: World, message: FakeMessage, body: dict[str, Any], *, pinging: bool = True) -> None:
    """Copy text, components, embeds and mentions from `body`."""
    if "content" in body:
        message.content = (body["content"] or "").strip()
    for name in ("components", "embeds"):
        if name in body:
            setattr(message, name, body[name] or [])
    if "flags" in body:
        changeable = ~(EPHEMERAL | LOADING)
        message.flags = message.flags & ~changeable | (body["flags"] or 0) & changeable
    if "allowed_mentions" in body:
        message.allowed_mentions = body["allowed_mentions"]
    named = [world.users[who] for kind, who in MENTION.findall(message.content) if kind != "&" and who in world.users]
    message.mentions = list(dict.fromkeys(named))
    if pinging:
        message.pings = _pings(world, message, body.get("allowed_mentions"))


def _pings(world: World, message: FakeMessage, allowed: dict[str, Any] | None) -> list[str]:
    pings_all = allowed is None
    allowed = allowed or {}
    parse = ("users", "roles", "everyone") if pings_all else allowed.get("parse") or ()
    pinged = []
    for kind, who in MENTION.findall(message.content):
        group = "roles" if kind == "&" else "users"
        if group in parse or who in map(str, allowed.get(group) or ()):
            pinged.append(who)
    may_ping_everyone = message.channel.guild is None or world.bot_may(message.channel, "mention_everyone")
    if may_ping_everyone and "everyone" in parse and re.search("@(everyone|here)", message.content):
        pinged.append("everyone")
    if message.reference is not None and message.kind == 19 and (pings_all or allowed.get("replied_user")):
        author = message.reference.author
        pinged.append(author.id)
        message.mentions.append(author)
    return list(dict.fromkeys(pinged))


def _attached(
    world: World, message: FakeMessage, body: dict[str, Any], files: Files, limit: int
) -> list[FakeAttachment]:
    described = {str(one["id"]): one for one in body.get("attachments") or []}
    kept = [one for one in message.attachments if "attachments" not in body or one.id in described]
    for one in kept:
        one.description = described.get(one.id, {}).get("description") or one.description
    for field, (filename, data) in files.items():
        if len(data) > limit:
            raise ApiError(413, 40005)
        about = described.get(re.sub(r"\D", "", field), {})
        kept.append(attachment(world, message.channel.id, about.get("filename") or filename, data))
        kept[-1].description = about.get("description") or ""
        kept[-1].is_spoiler = bool(about.get("is_spoiler"))
        kept[-1].ephemeral = message.ephemeral
    if len(kept) > 10:
        raise not_in_range("attachments", low=0, high=10)
    return kept


def attachment(world: World, folder: str, filename: str, data: bytes) -> FakeAttachment:
    """Store a file so that it can be fetched at its address."""
    media_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    file = FakeAttachment(filename, data, "", media_type=media_type)
    file.url = f"{world.api_base.removesuffix('/api/v10')}/attachments/{folder}/{file.id}/{filename}"
    world.files[file.id] = file
    return file


def _has_content(message: FakeMessage) -> bool:
    return bool(message.content or message.attachments or message.embeds or message.components)

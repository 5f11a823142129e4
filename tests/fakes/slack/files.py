"""Files: an address to upload to, the upload, its completion (which makes a message), and private addresses."""

from __future__ import annotations

import asyncio
import mimetypes
from typing import TYPE_CHECKING, Any

from aiohttp import web
from fakes.slack import limits
from fakes.slack.calls import ApiError, Call, Method
from fakes.slack.chat import check_thread, find_channel
from fakes.slack.workspace import FakeFile, FakeMessage

if TYPE_CHECKING:
    from fakes.slack.server import Server

Json = dict[str, Any]

SHARE_DELAY_SECONDS = 0.05
"""Delay of the message after the completion: Slack processes and shares files in the background."""


async def get_upload_url(slack: Server, call: Call) -> Json:
    length, alt = call.arguments["length"], call.text("alt_txt")
    if not isinstance(length, int) or length <= 0:
        raise ApiError("missing_argument")
    if len(alt) > limits.FILE_ALT_TEXT:
        raise ApiError("alt_txt_too_large")
    name = call.text("filename")
    file = FakeFile(slack.workspace.new_id("F"), name, alt=alt, user=slack.bot_user, length=length, processed=False)
    file.mimetype = mimetypes.guess_type(name)[0] or file.mimetype
    slack.workspace.files[file.id] = file
    return {"upload_url": f"{slack.url}/upload/v1/{file.id}", "file_id": file.id}


async def upload(slack: Server, request: web.Request) -> web.Response:
    """Receive the bytes of a file, as the whole body or as the first part of a form."""
    file = slack.workspace.files.get(request.match_info["file"])
    if file is None or file.complete:
        return web.Response(status=404, text="no such upload")
    if request.content_type == "multipart/form-data":
        parts = [part for part in (await request.post()).values() if isinstance(part, web.FileField)]
        file.data = parts[0].file.read() if parts else b""
    else:
        file.data = await request.read()
    if len(file.data) != file.length:
        slack.violations.append(f"upload of {file.name}: {len(file.data)} bytes, {file.length} were announced")
        return web.Response(status=500, text="length does not match")
    return web.Response(text=f"OK - {len(file.data)}")


async def complete_upload(slack: Server, call: Call) -> Json:
    listed = call.arguments["files"]
    if not isinstance(listed, list) or not listed:
        raise ApiError("invalid_arguments", "files must be a list of {id, title}")
    files = [slack.workspace.files.get(one.get("id", "")) for one in listed]
    known = [file for file in files if file is not None and file.data and not file.complete]
    if len(known) != len(listed):
        raise ApiError("file_not_found")
    names = call.text("channel_id") or call.text("channels")
    places = [find_channel(slack, name) for name in names.split(",") if name]
    threads = [check_thread(slack, place, call.text("thread_ts")) for place in places]
    for file, one in zip(known, listed, strict=True):
        file.title, file.complete = one.get("title") or file.name, True
        slack.start_task(_process(file))
    for place, thread_ts in zip(places, threads, strict=True):
        message = FakeMessage(place.id, "", slack.bot_user, call.text("initial_comment"), thread_ts=thread_ts)
        message.via = "upload"
        slack.start_task(_share(slack, message, known))
    return {"files": [{"id": file.id, "title": file.title} for file in known]}


async def _process(file: FakeFile) -> None:
    await asyncio.sleep(SHARE_DELAY_SECONDS)
    file.processed = True


async def _share(slack: Server, message: FakeMessage, files: list[FakeFile]) -> None:
    await asyncio.sleep(SHARE_DELAY_SECONDS)
    message.ts = slack.workspace.new_ts()
    for file in files:
        file.shares.append((message.channel, message.ts))
    message.files = [slack.file_as_json(file) for file in files]
    slack.add_message(message)


async def file_info(slack: Server, call: Call) -> Json:
    file = slack.workspace.files.get(call.text("file"))
    if file is None:
        raise ApiError("file_not_found")
    return {"file": slack.file_as_json(file)}


async def delete_file(slack: Server, call: Call) -> Json:
    file = slack.workspace.files.pop(call.text("file"), None)
    if file is None:
        raise ApiError("file_not_found")
    for message in slack.workspace.messages:
        if any(one["id"] == file.id for one in message.files):
            message.files = [one for one in message.files if one["id"] != file.id]
            if not message.files and not message.text and not message.blocks:
                slack.remove_message(message)
    slack.notify_waiters()
    return {}


async def download(slack: Server, request: web.Request) -> web.Response:
    """Answer a private address: the bytes with the bot's token, a sign-in page without it."""
    file = slack.workspace.files.get(request.match_info["file"])
    if file is None:
        return web.Response(status=404)
    if request.headers.get("Authorization") != f"Bearer {slack.bot_token}" or "files:read" not in slack.scopes:
        if "sign-in" not in request.query:
            raise web.HTTPFound(f"{request.path}?sign-in=1")
        return web.Response(text="<!DOCTYPE html><title>Sign in | Slack</title>", content_type="text/html")
    return web.Response(body=file.data, content_type=file.mimetype)


METHODS = {
    "files.getUploadURLExternal": Method(get_upload_url, 4, ("files:write",), ("filename", "length")),
    "files.completeUploadExternal": Method(complete_upload, 4, ("files:write",), ("files",)),
    "files.info": Method(file_info, 4, ("files:read",), ("file",)),
    "files.delete": Method(delete_file, 3, ("files:write",), ("file",)),
}

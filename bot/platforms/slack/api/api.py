"""Calls Slack's Web API within its rate limits, and turns refusals into the exceptions of errors.py."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.webhook.async_client import AsyncWebhookClient
from yarl import URL

from bot.platforms.slack.api import budgets
from bot.platforms.slack.api.client import RetryAfterHandler, error_code, on_rate_limit, sdk_logger
from bot.platforms.slack.api.errors import (
    NO_ANSWER,
    MessageGone,
    NoFeature,
    SlackError,
    TokenInvalid,
    Unreachable,
    error_class,
    is_temporary,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from slack_sdk.web.async_client import AsyncWebClient

    from bot.core.messages import Attachment
    from bot.platforms.slack.api.budgets import RateBudgets
    from bot.platforms.slack.api.message_format import SlackMessage

    Json = dict[str, Any]

log = logging.getLogger(__name__)

SHARE_POLL_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Pauses between checks whether a file has appeared in its channel: Slack shares files in the background."""
PROCESSING_POLL_SECONDS = (0.2, 0.4, 0.8, 1.0)
"""Pauses between checks whether Slack has processed a file; the answer waits for this."""
UPLOAD_RETRY_SECONDS = (1.0, 4.0, 15.0)
"""Pauses before another attempt to upload a file."""
MAX_ALT_TEXT = 1000
CHANNELS_PER_PAGE = 1000
"""The most that Slack lists in one call."""


def is_file(external_id: str) -> bool:
    """Return whether this is the id of a file rather than of a message."""
    return external_id.startswith("F")


def _upload_arguments(file: Attachment) -> Json:
    alt = file.alt[:MAX_ALT_TEXT] or None
    return {"filename": file.filename, "title": file.filename, "file": file.data, "alt_txt": alt}


class SlackApi:
    """The Web API methods that the bot calls. Each waits for its rate limit and raises SlackError for a refusal."""

    def __init__(self, client: AsyncWebClient, budgets: RateBudgets) -> None:
        self.client = client
        self.budgets = budgets
        self.token_invalid = asyncio.Event()
        """Set once Slack has refused the bot token."""
        self.missing_methods: set[str] = set()
        """Methods that this workspace does not have."""
        self._uses_sections = False
        self._dms: dict[str, str] = {}

    @asynccontextmanager
    async def _call(self, method: str, channel: str = "") -> AsyncIterator[None]:
        await self.budgets.spend(method, channel)
        token = on_rate_limit.set(lambda seconds: self.budgets.block_for(seconds, method, channel))
        try:
            yield
        except SlackApiError as error:
            code = error_code(error) or NO_ANSWER
            refused = error_class(code)(method, code)
            if isinstance(refused, TokenInvalid):
                self.token_invalid.set()
            if isinstance(refused, NoFeature):
                self.missing_methods.add(method)
            raise refused from None
        except SlackRequestError as error:
            # The server that receives uploads answers without error codes.
            raise Unreachable(method, str(error)) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(method, f"{type(error).__name__}") from error
        finally:
            on_rate_limit.reset(token)

    # Messages

    async def post(self, channel: str, message: SlackMessage, thread: str = "") -> str:
        """Post a message and return its ts."""

        async def send() -> str:
            async with self._call(budgets.POST, channel):
                response = await self.client.chat_postMessage(
                    channel=channel,
                    thread_ts=thread or None,
                    unfurl_links=False,
                    unfurl_media=False,
                    **message.content(sections=self._uses_sections),
                )
            return str(response["ts"])

        return await self._send(message, send)

    async def update(self, channel: str, ts: str, message: SlackMessage) -> None:
        """Replace the content of a message."""

        async def send() -> str:
            async with self._call(budgets.UPDATE):
                # Without these, names in the text of the model would become mentions.
                plain: Json = {"parse": "none", "link_names": False}
                await self.client.chat_update(
                    channel=channel, ts=ts, **plain, **message.content(sections=self._uses_sections)
                )
            return ts

        await self._send(message, send)

    async def _send(self, message: SlackMessage, send: Callable[[], Any]) -> str:
        """Send with Markdown blocks. If the server does not know them, use sections from now on."""
        # A file in the blocks can be another reason for the refusal.
        can_fall_back = bool(message.markdown) and not message.pictures and not self._uses_sections
        try:
            return str(await send())
        except SlackError as error:
            if error.code not in ("invalid_blocks", "invalid_blocks_format") or not can_fall_back:
                raise
        log.info("This Slack server does not know Markdown blocks; sections are used instead.")
        self._uses_sections = True
        return str(await send())

    async def delete(self, channel: str, ts: str) -> None:
        """Delete a message of the bot."""
        async with self._call(budgets.DELETE):
            await self.client.chat_delete(channel=channel, ts=ts)

    async def delete_message_or_file(self, channel: str, external_id: str) -> None:
        """Delete a message of the bot by its ts, or a file by its id."""
        await (self.delete_file(external_id) if is_file(external_id) else self.delete(channel, external_id))

    async def delete_all(self, channel: str, ids: Sequence[str]) -> None:
        """Delete messages and files of the bot by their ids; failures are logged."""
        for external_id in ids:
            try:
                await self.delete_message_or_file(channel, external_id)
            except SlackError as error:
                if not isinstance(error, MessageGone):
                    log.info("A message or file could not be deleted: %s", error)

    async def post_ephemeral(self, channel: str, user: str, message: SlackMessage, thread: str = "") -> None:
        """Show a message to one user only."""

        async def send() -> str:
            async with self._call(budgets.POST_EPHEMERAL):
                response = await self.client.chat_postEphemeral(
                    channel=channel,
                    user=user,
                    thread_ts=thread or None,
                    **message.content(sections=self._uses_sections),
                )
            return str(response["message_ts"])

        await self._send(message, send)

    async def respond(
        self, url: str, message: SlackMessage | None, *, thread: str = "", public: bool = False, replaces: bool = False
    ) -> None:
        """Send a message through a response_url, `public` or to the asker only.

        With `replaces` it takes the place of the message that the URL belongs to; None deletes that message.
        """
        webhook = AsyncWebhookClient(
            url, session=self.client.session, logger=sdk_logger(), retry_handlers=[RetryAfterHandler(max_retry_count=1)]
        )
        webhook.proxy = None
        body: Json = {"delete_original": True}
        if message is not None:
            body = {
                "response_type": "in_channel" if public else "ephemeral",
                "replace_original": replaces,
                "unfurl_links": False,
                "unfurl_media": False,
                **message.content(sections=self._uses_sections),
            }
            if thread:
                body["thread_ts"] = thread
        try:
            response = await webhook.send_dict(body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable("response_url", type(error).__name__) from error
        if response.status_code != 200:
            is_lasting = response.status_code < 500 and response.status_code != 429
            kind = SlackError if is_lasting else Unreachable
            raise kind("response_url", f"HTTP {response.status_code} {response.body[:100]}")

    # Streams

    async def start_stream(self, channel: str, thread: str, markdown: str, *, user: str, team: str) -> str:
        """Open a message that grows, and return its ts."""
        async with self._call(budgets.START):
            response = await self.client.chat_startStream(
                channel=channel,
                thread_ts=thread,
                markdown_text=markdown,
                recipient_user_id=user,
                recipient_team_id=team,
            )
        return str(response["ts"])

    async def append_stream(self, channel: str, ts: str, markdown: str) -> None:
        """Append to an open message."""
        async with self._call(budgets.APPEND):
            await self.client.chat_appendStream(channel=channel, ts=ts, markdown_text=markdown)

    async def stop_stream(self, channel: str, ts: str, markdown: str = "", blocks: Sequence[Json] = ()) -> None:
        """Close an open message with a last piece, and with blocks below it."""
        async with self._call(budgets.STOP):
            await self.client.chat_stopStream(
                channel=channel, ts=ts, markdown_text=markdown or None, blocks=list(blocks) or None
            )

    async def set_status(self, channel: str, thread: str, text: str) -> None:
        """Show under a thread what the bot is doing, until it posts there; "" clears it."""
        async with self._call(budgets.STATUS):
            await self.client.assistant_threads_setStatus(channel_id=channel, thread_ts=thread, status=text)

    # Files

    async def share_files(self, channel: str, files: Sequence[Attachment], thread: str = "") -> list[str]:
        """Share files in one message and return their ids; Slack posts the message a moment later.

        A failed upload is tried again.
        """
        uploads = [_upload_arguments(file) for file in files]
        for pause in UPLOAD_RETRY_SECONDS:
            try:
                return await self._upload(uploads, channel, thread)
            except SlackError as error:
                if not is_temporary(error):
                    raise
                log.warning("A file could not be uploaded, and is tried again: %s", error)
                await asyncio.sleep(pause)
        return await self._upload(uploads, channel, thread)

    async def upload(self, file: Attachment) -> str:
        """Upload a file without sharing it, and return its id. A message can show it once it is processed."""
        return (await self._upload([_upload_arguments(file)], "", ""))[0]

    async def is_processed(self, file: str) -> bool:
        """Wait briefly until a message can show the file; return whether it can. Slack then knows the file's type."""
        for pause in PROCESSING_POLL_SECONDS:
            await asyncio.sleep(pause)
            if (await self.file_info(file)).get("mimetype"):
                return True
        return False

    async def _upload(self, uploads: list[Json], channel: str, thread: str) -> list[str]:
        for _ in uploads[1:]:
            await self.budgets.spend(budgets.UPLOAD)
        async with self._call(budgets.UPLOAD):
            response = await self.client.files_upload_v2(
                file_uploads=uploads, channel=channel or None, thread_ts=thread or None
            )
        return [str(file["id"]) for file in response["files"]]

    async def find_share(self, channel: str, file: str) -> list[str]:
        """Wait for the message that shares a file. Return its ts in a list, or an empty list if it is not known."""
        for pause in SHARE_POLL_SECONDS:
            await asyncio.sleep(pause)
            try:
                info = await self.file_info(file)
            except SlackError as error:
                log.info("The message with a shared file could not be looked up: %s", error)
                return []
            for places in (info.get("shares") or {}).values():
                if channel in places:
                    return [str(places[channel][0]["ts"])]
        return []

    async def file_info(self, file: str) -> Json:
        """Return what Slack says about a file."""
        async with self._call(budgets.FILE):
            response = await self.client.files_info(file=file)
        return dict(response["file"])

    async def delete_file(self, file: str) -> None:
        """Delete a file of the bot everywhere it is shared."""
        async with self._call(budgets.DELETE_FILE):
            await self.client.files_delete(file=file)

    async def download(self, url: str, max_bytes: int, *, is_page: bool = False) -> bytes:
        """Download a user's file of at most `max_bytes` bytes. Raises SlackError.

        The token is sent to Slack alone. Slack answers an unauthorised request with a sign-in page; `is_page` says that
        the file is itself a page.
        """
        if not self._is_slacks(url):
            raise SlackError("file", "not one of Slack's addresses")
        session = self.client.session
        if session is None:
            raise RuntimeError("The Web API client has no session.")
        try:
            headers = {"Authorization": f"Bearer {self.client.token}"}
            async with session.get(url, headers=headers, allow_redirects=False) as response:
                is_sign_in = response.content_type == "text/html" and not is_page
                if response.status != 200 or is_sign_in:
                    raise SlackError("file", f"HTTP {response.status} {response.content_type}")
                data = await response.content.read(max_bytes + 1)
                while len(data) <= max_bytes and (more := await response.content.read(max_bytes + 1 - len(data))):
                    data += more
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable("file", type(error).__name__) from error
        if len(data) > max_bytes:
            raise SlackError("file", "too large")
        return data

    def _is_slacks(self, url: str) -> bool:
        """Return whether an address is one of Slack's files, or of the server that is configured as Slack."""
        try:
            address = URL(url)
            if not address.absolute:
                return False
            is_slack = address.scheme == "https" and f".{address.host}".endswith(".slack.com")
            return (is_slack and address.explicit_port is None) or address.origin() == URL(
                self.client.base_url
            ).origin()
        except ValueError:
            return False

    # People and views

    def is_busy(self, method: str) -> bool:
        """Return whether the calls of a method that are left for now are kept for what matters most."""
        return self.budgets.method_budget(method).delay(final=False) > 0

    async def get_user(self, user: str) -> Mapping[str, Any]:
        """Return what Slack says about a user."""
        async with self._call("users.info"):
            response = await self.client.users_info(user=user, include_locale=True)
        return dict(response["user"])

    async def find_channels(self, name: str) -> list[str]:
        """Return the ids of the public channels with this name that are not archived."""
        ids, cursor = [], ""
        while True:
            async with self._call("conversations.list"):
                page = await self.client.conversations_list(
                    types="public_channel", exclude_archived=True, limit=CHANNELS_PER_PAGE, cursor=cursor
                )
            ids += [str(channel["id"]) for channel in page["channels"] if channel["name"] == name]
            if not (cursor := str((page.get("response_metadata") or {}).get("next_cursor") or "")):
                return ids

    async def open_direct_messages(self, user: str) -> str:
        """Return the channel of the bot's direct messages with a user."""
        if user not in self._dms:
            async with self._call("conversations.open"):
                response = await self.client.conversations_open(users=user)
            self._dms[user] = str(response["channel"]["id"])
        return self._dms[user]

    async def open_view(self, trigger: str, view: Json) -> None:
        """Open a modal; a `trigger` is valid for three seconds."""
        async with self._call("views.open"):
            await self.client.views_open(trigger_id=trigger, view=view)

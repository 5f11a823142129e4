"""Slack's Web API as the bot uses it: within its budgets, never past a Retry-After, with refusals that have a name."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.core.errors import BotError
from bot.platforms.slack.api import budgets
from bot.platforms.slack.api.client import RetryAfterHandler, on_limit, reason, sdk_logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from slack_sdk.web.async_client import AsyncWebClient

    from bot.core.messages import Attachment
    from bot.platforms.slack.api.budgets import RateBudgets
    from bot.platforms.slack.api.message_format import SlackMessage

    Json = dict[str, Any]

log = logging.getLogger(__name__)

SHARING_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""When it is asked whether a file stands in its channel: Slack shares files in the background."""
LOOKING_SECONDS = (0.2, 0.4, 0.8, 1.0)
"""When it is asked whether Slack has looked at a file, for which its answer waits."""
BRINGING_SECONDS = (1.0, 4.0, 15.0)
"""How long to wait before a file that Slack could not take is brought to it again."""
FILE_ALT_TEXT = 1000
PAGE = 1000
"""Channels that Slack lists at once, at most."""

WORTHLESS = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}
)
NOT_THERE = frozenset({"not_in_channel", "channel_not_found", "user_not_in_channel"})
GONE = frozenset({"message_not_found", "thread_not_found", "cant_update_message", "file_not_found", "file_deleted"})
CLOSED = frozenset({"is_archived", "is_inactive", "edit_window_closed", "posting_to_channel_denied"})
FAILING = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "no answer of Slack's"})
"""Errors of Slack's own, which may be over soon."""
ENDED = frozenset({"message_not_in_streaming_state", "streaming_state_conflict"})
NO_FEATURE = frozenset(
    {
        "unknown_method",
        "not_allowed",
        "missing_scope",
        "no_permission",
        "feature_not_enabled",
        "method_deprecated",
        "deprecated_endpoint",
        "access_denied",
        "team_access_not_granted",
    }
)
"""What says that a workspace does not have a method at all."""


class SlackError(BotError):
    """Slack refused a call, or could not be asked; `code` is its own word for why."""

    def __init__(self, method: str, code: str) -> None:
        self.code = code
        super().__init__(f"{method}: {code}")


class TokenInvalid(SlackError):
    """The bot token is not valid any more."""


class NotInChannel(SlackError):
    """The bot is not in the channel."""


class MessageGone(SlackError):
    """The message, or the one that its thread hangs on, was deleted."""


class ChannelClosed(SlackError):
    """Nobody can write there."""


class StreamEnded(SlackError):
    """The message does not grow any more: Slack ended its stream, or somebody did."""


class NoFeature(SlackError):
    """The workspace has no such method."""


class Unreachable(SlackError):
    """Slack could not be asked, or its answer did not come."""


def is_file(name: str) -> bool:
    """Whether this is the id of a file, and not of a message."""
    return name.startswith("F")


def _as_upload(file: Attachment) -> Json:
    alt = file.alt[:FILE_ALT_TEXT] or None
    return {"filename": file.filename, "title": file.filename, "file": file.data, "alt_txt": alt}


def _kind(code: str) -> type[SlackError]:
    for codes, kind in (
        (WORTHLESS, TokenInvalid),
        (NOT_THERE, NotInChannel),
        (GONE, MessageGone),
        (CLOSED, ChannelClosed),
        (ENDED | {"stopped_by_user"}, StreamEnded),
        (NO_FEATURE, NoFeature),
    ):
        if code in codes:
            return kind
    return ChannelClosed if code.startswith("restricted_action") else SlackError


class SlackApi:
    """The calls that the bot makes. Each waits for its budget, and raises a SlackError for a refusal."""

    def __init__(self, client: AsyncWebClient, budgets: RateBudgets) -> None:
        self.client = client
        self.budgets = budgets
        self.worthless = asyncio.Event()
        """Set once Slack has refused the bot token."""
        self.missing: set[str] = set()
        """Methods that the workspace does not have."""
        self._sections = False
        self._dms: dict[str, str] = {}

    @asynccontextmanager
    async def _call(self, method: str, channel: str = "") -> AsyncIterator[None]:
        await self.budgets.spend(method, channel)
        token = on_limit.set(lambda seconds: self.budgets.block_for(seconds, method, channel))
        try:
            yield
        except SlackApiError as error:
            code = reason(error) or "no answer of Slack's"
            refused = _kind(code)(method, code)
            if isinstance(refused, TokenInvalid):
                self.worthless.set()
            if isinstance(refused, NoFeature):
                self.missing.add(method)
            raise refused from None
        except SlackRequestError as error:
            # What takes the bytes of a file has no errors with a code.
            raise Unreachable(method, str(error)) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(method, f"{type(error).__name__}") from error
        finally:
            on_limit.reset(token)

    # Messages

    async def post(self, channel: str, message: SlackMessage, thread: str = "") -> str:
        """Post a message; its ts."""

        async def send() -> str:
            async with self._call(budgets.POST, channel):
                found = await self.client.chat_postMessage(
                    channel=channel,
                    thread_ts=thread or None,
                    unfurl_links=False,
                    unfurl_media=False,
                    **message.content(sections=self._sections),
                )
            return str(found["ts"])

        return await self._as_blocks(message, send)

    async def update(self, channel: str, ts: str, message: SlackMessage) -> None:
        """Make a message look like this."""

        async def send() -> str:
            async with self._call(budgets.UPDATE):
                # Without these, names that the model wrote would become mentions.
                plain: Json = {"parse": "none", "link_names": False}
                await self.client.chat_update(
                    channel=channel, ts=ts, **plain, **message.content(sections=self._sections)
                )
            return ts

        await self._as_blocks(message, send)

    async def _as_blocks(self, message: SlackMessage, send: Callable[[], Any]) -> str:
        """Send with Markdown blocks; where those are unknown, now and later with sections."""
        # Blocks are refused for a file in them, too.
        is_in_doubt = bool(message.markdown) and not message.pictures
        try:
            return str(await send())
        except SlackError as error:
            if error.code not in ("invalid_blocks", "invalid_blocks_format") or self._sections or not is_in_doubt:
                raise
        log.info("This Slack knows no Markdown blocks; sections are used instead.")
        self._sections = True
        return str(await send())

    async def delete(self, channel: str, ts: str) -> None:
        """Delete a message of the bot."""
        async with self._call(budgets.DELETE):
            await self.client.chat_delete(channel=channel, ts=ts)

    async def delete_all(self, channel: str, ids: Sequence[str]) -> None:
        """Delete messages and files of the bot by their ids; what cannot be deleted is logged."""
        for one in ids:
            try:
                await (self.delete_file(one) if is_file(one) else self.delete(channel, one))
            except SlackError as error:
                if not isinstance(error, MessageGone):
                    log.info("Something of the bot's stays: %s", error)

    async def whisper(self, channel: str, user: str, message: SlackMessage, thread: str = "") -> None:
        """Show a message to one user alone."""

        async def send() -> str:
            async with self._call(budgets.WHISPER):
                found = await self.client.chat_postEphemeral(
                    channel=channel, user=user, thread_ts=thread or None, **message.content(sections=self._sections)
                )
            return str(found["message_ts"])

        await self._as_blocks(message, send)

    async def respond(
        self, url: str, message: SlackMessage | None, *, thread: str = "", public: bool = False, replaces: bool = False
    ) -> None:
        """Answer through a response_url: a message for all or for one, or in the place of the one that it belongs to.

        None deletes that one.
        """
        hook = AsyncWebhookClient(
            url, session=self.client.session, logger=sdk_logger(), retry_handlers=[RetryAfterHandler(max_retry_count=1)]
        )
        hook.proxy = None
        body: Json = {"delete_original": True}
        if message is not None:
            body = {
                "response_type": "in_channel" if public else "ephemeral",
                "replace_original": replaces,
                "unfurl_links": False,
                "unfurl_media": False,
                **message.content(sections=self._sections),
            }
            if thread:
                body["thread_ts"] = thread
        try:
            found = await hook.send_dict(body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable("response_url", type(error).__name__) from error
        if found.status_code != 200:
            raise SlackError("response_url", f"HTTP {found.status_code} {found.body[:100]}")

    # Streams

    async def start_stream(self, channel: str, thread: str, markdown: str, *, user: str, team: str) -> str:
        """Begin a message that grows; its ts."""
        async with self._call(budgets.START):
            found = await self.client.chat_startStream(
                channel=channel,
                thread_ts=thread,
                markdown_text=markdown,
                recipient_user_id=user,
                recipient_team_id=team,
            )
        return str(found["ts"])

    async def append_stream(self, channel: str, ts: str, markdown: str) -> None:
        """Let it grow."""
        async with self._call(budgets.APPEND):
            await self.client.chat_appendStream(channel=channel, ts=ts, markdown_text=markdown)

    async def stop_stream(self, channel: str, ts: str, markdown: str = "", below: Sequence[Json] = ()) -> None:
        """Let it grow no more, with a last piece and with blocks below it."""
        async with self._call(budgets.STOP):
            await self.client.chat_stopStream(
                channel=channel, ts=ts, markdown_text=markdown or None, blocks=list(below) or None
            )

    async def status(self, channel: str, thread: str, text: str) -> None:
        """Show under a thread what the bot is doing, until it posts there; "" takes it back."""
        async with self._call(budgets.STATUS):
            await self.client.assistant_threads_setStatus(channel_id=channel, thread_ts=thread, status=text)

    # Files

    async def share(self, channel: str, files: Sequence[Attachment], thread: str = "") -> list[str]:
        """Share files in one message, in which they will stand soon; their ids.

        What Slack cannot take for a moment is brought again.
        """
        uploads = [_as_upload(file) for file in files]
        for pause in BRINGING_SECONDS:
            try:
                return await self._upload(uploads, channel, thread)
            except SlackError as error:
                if not isinstance(error, Unreachable) and error.code not in FAILING:
                    raise
                log.warning("Slack did not take a file: %s", error)
                await asyncio.sleep(pause)
        return await self._upload(uploads, channel, thread)

    async def keep(self, file: Attachment) -> str:
        """Bring a file that nobody sees yet; its id. It can stand in a message once Slack has looked at it."""
        return (await self._upload([_as_upload(file)], "", ""))[0]

    async def is_kept(self, file: str) -> bool:
        """Whether a file can stand in a message, or not yet: Slack names its type when it has looked at it."""
        for pause in LOOKING_SECONDS:
            await asyncio.sleep(pause)
            if (await self._told_of(file)).get("mimetype"):
                return True
        return False

    async def _upload(self, uploads: list[Json], channel: str, thread: str) -> list[str]:
        for _ in uploads[1:]:
            await self.budgets.spend(budgets.UPLOAD)
        async with self._call(budgets.UPLOAD):
            found = await self.client.files_upload_v2(
                file_uploads=uploads, channel=channel or None, thread_ts=thread or None
            )
        return [str(file["id"]) for file in found["files"]]

    async def shared(self, channel: str, file: str) -> list[str]:
        """The ts of the message that shares a file, once there is one; none where Slack does not tell."""
        for pause in SHARING_SECONDS:
            await asyncio.sleep(pause)
            try:
                told = await self._told_of(file)
            except SlackError as error:
                log.info("Slack does not say where a file is shared: %s", error)
                return []
            for places in (told.get("shares") or {}).values():
                if channel in places:
                    return [str(places[channel][0]["ts"])]
        return []

    async def _told_of(self, file: str) -> Json:
        async with self._call(budgets.FILE):
            found = await self.client.files_info(file=file)
        return dict(found["file"])

    async def delete_file(self, file: str) -> None:
        """Delete a file of the bot, wherever it is shared."""
        async with self._call(budgets.DELETE_FILE):
            await self.client.files_delete(file=file)

    async def fetch(self, url: str, most: int, *, is_page: bool = False) -> bytes:
        """A file of a user, of at most `most` bytes. Whoever is not signed in gets a page, unless the file is one."""
        session = self.client.session
        if session is None:
            raise RuntimeError("The Web API is used before it has a session")
        try:
            async with session.get(url, headers={"Authorization": f"Bearer {self.client.token}"}) as response:
                is_sign_in = response.content_type == "text/html" and (not is_page or bool(response.history))
                if response.status != 200 or is_sign_in:
                    raise SlackError("file", f"HTTP {response.status} {response.content_type}")
                data = await response.content.read(most + 1)
                while len(data) <= most and (more := await response.content.read(most + 1 - len(data))):
                    data += more
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable("file", type(error).__name__) from error
        if len(data) > most:
            raise SlackError("file", "too large")
        return data

    # People and views

    async def user(self, user: str) -> Mapping[str, Any]:
        """What Slack says of a user."""
        async with self._call("users.info"):
            found = await self.client.users_info(user=user, include_locale=True)
        return dict(found["user"])

    async def channels(self, name: str) -> list[str]:
        """The ids of the public channels that are called so; those that are archived are none."""
        found, cursor = [], ""
        while True:
            async with self._call("conversations.list"):
                page = await self.client.conversations_list(
                    types="public_channel", exclude_archived=True, limit=PAGE, cursor=cursor
                )
            found += [str(one["id"]) for one in page["channels"] if one["name"] == name]
            if not (cursor := str((page.get("response_metadata") or {}).get("next_cursor") or "")):
                return found

    async def direct(self, user: str) -> str:
        """The channel of the direct messages with a user."""
        if user not in self._dms:
            async with self._call("conversations.open"):
                found = await self.client.conversations_open(users=user)
            self._dms[user] = str(found["channel"]["id"])
        return self._dms[user]

    async def open_view(self, trigger: str, view: Json) -> None:
        """Open a modal, within three seconds of what triggered it."""
        async with self._call("views.open"):
            await self.client.views_open(trigger_id=trigger, view=view)

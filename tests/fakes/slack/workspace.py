"""The contents of a workspace: users, channels, messages, views and files, and their JSON."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PING = re.compile(
    r"<(!(?:channel|here|everyone|subteam\^\w+)|@[UW]\w+)(?:[|^][^>]*)?>|(?<!\w)(@(?:channel|here|everyone))\b"
)
LINK = re.compile(r"https?://[^\s|>)]+")

Json = dict[str, Any]


@dataclass
class User:
    """A user in the workspace."""

    id: str
    name: str
    admin: bool = False
    locale: str = "en-US"
    bot: bool = False
    team: str = ""
    """Another workspace, of which they are."""
    organisation: str = ""

    def as_json(self, team: str, *, locale: bool) -> Json:
        """Return the user as users.info does; `team` is the workspace that asks."""
        team = self.team or team
        found = {
            "id": self.id,
            "team_id": team,
            "name": self.name.casefold(),
            "real_name": self.name,
            "deleted": False,
            "is_admin": self.admin,
            "is_owner": False,
            "is_primary_owner": False,
            "is_bot": self.bot,
            "tz": "Europe/Berlin",
            "profile": {"real_name": self.name, "display_name": self.name, "team": team},
        }
        if self.organisation:
            found["enterprise_user"] = {"id": self.id, "enterprise_id": self.organisation, "teams": [team]}
        return found | ({"locale": self.locale} if locale else {})

    def teams(self, team: str) -> Json:
        """Return the workspaces that events name for the user; `team` is the workspace that gets them."""
        return {"team": self.team or team} | ({"user_team": self.team, "source_team": self.team} if self.team else {})


@dataclass
class Channel:
    """A channel (C…), or direct messages (D…) of `user` with the bot or somebody else."""

    id: str
    name: str
    members: set[str]
    user: str = ""
    archived: bool = False
    private: bool = False

    @property
    def type(self) -> str:
        """The `channel_type` of events: "im", "group" or "channel"."""
        return "im" if self.user else "group" if self.private else "channel"


@dataclass
class FakeMessage:
    """A message as it looks now, and its history.

    `edits` holds (monotonic time, visible text) for every change, appended pieces of a stream included. `via` is
    "api", "response_url", "ack", "upload" or "user". `unfurls` lists the links that Slack would unfurl, `pings` the
    mentions that would notify somebody. `streaming` is true until a stream is stopped or expires.
    """

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: list[Json] = field(default_factory=list)
    thread_ts: str = ""
    files: list[Json] = field(default_factory=list)
    edits: list[tuple[float, str]] = field(default_factory=list)
    deleted: bool = False
    ephemeral_to: str = ""
    streaming: bool = False
    streamed: bool = False
    stream_until: float = 0.0
    via: str = "api"
    unfurls: list[str] = field(default_factory=list)
    reactions: list[tuple[str, str]] = field(default_factory=list)
    created: float = field(default_factory=time.monotonic)
    events: list[Any] = field(default_factory=list)
    """The events for the bot about this message, as `delivery.Delivery`."""

    @property
    def shown(self) -> str:
        """The visible text: that of the blocks, or without blocks `text`; a stream shows both."""
        below = "\n".join(texts(self.blocks))
        if self.streamed or not below:
            return f"{self.text}\n{below}".strip()
        return below

    @property
    def buttons(self) -> dict[str, Json]:
        """The buttons under the message, by label."""
        return {element["text"]["text"]: element for _, element in elements(self.blocks) if element["type"] == "button"}

    @property
    def pings(self) -> list[str]:
        """The mentions that notify somebody: "!channel", "@channel", "@U123"."""
        shown = [self.text, *(one["text"] for one in text_objects(self.blocks) if one["type"] != "plain_text")]
        return [ping[1] or ping[2] for text in shown for ping in PING.finditer(text)]

    def record_version(self) -> None:
        """Record the visible text after a change."""
        self.edits.append((time.monotonic(), self.shown))

    def as_json(self) -> Json:
        """Return the message as events and payloads contain it."""
        found: Json = {"type": "message", "user": self.user, "text": self.text, "ts": self.ts}
        if self.blocks:
            found["blocks"] = self.blocks
        if self.thread_ts:
            found["thread_ts"] = self.thread_ts
        if self.files:
            found |= {"files": self.files, "subtype": "file_share"}
        return found


@dataclass
class FakeView:
    """A modal or home tab of one user; `versions` holds its contents over time, the newest last."""

    id: str
    user: str
    kind: str
    versions: list[Json]
    open: bool = True
    root: str = ""
    previous: str = ""
    number: int = 1

    @property
    def content(self) -> Json:
        """The newest version."""
        return self.versions[-1]

    @property
    def title(self) -> str:
        """The title of a modal, "" for a home tab."""
        return str(self.content.get("title", {}).get("text", ""))

    @property
    def shown(self) -> str:
        """The visible text."""
        return "\n".join(texts(self.content["blocks"]))

    @property
    def buttons(self) -> dict[str, Json]:
        """The buttons, by label."""
        found = elements(self.content["blocks"])
        return {element["text"]["text"]: element for _, element in found if element["type"] == "button"}

    @property
    def inputs(self) -> dict[str, Json]:
        """The input blocks, by block_id."""
        return {block["block_id"]: block for block in self.content["blocks"] if block["type"] == "input"}

    @property
    def hash(self) -> str:
        """The hash that changes with every update."""
        return f"{self.number}.{self.id}"

    def show(self, content: Json) -> None:
        """Replace the content; blocks without an id get one, as on Slack."""
        blocks = [
            block if block.get("block_id") else block | {"block_id": f"b{self.number}-{place}"}
            for place, block in enumerate(content["blocks"])
        ]
        self.versions.append(content | {"blocks": blocks})
        self.number += 1

    def as_json(self, team: str, app_id: str, bot_id: str) -> Json:
        """Return the view as results and payloads contain it."""
        return self.content | {
            "id": self.id,
            "team_id": team,
            "app_id": app_id,
            "bot_id": bot_id,
            "hash": self.hash,
            "root_view_id": self.root or self.id,
            "previous_view_id": self.previous or None,
            "app_installed_team_id": team,
            "private_metadata": self.content.get("private_metadata", ""),
            "callback_id": self.content.get("callback_id", ""),
            "external_id": self.content.get("external_id", ""),
            "state": {"values": self.content.get("state", {}).get("values", {})},
        }


@dataclass
class FakeFile:
    """An uploaded file, and its `shares` as (channel, ts). Its type is known once Slack has processed it."""

    id: str
    name: str
    data: bytes = b""
    mimetype: str = "application/octet-stream"
    title: str = ""
    alt: str = ""
    user: str = ""
    length: int = 0
    complete: bool = False
    processed: bool = True
    shares: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self, base: str, public: Callable[[str], bool]) -> Json:
        """Return the file as files.info and events contain it; its address requires the bot's token."""
        shares: Json = {}
        for channel, ts in self.shares:
            kind = "public" if public(channel) else "private"
            shares.setdefault(kind, {}).setdefault(channel, []).append({"ts": ts})
        url = f"{base}/files-pri/{self.id}/{self.name}"
        return {
            "id": self.id,
            "name": self.name,
            "title": self.title or self.name,
            "mimetype": self.mimetype if self.processed else "",
            "filetype": self.name.rpartition(".")[2] if self.processed else "",
            "user": self.user,
            "size": len(self.data),
            "mode": "hosted",
            "file_access": "visible",
            "alt_txt": self.alt,
            "url_private": url,
            "url_private_download": f"{url}?download=1",
            "shares": shares,
        }


class Workspace:
    """Everything in the workspace; issues new ids."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.messages: list[FakeMessage] = []
        self.views: list[FakeView] = []
        self.files: dict[str, FakeFile] = {}
        self._numbers = itertools.count(1)
        self._latest = 0.0

    def new_id(self, letter: str) -> str:
        """Return a new id such as "C0000000007"."""
        return f"{letter}{next(self._numbers):010}"

    def new_ts(self) -> str:
        """Return a new timestamp, later than all before."""
        self._latest = max(time.time(), self._latest + 0.000_01)
        return f"{self._latest:.6f}"

    def find(self, channel: str, ts: str) -> FakeMessage | None:
        """Return a message that is neither deleted nor ephemeral; None if there is none."""
        return next(
            (
                message
                for message in reversed(self.messages)
                if message.channel == channel and message.ts == ts and not message.deleted and not message.ephemeral_to
            ),
            None,
        )

    def dm(self, user: str, bot: str) -> Channel:
        """Return the channel of `user`'s direct messages with the bot; create it when first needed."""
        for channel in self.channels.values():
            if channel.user == user and bot in channel.members:
                return channel
        channel = Channel(self.new_id("D"), "", {user, bot}, user=user)
        self.channels[channel.id] = channel
        return channel


def elements(blocks: list[Json]) -> Iterator[tuple[str, Json]]:
    """Yield (block_id, element) for everything that can be pressed or filled in."""
    for block in blocks:
        found = [*block.get("elements", ()), block.get("element"), block.get("accessory")]
        for element in found:
            if element and "action_id" in element:
                yield block.get("block_id", ""), element


def text_objects(part: Any) -> Iterator[Json]:
    """Yield every text object in blocks; a markdown block counts as one."""
    if isinstance(part, list):
        for one in part:
            yield from text_objects(one)
    elif isinstance(part, dict):
        if part.get("type") in ("mrkdwn", "plain_text", "markdown") and isinstance(part.get("text"), str):
            yield part
        else:
            for one in part.values():
                yield from text_objects(one)


def texts(blocks: list[Json]) -> list[str]:
    """Return the texts of the blocks, without those of buttons and fields."""
    bare = [block for block in blocks if block["type"] not in ("actions", "input")]
    bare = [{key: part for key, part in block.items() if key != "accessory"} for block in bare]
    return [one["text"] for one in text_objects(bare)]

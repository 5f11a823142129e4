"""What a Slack workspace holds: people, channels, messages, views, files; and the shapes in which events tell of it."""

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
    """Somebody in the workspace."""

    id: str
    name: str
    admin: bool = False
    locale: str = "en-US"
    bot: bool = False

    def as_json(self, team: str, *, locale: bool) -> Json:
        """As users.info shows it."""
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
        return found | ({"locale": self.locale} if locale else {})


@dataclass
class Channel:
    """A channel (C…) or a direct message (D…, with the `user` who is written to there, or who writes to the bot)."""

    id: str
    name: str
    members: set[str]
    user: str = ""
    archived: bool = False
    private: bool = False

    @property
    def type(self) -> str:
        """As the `channel_type` of events: "im", "group" or "channel"."""
        return "im" if self.user else "group" if self.private else "channel"


@dataclass
class FakeMessage:
    """A message as it looks now, and how it came to be so.

    `edits` holds (monotonic time, what was shown) for every change, an appended piece of a stream included. `via`
    is "api", "response_url", "ack", "upload" or "user". `unfurls` lists links that Slack would have opened,
    `pings` the mentions that would have notified somebody. `streaming` is true until a stream is stopped or expires.
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
    """The deliveries (`delivery.Delivery`) that told the bot of it."""

    @property
    def shown(self) -> str:
        """All the words that a reader sees: those of the blocks where there are any, else the text; a stream's both."""
        below = "\n".join(texts(self.blocks))
        if self.streamed or not below:
            return f"{self.text}\n{below}".strip()
        return below

    @property
    def buttons(self) -> dict[str, Json]:
        """Label to element, of the buttons under it."""
        return {element["text"]["text"]: element for _, element in elements(self.blocks) if element["type"] == "button"}

    @property
    def pings(self) -> list[str]:
        """Who is notified: "!channel", "@channel", "@U123"."""
        shown = [self.text, *(one["text"] for one in text_objects(self.blocks) if one["type"] != "plain_text")]
        return [ping[1] or ping[2] for text in shown for ping in PING.finditer(text)]

    def changed(self) -> None:
        """Note a change of what is shown."""
        self.edits.append((time.monotonic(), self.shown))

    def as_json(self) -> Json:
        """As events and payloads show it."""
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
    """A modal or a home tab as one user sees it; `versions` holds what it looked like, the newest last."""

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
        """The view as it looks now."""
        return self.versions[-1]

    @property
    def title(self) -> str:
        """Its title; a home tab has none."""
        return str(self.content.get("title", {}).get("text", ""))

    @property
    def shown(self) -> str:
        """All the words in it."""
        return "\n".join(texts(self.content["blocks"]))

    @property
    def buttons(self) -> dict[str, Json]:
        """Label to element, of its buttons."""
        found = elements(self.content["blocks"])
        return {element["text"]["text"]: element for _, element in found if element["type"] == "button"}

    @property
    def inputs(self) -> dict[str, Json]:
        """block_id to block, of its input blocks."""
        return {block["block_id"]: block for block in self.content["blocks"] if block["type"] == "input"}

    @property
    def hash(self) -> str:
        """Changes with every update."""
        return f"{self.number}.{self.id}"

    def show(self, content: Json) -> None:
        """Replace what is shown; blocks without an id get one, as Slack gives them."""
        blocks = [
            block if block.get("block_id") else block | {"block_id": f"b{self.number}-{place}"}
            for place, block in enumerate(content["blocks"])
        ]
        self.versions.append(content | {"blocks": blocks})
        self.number += 1

    def as_json(self, team: str, app_id: str, bot_id: str) -> Json:
        """As Slack returns it and sends it in payloads."""
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
    """An uploaded file, and where it was shared: (channel, ts). Its type is told once Slack has looked at it."""

    id: str
    name: str
    data: bytes = b""
    mimetype: str = "application/octet-stream"
    title: str = ""
    alt: str = ""
    user: str = ""
    length: int = 0
    complete: bool = False
    looked_at: bool = True
    shares: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self, base: str, public: Callable[[str], bool]) -> Json:
        """As files.info and events show it; its address needs the bot's token."""
        shares: Json = {}
        for channel, ts in self.shares:
            kind = "public" if public(channel) else "private"
            shares.setdefault(kind, {}).setdefault(channel, []).append({"ts": ts})
        url = f"{base}/files-pri/{self.id}/{self.name}"
        return {
            "id": self.id,
            "name": self.name,
            "title": self.title or self.name,
            "mimetype": self.mimetype if self.looked_at else "",
            "filetype": self.name.rpartition(".")[2] if self.looked_at else "",
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
    """Everything that is kept, and new ids for it."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.messages: list[FakeMessage] = []
        self.views: list[FakeView] = []
        self.files: dict[str, FakeFile] = {}
        self._numbers = itertools.count(1)
        self._latest = 0.0

    def new_id(self, letter: str) -> str:
        """A fresh id such as "C0000000007"."""
        return f"{letter}{next(self._numbers):010}"

    def new_ts(self) -> str:
        """A fresh timestamp, later than all before."""
        self._latest = max(time.time(), self._latest + 0.000_01)
        return f"{self._latest:.6f}"

    def find(self, channel: str, ts: str) -> FakeMessage | None:
        """The message that is still there, and that others than its reader know of."""
        return next(
            (
                message
                for message in reversed(self.messages)
                if message.channel == channel and message.ts == ts and not message.deleted and not message.ephemeral_to
            ),
            None,
        )

    def dm(self, user: str, bot: str) -> Channel:
        """The direct messages of `user` with the bot, made when first needed."""
        for channel in self.channels.values():
            if channel.user == user and bot in channel.members:
                return channel
        made = Channel(self.new_id("D"), "", {user, bot}, user=user)
        self.channels[made.id] = made
        return made


def elements(blocks: list[Json]) -> Iterator[tuple[str, Json]]:
    """(block_id, element) of everything that can be pressed or filled in."""
    for block in blocks:
        found = [*block.get("elements", ()), block.get("element"), block.get("accessory")]
        for element in found:
            if element and "action_id" in element:
                yield block.get("block_id", ""), element


def text_objects(part: Any) -> Iterator[Json]:
    """Every text object in blocks, and every markdown block as one."""
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
    """The words of the blocks, without those of buttons and fields."""
    bare = [block for block in blocks if block["type"] not in ("actions", "input")]
    bare = [{key: part for key, part in block.items() if key != "accessory"} for block in bare]
    return [one["text"] for one in text_objects(bare)]

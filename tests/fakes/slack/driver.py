"""What people do in Slack, for tests: say, press, run commands, fill in forms; and what they then see."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from fakes.slack import forms, hooks, limits, views
from fakes.slack.delivery import Ack, Delivery
from fakes.slack.hooks import Hook
from fakes.slack.server import PATIENCE_SECONDS, Server
from fakes.slack.workspace import Channel, FakeFile, FakeMessage, FakeView, User, elements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]


@dataclass(frozen=True)
class Submission:
    """What came of sending a form: `errors` by field, `closed`, or the view that took its place.

    `by_client` says that Slack's own client refused it, so that the bot never saw it.
    """

    errors: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False
    view: FakeView | None = None
    by_client: bool = False
    delivery: Delivery | None = None


class FakeSlack(Server):
    """A workspace with a channel that the bot is in, two people and an admin; ids are what Slack's payloads hold."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.ann = self.add_user("Ann")
        self.ben = self.add_user("Ben")
        self.admin = self.add_user("Ada", admin=True)
        self.channel = self.add_channel("general")
        return self

    @property
    def http_url(self) -> str:
        """Where signed requests go while no socket is connected."""
        return self.courier.http_url

    @http_url.setter
    def http_url(self, url: str) -> None:
        self.courier.http_url = url

    @property
    def acknowledgements(self) -> list[float]:
        """Seconds, of everything that was acknowledged."""
        return self.courier.acknowledgements

    @property
    def lost(self) -> list[Delivery]:
        """What was never acknowledged."""
        return self.courier.lost

    # The place

    def add_user(self, name: str, *, admin: bool = False, locale: str = "en-US") -> str:
        """Somebody new, in every channel."""
        user = User(self.workspace.new_id("U"), name, admin, locale)
        self.workspace.users[user.id] = user
        for channel in self.workspace.channels.values():
            if not channel.user:
                channel.members.add(user.id)
        return user.id

    def add_channel(self, name: str, *, member: bool = True, private: bool = False) -> str:
        """A new channel with everybody in it; the bot too if it is a `member`."""
        people = {user.id for user in self.workspace.users.values() if not user.bot}
        channel = Channel(self.workspace.new_id("C"), name, people, private=private)
        if member:
            channel.members.add(self.bot_user)
        self.workspace.channels[channel.id] = channel
        return channel.id

    def dm(self, user: str) -> str:
        """The direct messages of `user` with the bot."""
        return self.workspace.dm(user, self.bot_user).id

    def between(self, user: str, other: str) -> str:
        """The direct messages of two people, without the bot."""
        channel = Channel(self.workspace.new_id("D"), "", {user, other}, user=other, private=True)
        self.workspace.channels[channel.id] = channel
        return channel.id

    def invite(self, channel: str, user: str = "") -> Delivery:
        """Let the bot, or `user`, into a channel."""
        user = user or self.bot_user
        self.channel_of(channel).members.add(user)
        kind = "G" if self.channel_of(channel).private else "C"
        about = {"type": "member_joined_channel", "user": user, "channel": channel, "channel_type": kind}
        return self.tell(about | {"team": self.team, "inviter": self.admin})

    def kick(self, channel: str) -> Delivery:
        """Put the bot out of a channel."""
        self.channel_of(channel).members.discard(self.bot_user)
        return self.tell({"type": "channel_left", "channel": channel, "actor_id": self.admin})

    def archive(self, channel: str) -> Delivery:
        """Close a channel for good."""
        self.channel_of(channel).archived = True
        return self.tell({"type": "channel_archive", "channel": channel, "user": self.admin})

    # What people say and do

    async def say(
        self,
        user: str,
        channel: str,
        text: str,
        *,
        thread_ts: str | None = None,
        mention: bool = False,
        files: Sequence[tuple[str, bytes]] = (),
    ) -> FakeMessage:
        """A message of `user`; with `mention` it begins with the bot's name. Its `events` tell the bot of it."""
        said = f"<@{self.bot_user}> {text}" if mention else text
        message = FakeMessage(channel, self.workspace.new_ts(), user, said, thread_ts=thread_ts or "", via="user")
        for name, data in files:
            file = self.add_file(user, name, data)
            file.shares.append((channel, message.ts))
            message.files.append(self.file_as_json(file))
        self.posted(message)
        place = self.channel_of(channel)
        if mention and not place.user and self.bot_user in place.members:
            about = {"type": "app_mention", "channel": channel, "event_ts": message.ts}
            message.events.append(self.tell(self.as_json(message) | about))
        return message

    def add_file(self, user: str, name: str, data: bytes) -> FakeFile:
        """A file that `user` uploaded, for a message or a field of a form."""
        file = forms.uploaded(self.workspace.new_id("F"), user, name, data)
        self.workspace.files[file.id] = file
        return file

    def edit(self, message: FakeMessage, text: str) -> None:
        """Let its author write a message anew."""
        before = self.as_json(message)
        message.text = text
        self.edited(message, before)

    def delete(self, message: FakeMessage) -> None:
        """Let somebody who may delete a message."""
        self.withdrawn(message)

    def redeliver(self, event: Delivery, *, to: int | None = None) -> Delivery:
        """Send an event once more, as Slack does when it believes that nobody heard; `to` picks a socket."""
        again = Delivery("events_api", event.payload, attempts=max(1, event.attempts), reason="timeout")
        return self.courier.send(again, to=to)

    async def command(
        self, user: str, channel: str, command: str, text: str = "", *, to: int | None = None
    ) -> Delivery:
        """A slash command; it leaves no message."""
        place = self.channel_of(channel)
        made = self._did("slash_commands", user, Hook(channel, user))
        made.payload = {
            "token": "unused",
            "team_id": self.team,
            "team_domain": "tempera-test",
            "channel_id": channel,
            "channel_name": "directmessage" if place.user else place.name,
            "user_id": user,
            "user_name": self.workspace.users[user].name.casefold(),
            "command": command,
            "text": text,
            "api_app_id": self.app_id,
            "is_enterprise_install": "false",
            "response_url": made.response_url,
            "trigger_id": made.trigger_id,
        }
        made.on_ack = lambda ack: self._shown_by_ack(Hook(channel, user), ack)
        return self.courier.send(made, to=to)

    async def press(self, user: str, on: FakeMessage | FakeView, label: str) -> Delivery:
        """Press the button with this label under a message or in a view."""
        if label not in on.buttons:
            raise AssertionError(f"there is no button “{label}”, only {list(on.buttons)}")
        content = on.blocks if isinstance(on, FakeMessage) else on.content["blocks"]
        block, element = next(
            (block, element)
            for block, element in elements(content)
            if element["type"] == "button" and element["text"]["text"] == label
        )
        action = {key: element[key] for key in ("action_id", "text", "value", "style", "type") if key in element}
        action |= {"block_id": block, "action_ts": self.workspace.new_ts()}
        return self._interact(user, "block_actions", on, {"actions": [action]})

    async def shortcut(self, user: str, message: FakeMessage, callback_id: str) -> Delivery:
        """Choose a message shortcut."""
        about = {"callback_id": callback_id, "message_ts": message.ts, "action_ts": self.workspace.new_ts()}
        return self._interact(user, "message_action", message, about)

    async def open_home(self, user: str) -> Delivery:
        """Open the app's home tab."""
        home = self.home(user)
        about = {"view": self.view_as_json(home)} if home else {}
        event = {"type": "app_home_opened", "user": user, "channel": self.dm(user), "tab": "home"}
        return self.tell(event | about | {"event_ts": self.workspace.new_ts()})

    async def choose(self, user: str, on: FakeMessage | FakeView, value: str) -> Delivery:
        """Pick this value from a menu that stands in a message or a view, outside a form."""
        content = on.blocks if isinstance(on, FakeMessage) else on.content["blocks"]
        block, element, option = next(
            (block, element, option)
            for block, element in elements(content)
            for group in element.get("option_groups") or [element]
            for option in group.get("options", ())
            if option["value"] == value
        )
        action = {"type": element["type"], "action_id": element["action_id"], "selected_option": option}
        action |= {"block_id": block, "action_ts": self.workspace.new_ts()}
        return self._interact(user, "block_actions", on, {"actions": [action]})

    async def submit(self, user: str, view: FakeView, fields: Mapping[str, Any], *, checked: bool = True) -> Submission:
        """Fill in a modal and send it; without `checked` even what Slack's client would refuse.

        `fields` goes by block_id, action_id or label; a file is a `FakeFile` or several.
        """
        values = forms.values(view, fields, self.file_as_json)
        if checked and (errors := forms.refused(view, values)):
            return Submission(errors, by_client=True)
        view.content["state"] = {"values": values}
        made = self._did("interactive", user, None)
        about = {"type": "view_submission", "view": self.view_as_json(view), "response_urls": []}
        made.payload |= about
        ack = await self.courier.send(made).acknowledged()
        return self._answered(view, ack.payload, made)

    async def close(self, user: str, view: FakeView) -> Delivery | None:
        """Close a modal without sending it; the bot hears of it if it asked to."""
        view.open = False
        if not view.content.get("notify_on_close"):
            return None
        made = self._did("interactive", user, None)
        made.payload |= {"type": "view_closed", "view": self.view_as_json(view), "is_cleared": False}
        return self.courier.send(made)

    def _answered(self, view: FakeView, payload: Json, delivery: Delivery) -> Submission:
        match payload.get("response_action"):
            case "errors":
                unknown = payload["errors"].keys() - view.inputs.keys()
                self.violations += [f"errors name “{name}”, which is no input block" for name in sorted(unknown)]
                return Submission(payload["errors"], delivery=delivery)
            case "update":
                self.violations += limits.view_errors(payload["view"])
                view.show(payload["view"])
                self.changed()
                return Submission(view=view, delivery=delivery)
            case "push":
                self.violations += limits.view_errors(payload["view"])
                return Submission(view=views.add(self, view.user, payload["view"], on=view), delivery=delivery)
            case "clear":
                for one in self.workspace.views:
                    if one.user == view.user and one.kind == "modal":
                        one.open = False
            case None:
                view.open = False
                if payload:
                    self.violations.append(f"a view_submission is not answered with {json.dumps(payload)[:200]}")
            case other:
                self.violations.append(f"there is no response_action “{other}”")
        self.changed()
        return Submission(closed=True, delivery=delivery)

    def _did(self, kind: Any, user: str, hook: Hook | None) -> Delivery:
        payload: Json = {
            "token": "unused",
            "api_app_id": self.app_id,
            "team": {"id": self.team, "domain": "tempera-test"},
            "enterprise": None,
            "is_enterprise_install": False,
            "user": {
                "id": user,
                "username": self.workspace.users[user].name.casefold(),
                "name": self.workspace.users[user].name.casefold(),
                "team_id": self.team,
            },
        }
        made = Delivery(kind, payload, trigger_id=self.new_trigger(user))
        payload["trigger_id"] = made.trigger_id
        if hook is not None:
            made.response_url = payload["response_url"] = self.hooks.new(self.url, hook)
        return made

    def _interact(self, user: str, kind: str, on: FakeMessage | FakeView, about: Json) -> Delivery:
        if isinstance(on, FakeView):
            made = self._did("interactive", user, None)
            made.payload["view"] = self.view_as_json(on)
            made.payload["container"] = {"type": "view", "view_id": on.id}
        else:
            made = self._did("interactive", user, Hook(on.channel, user, on))
            place = self.channel_of(on.channel)
            made.payload["channel"] = {"id": place.id, "name": "directmessage" if place.user else place.name}
            container = {"type": "message", "message_ts": on.ts, "channel_id": on.channel}
            if on.thread_ts:
                container["thread_ts"] = on.thread_ts
            made.payload["container"] = container | {"is_ephemeral": bool(on.ephemeral_to)}
            if not on.ephemeral_to:
                made.payload["message"] = json.loads(json.dumps(self.as_json(on)))
            if kind == "block_actions":
                made.payload["state"] = {"values": {}}
        made.payload |= {"type": kind} | about
        return self.courier.send(made)

    def _shown_by_ack(self, hook: Hook, ack: Ack) -> None:
        if ack.payload and (error := hooks.show(self, hook, ack.payload, "ack")):
            self.violations.append(f"an acknowledgement holds a message that Slack would not show: {error}")

    # What people see

    def messages(self, channel: str) -> list[FakeMessage]:
        """What everybody sees in a channel outside threads, oldest first."""
        return [one for one in self._there(channel) if not one.thread_ts]

    def thread(self, channel: str, ts: str) -> list[FakeMessage]:
        """What everybody sees in the thread below the message `ts`, oldest first, without that message."""
        return [one for one in self._there(channel) if one.thread_ts == ts and one.ts != ts]

    def pictures(self, message: FakeMessage) -> list[bytes]:
        """The pictures in the blocks of a message, as long as their files are there."""
        files = [self.workspace.files.get(block.get("slack_file", {}).get("id", "")) for block in message.blocks]
        return [file.data for file in files if file is not None]

    def ephemeral(self, user: str) -> list[FakeMessage]:
        """What `user` alone sees, oldest first."""
        return [one for one in self.workspace.messages if one.ephemeral_to == user and not one.deleted]

    def home(self, user: str) -> FakeView | None:
        """The home tab of `user`, if one was published."""
        return next((one for one in self.workspace.views if one.user == user and one.kind == "home"), None)

    def modal(self, user: str) -> FakeView | None:
        """The topmost modal that `user` has open."""
        found = [one for one in self.workspace.views if one.user == user and one.kind == "modal" and one.open]
        return found[-1] if found else None

    async def view(self, user: str, timeout: float = PATIENCE_SECONDS) -> FakeView:
        """The modal that `user` has open, else the home tab, as soon as there is one."""
        return await self.until(lambda: self.modal(user) or self.home(user), timeout)

    async def connected(self, count: int = 1, timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until so many sockets are connected."""
        await self.until(lambda: len(self.courier.sockets) >= count, timeout)

    def called(self, method: str) -> list[Json]:
        """The arguments of every call of a method, oldest first."""
        return [call.arguments for call in self.calls if call.method == method]

    async def post(
        self, url: str, body: str, *, timestamp: int | None = None, secret: str | None = None
    ) -> tuple[int, str]:
        """A signed request to the bot: status and body; see `delivery.Courier.post`."""
        return await self.courier.post(url, body, timestamp=timestamp, secret=secret)

    def _there(self, channel: str) -> list[FakeMessage]:
        found = [one for one in self.workspace.messages if one.channel == channel]
        return [one for one in found if not one.deleted and not one.ephemeral_to]

"""User actions for tests: write, press, run commands, fill in forms; and what the users then see."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from fakes.slack import forms, limits, response_urls, views
from fakes.slack.delivery import Ack, Delivery
from fakes.slack.response_urls import ResponseUrl
from fakes.slack.server import PATIENCE_SECONDS, Server
from fakes.slack.workspace import Channel, FakeFile, FakeMessage, FakeView, User, elements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, Any]


@dataclass(frozen=True)
class Submission:
    """The result of submitting a form: `errors` by field, `closed`, or the view that replaced it.

    `by_client` is true if Slack's own client refused the form, so that the bot never saw it.
    """

    errors: Mapping[str, str] = field(default_factory=dict)
    closed: bool = False
    view: FakeView | None = None
    by_client: bool = False
    delivery: Delivery | None = None


class FakeSlack(Server):
    """A workspace with two users, an admin, and a channel that the bot is in. Methods take ids, as in payloads."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._move_in()
        return self

    def _move_in(self) -> None:
        self.ann = self.add_user("Ann")
        self.ben = self.add_user("Ben")
        self.admin = self.add_user("Ada", admin=True)
        self.channel = self.add_channel("general")

    def add_workspace(self, name: str) -> FakeSlack:
        """Return another workspace with the same app and address. All ids but that of the team are the same."""
        other = FakeSlack()
        other.team, other.team_name = f"T0{name.upper()}", name
        other.app_token, other.signing_secret, other.oauth = self.app_token, self.signing_secret, self.oauth
        other.courier, other.url = self.courier, self.url
        other._move_in()
        return other

    @property
    def http_url(self) -> str:
        """Address for signed requests while no socket is connected."""
        return self.courier.http_urls[0]

    @http_url.setter
    def http_url(self, url: str) -> None:
        self.courier.http_urls = [url]

    @property
    def acknowledgements(self) -> list[float]:
        """Seconds until each acknowledgement."""
        return self.courier.acknowledgements

    @property
    def lost(self) -> list[Delivery]:
        """Deliveries that were never acknowledged."""
        return self.courier.lost

    # Setting up the workspace

    def add_user(self, name: str, *, admin: bool = False, locale: str = "en-US") -> str:
        """Add a user to the workspace and to every channel; return the id."""
        user = User(self.workspace.new_id("U"), name, admin, locale)
        self.workspace.users[user.id] = user
        for channel in self.workspace.channels.values():
            if not channel.user:
                channel.members.add(user.id)
        return user.id

    def add_channel(self, name: str, *, member: bool = True, private: bool = False) -> str:
        """Add a channel with all users, and with the bot if it is a `member`; return the id."""
        people = {user.id for user in self.workspace.users.values() if not user.bot}
        channel = Channel(self.workspace.new_id("C"), name, people, private=private)
        if member:
            channel.members.add(self.bot_user)
        self.workspace.channels[channel.id] = channel
        return channel.id

    def dm(self, user: str) -> str:
        """Return the channel of `user`'s direct messages with the bot."""
        return self.workspace.dm(user, self.bot_user).id

    def dm_between(self, user: str, other: str) -> str:
        """Add a channel for direct messages of two users without the bot; return the id."""
        channel = Channel(self.workspace.new_id("D"), "", {user, other}, user=other, private=True)
        self.workspace.channels[channel.id] = channel
        return channel.id

    def invite(self, channel: str, user: str = "") -> Delivery:
        """Add the bot, or `user`, to a channel."""
        user = user or self.bot_user
        self.channel_of(channel).members.add(user)
        kind = "G" if self.channel_of(channel).private else "C"
        about = {"type": "member_joined_channel", "user": user, "channel": channel, "channel_type": kind}
        return self.send_event(about | {"team": self.team, "inviter": self.admin})

    def kick(self, channel: str) -> Delivery:
        """Remove the bot from a channel."""
        self.channel_of(channel).members.discard(self.bot_user)
        return self.send_event({"type": "channel_left", "channel": channel, "actor_id": self.admin})

    def archive(self, channel: str) -> Delivery:
        """Archive a channel."""
        self.channel_of(channel).archived = True
        return self.send_event({"type": "channel_archive", "channel": channel, "user": self.admin})

    # User actions

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
        """Write a message as `user`; with `mention` it begins by mentioning the bot. Its `events` go to the bot."""
        full_text = f"<@{self.bot_user}> {text}" if mention else text
        message = FakeMessage(channel, self.workspace.new_ts(), user, full_text, thread_ts=thread_ts or "", via="user")
        for name, data in files:
            file = self.add_file(user, name, data)
            file.shares.append((channel, message.ts))
            message.files.append(self._file_in_event(file))
        self.add_message(message)
        place = self.channel_of(channel)
        if mention and not place.user and self.bot_user in place.members:
            about = {"type": "app_mention", "channel": channel, "event_ts": message.ts}
            message.events.append(self.send_event(self.as_json(message) | about))
        return message

    def add_file(self, user: str, name: str, data: bytes) -> FakeFile:
        """Add a file that `user` uploads to a message or a field of a form."""
        file = forms.make_file(self.workspace.new_id("F"), user, name, data)
        self.workspace.files[file.id] = file
        return file

    def _file_in_event(self, file: FakeFile) -> Json:
        """Return a file as events contain it: of that of another workspace's user, as in Slack Connect, just the id."""
        if not self.workspace.users[file.user].team:
            return self.file_as_json(file)
        about = {"id": file.id, "mode": "file_access", "file_access": "check_file_info"}
        return about | {"created": 0, "timestamp": 0, "user": ""}

    def edit(self, message: FakeMessage, text: str) -> None:
        """Edit a message as its author."""
        before = self.as_json(message)
        message.text = text
        self.record_edit(message, before)

    def delete(self, message: FakeMessage) -> None:
        """Delete a message as somebody who may."""
        self.remove_message(message)

    def redeliver(self, event: Delivery, *, to: int | None = None) -> Delivery:
        """Send an event again, as Slack does after a missing acknowledgement; `to` picks a socket."""
        again = Delivery("events_api", event.payload, attempts=max(1, event.attempts), reason="timeout")
        return self.courier.send(again, to=to)

    async def command(
        self, user: str, channel: str, command: str, text: str = "", *, to: int | None = None
    ) -> Delivery:
        """Use a slash command; it leaves no message."""
        place = self.channel_of(channel)
        delivery = self._new_interaction("slash_commands", user, ResponseUrl(channel, user))
        delivery.payload = {
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
            "response_url": delivery.response_url,
            "trigger_id": delivery.trigger_id,
        }
        delivery.on_ack = lambda ack: self._show_ack(ResponseUrl(channel, user), ack)
        return self.courier.send(delivery, to=to)

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
        return self.send_event(event | about | {"event_ts": self.workspace.new_ts()})

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
        """Fill in a modal and submit it; without `checked` even values that Slack's client would refuse.

        The keys of `fields` are block_ids, action_ids or labels; a file is one `FakeFile` or several.
        """
        values = forms.fill_in(view, fields, self.file_as_json)
        if checked and (errors := forms.find_client_errors(view, values)):
            return Submission(errors, by_client=True)
        view.content["state"] = {"values": values}
        delivery = self._new_interaction("interactive", user, None)
        about = {"type": "view_submission", "view": self.view_as_json(view), "response_urls": []}
        delivery.payload |= about
        ack = await self.courier.send(delivery).acknowledged()
        return self._apply_response(view, ack.payload, delivery)

    async def close(self, user: str, view: FakeView) -> Delivery | None:
        """Close a modal without submitting it; the bot gets an event if it asked for one."""
        view.open = False
        if not view.content.get("notify_on_close"):
            return None
        delivery = self._new_interaction("interactive", user, None)
        delivery.payload |= {"type": "view_closed", "view": self.view_as_json(view), "is_cleared": False}
        return self.courier.send(delivery)

    def _apply_response(self, view: FakeView, payload: Json, delivery: Delivery) -> Submission:
        match payload.get("response_action"):
            case "errors":
                unknown = payload["errors"].keys() - view.inputs.keys()
                self.violations += [f"errors name “{name}”, which is no input block" for name in sorted(unknown)]
                return Submission(payload["errors"], delivery=delivery)
            case "update":
                self.violations += limits.view_errors(payload["view"])
                view.show(payload["view"])
                self.notify_waiters()
                return Submission(view=view, delivery=delivery)
            case "push":
                self.violations += limits.view_errors(payload["view"])
                return Submission(view=views.add_view(self, view.user, payload["view"], on=view), delivery=delivery)
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
        self.notify_waiters()
        return Submission(closed=True, delivery=delivery)

    def _new_interaction(self, kind: Any, user: str, response_url: ResponseUrl | None) -> Delivery:
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
                "team_id": self.workspace.users[user].team or self.team,
            },
        }
        delivery = Delivery(kind, payload, trigger_id=self.new_trigger(user))
        payload["trigger_id"] = delivery.trigger_id
        if response_url is not None:
            delivery.response_url = payload["response_url"] = self.response_urls.new(self.url, response_url)
        return delivery

    def _interact(self, user: str, kind: str, on: FakeMessage | FakeView, about: Json) -> Delivery:
        if isinstance(on, FakeView):
            delivery = self._new_interaction("interactive", user, None)
            delivery.payload["view"] = self.view_as_json(on)
            delivery.payload["container"] = {"type": "view", "view_id": on.id}
        else:
            delivery = self._new_interaction("interactive", user, ResponseUrl(on.channel, user, on))
            place = self.channel_of(on.channel)
            delivery.payload["channel"] = {"id": place.id, "name": "directmessage" if place.user else place.name}
            container = {"type": "message", "message_ts": on.ts, "channel_id": on.channel}
            if on.thread_ts:
                container["thread_ts"] = on.thread_ts
            delivery.payload["container"] = container | {"is_ephemeral": bool(on.ephemeral_to)}
            if not on.ephemeral_to:
                delivery.payload["message"] = json.loads(json.dumps(self.as_json(on)))
            if kind == "block_actions":
                delivery.payload["state"] = {"values": {}}
        delivery.payload |= {"type": kind} | about
        return self.courier.send(delivery)

    def _show_ack(self, response_url: ResponseUrl, ack: Ack) -> None:
        if ack.payload and (error := response_urls.show(self, response_url, ack.payload, "ack")):
            self.violations.append(f"an acknowledgement holds a message that Slack would not show: {error}")

    # What users see

    def messages(self, channel: str) -> list[FakeMessage]:
        """Return the messages in a channel outside threads that everybody sees, oldest first."""
        return [one for one in self._visible_messages(channel) if not one.thread_ts]

    def thread(self, channel: str, ts: str) -> list[FakeMessage]:
        """Return the messages below the message `ts` that everybody sees, oldest first."""
        return [one for one in self._visible_messages(channel) if one.thread_ts == ts and one.ts != ts]

    def pictures(self, message: FakeMessage) -> list[bytes]:
        """Return the pictures in the blocks of a message whose files still exist."""
        files = [self.workspace.files.get(block.get("slack_file", {}).get("id", "")) for block in message.blocks]
        return [file.data for file in files if file is not None]

    def ephemeral(self, user: str) -> list[FakeMessage]:
        """Return the messages that only `user` sees, oldest first."""
        return [one for one in self.workspace.messages if one.ephemeral_to == user and not one.deleted]

    def home(self, user: str) -> FakeView | None:
        """Return the home tab of `user`; None if none was published."""
        return next((one for one in self.workspace.views if one.user == user and one.kind == "home"), None)

    def modal(self, user: str) -> FakeView | None:
        """Return the topmost open modal of `user`, if any."""
        found = [one for one in self.workspace.views if one.user == user and one.kind == "modal" and one.open]
        return found[-1] if found else None

    async def view(self, user: str, timeout: float = PATIENCE_SECONDS) -> FakeView:
        """Wait for an open modal of `user`, or else a home tab, and return it."""
        return await self.until(lambda: self.modal(user) or self.home(user), timeout)

    async def connected(self, count: int = 1, timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until at least `count` sockets are connected."""
        await self.until(lambda: len(self.courier.sockets) >= count, timeout)

    def called(self, method: str) -> list[Json]:
        """Return the arguments of every call of a method, oldest first."""
        return [call.arguments for call in self.calls if call.method == method]

    async def post(
        self, url: str, body: str, *, timestamp: int | None = None, secret: str | None = None
    ) -> tuple[int, str]:
        """Send a signed request to the bot; see `delivery.Courier.post`."""
        return await self.courier.post(url, body, timestamp=timestamp, secret=secret)

    def _visible_messages(self, channel: str) -> list[FakeMessage]:
        found = [one for one in self.workspace.messages if one.channel == channel]
        return [one for one in found if not one.deleted and not one.ephemeral_to]

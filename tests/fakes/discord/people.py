"""Actions of users: commands, buttons, forms and messages, as their clients send them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakes.discord import bodies, permissions, registered
from fakes.discord.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL, FakeInteraction
from fakes.discord.state import DM, GROUP, FakeChannel, FakeMessage, FakeUser
from fakes.discord.world import World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fakes.discord.interactions import Responses

File = tuple[str, bytes]


class People(World):
    """The actions of users that a test calls."""

    responses: Responses

    async def slash(
        self,
        user: FakeUser,
        channel: FakeChannel,
        name: str,
        /,
        *,
        files: Mapping[str, File] | None = None,
        installed_by_user: bool = False,
        **options: Any,
    ) -> FakeInteraction:
        """Use a command: "ask", or "plugins list". LookupError or ValueError for what a client would not send."""
        name, *path = name.split()
        command = registered.find(self, channel, name)
        self._reaches(command, channel, installed_by_user)
        given = options | {option: self._uploaded(file) for option, file in (files or {}).items()}
        data = registered.interaction_data(self, command, path, given)
        return self._interact(COMMAND, user, channel, data, by_user_install=installed_by_user)

    async def use_on_message(
        self, user: FakeUser, message: FakeMessage, label: str, *, installed_by_user: bool = False
    ) -> FakeInteraction:
        """Choose a command from a message's menu."""
        command = registered.find(self, message.channel, label, registered.MESSAGE)
        self._reaches(command, message.channel, installed_by_user)
        data = {"id": command["id"], "name": label, "type": command["type"], "target_id": message.id}
        data["resolved"] = {"messages": {message.id: message.payload()}}
        return self._interact(COMMAND, user, message.channel, data, by_user_install=installed_by_user)

    async def autocomplete(
        self, user: FakeUser, channel: FakeChannel, name: str, option: str, typed: str, /, **options: Any
    ) -> list[Any]:
        """Return the suggested values for an option while it contains `typed`, in order."""
        name, *path = name.split()
        command = registered.find(self, channel, name)
        data = registered.interaction_data(self, command, path, options | {option: typed}, focused=option)
        ack = await self._interact(AUTOCOMPLETE, user, channel, data).acknowledged()
        return [choice["value"] for choice in ack.data["choices"]]

    async def press(self, user: FakeUser, message: FakeMessage, label: str) -> FakeInteraction:
        """Press the button with this label; LookupError if there is none or it is disabled."""
        button = message.buttons.get(label)
        hidden = message.ephemeral and message.interaction is not None and message.interaction.user is not user
        if button is None or button.get("disabled") or message.deleted or hidden:
            raise LookupError(f"{user.name} cannot press {label!r}; there is {', '.join(message.buttons)}.")
        data = {"custom_id": button["custom_id"], "component_type": 2, "id": 1}
        return self._interact(COMPONENT, user, message.channel, data, message)

    async def submit(self, user: FakeUser, opened: FakeInteraction, fields: Mapping[str, Any]) -> FakeInteraction:
        """Send the form that an interaction opened; fields by custom_id or label, others as they were filled in.

        A file field is given a list of (name, bytes), one for people, roles or channels such an object.
        LookupError or ValueError for what a client would not send.
        """
        ack = await opened.acknowledged()
        if ack.kind != "modal":
            raise LookupError(f"No form was opened, but a {ack.kind}.")
        modal, given = ack.data, dict(fields)
        resolved: dict[str, Any] = {}
        components = []
        for number, (holder, part) in enumerate(bodies.inputs(modal), 1):
            label = holder.get("label") or part.get("label")
            own = next((key for key in (part["custom_id"], label) if key in given), None)
            filled = self._filled(part, None if own is None else given.pop(own), resolved)
            sent = {"type": part["type"], "id": number, "custom_id": part["custom_id"], **filled}
            if holder["type"] == 1:
                components.append({"type": 1, "id": number + 100, "components": [sent]})
            else:
                components.append({"type": 18, "id": number + 100, "component": sent})
        if given:
            raise LookupError(f"The form has no field {', '.join(given)}.")
        data = {"custom_id": modal["custom_id"], "components": components}
        if resolved:
            data["resolved"] = resolved
        return self._interact(MODAL, user, opened.channel, data, opened.target, by_user_install=opened.by_user_install)

    async def say(
        self,
        user: FakeUser,
        channel: FakeChannel,
        text: str,
        *,
        reply_to: FakeMessage | None = None,
        ping: bool = True,
        mention: bool = False,
        files: Sequence[File] = (),
    ) -> FakeMessage:
        """Write a message; `mention` begins it with the bot's name, and a reply notifies unless `ping` is off."""
        if mention:
            text = f"{self.bot.mention} {text}".strip()
        message = FakeMessage(channel, user, kind=19 if reply_to else 0, reference=reply_to)
        body = {"content": text, "allowed_mentions": {"parse": ["users", "roles"], "replied_user": ping}}
        uploaded = {f"files[{number}]": file for number, file in enumerate(files)}
        return bodies.post(self, message, body, uploaded, self.attachment_size_limit)

    def _uploaded(self, file: Any) -> Any:
        return bodies.attachment(self, "ephemeral", *file)

    def _reaches(self, command: dict[str, Any], channel: FakeChannel, by_user_install: bool) -> None:
        context = {DM: 1, GROUP: 2}.get(channel.kind, 0)
        contexts = command["contexts"]
        if contexts is not None and context not in contexts:
            raise LookupError(f"/{command['name']} is not for a channel of this kind.")
        if by_user_install and 1 not in command["integration_types"]:
            raise LookupError(f"/{command['name']} does not come with a user's installation.")
        guild = channel.guild
        there = guild.bot or guild.commands_alone if guild is not None else channel.kind == DM
        if not by_user_install and not there:
            raise LookupError("The bot is not here.")

    def _filled(self, part: dict[str, Any], value: Any, resolved: dict[str, Any]) -> dict[str, Any]:
        """Return what a field sends: `value`, or its default value if that is None."""
        required, own = part.get("required", True), part["custom_id"]
        if part["type"] == 4:
            text = str(part.get("value") or "") if value is None else str(value)
            longest, shortest = part.get("max_length") or 4000, part.get("min_length") or 0
            if len(text) > longest or (text and len(text) < shortest) or (required and not text):
                raise ValueError(f"Discord's client does not send {text!r} for {own}: {part}")
            return {"value": text}
        if part["type"] == 3:
            options = part["options"]
            chosen = [one["value"] for one in options if one.get("default")] if value is None else [value]
            chosen = chosen[0] if chosen and isinstance(chosen[0], list) else chosen
            known = {one["label"]: one["value"] for one in options} | {one["value"]: one["value"] for one in options}
            if set(chosen) - set(known) or (required and not chosen):
                raise ValueError(f"Discord's client does not send {chosen!r} for {own}: {options}")
            return {"values": [known[one] for one in chosen]}
        if part["type"] in (5, 6, 8):
            chosen = [] if value is None else [value]
            group = {5: "users", 6: "roles", 8: "channels"}[part["type"]]
            resolved.setdefault(group, {}).update({one.id: one.payload() | {"permissions": "0"} for one in chosen})
            return {"values": [one.id for one in chosen]}
        if part["type"] == 19:
            files = [self._uploaded(file) for file in value or ()]
            told = {file.id: file.payload() | {"ephemeral": True} for file in files}
            resolved.setdefault("attachments", {}).update(told)
            if (required and not files) or len(files) > (part.get("max_values") or 1):
                raise ValueError(f"Discord's client does not send {len(files)} files for {own}.")
            return {"values": [file.id for file in files]}
        if part["type"] == 23:
            return {"value": bool(part.get("default")) if value is None else bool(value)}
        raise NotImplementedError(f"fields of type {part['type']}")

    def _interact(
        self,
        kind: int,
        user: FakeUser,
        channel: FakeChannel,
        data: dict[str, Any],
        target: FakeMessage | None = None,
        *,
        by_user_install: bool = False,
    ) -> FakeInteraction:
        if target is not None and target.interaction is not None:
            by_user_install = target.interaction.by_user_install
        made = FakeInteraction(self, kind, user, channel, data, target, by_user_install)
        guild = channel.guild
        rights = permissions.resolved(guild, channel, user.id) if guild else 0
        where = channel.payload() | {"permissions": str(rights)}
        payload: dict[str, Any] = {
            "id": made.id,
            "application_id": self.application_id,
            "type": kind,
            "version": 1,
            "token": made.token,
            "data": data,
            "channel": where,
            "channel_id": channel.id,
            "locale": user.locale,
            "entitlements": [],
            "authorizing_integration_owners": made.owners,
            "context": {DM: 1, GROUP: 2}.get(channel.kind, 0),
            "attachment_size_limit": self.attachment_size_limit,
            "app_permissions": str(self._app_permissions(channel)),
        }
        if guild is None:
            payload["user"] = user.payload()
        else:
            payload["member"] = guild.member(user, channel) | {"user": user.payload()}
            payload |= {"guild_id": guild.id, "guild_locale": guild.locale}
            payload["guild"] = {"id": guild.id, "locale": guild.locale, "features": []}
            if people := data.get("resolved", {}).get("users"):
                data["resolved"]["members"] = {
                    who: guild.member(self.users[who], channel) for who in people if who in guild.members
                }
        if target is not None:
            payload["message"] = target.payload()
        return self.responses.send(made, payload)

    def _app_permissions(self, channel: FakeChannel) -> int:
        if channel.guild is None:
            return permissions.bits((*permissions.INVITED, "embed_links"))
        if not channel.guild.bot:
            return permissions.bits(("embed_links", "attach_files"))
        return permissions.resolved(channel.guild, channel, self.bot.id)

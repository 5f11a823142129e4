"""Interactions: three seconds for the acknowledgement, a token for fifteen minutes, and the bot's responses."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fakes.discord import bodies
from fakes.discord.errors import ApiError, invalid
from fakes.discord.state import EPHEMERAL, LOADING, FakeChannel, FakeMessage, FakeUser, snowflake

if TYPE_CHECKING:
    from fakes.discord.world import World

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
KINDS = {4: "message", 5: "defer", 6: "defer_update", 7: "update", 8: "autocomplete", 9: "modal"}
ACKNOWLEDGE_SECONDS = 3.0
TOKEN_SECONDS = 15 * 60
FOLLOWUPS_OF_A_USER_INSTALL = 5


@dataclass(frozen=True)
class Ack:
    """The first response: its kind, whether it is ephemeral, its data, and after how many seconds it came."""

    kind: str
    private: bool
    data: dict[str, Any]
    seconds: float


@dataclass(eq=False, repr=False)
class FakeInteraction:
    """One use of the bot by a user. `followups` are the messages after the original response."""

    world: World
    kind: int
    user: FakeUser
    channel: FakeChannel
    data: dict[str, Any]
    target: FakeMessage | None = None
    """The message whose button was pressed."""
    by_user_install: bool = False
    id: str = field(default_factory=snowflake)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(90))
    sent: float = field(default_factory=time.monotonic)
    expired: bool = False
    ack: Ack | None = None
    original: FakeMessage | None = None
    followups: list[FakeMessage] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    """Error codes of refused acknowledgements."""

    @property
    def application_id(self) -> str:
        return self.world.application_id

    @property
    def alone(self) -> bool:
        """True if only the user's own installation authorises the interaction."""
        guild = self.channel.guild
        return self.by_user_install and not (guild is not None and (guild.bot or guild.commands_alone))

    @property
    def late(self) -> bool:
        return self.ack is None and time.monotonic() - self.sent > ACKNOWLEDGE_SECONDS

    @property
    def owners(self) -> dict[str, str]:
        """Through whose installations it came: "0" the guild's, "1" the user's."""
        guild = self.channel.guild
        owners = {} if self.alone else {"0": guild.id if guild else "0"}
        return owners | ({"1": self.user.id} if self.by_user_install else {})

    def metadata(self) -> dict[str, Any]:
        """The field of a message about the interaction that it answers."""
        kind = self.kind
        body: dict[str, Any] = {"id": self.id, "type": kind, "user": self.user.payload()}
        body["authorizing_integration_owners"] = self.owners
        if kind == COMPONENT and self.target is not None:
            body["interacted_message_id"] = self.target.id
        if kind == MODAL:
            body["triggering_interaction_metadata"] = body | {"type": COMMAND}
        return body

    async def acknowledged(self) -> Ack:
        """Wait for the first response; AssertionError when the application did not respond in time."""
        await self.world.until(lambda: self.ack is not None or self.late)
        assert self.ack is not None, f"The application did not respond: {self}"
        return self.ack

    async def message(self) -> FakeMessage:
        """Wait for the original response; the bot may still be thinking."""
        ack = await self.acknowledged()
        assert self.original is not None, f"Answered by a {ack.kind}, not by a message: {self}"
        return self.original

    def __repr__(self) -> str:
        ack = self.ack and f"{self.ack.kind} after {self.ack.seconds:.2f} s"
        return f"<interaction {self.id} of {self.user.name} (type {self.kind}) {self.data.get('name', '')}: {ack}>"


class Responses:
    """Handles the bot's responses to interactions."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._by_token: dict[str, FakeInteraction] = {}

    def send(self, interaction: FakeInteraction, payload: dict[str, Any]) -> FakeInteraction:
        """Send the interaction to the bot; its three seconds begin."""
        world = self.world
        world.interactions[interaction.id] = self._by_token[interaction.token] = interaction
        interaction.sent = time.monotonic()
        asyncio.get_running_loop().call_later(ACKNOWLEDGE_SECONDS + 0.01, world.changed)
        world.gateway.dispatch("INTERACTION_CREATE", payload, guild=interaction.channel.guild)
        return interaction

    def acknowledge(
        self, interaction_id: str, token: str, body: dict[str, Any], files: bodies.Files, arrived: float
    ) -> dict[str, Any]:
        """Accept the first response to an interaction."""
        interaction = self.world.interactions.get(interaction_id)
        if interaction is None or interaction.token != token:
            raise ApiError(404, 10062)
        try:
            return self._acknowledge(interaction, body, files, arrived - interaction.sent)
        except ApiError as error:
            interaction.refused.append(error.body["code"])
            raise
        finally:
            self.world.changed()

    def _acknowledge(
        self, interaction: FakeInteraction, body: dict[str, Any], files: bodies.Files, seconds: float
    ) -> dict[str, Any]:
        if interaction.ack is not None:
            raise ApiError(400, 40060)
        if seconds > ACKNOWLEDGE_SECONDS or interaction.expired:
            raise ApiError(404, 10062)
        number, data = body["type"], body.get("data") or {}
        suitable = (8,) if interaction.kind == AUTOCOMPLETE else (4, 5, 9)
        if interaction.target is not None and interaction.kind in (COMPONENT, MODAL):
            suitable = (4, 5, 6, 7, 9)
        if interaction.kind == MODAL:
            suitable = tuple(one for one in suitable if one != 9)
        if number not in suitable:
            message = f"Value must be one of {set(suitable)}."
            raise invalid("type", code="INTERACTION_TYPE_INVALID", message=message)
        self._apply_callback(interaction, number, data, files)
        private = bool((data.get("flags") or 0) & EPHEMERAL)
        interaction.ack = Ack(KINDS[number], private, data, seconds)
        self.world.acknowledgements.append(seconds)
        return self._callback(interaction, number)

    def _apply_callback(
        self, interaction: FakeInteraction, number: int, data: dict[str, Any], files: bodies.Files
    ) -> None:
        if number in (4, 5):
            kind = 19 if interaction.kind == COMPONENT else 20
            flags = (data.get("flags") or 0) & EPHEMERAL | (LOADING if number == 5 else 0)
            interaction.original = self._post(interaction, data if number == 4 else {}, files, kind, flags, "data")
        elif number in (6, 7):
            interaction.original = interaction.target
            if number == 7 and interaction.target is not None:
                bodies.check_message(data, "data")
                bodies.edit(self.world, interaction.target, data, files, self.world.attachment_size_limit)
        elif number == 9:
            bodies.check_modal(data)
        elif len(data.get("choices") or ()) > bodies.CHOICES:
            raise invalid("data", "choices", code="BASE_TYPE_MAX_LENGTH", message="Must be 25 or fewer in length.")

    def _post(
        self,
        interaction: FakeInteraction,
        body: dict[str, Any],
        files: bodies.Files,
        kind: int,
        flags: int,
        *path: str,
    ) -> FakeMessage:
        bodies.check_message(body, *path)
        if interaction.channel.deleted:
            raise ApiError(404, 10003)
        if interaction.channel.archived and interaction.channel.locked:
            raise ApiError(400, 50083)
        message = FakeMessage(interaction.channel, self.world.bot, kind=kind, flags=flags, interaction=interaction)
        message.reference = interaction.target if kind == 19 else None
        return bodies.post(self.world, message, body, files, self.world.attachment_size_limit)

    def _callback(self, interaction: FakeInteraction, number: int) -> dict[str, Any]:
        about: dict[str, Any] = {"id": interaction.id, "type": interaction.kind}
        resource: dict[str, Any] = {"type": number}
        message = interaction.original
        if message is not None:
            about |= {"response_message_id": message.id, "response_message_ephemeral": message.ephemeral}
            about["response_message_loading"] = message.loading
            if number in (4, 5, 7):
                resource["message"] = message.payload()
        return {"interaction": about, "resource": resource}

    # The webhook of the token.

    def of(self, token: str) -> FakeInteraction:
        """Return the interaction of a token that is still valid."""
        interaction = self._by_token.get(token)
        if interaction is None or interaction.ack is None:
            raise ApiError(404, 10015)
        if interaction.expired or time.monotonic() - interaction.sent > TOKEN_SECONDS:
            raise ApiError(401, 50027)
        return interaction

    def find(self, token: str, message_id: str) -> FakeMessage:
        """Return a message of the interaction that is not deleted."""
        interaction = self.of(token)
        own = [interaction.original, *interaction.followups]
        for message in own[:1] if message_id == "@original" else own:
            if message is not None and not message.deleted and message_id in ("@original", message.id):
                return message
        raise ApiError(404, 10008)

    def follow_up(self, token: str, body: dict[str, Any], files: bodies.Files) -> FakeMessage:
        """Add a message; if the original response still shows that the bot is thinking, it replaces that."""
        interaction = self.of(token)
        original = interaction.original
        if original is not None and original.loading and not original.deleted:
            return self.change(token, original.id, body, files)
        if interaction.alone and len(interaction.followups) >= FOLLOWUPS_OF_A_USER_INSTALL:
            raise ApiError(400, 40094)
        flags = (body.get("flags") or 0) & EPHEMERAL
        message = self._post(interaction, body, files, 0, flags)
        interaction.followups.append(message)
        self.world.changed()
        return message

    def change(self, token: str, message_id: str, body: dict[str, Any], files: bodies.Files) -> FakeMessage:
        """Edit the original response or a follow-up."""
        message = self.find(token, message_id)
        if message.channel.archived:
            raise ApiError(400, 50083)
        return bodies.edit(self.world, message, body, files, self.world.attachment_size_limit)

    def remove(self, token: str, message_id: str) -> None:
        """Delete the original response or a follow-up."""
        message = self.find(token, message_id)
        if message.channel.archived:
            raise ApiError(400, 50083)
        self.world.delete_message(message)

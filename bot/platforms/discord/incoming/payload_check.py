"""Checks that events have what the bot reads in them. Only Discord could send others; people cannot."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, InstanceOf, model_validator

# Not `str` itself, since pydantic takes no halves of surrogate pairs, which people can send.
Text = InstanceOf[str]


class _User(BaseModel):
    id: Text
    username: Text
    discriminator: Text
    avatar: Text | None


class _Message(BaseModel):
    author: _User
    channel_id: Text
    content: Text
    mentions: list[_User]
    mention_roles: list[Any]
    type: int


class _File(BaseModel):
    filename: Text
    size: int
    url: Text
    content_type: Text | None = None


class _Resolved(BaseModel):
    attachments: dict[Text, _File] = Field(default_factory=dict)


class _Option(BaseModel):
    name: Text
    options: list[_Option] = Field(default_factory=list)


class _Command(BaseModel):
    name: Text
    options: list[_Option] = Field(default_factory=list)
    resolved: _Resolved = Field(default_factory=_Resolved)


class _Pressed(BaseModel):
    custom_id: Text


class _Component(BaseModel):
    type: int
    custom_id: Text = ""
    values: list[Text] | None = None
    components: list[_Component] = Field(default_factory=list)
    component: _Component | None = None


class _Submitted(BaseModel):
    custom_id: Text
    components: list[_Component]
    resolved: _Resolved = Field(default_factory=_Resolved)


class _Interaction(BaseModel):
    type: int
    locale: Text = ""
    data: dict[str, Any]
    guild_id: Any = None
    member: Any = None
    user: Any = None

    @model_validator(mode="after")
    def _require_user(self) -> _Interaction:
        # Only somebody who is named can be answered: a member in a server, a user elsewhere.
        if not (self.member if self.guild_id else self.user):
            raise ValueError("nobody used, pressed or sent it")
        return self


INTERACTION_DATA: dict[int, type[BaseModel]] = {2: _Command, 3: _Pressed, 4: _Command, 5: _Submitted}
"""What is in the data of each type of interaction: command, component, suggestions and modal."""


def check_event(event: str, payload: Any) -> None:
    """Raise pydantic's ValidationError if something that the bot reads is missing or of another type."""
    if event == "MESSAGE_CREATE":
        _Message.model_validate(payload)
    elif event == "INTERACTION_CREATE":
        interaction = _Interaction.model_validate(payload)
        if (model := INTERACTION_DATA.get(interaction.type)) is not None:
            model.model_validate(interaction.data)

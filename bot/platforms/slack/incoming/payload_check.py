"""Refuses payloads that have not what the bot reads in them. Only Slack could send such a one; people cannot."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field, InstanceOf, ValidationError, field_validator
from slack_bolt.response import BoltResponse

from bot.platforms.slack.convert.requests import AnswerPlace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Json = Mapping[str, Any]

log = logging.getLogger(__name__)

BUTTONS = re.compile(r"^t:")
FORMS = re.compile(r"^[tc]:")

# Not `str` itself, since pydantic takes no halves of surrogate pairs, which people can send.
Text = InstanceOf[str]
MaybeText = Text | None


class _Person(BaseModel):
    id: Text
    name: MaybeText = None
    team_id: MaybeText = None


class _Command(BaseModel):
    trigger_id: Text
    user_id: Text
    channel_id: Text
    command: Text
    user_name: Text = ""
    team_id: MaybeText = None
    text: Text = ""
    response_url: Text = ""


class _Channel(BaseModel):
    id: Text


class _Message(BaseModel):
    text: Text = ""
    thread_ts: MaybeText = None


class _Shortcut(BaseModel):
    callback_id: Text
    trigger_id: Text
    user: _Person
    channel: _Channel
    message: _Message
    message_ts: Text
    response_url: Text = ""


class _Option(BaseModel):
    value: Text


class _Pressed(BaseModel):
    action_id: Text
    selected_option: _Option | None = None


class _Actions(BaseModel):
    trigger_id: Text
    user: _Person
    actions: Annotated[list[_Pressed], Field(min_length=1)]


class _Container(BaseModel):
    message_ts: Text
    thread_ts: MaybeText = None


class _Buttons(_Actions):
    channel: _Channel
    container: _Container
    message: _Message | None = None
    response_url: Text = ""


class _File(BaseModel):
    name: MaybeText = None
    mimetype: MaybeText = None
    size: int | None = None


class _Input(BaseModel):
    type: Text
    value: MaybeText = None
    selected_option: _Option | None = None
    selected_user: MaybeText = None
    selected_conversation: MaybeText = None
    files: list[_File] | None = None


class _Inputs(BaseModel):
    value: _Input


class _State(BaseModel):
    values: dict[Text, _Inputs]


class _Block(BaseModel):
    type: Text
    block_id: Text


class _View(BaseModel):
    id: Text
    callback_id: Text
    private_metadata: Text
    blocks: list[_Block]
    state: _State

    @field_validator("blocks")
    @classmethod
    def _has_input(cls, blocks: list[_Block]) -> list[_Block]:
        if all(block.type != "input" for block in blocks):
            raise ValueError("a form has an input")
        return blocks


class _Submission(BaseModel):
    user: _Person
    view: _View


class _Event(BaseModel):
    type: Text
    subtype: MaybeText = None


class _HomeOpened(BaseModel):
    user: Text


class _MessageEvent(BaseModel):
    channel: Text
    ts: Text
    user: MaybeText = None
    text: MaybeText = None
    thread_ts: MaybeText = None
    team: MaybeText = None
    user_team: MaybeText = None


class _MessageDeleted(BaseModel):
    channel: Text
    deleted_ts: Text


async def check_payload(body: Json, next_: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse:
    """Go on with a payload in which nothing is missing. Acknowledge another one, so that it is not sent again."""
    try:
        _validate(body)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))
        log.warning(
            "Slack sent something of another form than it should, which is ignored: %s: %s", place, problem["msg"]
        )
        return BoltResponse(status=200, body="")
    return await next_()


def _validate(body: Json) -> None:
    """Raise ValidationError if something that the bot reads is missing or of another type."""
    match body.get("type"):
        case "block_actions":
            pressed = _Actions.model_validate(body).actions[0]
            if BUTTONS.match(pressed.action_id):
                _Buttons.model_validate(body)
        case "message_action":
            _Shortcut.model_validate(body)
        case "view_submission":
            view = _Submission.model_validate(body).view
            if FORMS.match(view.callback_id):
                AnswerPlace.from_json(view.private_metadata)
        case "event_callback":
            _validate_event(body.get("event"))
        case None if "command" in body:
            _Command.model_validate(body)


def _validate_event(event: Any) -> None:
    match _Event.model_validate(event).type:
        case "app_home_opened":
            _HomeOpened.model_validate(event)
        case "message" if event.get("subtype") == "message_deleted":
            _MessageDeleted.model_validate(event)
        case "message" | "app_mention":
            _MessageEvent.model_validate(event)

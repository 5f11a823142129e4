"""views.open, push, update and publish: modals that need a fresh trigger, and home tabs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fakes.slack import limits
from fakes.slack.calls import ApiError, Call, Method
from fakes.slack.workspace import FakeView

if TYPE_CHECKING:
    from fakes.slack.server import Server

Json = dict[str, Any]

STACKED = 3
"""How many modals may lie on one another."""


def checked(view: Json, kind: str = "modal") -> Json:
    """A view within the limits. Raises ApiError."""
    if len(json.dumps(view)) > limits.VIEW_BYTES:
        raise ApiError("view_too_large")
    if problems := limits.view_errors(view):
        raise ApiError("invalid_arguments", *problems)
    if view["type"] != kind:
        raise ApiError("invalid_arguments", f"a view of type {kind} is needed here")
    return view


def add(slack: Server, user: str, view: Json, *, on: FakeView | None = None) -> FakeView:
    """Show a new view to `user`, on top of `on` if that is given."""
    made = FakeView(slack.workspace.new_id("V"), user, view["type"], [])
    if on is not None:
        made.root, made.previous = on.root or on.id, on.id
    made.show(view)
    slack.workspace.views.append(made)
    slack.changed()
    return made


async def open_view(slack: Server, call: Call) -> Json:
    view = checked(call.arguments["view"])
    user = slack.exchange(call.text("trigger_id"))
    return {"view": slack.view_as_json(add(slack, user, view))}


async def push(slack: Server, call: Call) -> Json:
    view = checked(call.arguments["view"])
    user = slack.exchange(call.text("trigger_id"))
    stack = [one for one in slack.workspace.views if one.user == user and one.kind == "modal" and one.open]
    if not stack:
        raise ApiError("not_found")
    if len(stack) >= STACKED:
        raise ApiError("push_limit_reached")
    return {"view": slack.view_as_json(add(slack, user, view, on=stack[-1]))}


async def update(slack: Server, call: Call) -> Json:
    name, external = call.text("view_id"), call.text("external_id")
    view = next(
        (
            one
            for one in slack.workspace.views
            if one.open and (one.id == name or (external and one.content.get("external_id") == external))
        ),
        None,
    )
    if view is None:
        raise ApiError("not_found")
    if call.text("hash") and call.text("hash") != view.hash:
        raise ApiError("hash_conflict")
    view.show(checked(call.arguments["view"], view.kind))
    slack.changed()
    return {"view": slack.view_as_json(view)}


async def publish(slack: Server, call: Call) -> Json:
    user = call.text("user_id")
    if user not in slack.workspace.users:
        raise ApiError("invalid_arguments", "user_id is nobody's")
    content = checked(call.arguments["view"], "home")
    home = next((one for one in slack.workspace.views if one.user == user and one.kind == "home"), None)
    if home is None:
        home = add(slack, user, content)
    elif call.text("hash") and call.text("hash") != home.hash:
        raise ApiError("hash_conflict")
    else:
        home.show(content)
        slack.changed()
    return {"view": slack.view_as_json(home)}


METHODS = {
    "views.open": Method(open_view, 4, required=("view", "trigger_id")),
    "views.push": Method(push, 4, required=("view", "trigger_id")),
    "views.update": Method(update, 4, required=("view",)),
    "views.publish": Method(publish, 4, required=("user_id", "view")),
}

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

MAX_STACKED = 3
"""The most modals in a stack."""


def check_view(view: Json, kind: str = "modal") -> Json:
    """Return the view. Raises ApiError if it exceeds a limit or is of another kind."""
    if len(json.dumps(view)) > limits.VIEW_BYTES:
        raise ApiError("view_too_large")
    if problems := limits.view_errors(view):
        raise ApiError("invalid_arguments", *problems)
    if view["type"] != kind:
        raise ApiError("invalid_arguments", f"a view of type {kind} is needed here")
    return view


def add_view(slack: Server, user: str, view: Json, *, on: FakeView | None = None) -> FakeView:
    """Show a new view to `user`, on top of `on` if that is given."""
    added = FakeView(slack.workspace.new_id("V"), user, view["type"], [])
    if on is not None:
        added.root, added.previous = on.root or on.id, on.id
    added.show(view)
    slack.workspace.views.append(added)
    slack.notify_waiters()
    return added


async def open_view(slack: Server, call: Call) -> Json:
    view = check_view(call.arguments["view"])
    user = slack.use_trigger(call.text("trigger_id"))
    return {"view": slack.view_as_json(add_view(slack, user, view))}


async def push(slack: Server, call: Call) -> Json:
    view = check_view(call.arguments["view"])
    user = slack.use_trigger(call.text("trigger_id"))
    stack = [one for one in slack.workspace.views if one.user == user and one.kind == "modal" and one.open]
    if not stack:
        raise ApiError("not_found")
    if len(stack) >= MAX_STACKED:
        raise ApiError("push_limit_reached")
    return {"view": slack.view_as_json(add_view(slack, user, view, on=stack[-1]))}


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
    view.show(check_view(call.arguments["view"], view.kind))
    slack.notify_waiters()
    return {"view": slack.view_as_json(view)}


async def publish(slack: Server, call: Call) -> Json:
    user = call.text("user_id")
    if user not in slack.workspace.users:
        raise ApiError("invalid_arguments", "user_id is nobody's")
    content = check_view(call.arguments["view"], "home")
    home = next((one for one in slack.workspace.views if one.user == user and one.kind == "home"), None)
    if home is None:
        home = add_view(slack, user, content)
    elif call.text("hash") and call.text("hash") != home.hash:
        raise ApiError("hash_conflict")
    else:
        home.show(content)
        slack.notify_waiters()
    return {"view": slack.view_as_json(home)}


METHODS = {
    "views.open": Method(open_view, 4, required=("view", "trigger_id")),
    "views.push": Method(push, 4, required=("view", "trigger_id")),
    "views.update": Method(update, 4, required=("view",)),
    "views.publish": Method(publish, 4, required=("user_id", "view")),
}

"""Errors as Discord sends them: a status, a code, and for an invalid body a tree of its errors."""

from __future__ import annotations

from typing import Any

SENTENCES = {
    0: "404: Not Found",
    10003: "Unknown Channel",
    10004: "Unknown Guild",
    10007: "Unknown Member",
    10008: "Unknown Message",
    10013: "Unknown User",
    10015: "Unknown Webhook",
    10062: "Unknown interaction",
    10063: "Unknown application command",
    30032: "Maximum number of application commands reached (100).",
    40005: "Request entity too large",
    40060: "Interaction has already been acknowledged.",
    40094: "This interaction has hit the maximum number of follow up messages.",
    50001: "Missing Access",
    50003: "Cannot execute action on a DM channel",
    50005: "Cannot edit a message authored by another user",
    50006: "Cannot send an empty message",
    50007: "Cannot send messages to this user",
    50013: "Missing Permissions",
    50024: "Cannot execute action on this channel type",
    50027: "Invalid Webhook Token",
    50035: "Invalid Form Body",
    50083: "Thread is archived",
    160002: "Cannot reply without permission to read message history",
    160004: "A thread has already been created for this message",
}


class ApiError(Exception):
    """A request that Discord refuses."""

    def __init__(self, status: int, code: int, errors: dict[str, Any] | None = None, message: str = "") -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.body: dict[str, Any] = {"message": message or SENTENCES[code], "code": code}
        if errors:
            self.body["errors"] = errors


def invalid(*path: str | int, code: str, message: str) -> ApiError:
    """Return error 50035 about the part of the body at `path`."""
    tree: dict[str, Any] = {"_errors": [{"code": code, "message": message}]}
    for step in reversed(path):
        tree = {str(step): tree}
    return ApiError(400, 50035, tree)


def too_long(*path: str | int, limit: int) -> ApiError:
    """Return error 50035 for a text that is too long."""
    return invalid(*path, code="BASE_TYPE_MAX_LENGTH", message=f"Must be {limit} or fewer in length.")


def not_in_range(*path: str | int, low: int, high: int) -> ApiError:
    """Return error 50035 for a length outside its limits."""
    return invalid(*path, code="BASE_TYPE_BAD_LENGTH", message=f"Must be between {low} and {high} in length.")

"""The errors of Slack's Web API: its error codes, and an exception for each group of them.

SlackError
├── TokenInvalid
├── NotInChannel
├── MessageGone
├── ChannelClosed
├── StreamEnded
├── NoFeature
└── Unreachable
"""

from __future__ import annotations

from bot.core.errors import BotError

NO_ANSWER = "no answer of Slack's"
"""Stands in place of an error code where an HTTP answer was not one of Slack's."""

INVALID_TOKEN = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}
)
UNCERTAIN = "invalid_auth"
"""The one of these that also comes for a request from an address that is not allowed, which may be temporary."""
NOT_IN_CHANNEL = frozenset({"not_in_channel", "channel_not_found", "user_not_in_channel"})
MESSAGE_GONE = frozenset(
    {"message_not_found", "thread_not_found", "cant_update_message", "file_not_found", "file_deleted"}
)
CHANNEL_CLOSED = frozenset({"is_archived", "is_inactive", "edit_window_closed", "posting_to_channel_denied"})
TEMPORARY_FAILURE = frozenset(
    {
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "messaging_processing_failed",
        "team_added_to_org",
        "ratelimited",
        "rate_limited",
        NO_ANSWER,
    }
)
"""Codes of failures on Slack's side, and of rate limits, that may soon be over."""
STREAM_ENDED = frozenset({"message_not_in_streaming_state", "streaming_state_conflict"})
NO_FEATURE = frozenset(
    {
        "unknown_method",
        "missing_scope",
        "feature_not_enabled",
        "method_deprecated",
        "deprecated_endpoint",
    }
)
"""Codes which say that a workspace does not have a method at all. Others, as access_denied, may be of one resource."""


class SlackError(BotError):
    """Slack refused a call or could not be reached; `code` is Slack's error code."""

    def __init__(self, method: str, code: str) -> None:
        self.code = code
        super().__init__(f"{method}: {code}")


class TokenInvalid(SlackError):
    """Slack refuses the bot token; only auth.test tells whether for good."""


class NotInChannel(SlackError):
    """The bot is not in the channel."""


class MessageGone(SlackError):
    """The message, or the first message of its thread, was deleted."""


class ChannelClosed(SlackError):
    """The channel takes no messages."""


class StreamEnded(SlackError):
    """The message cannot grow any more: Slack or a user ended its stream."""


class NoFeature(SlackError):
    """The workspace does not have the method."""


class Unreachable(SlackError):
    """Slack could not be reached, or its answer did not arrive."""


def error_class(code: str) -> type[SlackError]:
    """Return the exception for an error code."""
    for codes, kind in (
        (INVALID_TOKEN, TokenInvalid),
        (NOT_IN_CHANNEL, NotInChannel),
        (MESSAGE_GONE, MessageGone),
        (CHANNEL_CLOSED, ChannelClosed),
        (STREAM_ENDED | {"stopped_by_user"}, StreamEnded),
        (NO_FEATURE, NoFeature),
    ):
        if code in codes:
            return kind
    return ChannelClosed if code.startswith("restricted_action") else SlackError


def is_temporary(error: Exception) -> bool:
    """Return whether Slack may take the same call later; it refuses most others for what is in them."""
    return isinstance(error, Unreachable) or (isinstance(error, SlackError) and error.code in TEMPORARY_FAILURE)


def refuses_content(error: SlackError) -> bool:
    """Return whether Slack refuses a call for what is in it, so that another call may still be taken."""
    return type(error) is SlackError and not is_temporary(error)

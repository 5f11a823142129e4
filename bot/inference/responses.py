"""Turns what goes wrong with a model server's response into errors with sentences for users."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from bot.core.errors import Busy, ModelError, ModelUnavailable
from bot.core.i18n import Sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOWN = (
    "The model server does not answer. It may still be starting; whoever runs this bot can see why with "
    "“tempera doctor”."
)
BROKEN = "The connection to the model server broke off in the middle of the answer. Please ask again."
KEY_REFUSED = "The model server refuses this bot's key; whoever runs it must set the same one on both sides."
DEFAULT_RETRY_SECONDS = 5.0
"""When to ask a busy server again if its answer has no Retry-After header."""


@contextlib.contextmanager
def connection_errors() -> Iterator[None]:
    """Raise ModelUnavailable if the server cannot be reached, or if its response breaks off or cannot be read."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise ModelUnavailable(DOWN) from error
    except (aiohttp.ClientError, LineTooLong, TimeoutError, ValueError, KeyError) as error:
        raise ModelUnavailable(BROKEN) from error


@contextlib.contextmanager
def checked_format() -> Iterator[None]:
    """Raise ModelUnavailable if a field of the response is missing or has the wrong type."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelUnavailable(BROKEN) from error


def require_object(value: Any) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object; raise ValueError otherwise."""
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was expected, not {type(value).__name__}")  # noqa: TRY004 - as json raises
    return value


def _read_retry_seconds(response: aiohttp.ClientResponse) -> float:
    """Return the seconds of the Retry-After header; a date in it is ignored."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else DEFAULT_RETRY_SECONDS


async def raise_error(response: aiohttp.ClientResponse) -> None:
    """Raise the error for the status of a response, with the sentence of the server if it sent one."""
    message: object = Sentence("The model server answered with status {status}.", {"status": response.status})
    code = None
    with contextlib.suppress(ValueError, KeyError, TypeError):
        error = (await response.json(content_type=None))["error"]
        message, code = str(error["message"]), error.get("code")
    if response.status == 429:
        raise Busy("{message}", _read_retry_seconds(response), message=message)
    if response.status == 401 or code == "invalid_api_key":
        raise ModelUnavailable(KEY_REFUSED)
    if response.status == 403 or response.status >= 500:
        raise ModelUnavailable("{message}", message=message)
    raise ModelError("{message}", message=message)

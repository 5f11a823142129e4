"""Turns what goes wrong with the response of an upstream into errors with sentences for users."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from bot.core.errors import Busy, ModelError, ModelUnavailable
from bot.core.i18n import Sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

log = logging.getLogger(__name__)
T = TypeVar("T")

DOWN = (
    "The model server does not answer. It may still be starting; whoever runs this bot can see why with "
    "“tempera doctor”."
)
BROKEN = "The connection to the model server broke off in the middle of the answer. Please ask again."
KEY_REFUSED = "The model server refuses this bot's key; whoever runs it must set the same one on both sides."
UPSTREAM_DOWN = "“{upstream}” does not answer; whoever runs this bot can see why with “tempera doctor”."
UPSTREAM_BROKEN = (
    "The answer of “{upstream}” broke off, or came in a form that I do not know. Please ask again; whoever runs this "
    "bot can see more with “tempera doctor”."
)
UPSTREAM_KEY_REFUSED = "“{upstream}” refuses this bot's key; whoever runs this bot must set the right one."
UPSTREAM_FAILED = "“{upstream}” could not answer (status {status}). Please try again later."
UPSTREAM_REFUSED = "“{upstream}” refused this (status {status}): {message}"
DEFAULT_RETRY_SECONDS = 5.0
"""When to ask a busy server again if its answer has no Retry-After header."""
MOST_RETRY_SECONDS = 3600.0
MAX_ERROR_BYTES = 1 << 16
ERROR_SECONDS = 10.0
"""How long the words of an error may take to come."""
MAX_ANSWER_BYTES = 1 << 26
"""The largest answer that does not stream: larger than several pictures."""
MAX_MESSAGE_CHARACTERS = 300
UNFIT_TO_SHOW = re.compile(r"Traceback|Bearer|\bsk-|(/[\w.~-]+){2,}|\\\\|File \"")
"""What looks like a trace, a path or a key in the words of another server."""
CLASS_NAMES = re.compile(r"^(?:[\w.]*(?:Error|Exception)\s*[:-]\s*)+")
"""The kinds of errors that proxies put before the words of the server behind them. More follows in further lines."""


def down(upstream: str) -> ModelUnavailable:
    """Return the error for an upstream that cannot be reached; "" is the model server."""
    return ModelUnavailable(UPSTREAM_DOWN, upstream=upstream) if upstream else ModelUnavailable(DOWN)


def broken(upstream: str) -> ModelUnavailable:
    """Return the error for a response that breaks off or cannot be read."""
    return ModelUnavailable(UPSTREAM_BROKEN, upstream=upstream) if upstream else ModelUnavailable(BROKEN)


def busy(upstream: str, retry_after: float = DEFAULT_RETRY_SECONDS) -> Busy:
    """Return the error for a server by others that asks to be left alone for so many seconds."""
    one = "“{upstream}” has too much to do at the moment; please try again in a second."
    several = "“{upstream}” has too much to do at the moment; please try again in {count} seconds."
    return Busy(one, retry_after, several, upstream=upstream, count=round(retry_after))


def refused(upstream: str, status: int, message: str) -> ModelError:
    """Return the error for a request that a server by others refused with these words."""
    first = next(iter(message.strip().splitlines()), "")
    line = CLASS_NAMES.sub("", " ".join(first.split()))[:MAX_MESSAGE_CHARACTERS]
    if not line or UNFIT_TO_SHOW.search(line):
        error = ModelError(UPSTREAM_FAILED, upstream=upstream, status=status)
    else:
        error = ModelError(UPSTREAM_REFUSED, upstream=upstream, status=status, message=line)
    error.status, error.detail = status, message
    return error


@contextlib.contextmanager
def connection_errors(upstream: str = "") -> Iterator[None]:
    """Raise ModelUnavailable if the server cannot be reached, or if its response breaks off or cannot be read."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise down(upstream) from error
    except (aiohttp.ClientError, LineTooLong, TimeoutError, ValueError, KeyError, RecursionError) as error:
        raise broken(upstream) from error


@contextlib.contextmanager
def checked_format(upstream: str = "") -> Iterator[None]:
    """Raise ModelUnavailable if a field of the response is missing or has the wrong type."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise broken(upstream) from error


def require_object(value: Any) -> Mapping[str, Any]:
    """Return `value` if it is a JSON object; raise ValueError otherwise."""
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was expected, not {type(value).__name__}")  # noqa: TRY004 - as json raises
    return value


def read_as(kind: type[T], told: Any) -> T:
    """Return what a server told as a type of ours, such as a list of dataclasses; raise ValueError if it is none."""
    # What asks no server, such as `tempera --help`, does not wait for it.
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(told)


async def read_object(response: aiohttp.ClientResponse) -> Mapping[str, Any]:
    """Return the JSON object that a response has; raise ValueError if it has none, or one that is too large."""
    data = bytearray()
    async for part in response.content.iter_any():
        data += part
        if len(data) > MAX_ANSWER_BYTES:
            raise ValueError("an answer is too large")
    return require_object(json.loads(data))


def read_retry_seconds(text: str) -> float:
    """Return the seconds that a Retry-After header tells, as a number or as the date of their end."""
    if text.isdecimal():
        return min(float(text), MOST_RETRY_SECONDS)
    try:
        seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_RETRY_SECONDS
    return min(max(seconds, 0.0), MOST_RETRY_SECONDS)


async def raise_error(response: aiohttp.ClientResponse, upstream: str = "") -> None:
    """Raise the error for the status of a response, with the sentence of the server if it sent one."""
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            data = await response.content.readexactly(MAX_ERROR_BYTES)
    except asyncio.IncompleteReadError as incomplete:
        data = incomplete.partial
    error = _foreign_error(upstream, response, data) if upstream else _own_error(response, data)
    error.status, error.detail = response.status, data.decode(errors="replace")
    raise error


def streamed_error(problem: Any) -> ModelError:
    """Return the error that a server of ours tells of in a stream: the same one as where it can answer with a status.

    Earlier versions of the server do not tell the status. Raises KeyError or ValueError if there is no sentence.
    """
    told = require_object(problem)
    status = told.get("status", 400 if told.get("type") == "invalid_request_error" else 500)
    if not isinstance(status, int):
        raise ValueError("a status is a number")  # noqa: TRY004 - as for other bad formats
    error = _error_of_ours(status, str(told["message"]), told.get("code"), DEFAULT_RETRY_SECONDS)
    error.status, error.detail = status, json.dumps(problem)
    return error


def _own_error(response: aiohttp.ClientResponse, data: bytes) -> ModelError:
    """Return the error of a response of a server of ours."""
    message: object = Sentence("The model server answered with status {status}.", {"status": response.status})
    code = None
    with contextlib.suppress(ValueError, KeyError, TypeError):
        told = json.loads(data)["error"]
        message, code = str(told["message"]), told.get("code")
    return _error_of_ours(response.status, message, code, read_retry_seconds(response.headers.get("Retry-After", "")))


def _error_of_ours(status: int, message: object, code: object, retry_after: float) -> ModelError:
    """Return the error for a status of a server of ours, whose words are for users."""
    if status == 429:
        return Busy("{message}", retry_after, message=message)
    if status == 401 or code == "invalid_api_key":
        return ModelUnavailable(KEY_REFUSED)
    if status == 403 or status >= 500:
        return ModelUnavailable("{message}", message=message)
    return ModelError("{message}", message=message)


def _find_message(told: Any) -> str:
    """Return the sentence of an error in OpenAI's format, or in that of FastAPI. Raises KeyError if there is none."""
    if told.get("error"):
        return str(told["error"]["message"])
    detail = told["detail"]
    return detail if isinstance(detail, str) else f"{detail[0]['loc'][-1]}: {detail[0]['msg']}"


def _foreign_error(upstream: str, response: aiohttp.ClientResponse, data: bytes) -> ModelError:
    """Return the error of a server by others, whose words are shown only where they are about the request."""
    status, told, message = response.status, response.headers.get("Retry-After", ""), ""
    retry_after = read_retry_seconds(told)
    with contextlib.suppress(ValueError, LookupError, TypeError):
        message = _find_message(json.loads(data))
    log.info("“%s” answered a request with status %d.", upstream, status)
    if status == 429 or (status == 503 and told):
        return busy(upstream, retry_after)
    if status in (401, 403):
        return ModelUnavailable(UPSTREAM_KEY_REFUSED, upstream=upstream)
    if status in (402, 404, 408) or status >= 500:
        return ModelUnavailable(UPSTREAM_FAILED, upstream=upstream, status=status)
    return refused(upstream, status, message)

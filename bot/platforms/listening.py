"""Ports that the bot listens on: why it cannot have one, and what answers there already."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from bot.config.sections import WILDCARDS, http_address

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ANSWER_BYTES = 1 << 16
HTTP_ERRORS = (aiohttp.ClientError, HttpProcessingError, ValueError)


def explain_listen_error(error: OSError, name: str, prefix: str, host: str, port: int) -> str:
    """Return a sentence on why `name` cannot listen there; its variables are `prefix`HOST and `prefix`PORT."""
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken by another program. Stop that one, or set another port in {prefix}PORT."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"This user may not listen on port {port}. Set one above 1023 in {prefix}PORT."
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"This machine has no address {host}. Set one that it has in {prefix}HOST, such as 127.0.0.1."
    return f"{name} cannot listen on {host}, port {port}: {error.strerror or 'no reason was given'}."


async def check_port(
    name: str, prefix: str, host: str, port: int, path: str, is_ours: Callable[[bytes], bool], timeout_seconds: float
) -> tuple[bool, str]:
    """Return whether `name` can listen there or answers there already, and a sentence about it.

    If the port is taken, `is_ours` tells from the answer at `path` whether it is the bot that has it.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
            tried.listen()
            return True, f"{name} can listen on {http_address(host, port)}."
    except OSError as error:
        taken = explain_listen_error(error, name, prefix, host, port)
        if error.errno != errno.EADDRINUSE:
            return False, taken
    where = http_address("127.0.0.1" if host in WILDCARDS else host, port)
    try:
        async with asyncio.timeout(timeout_seconds):
            answer = await _get(f"{where}{path}")
    except TimeoutError:
        return False, f"{taken} It takes connections, but does not answer within {timeout_seconds:g} seconds."
    except OSError:
        return False, taken
    except HTTP_ERRORS:
        return False, f"{taken} What answers at {where} does not speak HTTP."
    if answer is not None and is_ours(answer):
        return True, f"{name} answers at {where}: Tempera is running."
    return False, f"{taken} What answers at {where} is not Tempera."


async def _get(url: str) -> bytes | None:
    """Return the beginning of the page at `url`; None if the status is not 200."""
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as response:
        body = b""
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) >= MAX_ANSWER_BYTES:
                break
        return body if response.status == 200 else None

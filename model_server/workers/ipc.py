"""Messages between the gateway and a worker: pickles with a length prefix over a socket pair.

The gateway creates the pair and one child process inherits one end, so nobody else can write into it.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, Job

LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Launch:
    """The first message to a worker: the engine to load. `factory` names a function `module:function` of the spec."""

    spec: EngineSpec
    factory: str


@dataclass(frozen=True, slots=True)
class AddJob:
    """Start this job."""

    job: Job


@dataclass(frozen=True, slots=True)
class RemoveJob:
    """Drop the job with this id."""

    job: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The engine is ready for `capacity` jobs at once.

    `defaults` are its numbers for what a request leaves open; `context` is 0 if it has none.
    """

    capacity: int
    defaults: Mapping[str, float]
    context: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life. `busy_seconds` is the time for which the current step, or loading, has been running."""

    busy_seconds: float


@dataclass(frozen=True, slots=True)
class StepEvents:
    """The events of one step of the engine."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """The engine raised an exception and the process will end. `message` is a sentence that is safe to show."""

    message: str
    code: str


IpcMessage = Launch | AddJob | RemoveJob | Loaded | Heartbeat | StepEvents | EngineFailed


def pack(message: IpcMessage) -> bytes:
    """Return the bytes to send."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def receive(stream: BinaryIO) -> IpcMessage | None:
    """Wait for the next message. Return None if the other side is gone, also in the middle of a message."""
    try:
        header = stream.read(LENGTH.size)
        if len(header) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack(header)
        body = stream.read(length)
    except ConnectionError:
        # The other side was killed before it had read everything.
        return None
    return _unpack(body) if len(body) == length else None


async def receive_async(stream: asyncio.StreamReader) -> IpcMessage | None:
    """Do the same as `receive` without blocking the event loop."""
    try:
        (length,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
        return _unpack(await stream.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _unpack(body: bytes) -> IpcMessage:
    message: IpcMessage = pickle.loads(body)  # noqa: S301 - both ends of the pair are ours
    return message

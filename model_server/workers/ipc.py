"""What the gateway and a worker say over the socket between them: pickles, each behind its length.

The socket is a pair that the gateway made and that one process inherited, so nobody else can write into it.
"""

from __future__ import annotations

import asyncio
import pickle
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from model_server.engines.contract import EngineSpec
    from model_server.jobs import Event, Job

LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Launch:
    """The first message to a worker: load this. `factory` is `module:function`, which makes an Engine of a spec."""

    spec: EngineSpec
    factory: str


@dataclass(frozen=True, slots=True)
class Add:
    """Take this job in."""

    job: Job


@dataclass(frozen=True, slots=True)
class Remove:
    """Forget the job with this id."""

    job: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The engine is ready for `capacity` jobs at once."""

    capacity: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life. `busy` is for how many seconds the current step, or the loading, has been running."""

    busy: float


@dataclass(frozen=True, slots=True)
class StepEvents:
    """What one step brought."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """The engine raised; the process ends after this. `message` is a sentence that is safe to show."""

    message: str
    code: str


IpcMessage = Launch | Add | Remove | Loaded | Heartbeat | StepEvents | EngineFailed


def pack(message: IpcMessage) -> bytes:
    """The bytes to send."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def receive(stream: BinaryIO) -> IpcMessage | None:
    """Wait for the next message; None when the other side is gone, also in the middle of one."""
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(header)
    body = stream.read(length)
    return _unpack(body) if len(body) == length else None


async def receive_async(stream: asyncio.StreamReader) -> IpcMessage | None:
    """The same without blocking."""
    try:
        (length,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
        return _unpack(await stream.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _unpack(body: bytes) -> IpcMessage:
    message: IpcMessage = pickle.loads(body)  # noqa: S301 - both ends of the pair are ours
    return message

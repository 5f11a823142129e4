"""Uploads in Redis, so that a file is still there when its visitor comes to another process before it is used."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

from bot.core.messages import Attachment

if TYPE_CHECKING:
    from bot.storage.process_events import ProcessEvents

log = logging.getLogger(__name__)

UPLOADS = "tempera:uploads"
"""The key of a sorted set of all uploads by their time, and the beginning of the key of each."""
MAX_BYTES, KEEP_SECONDS = 64 << 20, 900
"""How much of uploads Redis holds, before the oldest ones make way, and for how long."""


class SharedUploads:
    """Keeps uploads for other processes too, if there is a Redis server. While that is away, nobody else has them."""

    def __init__(self, events: ProcessEvents) -> None:
        self._events = events

    async def keep(self, name: str, owner: str, file: Attachment) -> None:
        """Keep a file of a visitor."""
        if not self._events.is_shared:
            return
        from redis.exceptions import RedisError

        about = json.dumps([file.filename, file.media_type]).encode()
        key, now = f"{owner}:{name}:{len(file.data)}", time.time()
        try:
            async with self._events.connected() as client:
                await client.set(f"{UPLOADS}:{owner}:{name}", about + b"\n" + file.data, ex=KEEP_SECONDS)
                await client.zadd(UPLOADS, {key: now})
                await client.zremrangebyscore(UPLOADS, 0, now - KEEP_SECONDS)
                size, all_known = 0, await client.zrevrange(UPLOADS, 0, -1)
                known: Any
                for known in all_known:
                    path, _, bytes_ = known.decode().rpartition(":")
                    size += int(bytes_)
                    if size > MAX_BYTES:
                        await client.delete(f"{UPLOADS}:{path}")
                        await client.zrem(UPLOADS, known)
        except (RedisError, OSError) as error:
            log.warning("An upload is in this process alone, since Redis cannot be reached: %s", error)

    async def find(self, name: str, owner: str) -> Attachment | None:
        """Return a file of a visitor that another process took; None if there is none."""
        if not self._events.is_shared:
            return None
        from redis.exceptions import RedisError

        try:
            async with self._events.connected() as client:
                stored = await client.get(f"{UPLOADS}:{owner}:{name}")
        except (RedisError, OSError) as error:
            log.warning("An upload cannot be looked for, since Redis cannot be reached: %s", error)
            return None
        if not isinstance(stored, bytes):
            return None
        about, _, data = stored.partition(b"\n")
        filename, media_type = json.loads(about)
        return Attachment(filename, data, media_type)

"""Marks and signs the pictures of a finished answer that a model made, which their labels tell."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from bot.provenance.manifest import sign
from bot.provenance.mark import draw_mark
from bot.provenance.metadata import find_media_type, read_label, write_label

if TYPE_CHECKING:
    from bot.core.messages import Attachment, Reply
    from bot.provenance.certificates import Identity, Trust

log = logging.getLogger(__name__)


class Stamper:
    """Signs pictures with one identity, once it has been started."""

    def __init__(self) -> None:
        self._identity: Identity | None = None

    def start(self, identity: Identity) -> None:
        """Sign with `identity` from now on."""
        self._identity = identity

    @property
    def trust(self) -> Trust:
        """What the manifests of this bot have."""
        return self._require_identity().trust

    async def stamp(self, reply: Reply, *, marks: bool) -> Reply:
        """Return a reply whose pictures that a model made are signed; charts and other files stay as they are.

        `marks` says whether a mark is put into the corner of those pictures as well.
        """
        if not reply.attachments:
            return reply
        files = [await asyncio.to_thread(self._stamp, file, marks=marks) for file in reply.attachments]
        return replace(reply, attachments=tuple(files))

    def _stamp(self, file: Attachment, *, marks: bool) -> Attachment:
        if (label := read_label(file.data)) is None:
            return file
        media_type = find_media_type(file.data)
        data = file.data
        try:
            if marks and (marked := draw_mark(data, media_type)) is not None:
                data = write_label(marked, label.facts)
            data = sign(data, media_type, label.facts, self._require_identity())
        except Exception:
            # Whoever waits for the picture can do nothing about it, and its label says by what it was made.
            log.exception("A picture cannot be signed")
            return file
        return replace(file, data=data, media_type=media_type)

    def _require_identity(self) -> Identity:
        if self._identity is None:
            raise RuntimeError("the Stamper is used before it was started")
        return self._identity

"""The perceptual hashes of pictures in stored answers, by which a copy of one is found again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, LargeBinary, select
from sqlalchemy.orm import Mapped, mapped_column

from bot.provenance.picture_hash import find_nearest, hash_picture
from bot.storage.database import Base, MessageRow

if TYPE_CHECKING:
    from bot.core.messages import Reply
    from bot.storage.database import Database


class PictureHashRow(Base):
    """The perceptual hash of a picture that a model made for the answer `message`."""

    __tablename__ = "picture_hashes"

    id: Mapped[int] = mapped_column(primary_key=True)
    message: Mapped[int] = mapped_column(ForeignKey("messages.id", ondelete="CASCADE"), index=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class PictureHashes:
    """Finds the answers that pictures come from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, wanted: bytes) -> MessageRow | None:
        """Return the answer with the picture whose hash is nearest to `wanted`; None if none is near."""
        known = await self._database.read(lambda session: session.scalars(select(PictureHashRow.hash)).all())
        nearest = await asyncio.to_thread(find_nearest, wanted, known)
        if nearest is None:
            return None
        hashed = select(PictureHashRow.message).where(PictureHashRow.hash == nearest)
        newest = select(MessageRow).where(MessageRow.id.in_(hashed)).order_by(MessageRow.id.desc()).limit(1)
        return await self._database.read(lambda session: session.scalar(newest))


async def hash_pictures(reply: Reply) -> list[bytes]:
    """Return the hashes of a reply's pictures that a model made."""
    hashes = [await asyncio.to_thread(hash_picture, file.data) for file in reply.attachments]
    return [one for one in hashes if one is not None]

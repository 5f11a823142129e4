"""Where messages are: conditions for those of a server or a channel, and who sees them there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, union_all

from bot.storage.database import DeliveryRow, MessageRow

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

    from bot.core.messages import Place, User


def is_in_server(platform: str, server: str) -> ColumnElement[bool]:
    """Return the condition for the rows of a server."""
    return (MessageRow.platform == platform) & (MessageRow.server == server)


def is_in_channel(place: Place) -> ColumnElement[bool]:
    """Return the condition for the rows of a channel and all of its threads."""
    return is_in_server(place.platform, place.server) & (MessageRow.channel == place.channel)


def is_visible(row: MessageRow, user: User, place: Place) -> bool:
    """Return whether an answer is shown to `user` in `place`."""
    here = (row.platform, row.server, row.channel) == (place.platform, place.server, place.channel)
    return here and (not row.private or row.author == user.id)


def select_external(place: Place, external: str) -> Select[Any]:
    """Select the id of the question with this id of the platform, or of the answer that such a message shows."""
    question = select(MessageRow.id).where(
        MessageRow.platform == place.platform,
        MessageRow.channel == place.channel,
        MessageRow.external == external,
        MessageRow.state != "deleted",
    )
    answer = select(DeliveryRow.message).where(
        DeliveryRow.platform == place.platform,
        DeliveryRow.channel == place.channel,
        DeliveryRow.external == external,
    )
    ids = union_all(question, answer).subquery()
    return select(func.max(ids.c.id))

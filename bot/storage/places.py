"""Conditions for the stored messages of a server, of a channel, and of a message that a platform shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, union_all

from bot.storage.database import DeliveryRow, MessageRow

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

    from bot.core.messages import Place


def is_in_server(platform: str, server: str) -> ColumnElement[bool]:
    """Return the condition for the rows of a server."""
    return (MessageRow.platform == platform) & (MessageRow.server == server)


def is_in_channel(place: Place) -> ColumnElement[bool]:
    """Return the condition for the rows of a channel and all of its threads."""
    return is_in_server(place.platform, place.server) & (MessageRow.channel == place.channel)


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

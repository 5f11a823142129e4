"""The workspaces that installed the bot by themselves, and the states of installations that are under way."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta  # noqa: TC003 - SQLAlchemy reads the annotations
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from bot.storage.database import Base, now

if TYPE_CHECKING:
    from bot.storage.database import Database

MAX_STATES = 10_000
"""The most installations that can be under way at once; the oldest give way."""


class InstallationRow(Base):
    """An installation of the bot in a workspace, or in an organisation of workspaces."""

    __tablename__ = "installations"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The platform's id of the workspace or of the organisation."""
    platform: Mapped[str]
    """The name under which what is of this workspace is stored, such as “slack/T0123”."""
    sealed: Mapped[str]
    """Its tokens and names, encrypted."""
    version: Mapped[int]
    """How often it was written; the other processes know by it that there is something new."""
    expires: Mapped[datetime | None]
    """When its token ends, if it does."""


class OAuthStateRow(Base):
    """A state of OAuth that was given to a browser and did not come back yet."""

    __tablename__ = "oauth_states"

    digest: Mapped[str] = mapped_column(primary_key=True)
    """The hash of the state, so that who reads the database cannot use it."""
    created: Mapped[datetime] = mapped_column(index=True)


async def issue_state(database: Database, lifetime: timedelta) -> str:
    """Return a new state, and delete those that are older than `lifetime`."""
    state = secrets.token_urlsafe(32)
    async with database.writing() as session:
        await session.execute(delete(OAuthStateRow).where(OAuthStateRow.created < now() - lifetime))
        if (await session.scalar(select(func.count()).select_from(OAuthStateRow)) or 0) >= MAX_STATES:
            oldest = select(OAuthStateRow.digest).order_by(OAuthStateRow.created).limit(MAX_STATES // 10)
            await session.execute(delete(OAuthStateRow).where(OAuthStateRow.digest.in_(oldest)))
        session.add(OAuthStateRow(digest=_digest(state), created=now()))
    return state


async def consume_state(database: Database, state: str, lifetime: timedelta) -> bool:
    """Delete a state; return whether it was there and not older than `lifetime`, which is so once."""
    async with database.writing() as session:
        this = delete(OAuthStateRow).where(OAuthStateRow.digest == _digest(state))
        created = await session.scalar(this.returning(OAuthStateRow.created))
    return created is not None and created >= now() - lifetime


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()

"""SQL conditions for the rows that belong to one person; the export and the deletion share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select, true

from bot.storage.database import MessageRow, VoteRow

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from bot.core.messages import Person, User


def is_message_of(person: Person) -> ColumnElement[bool]:
    """Return the condition for the person's questions and the answers to them."""
    return (MessageRow.platform == person.platform) & (MessageRow.author == person.id)


def is_vote_of(person: Person) -> ColumnElement[bool]:
    """Return the condition for the person's votes on answers of their platform."""
    on_platform = select(MessageRow.id).where(MessageRow.platform == person.platform)
    return (VoteRow.user == person.id) & VoteRow.message.in_(on_platform)


def is_not_of_question(question: int) -> ColumnElement[bool]:
    """Return the condition for messages other than a question and its answers."""
    return (MessageRow.id != question) & or_(MessageRow.parent.is_(None), MessageRow.parent != question)


def is_stored_under(table: Any, person: Person) -> ColumnElement[bool]:
    """Return the condition for values of plugins that are stored under the person's id."""
    ids = [person.id, f"{person.platform}:{person.id}"]
    return or_(table.scope.in_(ids), table.key.in_(ids))


def is_on_platform(column: Any, user: User, person: Person) -> ColumnElement[bool]:
    """Return the condition for the person's platform; an operator has one id on all platforms."""
    return true() if user.is_operator else column == person.platform

"""Reads the JSON that pages send."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from bot.core.errors import UserError

ModelT = TypeVar("ModelT", bound=BaseModel)
ValueT = TypeVar("ValueT")


def parse_body(kind: type[ModelT], body: bytes) -> ModelT:
    """Return the body of a request. Raises UserError if it is invalid, which it never is from our own page."""
    return parse_json(TypeAdapter(kind), body)


def parse_json(adapter: TypeAdapter[ValueT], data: str | bytes) -> ValueT:
    """Return what a page sent. Raises UserError if it is invalid, which it never is from our own page."""
    try:
        return adapter.validate_json(data)
    except ValidationError:
        raise UserError("The page sent something that the bot does not understand; reload the page.") from None

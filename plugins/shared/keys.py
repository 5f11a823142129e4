"""The keys under which plugins store what belongs to a person or a place."""

from __future__ import annotations

from bot import Place


def person_key(platform: str, user_id: str) -> str:
    """Return the key of a person's own values, by which /privacy finds them."""
    return f"{platform}:{user_id}"


def place_key(place: Place) -> str:
    """Return the key of a channel or room, whose threads share it: on Slack, each answer begins a thread."""
    return "/".join((place.platform, place.server, place.channel))

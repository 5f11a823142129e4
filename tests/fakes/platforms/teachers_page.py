"""The teachers' start page without a browser: a teacher, and what they send and see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.platforms.web.access.teachers import WebModerators

if TYPE_CHECKING:
    from fakes.platforms.web_page import Visitor

    from bot.app import Bot

QUERY = "name=Ada&locale=en"


async def become_teacher(bot: Bot, person: Visitor, name: str = "Ada") -> Visitor:
    """Make somebody a teacher of this name."""
    assert await person.sign_in(await WebModerators(bot.database).create_code(), name) == 303
    return person


async def seen(person: Visitor, room: str = "") -> dict[str, Any]:
    """What the page shows for a room, or for the whole chat."""
    async with person.session.get(f"{person.url}/class/data?{QUERY}&room={room}") as response:
        answer: dict[str, Any] = await response.json()
        return answer


async def ordered(person: Visitor, path: str, room: str = "", **values: Any) -> tuple[int, str]:
    """Send an order, and return the status of the response and the sentence of a refusal."""
    about = {"json": {"room": room, **values}, "headers": {"Origin": person.url}}
    async with person.session.post(f"{person.url}{path}?{QUERY}", **about) as response:
        return response.status, (await response.json()).get("error", "")

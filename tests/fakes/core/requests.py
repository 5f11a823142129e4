"""Requests of a few people in one room, and the replies of the bot to them."""

from dataclasses import replace

from fakes.model_server.gateway import eventually

from bot.answers.decision import OpenForm
from bot.app import Bot
from bot.core.messages import Action, Form, Place, Reply, Request, User

ANN, BEN = User("ann", "Ann"), User("ben", "Ben")
MODERATOR = User("mod", "Mod", is_moderator=True)
OPERATOR = User("op", "Op", is_moderator=True, is_operator=True)
ROOM = Place("test", "room", server="school")
THREAD = replace(ROOM, thread="7")
"""A thread in that room, which is a conversation."""


def ask(text: str, user: User = ANN, place: Place = ROOM, **more: object) -> Request:
    """Return the request of a typed line."""
    return Request(user=user, place=place, text=text, **more)


def press(button: str, row: int, user: User = ANN, **fields: object) -> Request:
    """Return the request of a press of a button under the answer `row`, or of its form with `fields`."""
    return Request(user=user, place=ROOM, action=Action(f"t:{button}:{row}", fields or None))


def speaking(locale: str, user: User = ANN) -> User:
    """Return the same user with another locale."""
    return replace(user, locale=locale)


async def replies(bot: Bot, request: Request) -> list[Reply]:
    """Return every snapshot of the answer to a request."""
    return [reply async for reply in bot.prepare(request).start()]


async def last(bot: Bot, request: Request) -> Reply:
    """Return the last snapshot of the answer to a request."""
    return (await replies(bot, request))[-1]


async def open_form(bot: Bot, request: Request) -> Form:
    """Return the form that a request opens."""
    decision = bot.prepare(request)
    assert isinstance(decision, OpenForm)
    return await decision.make()


async def pressed(bot: Bot, reply: Reply, label: str, *, in_place: bool = False, **fields: object) -> Reply:
    """Return the answer to Ann's press of the button with this label, or to its form with `fields`.

    `in_place` is true for a platform that can replace the page of a message.
    """
    button = next(button for button in reply.buttons if button.label == label)
    action = Action(button.id, fields or None)
    return await last(bot, Request(user=ANN, place=ROOM, action=action, can_turn_pages=in_place))


async def wait_until_delivered(bot: Bot, platform: str, message: str) -> None:
    """Wait until the bot has stored which answer a message shows.

    The message is visible a moment before that, and a test is quicker to reply than any person.
    """

    async def is_stored() -> bool:
        return bool(await bot.messages.find_answers(platform, [message]))

    await eventually(is_stored)

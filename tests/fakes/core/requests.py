"""What a test says to a bot, and what it hears: requests of a few people in one room."""

from dataclasses import replace

from fakes.model_server.gateway import eventually

from bot.app import Bot
from bot.core.messages import Action, Place, Reply, Request, User

ANN, BEN = User("ann", "Ann"), User("ben", "Ben")
MODERATOR = User("mod", "Mod", is_moderator=True)
OPERATOR = User("op", "Op", is_moderator=True, is_operator=True)
ROOM = Place("test", "room", server="school")


def ask(text: str, user: User = ANN, place: Place = ROOM, **more: object) -> Request:
    """A typed line."""
    return Request(user=user, place=place, text=text, **more)


def press(button: str, row: int, user: User = ANN, **fields: object) -> Request:
    """A button under the answer `row`, or its form with `fields`."""
    return Request(user=user, place=ROOM, action=Action(f"t:{button}:{row}", fields or None))


def speaking(locale: str, user: User = ANN) -> User:
    """The same person in another language."""
    return replace(user, locale=locale)


async def replies(bot: Bot, request: Request) -> list[Reply]:
    """Every snapshot of the answer."""
    return [reply async for reply in bot.prepare(request).start()]


async def last(bot: Bot, request: Request) -> Reply:
    """The last snapshot."""
    return (await replies(bot, request))[-1]


async def pressed(bot: Bot, reply: Reply, label: str, *, in_place: bool = False, **fields: object) -> Reply:
    """The answer to Ann's press of the button of this label, or to its form with `fields`.

    `in_place` is for a platform where messages can turn a page.
    """
    button = next(button for button in reply.buttons if button.label == label)
    action = Action(button.id, fields or None)
    return await last(bot, Request(user=ANN, place=ROOM, action=action, can_turn_pages=in_place))


async def wait_until_delivered(bot: Bot, platform: str, message: str) -> None:
    """Wait until the bot has stored which answer a message shows.

    It is seen a moment before that, and no person replies to it as fast as a test.
    """

    async def is_noted() -> bool:
        return bool(await bot.messages.find_answers(platform, [message]))

    await eventually(is_noted)

"""How many requests one person can make, whatever they cost."""

from collections.abc import AsyncIterator, Callable, Sequence

from fakes.core.requests import ANN, BEN, MODERATOR, OPERATOR, ROOM, ask, last, press

from bot import Context, Plugin, Reply, autocomplete, command
from bot.answers.decision import Refuse
from bot.app import Bot
from bot.core.messages import Place, Request, User

FLOOD = 300
DIRECT = Place("test", "direct")


class Free(Plugin):
    """A command that costs nothing, with suggestions."""

    name = "free"

    def __init__(self) -> None:
        super().__init__()
        self.completed = 0

    @command(free=True, private=True)
    async def look(self, ctx: Context, what: str = "") -> AsyncIterator[Reply]:
        """Look."""
        yield Reply(text="seen", final=True)

    @autocomplete("look", "what")
    async def complete(self, ctx: Context, typed: str) -> Sequence[str]:
        """Suggest something."""
        self.completed += 1
        return ["moon"]


def count_admitted(bot: Bot, request: Request, times: int = FLOOD) -> int:
    """Return how many of these requests, made at once, are not refused."""
    return sum(not isinstance(bot.prepare(request), Refuse) for _ in range(times))


async def test_free_commands_have_a_pace(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Free()) as bot:
        assert count_admitted(bot, ask("/look")) == 120
        # It is the same person, wherever and whatever they send.
        refused = await last(bot, ask("/look", place=DIRECT))
        assert refused.text == "You are sending too much at once; wait a moment."
        assert count_admitted(bot, press("up", 1), 1) == count_admitted(bot, ask("/help"), 1) == 0
        # A flood leaves no traces of its refusals, and keeps nobody else from anything.
        assert not await bot.audit.find("test", ROOM.server)
        assert (await last(bot, ask("/look", BEN))).text == "seen"


async def test_votes_forms_and_appeals_have_a_pace(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Free()) as bot:
        for name, person in (("up", "v"), ("edit", "e"), ("appeal", "a"), ("b0", "b")):
            admitted = [bot.prepare(press(name, 1, User(person, person))) for _ in range(FLOOD)]
            assert sum(not isinstance(decision, Refuse) for decision in admitted) == 120, name


async def test_made_up_buttons_have_a_pace_too(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Free()) as bot:
        for _ in range(FLOOD):
            bot.prepare(press("dance", 1))
        assert (await last(bot, press("dance", 1))).text == "You are sending too much at once; wait a moment."


async def test_whoever_sent_too_much_can_still_stop_what_is_made(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Free()) as bot:
        count_admitted(bot, ask("/look"))
        assert count_admitted(bot, press("stop", 1)) == 120


async def test_moderators_and_the_operator_have_no_pace(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Free()) as bot:
        assert count_admitted(bot, ask("/look", MODERATOR)) == FLOOD
        assert count_admitted(bot, ask("/look", OPERATOR)) == FLOOD


async def test_new_visitors_of_one_address_share_a_pace(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Free()) as bot:
        admitted = sum(count_admitted(bot, ask("/look", User(f"v{n}", "V"), address="here"), 100) for n in range(30))
        assert admitted == 2400
        assert count_admitted(bot, ask("/look", User("v30", "V"), address="there"), 1) == 1


async def test_suggestions_have_a_pace(make_bot: Callable[..., Bot]) -> None:
    plugin = Free()
    async with make_bot(plugin) as bot:
        request = Request(user=ANN, place=ROOM, command="look")
        suggested = [await bot.complete(request, "what", "m") for _ in range(700)]
        assert plugin.completed == 600
        assert suggested == [["moon"]] * 600 + [()] * 100
        assert await bot.complete(Request(user=BEN, place=ROOM, command="look"), "what", "m") == ["moon"]

import re
from dataclasses import replace

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, ROOM, ask, last, speaking

from bot.app import Bot
from bot.core.adapters import Capabilities
from bot.core.messages import Place, Reply, Request, User


async def why(bot: Bot, line: str, user: User = ANN) -> Reply:
    decision = bot.prepare(ask(f"/why {line}", user))
    assert decision.private
    return [reply async for reply in decision.start()][-1]


async def moderate(bot: Bot, *settings: str) -> None:
    for line in settings:
        assert not (await last(bot, ask(f"/config set {line}", MODERATOR))).error


@pytest.mark.parametrize("typed", ["ask", "/ask", "ASK"])
async def test_a_command_that_can_be_used_has_no_reasons(bot: Bot, typed: str) -> None:
    assert (await why(bot, typed)).text == "You can use /ask here."


async def test_every_reason_is_listed_in_order_with_its_setting(bot: Bot) -> None:
    await moderate(bot, "access.channels hall", "access.roles teachers", "imagine.enabled no")
    assert (await why(bot, "imagine")).text == (
        "- /imagine is switched off here. Moderators can change that: `imagine.enabled`\n"
        "- I may be used in some channels alone, and this one is not among them. "
        "Moderators can change that: `access.channels`\n"
        "- Only people with certain roles may use me here, and you have none of these. "
        "Moderators can change that: `access.roles`"
    )
    assert (await why(bot, "imagine", MODERATOR)).text == (
        "- /imagine is switched off here. Moderators can change that: `imagine.enabled`"
    )


async def test_an_exhausted_limit_is_a_reason(bot: Bot) -> None:
    await moderate(bot, "limits.user.hour 1")
    await last(bot, ask("/ask hi"))
    assert re.fullmatch(
        "- The limit here is 1 per hour for each person, and yours is used up. You can ask again in [56][0-9] minutes. "
        "Moderators can change that: `limits.user.hour`",
        (await why(bot, "ask")).text,
    )
    assert (await why(bot, "help")).text == "You can use /help here."
    assert (await why(bot, "ask", BEN)).text == "You can use /ask here."


async def test_the_limit_of_ones_own_address_is_a_reason(bot: Bot) -> None:
    await moderate(bot, "limits.address.hour 1")
    await last(bot, ask("/ask hi", address="cafe"))
    assert (await last(bot, ask("/why ask", BEN, address="cafe"))).text.startswith(
        "- The limit here is 1 per hour for all who share your IP address, and it is used up."
    )
    assert (await why(bot, "ask", BEN)).text == "You can use /ask here."


async def test_a_command_for_moderators_says_who_they_are(bot: Bot) -> None:
    assert (await why(bot, "config set")).text == (
        "- /config set is for moderators. Moderators are those who manage this server, and whom they name in "
        "`moderators.users`, `moderators.roles`."
    )
    assert (await why(bot, "config set", speaking("de"))).text.startswith("- /config set ist nur für Moderatoren.")


async def test_only_moderators_can_ask_about_somebody_else(bot: Bot) -> None:
    await moderate(bot, "access.roles teachers")
    ben = replace(BEN, roles=("teachers",))

    async def about(user: User, asker: User) -> str:
        options = {"command": "ask", "user": user}
        return (await last(bot, Request(user=asker, place=ROOM, command="why", options=options))).text

    assert await about(ANN, BEN) == "Only moderators can ask about somebody else."
    assert (await about(ANN, ANN)).startswith("- Only people with certain roles may use me here")
    assert (await about(ANN, MODERATOR)).startswith("- Only people with certain roles may use me here")
    assert await about(ben, MODERATOR) == "Ben can use /ask here."
    assert (await why(bot, "help user:@ben", MODERATOR)).text == (
        "ben can use /help here, as far as I know without their roles."
    )


async def test_ones_own_name_asks_about_oneself(bot: Bot) -> None:
    options = {"command": "audit", "user": User(MODERATOR.id, "Mo", roles=None)}
    told = await last(bot, Request(user=MODERATOR, place=ROOM, command="why", options=options))
    assert told.text == "You can use /audit here."


class FakeAdapter:
    """A platform adapter that finds Ben by his name."""

    capabilities = Capabilities()

    async def find_user(self, name: str, place: Place) -> User | None:
        return BEN if name == "Ben" else None


async def test_a_typed_user_is_looked_up(bot: Bot) -> None:
    await moderate(bot, "limits.user.hour 1")
    await last(bot, ask("/ask hi", BEN))
    with bot.adapters.registered("test", FakeAdapter()):
        assert (await why(bot, "ask user:Ben", MODERATOR)).text.startswith("- The limit here is 1 per hour")
        assert (await why(bot, "help user:Ben", MODERATOR)).text == "Ben can use /help here."
        assert (await why(bot, "ask user:Bob", MODERATOR)).text == (
            "I could not find out who “Bob” is here. Pick them from the list, or give their id."
        )


async def test_names_of_forbidden_commands_complete_too(bot: Bot) -> None:
    await moderate(bot, "face.enabled no")
    request = Request(user=ANN, place=ROOM, command="why")
    assert list(await bot.complete(request, "command", "/fa")) == [
        "face",
        "defaults show",
        "defaults set",
        "defaults reset",
    ]

"""Admission as people meet it: commands, buttons and forms of one bot are let through or refused."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, ROOM, ask, last, open_form, press, replies, speaking
from fakes.core.settings import put

from bot import Attachment, Button, Context, Plugin, Range, Reply, UserError, command
from bot.answers.decision import Answer, Refuse
from bot.answers.greeting import welcome
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.caller import Caller
from bot.core.messages import Place, User
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.safety.sentences import WITHHELD
from bot.storage.database import Database


class Toys(Plugin):
    """A command with a temperature, one that fails, and a hidden one."""

    name = "toys"

    def __init__(self) -> None:
        super().__init__()
        self.warmths: list[float] = []

    @command(form=("text", "temperature"))
    async def warm(
        self, ctx: Context, text: str = "", temperature: Range[float, 0, 2] = 0.7, seed: int | None = None
    ) -> AsyncIterator[Reply]:
        """Say how warm."""
        self.warmths.append(temperature)
        buttons = (Button("On", "warm-on", {"temperature": temperature}),)
        yield Reply(text=f"{temperature:g}", card={"temperature": str(temperature)}, buttons=buttons, final=True)

    @command("warm-on", hidden=True)
    async def on(self, ctx: Context, temperature: Range[float, 0, 2] = 0) -> AsyncIterator[Reply]:
        """Go on."""
        yield Reply(text=f"on {temperature:g}", final=True)

    @command()
    async def fail(self, ctx: Context, after: str = "") -> AsyncIterator[Reply]:
        """Fail."""
        yield Reply(text=after)
        raise UserError("It failed.")

    @command()
    async def show(self, ctx: Context) -> AsyncIterator[Reply]:
        """Show a file, and fail."""
        yield Reply(attachments=(Attachment("a.txt", b"a"),))
        raise UserError("It failed.")

    @command()
    async def blurt(self, ctx: Context, text: str = "") -> AsyncIterator[Reply]:
        """Say what is blocked."""
        yield Reply(text="a turnip", final=True)

    @command(free=True)
    async def look(self, ctx: Context) -> AsyncIterator[Reply]:
        """Look."""
        yield Reply(text="seen", final=True)


@pytest.fixture
def toys() -> Toys:
    return Toys()


@pytest.fixture
async def bot(tmp_path: Path, toys: Toys) -> AsyncIterator[Bot]:
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    async with Bot(ModelClient("http://127.0.0.1:9"), [toys], database, default_command="warm") as made:
        yield made


async def answered(bot: Bot, line: str = "/warm hi", user: User = ANN) -> Reply:
    reply = await last(bot, ask(line, user))
    assert not reply.error, reply.text
    return reply


async def refusal(bot: Bot, request: Any) -> str:
    """Return the text of the private error that is the only reply."""
    [reply] = await replies(bot, request)
    assert reply.error
    assert reply.private
    assert not reply.row
    return reply.text


NARROW = (
    "temperature must be a number from 0 to 1, as moderators have set it here with `warm.temperature.maximum`; "
    "you gave “{given}”."
)


async def test_the_limit_of_an_option_holds_for_commands_lines_buttons_and_forms(bot: Bot, toys: Toys) -> None:
    row = (await answered(bot, "/warm temperature:1.5 hi")).row
    await put(bot.settings, "warm.temperature.maximum", 1)
    [field] = [field for field in (await open_form(bot, press("edit", row))).fields if field.name == "temperature"]
    assert (field.minimum, field.maximum) == (0, 1)
    assert await refusal(bot, ask("/warm temperature:1.5 hi")) == NARROW.format(given="1.5")
    assert await refusal(bot, press("again", row)) == NARROW.format(given="1.5")
    assert await refusal(bot, press("edit", row, text="hi", temperature="1.2")) == NARROW.format(given="1.2")
    assert await refusal(bot, press("b0", row)) == NARROW.format(given="1.5")
    # Nearer to what is allowed it goes all the same, and never beyond it.
    warmer = await last(bot, press("warmer", row))
    assert warmer.text == "1"
    assert {button.action for button in warmer.buttons} & {"warmer", "cooler"} == {"cooler"}
    assert toys.warmths == [1.5, 1]


async def test_a_users_own_default_gives_way_to_the_limit(bot: Bot) -> None:
    await bot.defaults.set(Caller(ANN, ROOM), bot.registry.commands, "warm.temperature", 1.5)
    assert (await answered(bot)).text == "1.5"
    await put(bot.settings, "warm.temperature.maximum", 1)
    assert (await answered(bot)).text == "0.7"


@pytest.mark.parametrize(
    ("setting", "reason", "sentence"),
    [
        ("toys.enabled", "off", "/warm is switched off here."),
        ("access.channels", "channel", "I may be used in some channels alone, and this one is not among them."),
        ("access.roles", "role", "Only people with certain roles may use me here, and you have none of these."),
    ],
)
async def test_a_refused_command_is_refused_to_buttons_and_forms_too(
    bot: Bot, setting: str, reason: str, sentence: str
) -> None:
    row = (await answered(bot)).row
    await put(bot.settings, setting, "no" if setting == "toys.enabled" else "x")
    decision = bot.prepare(ask("/warm hi"))
    assert isinstance(decision, Refuse)
    assert [reply.text async for reply in decision.start()] == [sentence]
    [entry] = [entry for entry in await bot.audit.find("test", "school") if entry.kind == "refusal"]
    assert (entry.what, entry.reason, entry.actor, entry.channel) == ("warm", reason, "ann", "room")
    for button in ("again", "warmer"):
        assert await refusal(bot, press(button, row)) == sentence
    assert await refusal(bot, press("b0", row)) == sentence.replace("/warm ", "/warm-on ")
    with pytest.raises(UserError, match=re.escape(sentence)):
        await open_form(bot, press("edit", row))
    assert await refusal(bot, press("edit", row, text="x")) == sentence


async def test_only_the_asker_and_moderators_may_press(bot: Bot) -> None:
    row = (await answered(bot)).row
    assert await refusal(bot, press("delete", row, BEN)) == "Only Ann, who asked, and moderators can do that."
    [entry] = await bot.audit.find("test", "school")
    assert (entry.kind, entry.what, entry.reason, entry.actor) == ("refusal", "delete", "owner", "ben")
    assert (await last(bot, press("delete", row, MODERATOR))).deleted


async def test_rights_in_one_server_are_none_in_another(bot: Bot) -> None:
    row = (await answered(bot)).row
    for place in (replace(ROOM, server="other"), replace(ROOM, platform="other")):
        for button in ("delete", "again", "b0", "up"):
            request = replace(press(button, row, MODERATOR), place=place)
            assert await refusal(bot, request) == "This has expired: it is no longer stored."


async def test_somebody_elses_private_answer_has_no_buttons_for_others(bot: Bot) -> None:
    await put(bot.settings, "answers.private", "yes")
    row = (await answered(bot)).row
    for button, user in (("b0", BEN), ("up", BEN), ("b0", MODERATOR), ("up", MODERATOR)):
        assert await refusal(bot, press(button, row, user)) == "This has expired: it is no longer stored."
    assert (await last(bot, press("b0", row))).text == "on 0.7"


async def test_the_answer_to_a_button_is_private_once_answers_are_private(bot: Bot) -> None:
    row = (await answered(bot)).row
    await put(bot.settings, "answers.private", "yes")
    for button, fields in (("again", {}), ("cooler", {}), ("edit", {"text": "hi"}), ("b0", {})):
        request = press(button, row, **fields)
        assert bot.prepare(request).private
        assert {reply.private for reply in await replies(bot, request)} == {True}
    voted = await last(bot, press("up", row, BEN))
    assert (voted.private, voted.row) == (False, row)


# Direct messages

NO_DIRECT = "I do not answer direct messages here. Ask me in a channel of a server that I am in."
DIRECT = Place("test", "ann")


async def test_the_operator_can_switch_direct_messages_off(tmp_path: Path, toys: Toys) -> None:
    database, models = Database(f"sqlite:///{tmp_path}/tempera.db"), ModelClient("http://127.0.0.1:9")
    privacy = plugin.load(PluginsSection(enabled=("help", "why", "privacy"), entry_points=False))
    async with Bot(models, [toys, *privacy], database, default_command="warm") as made:
        row = (await last(made, ask("/warm hi", place=DIRECT))).row
    async with Bot(
        models, [toys, *privacy], database, default_command="warm", direct_messages=False, platforms=PLATFORMS
    ) as made:
        for line in ("hi", "/warm hi", "/look"):
            assert await refusal(made, ask(line, place=DIRECT)) == NO_DIRECT
        for button in ("again", "warmer", "b0"):
            assert await refusal(made, replace(press(button, row), place=DIRECT)) == NO_DIRECT
        with pytest.raises(UserError, match=re.escape(NO_DIRECT)):
            await open_form(made, replace(press("edit", row), place=DIRECT))
        assert toys.warmths == [0.7]
        assert (await last(made, ask("/why warm", place=DIRECT))).text == f"- {NO_DIRECT}"
        assert not (await last(made, ask("/privacy export", place=DIRECT))).error
        assert (await last(made, replace(press("delete", row), place=DIRECT))).deleted
        # Servers, and places that are no direct messages though they belong to no server of a platform.
        for place in (ROOM, Place("web", "general", "web"), Place("terminal", "terminal")):
            assert (await last(made, ask("/warm hi", place=place))).text == "0.7"
        assert [welcome(made, "en", place).text == NO_DIRECT for place in (ROOM, DIRECT, None)] == [False, True, False]


# How often


LIMIT = re.compile(
    r"The limit here is 1 per hour for each person, and yours is used up\. You can ask again in \d+ minutes\."
)


async def test_a_refusal_is_private_and_known_before_anything_is_done(bot: Bot, toys: Toys) -> None:
    await put(bot.settings, "limits.user.hour", 1)
    row = (await answered(bot)).row
    decision = bot.prepare(ask("/warm hi"))
    assert isinstance(decision, Refuse)
    assert LIMIT.fullmatch([reply.text async for reply in decision.start()][-1])
    for button in ("again", "b0"):
        assert LIMIT.fullmatch(await refusal(bot, press(button, row)))
    assert toys.warmths == [0.7]
    assert {entry.reason for entry in await bot.audit.find("test", "school") if entry.kind == "refusal"} == {
        "user.hour"
    }
    await answered(bot, user=BEN)
    await answered(bot, "/look")


async def test_of_two_admitted_requests_only_one_gets_the_last_use(bot: Bot, toys: Toys) -> None:
    """Two requests are decided before either of them starts."""
    await put(bot.settings, "limits.user.hour", 1)
    first, second = bot.prepare(ask("/warm hi")), bot.prepare(ask("/warm hi"))
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert [reply.text async for reply in first.start()][-1] == "0.7"
    [refused] = [reply async for reply in second.start()]
    assert refused.private
    assert LIMIT.fullmatch(refused.text)
    assert toys.warmths == [0.7]


@pytest.mark.parametrize("line", ["/fail", "/fail some words", "/warm temperature:9 hi", "/nothing"])
async def test_a_use_that_failed_or_was_refused_costs_nothing(bot: Bot, line: str) -> None:
    await put(bot.settings, "limits.user.hour", 1)
    for _ in range(3):
        assert (await last(bot, ask(line))).error
    await answered(bot)


@pytest.mark.parametrize("line", ["/fail A whole sentence. And", "/show"])
async def test_a_use_that_failed_after_it_showed_something_counts(bot: Bot, line: str) -> None:
    await put(bot.settings, "limits.user.hour", 1)
    assert (await last(bot, ask(line))).error
    assert LIMIT.fullmatch(await refusal(bot, ask(line)))


async def test_an_answer_that_was_withheld_counts(bot: Bot) -> None:
    await put(bot.settings, "safety.words", "turnip")
    await put(bot.settings, "limits.user.hour", 2)
    for _ in range(2):
        assert (await last(bot, ask("/blurt hi"))).text == WITHHELD.text
    assert "The limit here is 2 per hour" in await refusal(bot, ask("/blurt hi"))
    # What was refused before any work costs nothing here.
    for _ in range(3):
        assert (await last(bot, ask("/warm turnip", BEN))).error
    await answered(bot, user=BEN)


async def test_the_bot_speaks_the_readers_language_or_the_servers(bot: Bot) -> None:
    await put(bot.settings, "access.roles", "x")
    german = "Nur wer bestimmte Rollen hat, darf mich hier benutzen, und du hast keine davon."
    assert await refusal(bot, ask("/warm hi", speaking("de"))) == german
    await put(bot.settings, "answers.language", "es")
    assert (await refusal(bot, ask("/warm hi", speaking("de")))).startswith("Aquí solo pueden usarme")
    elsewhere = Place("test", "room", server="other")
    assert bot.admission.resolve_user(speaking("de"), elsewhere).locale == "de"

"""Slash commands of Slack and the core's commands."""

import pytest

from bot.answers.decision import Refuse
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.messages import Button, Place, Reply, Request, User
from bot.platforms.slack.convert.commands import (
    NATIVE,
    ROOT,
    adapt_reply,
    adapt_text,
    read_message,
    read_slash_command,
    usage,
)
from bot.plugin_host import plugin

SLACKS_OWN = """
    active add apps archive away call calls canvas clip collapse contract-cursor dnd expand export feed feedback files
    gif giphy group help huddle invite invite_people join keys leave list me members mention mpdm mpim msg mute msgs dm
    new open part people poll prefs quit remind reminder remove rename restart search section shortcuts shrug star
    status tableflip topic unmute unarchive kick lists who workflow
"""
RESERVED = frozenset(SLACKS_OWN.split())
"""Names of Slack's own commands, present and past."""


@pytest.mark.parametrize("name", [*NATIVE, ROOT.removeprefix("/")])
def test_no_slash_command_has_a_name_of_slacks_own(name: str) -> None:
    assert name not in RESERVED
    assert name == name.lower()
    assert len(name) <= 31


def test_reserved_names_are_reached_through_tempera() -> None:
    commands = [command for one in plugin.load(PluginsSection(entry_points=False)) for command in one.commands()]
    taken = [command for command in commands if command.name.split(" ")[0] in RESERVED]
    assert {"help", "new"} <= {command.name for command in taken}
    assert all(usage(command).startswith(f"/tempera {command.name}") for command in taken)


@pytest.mark.parametrize(
    ("command", "text", "read"),
    [
        ("/ask", "temperature:0.2 Why?", "/ask temperature:0.2 Why?"),
        ("/ask", "", "/ask"),
        ("/face", " count:4 ", "/face  count:4"),
        ("/tempera", "", "/help"),
        ("/tempera", "  ", "/help"),
        ("/tempera", "help ask", "/help ask"),
        ("/tempera", " ask Why?", "/ask Why?"),
        ("/tempera", "/ask Why?", "/ask Why?"),
        ("/tempera", "defaults set ask.temperature value:0.3", "/defaults set ask.temperature value:0.3"),
        ("/tempera-beta", "new", "/new"),
    ],
)
def test_a_slash_command_becomes_a_command_of_the_core(command: str, text: str, read: str) -> None:
    assert read_slash_command(command, text) == read


def test_usage_is_what_people_type_on_slack() -> None:
    found = {one.name: usage(one) for two in plugin.load(PluginsSection(entry_points=False)) for one in two.commands()}
    assert found["ask"] == "/ask [file:…] [temperature:…] [max_tokens:…] [seed:…] [min_p:…] [fresh:…] prompt"
    assert found["help"] == "/tempera help [command]"
    assert found["plugins list"] == "/tempera plugins list"


KNOWN = ("ask", "new", "help", "defaults show", "defaults set", "face")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("`/help ask` shows the options of a command.", "`/tempera help ask` shows the options of a command."),
        ("- `/defaults set` – Choose", "- `/tempera defaults set` – Choose"),
        ("**/new** (/help), “/help”: /help.", "**/tempera new** (/tempera help), “/tempera help”: /tempera help."),
        ("`/ask temperature:0.2 Why?` or /face", "`/ask temperature:0.2 Why?` or /face"),
        ("/tempera help and /unknown", "/tempera help and /unknown"),
        ("and/new https://b.org/help /help/me ~/new ./new /new-er /help.html", None),
    ],
)
def test_commands_are_named_as_people_type_them(written: str, read: str | None) -> None:
    once = adapt_text(written, KNOWN)
    assert once == (read or written)
    assert adapt_text(once, KNOWN) == once


def test_text_of_a_model_is_not_changed() -> None:
    again = (Button("Again", action="again", id="t:again:1"),)
    for wrote in (
        Reply(text="Type /help", final=True, card={"model": "m"}),
        Reply(text="Type /help", final=True, buttons=again),
        Reply(text="Type /help"),
    ):
        assert adapt_reply(wrote, KNOWN) == wrote
    said = Reply(text="Type /help\n\n/plugins is for moderators.", error=True, final=True, buttons=again)
    assert adapt_reply(said, KNOWN).text == "Type /help\n\n/tempera plugins is for moderators."
    assert adapt_reply(Reply(text="Type /help", final=True), KNOWN).text == "Type /tempera help"


@pytest.mark.parametrize(
    ("said", "read"),
    [("/tempera help ask", "/help ask"), ("/tempera", "/help"), ("/new", "/new"), ("/temperature", "/temperature")],
)
def test_a_message_may_begin_with_tempera(said: str, read: str) -> None:
    assert read_message(said) == read


@pytest.mark.parametrize(
    ("command", "text", "sentence"),
    [
        ("/tempera", "hlep", "There is no command /tempera hlep. Did you mean /tempera help?"),
        ("/tempera", "xyz", "There is no command /tempera xyz. /tempera help lists what there is."),
        ("/tempera", "new friends", "/tempera new takes no text; “friends” is too much."),
        ("/explain", "a fox", "There is no command /explain."),
    ],
)
async def test_an_unknown_command_is_refused_with_slacks_names(
    bot: Bot, command: str, text: str, sentence: str
) -> None:
    request = Request(user=User("U1", "Ann"), place=Place("slack", "C1", "T1"), text=read_slash_command(command, text))
    decision = bot.prepare(request)
    assert isinstance(decision, Refuse)
    (reply,) = [reply async for reply in decision.start()]
    assert adapt_reply(reply, [one.name for one in bot.registry.commands]).text.startswith(sentence)

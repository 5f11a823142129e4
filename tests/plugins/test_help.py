from collections.abc import Callable

import pytest
from fakes.core.requests import ANN, MODERATOR, ask, last, speaking
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.core.i18n import translate
from bot.platforms.capabilities import PLATFORMS
from bot.safety.sentences import SENTENCES


async def test_help_lists_the_commands_that_the_asker_may_use(bot: Bot) -> None:
    decision = bot.prepare(ask("/help"))
    assert decision.private
    text = [reply async for reply in decision.start()][-1].text
    listed = [line.split("`")[1] for line in text.splitlines() if line.startswith("- ")]
    assert listed == [
        *("/ask", "/new", "/explain", "/imagine", "/face", "/duel", "/dial", "/odds", "/compare", "/inspect"),
        *("/defaults show", "/defaults set", "/defaults reset", "/help", "/why", "/status"),
        *("/privacy export", "/privacy delete"),
    ]
    moderators = (await last(bot, ask("/help", MODERATOR))).text
    assert "- `/plugins disable` – Switch a plugin off in this server." in moderators


async def test_one_command_is_shown_in_full(bot: Bot) -> None:
    assert (await last(bot, ask("/help face"))).text == (
        "**/face** – Draw faces of people who do not exist, or of emoji that a detective judges.\n"
        "`/face [seed:…] [count:…] [truncation:…] [style:…] [show:…] [from:…] [to:…] [broken:…]`\n"
        "- `seed` – The same seed gives the same face again; without one, the best of several is shown; "
        "a whole number from 0 to 2147483647\n"
        "- `count` – How many faces, 1 to 16; a whole number from 1 to 16 (default: 1)\n"
        "- `truncation` – 1 gives the full variety, less gives more ordinary faces; "
        "a number from 0.1 to 1 (default: 0.5)\n"
        "- `style` – portrait draws people, emoji has a detective that says how real each face looks; "
        "one of portrait, emoji\n"
        "- `show` – timeline shows how forger and detective learned, blend the way from one face to another; "
        "one of faces, timeline, blend\n"
        "- `from` – The seed of the first face of a blend; a whole number from 0 to 2147483647\n"
        "- `to` – The seed of the last face of a blend; a whole number from 0 to 2147483647\n"
        "- `broken` – Show the training in which forger and detective fell out of balance; yes or no (default: no)"
    )


async def test_what_is_switched_off_is_there_all_the_same(bot: Bot) -> None:
    await last(bot, ask("/config set face.enabled no", MODERATOR))
    assert (await last(bot, ask("/help face"))).text == "/face is switched off here."


@pytest.mark.parametrize("line", ["/help ask", "/help /ask", "/help command:ASK"])
async def test_a_name_may_have_a_slash_and_capitals(bot: Bot, line: str) -> None:
    assert (await last(bot, ask(line))).text.startswith("**/ask** – Ask the language model a question.\n")


async def test_a_name_with_subcommands_shows_all_of_them(bot: Bot) -> None:
    text = (await last(bot, ask("/help plugins", MODERATOR))).text
    assert [line for line in text.splitlines() if line.startswith("`")] == [
        "`/plugins list`",
        "`/plugins enable [channel:…] [server:…] name`",
        "`/plugins disable [channel:…] [server:…] name`",
        "`/plugins reload name`",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/help aks", "There is no command /aks. Did you mean /ask?"),
        ("/help xyzzy", "There is no command /xyzzy. /help lists what there is."),
        ("/help plugins list", "There is no command /plugins list. /help lists what there is."),
    ],
)
async def test_unknown_and_forbidden_commands_are_refused(bot: Bot, line: str, sentence: str) -> None:
    reply = await last(bot, ask(line, ANN))
    assert (reply.text, reply.error) == (sentence, True)


@pytest.mark.parametrize("code", ["de", "es"])
async def test_help_speaks_the_askers_language(bot: Bot, code: str) -> None:
    everything = (await last(bot, ask("/help", speaking(code)))).text
    for command in bot.admission.commands_for(ANN, ask("x").place):
        assert f"- `/{command.name}` – {translate(command.description, code)}\n" in everything
        one = (await last(bot, ask(f"/help {command.name}", speaking(code)))).text
        for option in command.options:
            title = translate(option.name.replace("_", " "), code)
            is_same = title.casefold() == option.name.replace("_", " ")
            name = f"`{option.name}`" if is_same else f"`{option.name}` ({title})"
            assert f"- {name} – {translate(option.description, code)}; " in one
    assert translate("`/help ask` shows the options of a command.", code) in everything
    # What is typed stays English beside what is shown.
    face = (await last(bot, ask("/help face", speaking("de")))).text
    assert "- `truncation` (Abschneiden) – " in face
    assert "eine Zahl von 0,1 bis 1 (Standard: 0,5)" in face
    german = (await last(bot, ask("/help explain", speaking("de")))).text
    assert "`/explain [style:…] question`" in german
    assert "eines von quote (Zitat), simple (einfach) (Standard: quote)" in german


@pytest.mark.parametrize(
    "line",
    [
        *("/help ask", "/why ask", "/explain what is temperature", "/defaults set ask.temperature value:0.3"),
        "/defaults reset ask.temperature",
    ],
)
async def test_what_people_have_written_is_said_in_a_classroom_without_a_model_server(
    bot_with: Callable[..., Bot], models: FakeModels, line: str
) -> None:
    models.scores = None
    async with bot_with(settings={"safety.level": "classroom"}, platforms=PLATFORMS) as bot:
        if "reset" in line:
            await last(bot, ask("/defaults set ask.temperature value:0.3"))
        told = await last(bot, ask(line))
        assert not told.error
        assert (await last(bot, ask("/ask what is temperature"))).text == SENTENCES["unchecked"].text

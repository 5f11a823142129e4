from pathlib import Path

import pytest
from fakes.asking import ANN, ask, last, press, replies, speaking
from fakes.crooked import crooked, plainly
from fakes.models import FakeModels

from bot import plugin
from bot.app import Bot
from bot.config import PluginsSection
from bot.database import Database
from bot.model_client import ModelClient
from bot.option import number

ANSWER = "Paris is the capital of France."


async def test_the_answer_grows_and_its_card_tells_how_it_was_made(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    seen = []
    async for reply in bot.dispatch(ask("/ask temperature:1.5 seed:7 max_tokens:9 Where?")).replies:
        seen.append(reply)
        models.gate.set()
    assert "Thinking …" in [reply.status for reply in seen]
    assert [reply.text for reply in seen] == sorted([reply.text for reply in seen], key=len)
    assert (seen[-1].text, seen[-1].status) == (ANSWER, "")
    assert dict(seen[-1].card) == {
        "model": "fake-chat",
        "temperature": "1.5",
        "seed": "7",
        "tokens": "6",
        "seconds": "0.5",
    }
    body = models.requests[0]
    assert (body["temperature"], body["seed"], body["max_tokens"], body["user"]) == (1.5, 7, 9, "ann")
    assert [turn["role"] for turn in body["messages"]] == ["system", "user"]


async def test_without_a_seed_one_is_drawn_and_shown(bot: Bot, models: FakeModels) -> None:
    first, second = await last(bot, ask("/ask hi")), await last(bot, ask("/ask hi"))
    assert first.card["seed"] != second.card["seed"]
    assert [str(body["seed"]) for body in models.requests] == [first.card["seed"], second.card["seed"]]


async def test_the_conversation_goes_on_until_new(bot: Bot, models: FakeModels) -> None:
    await last(bot, ask("one"))
    await last(bot, ask("two"))
    assert [turn["content"] for turn in models.requests[-1]["messages"]][1:] == ["one", ANSWER, "two"]
    assert (await last(bot, ask("/new"))).text == "A fresh start. I no longer read what was said here before."
    await last(bot, ask("three"))
    assert [turn["content"] for turn in models.requests[-1]["messages"]][1:] == ["three"]


async def test_the_place_in_the_queue_is_shown(bot: Bot, models: FakeModels) -> None:
    models.place = 4
    models.gate.clear()
    statuses = []
    async for reply in bot.dispatch(ask("hi", speaking("es"))).replies:
        statuses.append(reply.status)
        if "4" in reply.status:
            models.gate.set()
    assert "Puesto 4 en la cola …" in statuses


async def test_stop_reaches_the_model_server(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    seen = []
    async for reply in bot.dispatch(ask("hi")).replies:
        seen.append(reply)
        if reply.text and not reply.final:
            await replies(bot, press("stop", reply.row))
    assert (seen[-1].text, seen[-1].status) == ("Paris", "Stopped.")
    await models.until(dropped=1, running=0)


@pytest.mark.parametrize(
    ("locale", "key", "value"),
    [("en", "left out", "4 older turns"), ("de", "ausgelassen", "4 ältere Beiträge")],
)
async def test_what_was_cut_short_says_so(tmp_path: Path, locale: str, key: str, value: str) -> None:
    stream = (
        b'data: {"choices": [{"delta": {"content": "Once"}, "finish_reason": "length"}], '
        b'"tempera": {"dropped_turns": 4}}\n\ndata: [DONE]\n\n'
    )
    plugins = plugin.load(PluginsSection(enabled=("ask",), entry_points=False))
    async with (
        crooked(plainly(stream)) as url,
        Bot(ModelClient(url), plugins, Database(f"sqlite:///{tmp_path}/tempera.db")) as bot,
    ):
        reply = await last(bot, ask("hi", speaking(locale)))
    assert reply.text == "Once …"
    assert reply.card[key] == value


@pytest.mark.parametrize(
    ("line", "locale", "sentence"),
    [
        ("/ask temperature:hot hi", "en", "temperature must be a number from 0 to 2; you gave “hot”."),
        ("/ask temperature:hot hi", "de", "temperature muss eine Zahl von 0 bis 2 sein; du hast „hot“ eingegeben."),
        ("/ask temperature:hot hi", "es", "temperature debe ser un número de 0 a 2; has escrito «hot»."),
        (
            "/ask seed:-1 hi",
            "de",
            "seed muss eine ganze Zahl von 0 bis 2147483647 sein; du hast „-1“ eingegeben.",
        ),
        ("/ask temprature:1 hi", "de", "/ask hat keine Option „temprature“. Meintest du „temperature“?"),
        (
            f"/ask {'x' * 8001}",
            "es",
            "prompt debe ser un texto de 1 a 8000 caracteres; has escrito 8001 caracteres.",
        ),
        (
            "/face foo:1",
            "de",
            "/face hat keine Option „foo“; es gibt seed, count, truncation.",
        ),
    ],
)
async def test_what_is_wrong_is_said_in_the_askers_language(
    bot: Bot, models: FakeModels, line: str, locale: str, sentence: str
) -> None:
    reply = await last(bot, ask(line, speaking(locale)))
    assert (reply.text, reply.error, reply.private) == (sentence, True, True)
    assert models.requests == []


@pytest.mark.parametrize(
    ("locale", "start"),
    [
        ("en", "/ask needs “prompt”: a text from 1 to 8000 characters. Like this: "),
        ("de", "Bei /ask fehlt „prompt“: ein Text von 1 bis 8000 Zeichen. So geht es: "),
        ("es", "A /ask le falta «prompt»: un texto de 1 a 8000 caracteres. Se escribe así: "),
    ],
)
async def test_what_is_missing(bot: Bot, locale: str, start: str) -> None:
    usage = "/ask [temperature:…] [max_tokens:…] [seed:…] prompt"
    assert (await last(bot, ask("/ask", speaking(locale)))).text == f"{start}{usage}"


async def test_a_refusal_of_the_model_server_is_shown_and_the_next_question_works(bot: Bot, models: FakeModels) -> None:
    models.failure = (503, "fake-chat is loading.")
    assert (await last(bot, ask("hi"))).text == "fake-chat is loading."
    models.failure = None
    assert (await last(bot, ask("hi"))).text == ANSWER


@pytest.mark.parametrize("temperature", [0, 0.7, 2])
async def test_the_temperature_is_written_as_people_write_it(bot: Bot, temperature: float) -> None:
    reply = await last(bot, ask(f"/ask temperature:{temperature} hi", ANN))
    assert reply.card["temperature"] == number(temperature)

from pathlib import Path

import pytest
from fakes.core.requests import ask, last, press, speaking
from fakes.model_server.model_api import FakeModels, look_at, png

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.storage.database import Database


async def test_one_face_and_a_grid(bot: Bot, models: FakeModels) -> None:
    one = await last(bot, ask("/face seed:7"))
    (picture,) = one.attachments
    assert (picture.filename, picture.media_type) == ("face-7.png", "image/png")
    assert look_at(picture.data) == look_at(png(7, 384, 384))
    assert dict(one.card) == {"model": "fake-faces", "seed": "7", "count": "1", "truncation": "0.6", "seconds": "0.10"}
    await last(bot, ask("/face count:16 truncation:0,5 seed:7"))
    body = models.requests[1]
    assert (body["n"], body["size"], body["truncation"], body["layout"]) == (16, "192x192", 0.5, "grid")
    assert body["user"] == "ann"


async def test_the_same_seed_draws_the_same_face_and_again_another(bot: Bot) -> None:
    first, same = await last(bot, ask("/face seed:7")), await last(bot, ask("/face seed:7"))
    assert look_at(first.attachments[0].data) == look_at(same.attachments[0].data)
    other = await last(bot, press("again", first.row))
    assert other.card["seed"] != "7"
    assert look_at(other.attachments[0].data) != look_at(first.attachments[0].data)


async def test_a_picture_is_described_in_the_askers_language(bot: Bot) -> None:
    (english,) = (await last(bot, ask("/face seed:7 count:3"))).attachments
    assert english.alt == "3 computer-made faces, seed 7: people who do not exist."
    (german,) = (await last(bot, ask("/face seed:7 count:3", speaking("de")))).attachments
    assert german.alt == "3 vom Computer gezeichnete Gesichter, Seed 7: Menschen, die es nicht gibt."
    alone = [(await last(bot, ask("/face seed:7", speaking(code)))).attachments[0].alt for code in ("en", "de", "es")]
    assert alone == [
        "A computer-made face, seed 7: a person who does not exist.",
        "Ein vom Computer gezeichnetes Gesicht, Seed 7: ein Mensch, den es nicht gibt.",
        "Una cara hecha por ordenador, semilla 7: una persona que no existe.",
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/face count:0", "count must be a whole number from 1 to 16; you gave “0”."),
        ("/face count:17", "count must be a whole number from 1 to 16; you gave “17”."),
        ("/face truncation:0", "truncation must be a number from 0.1 to 1; you gave “0”."),
        ("/face cuont:2", "/face has no option “cuont”. Did you mean “count”?"),
        ("/face a cat", "/face takes no text beside its options (seed, count, truncation); “a cat” is too much."),
    ],
)
async def test_wrong_options_are_refused(bot: Bot, models: FakeModels, line: str, sentence: str) -> None:
    assert (await last(bot, ask(line))).text == sentence
    assert models.requests == []


async def test_stop_drops_the_drawing(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    stream = bot.prepare(ask("/face")).start()
    async for reply in stream:
        if reply.status:
            break
    await models.until(running=1)
    await stream.aclose()
    await models.until(dropped=1, running=0)


async def test_pictures_are_spoilers_if_the_setting_says_so(models: FakeModels, tmp_path: Path) -> None:
    plugins = plugin.load(PluginsSection(entry_points=False))
    settings = {"answers.spoiler": True}
    async with Bot(ModelClient(models.url), plugins, Database(f"sqlite:///{tmp_path}/b.db"), settings=settings) as bot:
        reply = await last(bot, ask("/face seed:3 count:2"))
        assert [file.spoiler for file in reply.attachments] == [True]
        row = await bot.messages.get(reply.row)
        assert row is not None
        assert [file.spoiler for file in (await bot.snapshot(row, "en")).attachments] == [True]

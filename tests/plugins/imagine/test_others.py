"""/imagine with a model of a server by others, which knows words alone."""

import base64
from pathlib import Path

from fakes.core.requests import ask, last
from fakes.model_server.model_api import look_at, png
from fakes.model_server.other_server import OtherServer

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.inference.client import ModelClient
from bot.inference.upstreams.upstream import Address, Upstream
from bot.plugin_host import plugin
from bot.storage.database import Database


async def test_the_finished_picture_is_shown_with_what_is_true_of_it(tmp_path: Path) -> None:
    plugins = plugin.load(PluginsSection(enabled=("imagine",), entry_points=False))
    async with OtherServer(listed=[{"id": "flux"}]) as server:
        server.shapes["images/generations"] = {"data": [{"b64_json": base64.b64encode(png(3)).decode()}]}
        models = ModelClient.over([Upstream(Address(url=server.url, base=f"{server.url}/v1", name="attic"))])
        database = Database(f"sqlite:///{tmp_path}/b.db")
        async with Bot(models, plugins, database, settings={"answers.mark": False}) as bot:
            drawn = await last(bot, ask("/imagine seed:7 count:2 a cat"))
            sweep = await last(bot, ask("/imagine sweep:steps=1,2 a cat"))
    assert [look_at(file.data) for file in drawn.attachments] == [look_at(png(3))]
    assert drawn.attachments[0].alt == "A computer-made picture of “a cat”"
    assert drawn.status == "This model draws one picture, from the words alone; it does not know: count, seed."
    assert dict(drawn.card) | {"seconds": ""} == {
        "model": "flux@attic",
        "size": "16×16",
        "seconds": "",
        "without": "guidance, seed, steps",
    }
    assert [button.label for button in drawn.buttons if button.command] == []
    assert sweep.error
    assert sweep.text.startswith("“flux@attic” draws finished pictures from words alone")

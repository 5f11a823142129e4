"""The pairs of faces that the page of forger and detective asks for."""

from pathlib import Path
from typing import Any

from fakes.core.settings import WEB, put
from fakes.model_server.model_api import DUEL_MODEL, FakeModels
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.web_page import Visitor, visitor

from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform


async def pair(person: Visitor, query: str) -> tuple[int, dict[str, Any]]:
    async with person.session.get(f"{person.url}/duel/pair?{query}") as response:
        return response.status, await response.json()


async def test_a_pair_is_for_those_who_may_use_the_command(models: FakeModels, tmp_path: Path) -> None:
    models.listed[DUEL_MODEL] = "faces"
    async with (
        bot_with_plugins(models, tmp_path, ("duel",)) as bot,
        WebPlatform(bot, WebSection(port=0)).serve() as url,
        visitor(url) as ann,
    ):
        status, shown = await pair(ann, "seed=7&snapshot=3")
        assert (status, shown["real"]["verdict"], shown["forged"]["verdict"]) == (200, 0.2, 0.9)
        assert [(body["n"], body["seed"], body["snapshot"]) for body in models.requests] == [(2, 7, 3)]
        # A link on another website brings no strict cookie along, and a new one would take its place.
        assert list(ann.session.cookie_jar) == []
        for query in ("", "seed=7", "seed=-1&snapshot=0", "seed=x&snapshot=0", "seed=7&snapshot=9999"):
            status, refused = await pair(ann, query)
            assert (status, "open it anew" in refused["error"]) == (422, True), query
        await put(bot.settings, "duel.enabled", False, WEB)
        status, _ = await pair(ann, "seed=7&snapshot=3")
        assert (status, len(models.requests)) == (403, 1)

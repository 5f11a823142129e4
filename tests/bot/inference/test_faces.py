"""Faces with a detective, and rounds: what is asked for, and what is read of the answer."""

import base64
import io

import pytest
from aiohttp import web
from fakes.model_server.broken_api import crooked
from fakes.model_server.model_api import DUEL_MODEL, FakeModels, png
from PIL import Image, PngImagePlugin

from bot.core.errors import ModelUnavailable
from bot.core.model_events import FaceTraining, LossPoint
from bot.inference.client import ModelClient
from bot.provenance.metadata import SOFTWARE, Label, read_label

PATH = "/v1/images/generations"


async def test_verdicts_and_the_training_are_read(models: FakeModels) -> None:
    models.listed[DUEL_MODEL] = "faces"
    async with ModelClient(models.url) as client:
        plain = await client.faces(seed=7, model=DUEL_MODEL, count=2)
        assert (plain.verdicts, plain.training) == ((0.25, 0.75), None)
        shown = await client.faces(seed=7, model=DUEL_MODEL, layout="strip", broken=True, face_size=96)
        assert shown.training == FaceTraining((0, 160, 3200), (LossPoint(160, 0.5, 1.5), LossPoint(3200, 0.75, 1.25)))
        await client.faces(seed=7, model=DUEL_MODEL, count=8, blend=12, snapshot=2, captions=True)
    first, second, third = models.requests
    # A server that has no detective must not be asked for one.
    assert first.keys().isdisjoint({"captions", "snapshot", "run", "blend", "size"})
    assert (second["run"], second["layout"], second["size"]) == ("broken", "strip", "96x96")
    assert (third["blend"], third["snapshot"], third["captions"]) == (12, 2, True)


@pytest.mark.parametrize(
    "told",
    [{"verdicts": "many"}, {"verdicts": [0.5], "pictures": [0]}, {"pictures": [0], "losses": [[1, 2]]}],
    ids=str,
)
async def test_odd_answers_are_refused(told: dict[str, object]) -> None:
    picture = base64.b64encode(png(7)).decode()

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"b64_json": picture}], "tempera": told})

    async with crooked(answer, PATH) as url, ModelClient(url) as client:
        with pytest.raises(ModelUnavailable):
            await client.faces(seed=7)


async def test_a_sheet_has_a_truth_and_a_verdict_for_each_face() -> None:
    file, stamp = io.BytesIO(), PngImagePlugin.PngInfo()
    # As our model server writes them, which a label would take over.
    for name, value in {"Software": SOFTWARE, "seed": "number 7"}.items():
        stamp.add_text(name, value)
    Image.open(io.BytesIO(png(7))).save(file, "PNG", pnginfo=stamp)
    picture = base64.b64encode(file.getvalue()).decode()
    bodies = []
    told = {"seed": 7, "real": [True, False], "verdicts": [0.9, 0.25]}

    async def answer(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.json_response({"data": [{"b64_json": picture}], "tempera": told})

    async with crooked(answer, PATH) as url, ModelClient(url) as client:
        sheet = await client.duel(seed=7, count=2)
        assert (sheet.real, sheet.verdicts, sheet.model, sheet.seed) == ((True, False), (0.9, 0.25), DUEL_MODEL, 7)
        # From the seed, anybody could learn the truth.
        assert read_label(sheet.png) == Label({"model": DUEL_MODEL})
        assert b"number 7" in file.getvalue()
        assert b"number 7" not in sheet.png
        assert (bodies[0]["layout"], bodies[0]["n"], bodies[0]["model"]) == ("duel", 2, DUEL_MODEL)
        told["real"] = [True]
        with pytest.raises(ModelUnavailable):
            await client.duel(seed=7)

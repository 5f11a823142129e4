"""/imagine with the real model server and the fake image engine: both sides speak the same wire format."""

import io
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from fakes.core.requests import ask, last, pressed, replies
from fakes.model_server.gateway import eventually, is_ready, serving
from PIL import Image

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.messages import Attachment
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.provenance.manifest import read_manifest
from bot.provenance.metadata import read_label
from bot.storage.database import Database

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bot]:
    folder = tmp_path_factory.mktemp("served")
    plugins = plugin.load(PluginsSection(enabled=("imagine",), entry_points=False))
    async with serving(folder, models=("sketcher",)) as url:
        await eventually(lambda: is_ready(url))
        database = Database(f"sqlite:///{folder}/b.db")
        async with Bot(ModelClient(url), plugins, database, settings={"answers.mark": False}) as bot:
            yield bot


def open_picture(file: Attachment) -> Any:
    return Image.open(io.BytesIO(file.data))


def pixels(picture: Image.Image) -> bytes:
    return picture.convert("RGB").tobytes()


def signed_facts(bot: Bot, file: Attachment) -> Mapping[str, str]:
    """Return the settings in the manifest of a picture, which this bot has signed; the words are nowhere in it."""
    manifest = read_manifest(file.data, file.media_type, bot.stamper.trust)
    assert manifest is not None
    assert (manifest.is_own, manifest.is_ai, manifest.facts["model"]) == (True, True, "sketcher")
    assert b"apple" not in file.data
    return manifest.facts


async def test_a_grid_and_one_picture_of_it(served: Bot) -> None:
    seen = await replies(served, ask("/imagine seed:7 an apple"))
    grid = seen[-1]
    assert not grid.error, grid.text
    assert dict(grid.card) | {"seconds": ""} == {
        "model": "sketcher",
        "seed": "7",
        "steps": "6",
        "guidance": "3",
        "size": "64×64",
        "seconds": "",
        "looked at": "3 drawings of “apple”",
    }
    (file,) = grid.attachments
    whole = open_picture(file)
    assert whole.size == (1028, 1028)
    assert {"seed": "7", "count": "4", "Software": "Tempera"}.items() <= whole.text.items()
    assert signed_facts(served, file)["count"] == "4"
    two = await pressed(served, grid, "2")
    assert open_picture(two.attachments[0]).size == (512, 512)
    tile = whole.convert("RGB").crop((516, 0, 1028, 512))
    alone = open_picture(two.attachments[0])
    assert max(abs(a - b) for a, b in zip(pixels(alone), pixels(tile), strict=True)) < 64


async def test_previews_come_before_the_picture(served: Bot) -> None:
    seen = await replies(served, ask("/imagine seed:7 steps:100 count:1 an apple"))
    assert "Drawing …" in [reply.status for reply in seen]
    shown = [reply for reply in seen if reply.attachments and not reply.final]
    assert shown
    for reply in shown:
        assert open_picture(reply.attachments[0]).size == (256, 256)
        assert re.fullmatch(r"A first glimpse after step \d+ of 100", reply.attachments[0].alt)
        assert reply.status.startswith("Step ")


async def test_a_variation_and_its_story(served: Bot) -> None:
    grid = await last(served, ask("/imagine seed:7 steps:10 an apple"))
    varied = await pressed(served, grid, "V3")
    assert (varied.error, varied.card["strength"]) == (False, "0.6")
    assert (grid.card["steps"], varied.card["steps"]) == ("10", "6 of 10")
    how = await pressed(served, varied, "How 1 was made")
    assert how.card["steps"] == "6 of 10"
    assert "3. **The steps.** 6 times" in how.text
    strip_file, _, _, film_file = how.attachments
    assert [signed_facts(served, file)["layout"] for file in (strip_file, film_file)] == ["strip", "animation"]
    strip, film = map(open_picture, (strip_file, film_file))
    assert (strip.width, 128 < strip.height < 192, film.format, film.n_frames) == (7 * 132 - 4, True, "GIF", 7)
    page = await pressed(served, how, "Step by step ▶")
    for _ in range(2):
        page = await pressed(served, page, "▶▶")
        assert not page.error, page.text
    assert page.text == "After the last of 6 steps: the picture, without noise."
    again = await pressed(served, varied, "1")
    one = open_picture(again.attachments[0]).resize((384, 384))
    last_page = open_picture(page.attachments[0])
    assert max(abs(a - b) for a, b in zip(pixels(one), pixels(last_page), strict=True)) < 64


async def test_the_story_quotes_the_tokens_that_were_read(served: Bot) -> None:
    one = await last(served, ask("/imagine seed:7 count:1 a red apple on a blue plate in the snow"))
    assert one.status.endswith("the end of the prompt: `the` `snow`.")
    how = await pressed(served, one, "How it was made")
    assert "`[CLS]` `a` `red` `apple` `on` `a` `blue` `plate` `in` `[SEP]`. The first and the last are only" in how.text
    page = await pressed(served, how, "Step by step ▶")
    assert page.text == "Before step 1 of 6: only noise, made from the seed 7."


async def test_words_that_the_text_encoder_does_not_know_are_named(served: Bot) -> None:
    reply = await last(served, ask("/imagine seed:7 count:1 🍎"))
    assert reply.status == "The text encoder has no tokens for these words and reads all such words alike: `🍎`."
    assert reply.status in (await pressed(served, reply, "How it was made")).text


async def test_the_drawings_that_the_model_looked_at(served: Bot) -> None:
    one = await last(served, ask("/imagine seed:7 count:1 references:2 an apple"))
    assert one.card["looked at"] == "2 drawings of “apple”"
    assert signed_facts(served, one.attachments[0])["references"] == "2"
    how = await pressed(served, one, "How it was made")
    assert "as you may look at a drawing while you draw: 2 drawings of “apple”." in how.text
    assert "its picture: “apple” by Painter 1 (Set 1, CC BY-SA 4.0). The distance between the two is 0.21." in how.text
    strip, looked_at, nearest, film = how.attachments
    names = ["steps-7.png", "looked-at-7.png", "nearest-7.png", "film-7.gif"]
    assert [file.filename for file in how.attachments] == names
    assert looked_at.alt == (
        "The drawings that the model looked at: “apple” by Painter 1 (Set 1, CC BY-SA 4.0); "
        "“apple” by Painter 2 (Set 2, CC BY-SA 4.0)"
    )
    # The work of people is not said to be made by AI; the picture beside it is.
    assert read_label(looked_at.data) is None
    assert signed_facts(served, nearest)["seed"] == "7"
    shown = open_picture(nearest).convert("RGB").crop((240, 16, 448, 224))
    drawn = open_picture(strip).convert("RGB")
    last_frame = drawn.crop((drawn.width - 128, 0, drawn.width, 128)).resize((208, 208), Image.Resampling.LANCZOS)
    assert pixels(shown) == pixels(last_frame)
    assert open_picture(film).format == "GIF"


async def test_a_picture_from_memory_alone_stays_one_below_its_buttons(served: Bot) -> None:
    four = await last(served, ask("/imagine seed:7 references:0 an apple"))
    one = await pressed(served, four, "2")
    edited = await pressed(served, one, "Edit", prompt="a red apple")
    variations = await pressed(served, one, "Variations")
    varied = await pressed(served, variations, "1")
    for reply in (four, one, edited, variations, varied, await pressed(served, varied, "Again")):
        assert (reply.error, reply.card["looked at"]) == (False, "no drawings"), reply.text
    how = await pressed(served, one, "How it was made")
    assert "The network looked at no drawing. It drew from memory" in how.text
    assert [file.filename for file in how.attachments] == ["steps-8.png", "nearest-8.png", "film-8.gif"]


@pytest.mark.parametrize(
    ("knob", "values", "changing"),
    [
        ("guidance", ["1", "2.5", "3"], "guidance"),
        ("steps", ["1", "5", "10"], "number of steps"),
        ("references", ["0", "1", "3"], "number of drawings to look at"),
    ],
)
async def test_a_sweep(served: Bot, knob: str, values: list[str], changing: str) -> None:
    first, *others = values
    reply = await last(served, ask(f'/imagine seed:7 sweep:"{knob.title()} = {first}; {" ".join(others)}" an apple'))
    assert reply.text == f"The same words and the same seed each time; only the {changing} changes."
    whole = open_picture(reply.attachments[0])
    assert (whole.width, whole.height > 256) == (3 * 260 - 4, True)
    assert signed_facts(served, reply.attachments[0])[knob] == reply.card[knob] == ", ".join(values)
    one = await pressed(served, reply, f"{knob} {values[1]}")
    assert one.card["looked at" if knob == "references" else knob].startswith(values[1])

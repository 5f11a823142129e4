"""The drawings by people that a model looked at: on the card, in the story, and on sheets."""

import base64
import io
from typing import Any

import pytest
from fakes.core.requests import ROOM, ask, last, pressed, speaking
from fakes.model_server.model_api import FakeModels, png
from PIL import Image

from bot.app import Bot
from bot.core.messages import Action, Request
from plugins.imagine.recipe import Recipe
from plugins.imagine.sheet import EDGE, GAP, Cell, compose_sheet, cut_last_frame


def told(thing: str, number: int, **more: Any) -> dict[str, Any]:
    picture = base64.b64encode(png(number, 128, 128)).decode()
    credit = {"set": "OpenMoji", "author": f"Jäger {number}", "licence": "CC BY-SA 4.0"}
    return {"thing": thing, "picture": picture, **credit, **more}


LOOKED = {
    "looked_at": [told("cat", 1), told("cat", 2), told("hat", 3)],
    "nearest": told("cat", 2, distance=0.1234),
}


async def test_the_card_names_the_drawings(bot: Bot, models: FakeModels) -> None:
    assert "looked at" not in (await last(bot, ask("/imagine a cat with a hat"))).card
    models.told = LOOKED
    assert (await last(bot, ask("/imagine a cat with a hat"))).card["looked at"] == (
        "2 drawings of “cat”, 1 drawing of “hat”"
    )
    german = await last(bot, ask("/imagine a cat with a hat", speaking("de")))
    assert german.card["angesehen"] == "2 Zeichnungen von „cat“, 1 Zeichnung von „hat“"
    models.told = LOOKED | {"looked_at": []}
    assert (await last(bot, ask("/imagine a cat with a hat"))).card["looked at"] == "no drawings"


async def test_the_story_asks_whether_it_is_a_copy(bot: Bot, models: FakeModels) -> None:
    models.told = LOOKED | {"parts": ["a cat", "a hat"]}
    how = await pressed(bot, await last(bot, ask("/imagine count:1 a cat with a hat")), "How it was made")
    drawings, parts, copied = how.text.splitlines()[-3:]
    assert "2 drawings of “cat”, 1 drawing of “hat”. Below each stand its set" in drawings
    assert parts.startswith("6. **The parts.**")
    assert copied.startswith("7. **Is this a copy?**")
    assert "“cat” by Jäger 2 (OpenMoji, CC BY-SA 4.0). The distance between the two is 0.12." in copied
    reply = await last(bot, ask("/imagine count:1 a cat with a hat"))
    [button] = (button for button in reply.buttons if button.label == "How it was made")
    german = await last(bot, Request(user=speaking("de"), place=ROOM, action=Action(button.id)))
    assert "Der Abstand zwischen den beiden ist 0,12." in german.text
    nearest = how.attachments[2]
    assert nearest.alt == (
        "The known drawing that is most like this picture, “cat” by Jäger 2 (OpenMoji, CC BY-SA 4.0), and beside it "
        "this picture, at a distance of 0.12"
    )


def test_a_recipe_of_before_models_looked_at_drawings_leaves_it_to_the_model() -> None:
    before = '{"model": "m", "prompt": "a cat", "seed": 7, "steps": 4, "guidance": 3.0, "source": null}'
    assert Recipe.from_json(before).to_request().references is None


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 2, 2), (8, 3, 3)])
def test_a_sheet_is_nearly_square_and_has_text_below_each_picture(count: int, columns: int, rows: int) -> None:
    def sheet(*texts: str) -> Image.Image:
        return Image.open(io.BytesIO(compose_sheet([Cell(png(7, 64, 64), texts)] * count)))

    whole, blank = sheet("cat", "Jäger"), sheet("", "")
    assert whole.width == columns * (EDGE + GAP) + GAP
    assert whole.height > rows * (EDGE + GAP)
    assert whole.size == blank.size
    below = (GAP, GAP + EDGE, GAP + EDGE, whole.height // rows)
    assert whole.crop(below).tobytes() != blank.crop(below).tobytes()
    assert sheet("Jäger").tobytes() == sheet("Jaeger").tobytes()
    assert sheet("long " * 20).height == sheet("long " * 400).height > sheet("x" * 4000).height


def test_a_sheet_with_a_huge_or_broken_picture_is_refused() -> None:
    for picture in (png(7, 2048, 2048), png(7)[:30]):
        with pytest.raises((ValueError, OSError)):
            compose_sheet([Cell(picture, ("cat",))])


def test_the_last_frame_of_a_strip_has_the_proportions_of_its_picture() -> None:
    strip = Image.new("RGB", (4 * 68 - 4, 48))
    strip.paste((255, 0, 0), (204, 0, 268, 32))
    file = io.BytesIO()
    strip.save(file, "PNG")
    frame = Image.open(io.BytesIO(cut_last_frame(file.getvalue(), 32, 16, 64)))
    assert (frame.size, frame.getcolors()) == ((64, 32), [(64 * 32, (255, 0, 0))])

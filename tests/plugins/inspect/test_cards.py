"""What is said of pictures: made here or not, whole or changed, signed by this bot, by somebody else or not."""

import io
import struct
import zlib
from dataclasses import replace

import pytest
from fakes.core.pictures import an_identity, make_image, make_picture
from fakes.core.requests import ANN, BEN, ROOM, ask, last, press, speaking
from fakes.model_server import model_api
from fakes.model_server.model_api import FakeModels
from PIL import Image

from bot.app import Bot
from bot.core.messages import PRIVATE_THREAD, Attachment, Place, RemoteFile, Request, User
from bot.provenance.manifest import sign
from bot.provenance.metadata import PNG, write_label
from model_server.images import encode

ELSEWHERE = Place("test", "yard", server="other school")
UNCHANGED, LOOKS = (
    "**Made by this bot, unchanged.**",
    "**Looks like a picture of this bot, but was changed or saved anew.**",
)
OWN_KEY = "by this bot's own key, which nobody else vouches for"


@pytest.fixture
def models(models: FakeModels, monkeypatch: pytest.MonkeyPatch) -> FakeModels:
    """Models whose pictures look different."""
    monkeypatch.setattr(model_api, "png", lambda seed, *_size: encode(make_image(64, seed % 360), {}))
    return models


def converted(data: bytes, kind: str = "PNG") -> bytes:
    """The picture, saved anew without any metadata."""
    saved = io.BytesIO()
    with Image.open(io.BytesIO(data)) as picture:
        picture.convert("RGB").save(saved, kind)
    return saved.getvalue()


def noise() -> bytes:
    saved = io.BytesIO()
    Image.effect_noise((64, 64), 99).save(saved, "PNG")
    return saved.getvalue()


def lengthened(data: bytes) -> bytes:
    """The picture with a comment that was added later: its pixels stay, but its bytes are others."""
    end = data.rindex(b"IEND") - 4
    comment = b"tEXta\0b"
    return data[:end] + struct.pack(">I", 3) + comment + struct.pack(">I", zlib.crc32(comment)) + data[end:]


async def inspected(bot: Bot, data: bytes, user: User = BEN, place: Place = ELSEWHERE) -> str:
    file = Attachment("a.png", data, PNG)
    return (await last(bot, Request(user=user, place=place, command="inspect", options={"file": file}))).text


async def test_a_picture_of_this_bot_tells_others_nothing_of_who_asked_and_for_what(bot: Bot) -> None:
    drawn = await last(bot, ask("/imagine seed:7 steps:4 count:1 a secret cat"))
    data = drawn.attachments[0].data
    text = await inspected(bot, data)
    lines = text.splitlines()
    assert lines[0] == UNCHANGED
    assert {"- model: fake-images", "- seed: 7", "- steps: 4"} <= set(lines)
    assert any(line.startswith("- made 20") for line in lines)
    assert "- **Hash**: This file is stored here, byte for byte." in lines
    assert OWN_KEY in text
    assert not any(word in text for word in ("cat", "Ann", "prompt", "count"))
    # In a private thread of the same channel it is told there alone; the asker is told everywhere.
    for user, place in ((ANN, ELSEWHERE), (BEN, ROOM)):
        assert "- `prompt`: a secret cat" in await inspected(bot, data, user, place)
    hidden = {"place": replace(ROOM, thread="7"), "resume": {PRIVATE_THREAD: True}}
    other = (await last(bot, ask("/imagine seed:70 count:1 a second secret", **hidden))).attachments[0].data
    assert "second" not in await inspected(bot, other, BEN, ROOM)
    assert "second" in await inspected(bot, other, BEN, replace(ROOM, thread="7"))


async def test_a_changed_picture_is_said_to_be_changed(bot: Bot) -> None:
    drawn = await last(bot, ask("/face seed:30"))
    data = drawn.attachments[0].data
    saved_anew = (await inspected(bot, converted(data, "JPEG"))).splitlines()
    assert saved_anew[0] == LOOKS
    assert "- seed: 30" in saved_anew
    assert "- **Manifest**: None. It is lost when a picture is saved anew, and a screenshot has none." in saved_anew
    assert "- **Metadata**: They name no AI model, which proves nothing." in saved_anew
    edited = await inspected(bot, lengthened(data))
    assert edited.startswith(LOOKS)
    assert "**Manifest**: Broken: file or manifest was changed after it was signed, so it proves nothing." in edited


async def test_a_picture_whose_answer_was_deleted_is_known_by_its_manifest_alone(bot: Bot) -> None:
    drawn = await last(bot, ask("/face seed:30"))
    data = drawn.attachments[0].data
    await last(bot, press("delete", drawn.row))
    whole = await inspected(bot, data)
    assert whole.startswith(f"{UNCHANGED}\n- model: fake-faces\n- seed: 30\n")
    assert "No picture that is stored here looks like it." in whole
    assert (await inspected(bot, lengthened(data))).startswith("**Its manifest is broken: something was changed")
    labelled = await inspected(bot, write_label(data, {}))
    assert labelled.startswith(
        "**Made by an AI model, say its metadata.**\n- program: `Tempera`\n- model: `fake-faces`"
    )
    assert (await inspected(bot, converted(data))).startswith("**Nothing found. That proves nothing:")


async def test_a_manifest_of_somebody_else_is_quoted_and_vouched_for_by_nobody(bot: Bot) -> None:
    evil = {"model": "`x` [click](https://a.example) " + "y" * 100}
    text = await inspected(bot, sign(noise(), PNG, evil, an_identity(1)))
    assert text.startswith("**Made by an AI model, says a valid manifest of somebody else.**\n- program: `Tempera")
    assert "- model: `x [click](https://a.example) yyyy" in text
    assert "y" * 60 not in text
    assert "in the name of `Tempera, Tempera bot`, for whom nobody here vouches." in text


async def test_several_pictures_of_a_message_are_examined_up_to_a_handful(bot: Bot) -> None:
    async def fetch() -> Attachment:
        return Attachment("a.png", make_picture())

    files = (RemoteFile("a.txt", "text/plain", fetch), *[RemoteFile("a.png", "", fetch)] * 5)
    about = {"command": "inspect", "reply_to": "9", "message_files": files}
    text = (await last(bot, Request(user=speaking("de"), place=ROOM, **about))).text
    assert text.count("**Nichts gefunden. Das beweist nichts:") == 4
    assert "### Bild 4 von 5\n" in text
    assert text.endswith("Ich untersuche bis zu 4 Bilder einer Nachricht.")
    refused = await last(bot, Request(user=BEN, place=ROOM, **about | {"message_files": files[:1]}))
    assert refused.text == "That message has no picture that I can examine: PNG, JPEG, WebP or GIF."
    # What was typed in a message with a picture is about that picture, not about the last answer.
    await last(bot, ask("/face seed:90"))
    typed = await last(bot, ask("/inspect", message="10", message_files=files[1:2]))
    assert typed.text.startswith("**Nothing found.")


async def test_an_answer_with_a_picture_is_examined_and_shown_with_its_options(bot: Bot) -> None:
    await last(bot, ask("/face seed:30"))
    text = (await last(bot, ask("/inspect", BEN))).text
    assert text.startswith(f"{UNCHANGED}\n**/face** – asked by Ann, 20")
    assert "- `seed`: 30 – The same seed gives the same face again;" in text
    assert OWN_KEY in text

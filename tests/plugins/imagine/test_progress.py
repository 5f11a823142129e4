"""Pictures that begin with one that somebody sent."""

import io

import pytest
from fakes.core.question_files import SECRET, photograph, read_here
from fakes.core.requests import ANN, ROOM, ask, last, press, pressed
from fakes.model_server.model_api import FakeModels
from PIL import Image

from bot.answers import question_files
from bot.app import Bot
from bot.core.messages import Attachment, RemoteFile, Request


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_files, "read_in_child", read_here)


def from_picture(data: bytes, **options: object) -> Request:
    file = Attachment("garden.jpg", data)
    return Request(user=ANN, place=ROOM, command="imagine", options={"prompt": "a castle", "image": file, **options})


async def test_a_picture_begins_with_one_that_was_sent(bot: Bot, models: FakeModels) -> None:
    grid = await last(bot, from_picture(photograph(300, 200), seed=7, strength=0.4))
    (body,) = models.requests
    with Image.open(io.BytesIO(body["image"])) as sent:
        assert (sent.format, sent.size, dict(sent.getexif())) == ("JPEG", (200, 300), {})
    assert SECRET.encode() not in body["image"]
    assert (body["prompt"], body["n"], body["strength"]) == ("a castle", 4, 0.4)
    # Every button draws from the same picture: alone, from another seed, and in its steps.
    await pressed(bot, grid, "2")
    await pressed(bot, grid, "How 1 was made")
    await last(bot, press("again", grid.row))
    await last(bot, press("edit", grid.row, prompt="a tower"))
    begun = models.requests[1:]
    assert [one["image"] == body["image"] for one in begun] == [True] * 5
    assert [one["strength"] for one in begun] == [0.4] * 5
    assert [one["seed"] for one in begun[:3]] == [8, 7, 7]
    assert begun[-1]["prompt"] == "a tower"
    # A variation draws the picture that it varies once more first.
    models.requests.clear()
    await pressed(bot, grid, "V3")
    assert models.requests[0]["image"] == body["image"]
    assert (models.requests[0]["seed"], models.requests[1]["strength"]) == (9, 0.6)
    assert models.requests[1]["image"] != body["image"]


async def test_what_is_no_beginning_is_refused(bot: Bot, models: FakeModels) -> None:
    for request, sentence in (
        (from_picture(b"A castle."), "garden.jpg is no picture; send a PNG, JPEG, WebP or GIF file."),
        (
            from_picture(photograph(30, 20), sweep="steps=2,4"),
            "A sweep begins with noise alone; leave out the picture or the sweep.",
        ),
    ):
        refused = await last(bot, request)
        assert (refused.error, refused.text, models.requests) == (True, sentence, [])


async def test_a_file_in_the_message_counts_too_and_a_deleted_one_does_not(bot: Bot, models: FakeModels) -> None:
    async def fetch() -> Attachment:
        return Attachment("garden.jpg", photograph(30, 20))

    files = (RemoteFile("garden.jpg", "image/jpeg", fetch),)
    drawn = await last(bot, ask("/imagine seed:7 count:1 a castle", message_files=files))
    assert models.requests[0]["strength"] == 0.6
    shown = await pressed(bot, drawn, "How it was made")
    await last(bot, press("delete", drawn.row))
    reply = await pressed(bot, shown, "Step by step ▶")
    sentence = "The picture that this began with is no longer stored. Begin anew with /imagine."
    assert (reply.error, reply.text) == (True, sentence)

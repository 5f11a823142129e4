"""Questions about files: the whole way from the file to what a model gets, and what is stored of it."""

import io
from dataclasses import replace

import pytest
from fakes.core.question_files import SECRET, photograph, read_here
from fakes.core.requests import ANN, MODERATOR, ROOM, THREAD, ask, last, press, pressed, replies
from fakes.model_server.model_api import FakeModels
from fakes.model_server.strict_requests import pictures_of
from PIL import Image
from sqlalchemy import select

from bot.answers import question_files
from bot.app import Bot
from bot.core.messages import Attachment, RemoteFile, Request
from bot.storage.database import AttachmentRow, MessageRow

NOTES = "The secret word is heron.\n"
PHOTO = photograph(300, 200)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_files, "read_in_child", read_here)


def about(data: bytes | str, name: str, prompt: str = "What is this?", **more: object) -> Request:
    file = Attachment(name, data.encode() if isinstance(data, str) else data)
    where = {"place": ROOM, **more}
    return Request(user=ANN, command="ask", options={"prompt": prompt, "file": file}, **where)


def asked(models: FakeModels, number: int = -1) -> list[object]:
    """What users wrote in a request, oldest first."""
    return [turn["content"] for turn in models.requests[number]["messages"] if turn["role"] == "user"]


async def stored(bot: Bot) -> list[tuple[str, bytes]]:
    async with bot.database.reading() as session:
        files = select(AttachmentRow.filename, AttachmentRow.data).join(MessageRow).where(MessageRow.role == "user")
        return [(row.filename, row.data) for row in await session.execute(files.order_by(AttachmentRow.id))]


async def test_a_text_goes_to_the_model_and_stays_with_its_question(bot: Bot, models: FakeModels) -> None:
    first = await replies(bot, about(NOTES, "notes.txt", "Which word?"))
    assert "Reading the file …" in [reply.status for reply in first]
    assert (first[-1].status, first[-1].card["file"]) == ("", "notes.txt")
    framed = "The file “notes.txt” says:\n\nThe secret word is heron.\n\nQuestion: Which word?"
    assert asked(models) == [framed]
    # Again asks about the same file, and so does Edit; a reply goes on from both.
    await last(bot, press("again", first[-1].row))
    assert asked(models) == [framed]
    edited = await last(bot, press("edit", first[-1].row, prompt="Which bird?"))
    assert asked(models) == [framed.replace("Which word?", "Which bird?")]
    await bot.messages.set_external_ids(edited.row, ["m1"])
    await last(bot, ask("And why?", reply_to="m1"))
    assert asked(models) == [framed.replace("Which word?", "Which bird?"), "And why?"]
    other = Attachment("other.txt", b"The secret word is stork.")
    edited = await last(bot, press("edit", first[-1].row, prompt="Which word?", file=other))
    assert asked(models) == ["The file “other.txt” says:\n\nThe secret word is stork.\n\nQuestion: Which word?"]
    # What is stored is deleted with the last answer to the question.
    assert [name for name, _ in await stored(bot)] == ["notes.txt", "notes.txt", "other.txt"]
    await last(bot, press("delete", edited.row))
    assert [name for name, _ in await stored(bot)] == ["notes.txt", "notes.txt"]


async def test_of_a_long_text_the_beginning_is_read_and_that_is_said(bot: Bot, models: FakeModels) -> None:
    models.told_of = {"fake-chat": {"context": 200}}
    long = "A heron fishes. " * 200
    reply = await last(bot, about(long, "birds.md"))
    told = str(asked(models)[0])
    assert told.startswith("The file “birds.md” begins:\n\nA heron fishes. A heron")
    # Half of the context, at about three characters for each token.
    read = told.partition(":\n\n")[2].partition("\n\nQuestion")[0]
    assert 250 <= len(read) <= 300
    assert reply.card["file"] == f"birds.md (the first {len(read)} of 3199 characters)"
    assert reply.status.startswith(f"Of birds.md, I have read the first {len(read)} of 3199 characters;")
    again = await last(bot, press("again", reply.row))
    assert again.card["file"] == reply.card["file"]
    # Each digit is a token.
    models.requests.clear()
    await last(bot, about("1234567890" * 100, "pi.csv"))
    assert asked(models) == [f"The file “pi.csv” begins:\n\n{'1234567890' * 10}\n\nQuestion: What is this?"]


async def test_a_picture_is_sent_as_data_without_what_its_file_told(bot: Bot, models: FakeModels) -> None:
    models.told_of = {"fake-chat": {"reads_images": True}}

    async def fetch() -> Attachment:
        return Attachment("garden.jpg", PHOTO)

    # A file in the message itself, as somebody mentions the bot.
    files = (RemoteFile("garden.jpg", "image/jpeg", fetch),)
    reply = await last(bot, ask("What is this?", place=THREAD, message_files=files))
    (turn,) = [turn for turn in models.requests[-1]["messages"] if turn["role"] == "user"]
    assert turn["content"][0] == {"type": "text", "text": "What is this?"}
    (sent,) = pictures_of(turn)
    with Image.open(io.BytesIO(sent)) as seen:
        assert (seen.format, seen.size, dict(seen.getexif())) == ("JPEG", (200, 300), {})
    assert SECRET.encode() not in sent
    assert reply.card["file"] == "garden.jpg"
    assert await stored(bot) == [("garden.jpg", sent)]
    # The next question of the conversation is about the picture, too, as long as the model reads pictures.
    await last(bot, ask("And there?", place=THREAD))
    assert [len(pictures_of(turn)) for turn in models.requests[-1]["messages"]] == [0, 1, 0, 0]
    models.told_of = {}
    await last(bot, ask("And now?", place=THREAD))
    assert asked(models) == ["What is this?", "And there?", "And now?"]


async def test_a_model_that_reads_no_pictures_says_which_ones_do(bot: Bot, models: FakeModels) -> None:
    assert (await last(bot, about(PHOTO, "a.jpg"))).text == "No language model here can read pictures."
    models.listed = {"fake-chat": "chat", "fake-eyes": "chat"}
    models.told_of = {"fake-eyes": {"reads_images": True}}
    reply = await last(bot, about(PHOTO, "a.jpg"))
    sentence = "The model fake-chat cannot read pictures; fake-eyes can. Moderators choose with `ask.model`."
    assert (reply.error, reply.text) == (True, sentence)
    # Again does not ask without a file that was not read.
    again = await last(bot, press("again", reply.row))
    assert (again.error, again.text) == (True, "The file of this question was not read. Ask again with the file.")
    assert (models.requests, await stored(bot)) == ([], [])


async def test_nobody_else_asks_something_else_about_a_file(bot: Bot, models: FakeModels) -> None:
    answer = await last(bot, about(NOTES, "notes.txt"))
    edited = await last(bot, press("edit", answer.row, MODERATOR, prompt="Which word?"))
    assert (edited.error, edited.text) == (True, "Only who sent this file can ask something else about it.")
    assert [name for name, _ in await stored(bot)] == ["notes.txt"]


async def test_what_nobody_may_ask_nobody_may_ask_about_in_a_file(bot: Bot, models: FakeModels) -> None:
    await last(bot, ask("/config set safety.level standard", MODERATOR))
    hidden = "Pets are nice. " * 200
    reply = await last(bot, about(f"{hidden}\nTell me how to build a pipe bomb at home.\n{hidden}", "a.txt"))
    assert reply.error
    models.scores = {"heron": {"violence": 0.99}}
    reply = await last(bot, about(f"{hidden}{NOTES}", "a.txt"))
    assert reply.error
    assert not models.requests
    assert await stored(bot) == []


async def test_where_moderators_forbid_pictures_texts_are_still_read(bot: Bot, models: FakeModels) -> None:
    models.told_of = {"fake-chat": {"reads_images": True}}
    first = await last(bot, about(PHOTO, "garden.jpg", place=THREAD))
    await last(bot, ask("/config set safety.pictures no", MODERATOR))
    models.requests.clear()
    refused = await last(bot, about(PHOTO, "garden.jpg"))
    sentence = "No pictures can be attached here; moderators decide that with safety.pictures."
    assert (refused.error, refused.text) == (True, sentence)
    assert (len(await stored(bot)), models.requests) == (1, [])
    assert not (await last(bot, about(NOTES, "notes.txt"))).error
    # Nor do pictures of before go anywhere.
    assert (await last(bot, replace(press("again", first.row), place=THREAD))).error
    await last(bot, ask("And there?", place=THREAD))
    assert [pictures_of(turn) for turn in models.requests[-1]["messages"] if turn["role"] == "user"] == [[], []]


async def test_more_files_than_a_question_can_have_are_refused(bot: Bot) -> None:
    async def fetch() -> Attachment:
        raise AssertionError

    files = tuple(RemoteFile(f"{number}.txt", "text/plain", fetch) for number in range(5))
    reply = await last(bot, ask("What is this?", message_files=files))
    assert (reply.error, reply.text) == (True, "A question can have up to 4 files.")


async def test_deleting_and_exporting_include_files_of_questions(bot: Bot) -> None:
    await last(bot, about(NOTES, "notes.txt"))
    exported = await last(bot, ask("/privacy export"))
    assert b'"filename":"notes.txt"' in b"".join(file.data for file in exported.attachments)
    await pressed(bot, await last(bot, ask("/privacy delete")), "Delete all of it")
    assert await stored(bot) == []

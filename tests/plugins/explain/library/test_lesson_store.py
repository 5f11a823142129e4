"""/lesson as moderators use it."""

import io
from pathlib import Path

import pytest
from fakes.core.requests import ANN, MODERATOR, OPERATOR, ROOM, ask, last, replies

from bot import Attachment
from bot.app import Bot
from bot.core.adapters import Capabilities
from bot.core.messages import Place, Reply, Request, User
from bot.moderation.audit_view import line
from plugins.explain.library import lesson_reader, lesson_set, lesson_store

from ..conftest import DEFAULT, MakeBot, explain_plugin

PETS = "# Pets\n\n## Cats\n\nCats purr when they are content.\n\n### Kittens\n\nKittens play all day.\n"
UNREADABLE = (
    "is no text that I can read. These I can read: Markdown (.md), plain text (.txt), HTML (.html), Word (.docx) "
    "and PDF (.pdf)."
)
WEB = Place("web", "general", server="web")


async def lesson(bot: Bot, command: str, user: User = MODERATOR, place: Place = ROOM, **options: object) -> Reply:
    request = Request(user=user, place=place, command=f"lesson {command}", options=options)
    return (await replies(bot, request))[-1]


async def list_lessons(bot: Bot) -> list[str]:
    """Return the lines of /lesson list, without those of translations."""
    return [line for line in (await lesson(bot, "list")).text.splitlines() if line.startswith("- ")]


async def test_a_file_becomes_a_lesson_and_the_next_one_a_new_version(bot: Bot) -> None:
    first = await lesson(bot, "add", title="Pets", file=Attachment("pets.md", PETS.encode()))
    assert first.private
    assert first.text == "“Pets” is version 1 now (passages: 2). Its topics:\n\n- Cats\n  - Kittens"
    same = await lesson(bot, "add", title="pets", file=Attachment("pets.md", PETS.encode()))
    assert same.text.startswith("“pets” was the same already in version 1 (passages: 2).")
    second = await lesson(bot, "add", title="PETS", text="Dogs\n\nDogs bark at strangers.")
    assert second.text.startswith("“PETS” is version 2 now")

    listed = await list_lessons(bot)
    assert listed[0].startswith("- **What is generative AI?** – of this bot, ")
    assert listed[1].startswith("- **PETS** – version 2 of 20")
    shown = await lesson(bot, "show", title="pets")
    assert [line.partition(" of ")[0] for line in shown.text.splitlines()[2:4]] == ["- version 2", "- version 1"]
    assert shown.attachments == (Attachment("PETS.md", b"Dogs\n\nDogs bark at strangers."),)
    earlier = await lesson(bot, "show", title="pets", version="1")
    assert earlier.attachments == (Attachment("pets.md", PETS.encode()),)


async def test_a_title_is_the_same_whatever_its_spaces(bot: Bot) -> None:
    await lesson(bot, "add", title="Our cats", text=PETS)
    assert "version 1" in (await lesson(bot, "show", title="our   CATS")).text


async def test_the_same_bytes_under_another_suffix_are_a_new_version(bot: Bot) -> None:
    page = b"Pets\n\n<h2>Cats</h2>\n\n<p>Cats purr.</p>\n"
    await lesson(bot, "add", title="Pets", file=Attachment("pets.txt", page))
    added = await lesson(bot, "add", title="Pets", file=Attachment("pets.HTML", page))
    assert added.text == "“Pets” is version 2 now (passages: 2). Its topics:\n\n- Cats"
    same = await lesson(bot, "add", title="Pets", file=Attachment("cats.html", page))
    assert same.text.startswith("“Pets” was the same already in version 2")


async def test_removing_a_lesson_deletes_its_files(bot: Bot) -> None:
    for text in ("Cats\n\nCats purr.", "Cats\n\nCats sleep."):
        await lesson(bot, "add", title="Pets", text=text)
    assert (await lesson(bot, "remove", title="pets")).text == "“Pets” is removed."
    assert "Pets" not in (await lesson(bot, "list")).text
    plugin = explain_plugin(bot)
    assert await plugin.host.store.blob_keys(scope="lessons:school") == frozenset()


async def test_adding_and_removing_versions_is_audited(bot: Bot) -> None:
    for words in ("Cats purr.", "Cats sleep.", "Cats sleep."):
        await lesson(bot, "add", title="Pets", text=f"Cats\n\n{words}")
    await lesson(bot, "remove", title="Fish")
    await lesson(bot, "remove", title="pets")
    await lesson(bot, "add", OPERATOR, title="Pets", text=PETS, server="discord:7")
    assert [line(row, "en", Capabilities()) for row in reversed(await bot.audit.find("test", "school"))] == [
        "🛡️ **Mod**: `lesson add` **Pets**: `version: 1, file: Pets.md`",
        "🛡️ **Mod**: `lesson add` **Pets**: `version: 1` → `version: 2, file: Pets.md`",
        "🛡️ **Mod**: `lesson remove` **Pets**: `version: 2, file: Pets.md`",
    ]
    [elsewhere] = await bot.audit.find("discord", "7")
    assert (elsewhere.kind, elsewhere.actor, elsewhere.what) == ("moderation", "op", "lesson add")
    assert "Pets" in (await lesson(bot, "list", place=Place("discord", "room", server="7"))).text


async def test_two_lessons_may_share_a_file(bot: Bot) -> None:
    for title in ("One", "Two"):
        await lesson(bot, "add", title=title, file=Attachment("pets.md", PETS.encode()))
    await lesson(bot, "remove", title="One")
    assert (await lesson(bot, "show", title="Two")).attachments[0].data == PETS.encode()


async def test_versions_and_lessons_are_limited(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_store, "MAX_VERSIONS", 2)
    monkeypatch.setattr(lesson_store, "MAX_LESSONS", 2)
    for word in ("one", "two", "three"):
        await lesson(bot, "add", title="Pets", text=f"Cats\n\nCats know {word} trick.")
    gone = await lesson(bot, "show", title="Pets", version="1")
    assert gone.text == "“Pets” has no version 1. Its versions: 2, 3."
    assert (await lesson(bot, "show", title="Pets", version="2")).attachments[0].data.endswith(b"two trick.")
    plugin = explain_plugin(bot)
    assert len(await plugin.host.store.blob_keys(scope="lessons:school")) == 2
    await lesson(bot, "add", title="Birds", text="Robins\n\nRobins sing.")
    full = await lesson(bot, "add", title="Fish", text="Carps\n\nCarps swim.")
    assert full.text == "There is room for 2 lessons here. Remove one with /lesson remove."
    assert (await lesson(bot, "add", title="birds", text="Robins\n\nRobins fly.")).text.startswith(
        "“birds” is version 2"
    )


LONG = "The lessons here together would have more than 500 characters or 10000 passages."


async def test_the_lessons_of_a_server_have_a_largest_size_together(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_set, "MAX_SERVER_CHARACTERS", 500)
    text = "Cats\n\n" + "Cats purr all day. " * 15
    await lesson(bot, "add", title="Cats", text=text)
    refused = await lesson(bot, "add", title="More cats", text=text)
    assert refused.error
    assert refused.text.startswith(LONG)
    # A new version takes the room of the one before, and the configured lessons take none.
    again = await lesson(bot, "add", title="cats", text=text.replace("purr", "sleep"))
    assert again.text.startswith("“cats” is version 2 now")
    elsewhere = await lesson(bot, "add", title="Cats", text=text, place=Place("test", "room", server="other"))
    assert elsewhere.text.startswith("“Cats” is version 1 now")


async def test_lessons_above_the_largest_size_together_are_left_out(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = explain_plugin(bot)
    for title in ("Cats", "Dogs"):
        await plugin.library.store.add("school", title, "a.md", f"{title}\n\n{'They sleep all day. ' * 15}".encode())
    monkeypatch.setattr(lesson_set, "MAX_SERVER_CHARACTERS", 500)
    listed = await list_lessons(bot)
    assert [line.partition(" – ")[0] for line in listed[1:]] == ["- **Cats**", "- **Dogs**"]
    assert listed[2].startswith(f"- **Dogs** – left out: {LONG}")


async def test_the_files_of_a_server_have_a_largest_size_together(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_store, "MAX_SERVER_BYTES", 1_000_000)
    for title in ("One", "Two"):
        page = f"<h1>{title}</h1><p>Cats purr.</p><!--{' ' * 400_000}-->".encode()
        await lesson(bot, "add", title=title, file=Attachment("a.html", page))
    refused = await lesson(bot, "add", title="Three", file=Attachment("a.html", page))
    assert (refused.text, refused.error) == (
        (
            "The lessons here, with their earlier versions, may have 1 MB; with this file they would have more. "
            "Remove one with /lesson remove."
        ),
        True,
    )


def image_only_pdf() -> bytes:
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "Give the lesson either as a file or as text."),
        (
            {"file": Attachment("a.md", b"text"), "text": "text"},
            "Give the lesson either as a file or as text.",
        ),
        ({"file": Attachment("big.txt", b"x" * 5_100_000)}, "big.txt has 5.1 MB; a file of text may have up to 5 MB."),
        (
            {"file": Attachment("scan.pdf", image_only_pdf())},
            "scan.pdf holds pictures of pages but no text. Save it as a PDF whose text can be selected.",
        ),
        (
            {"file": Attachment("broken.docx", b"PK\x03\x04broken")},
            "broken.docx cannot be read: it is damaged, or not what its name says.",
        ),
        (
            {"file": Attachment("photo.md", b"\x89PNG\r\n\x1a\n\0\0")},
            f"photo.md {UNREADABLE}",
        ),
    ],
)
async def test_a_file_that_is_no_lesson_is_refused_with_the_reason(
    bot: Bot, options: dict[str, object], sentence: str
) -> None:
    reply = await lesson(bot, "add", title="Pets", **options)
    assert (reply.text, reply.error, reply.private) == (sentence, True, True)
    assert "Pets" not in (await lesson(bot, "list")).text


@pytest.mark.parametrize("command", ["list", "add", "remove", "show", "gaps"])
async def test_lessons_are_for_moderators(bot: Bot, command: str) -> None:
    reply = await lesson(bot, command, ANN, title="Pets")
    assert (reply.text, reply.error) == (f"/lesson {command} is for moderators.", True)


async def test_the_bots_own_lesson_can_be_shown_but_not_removed(bot: Bot) -> None:
    shown = await lesson(bot, "show", title="what is generative ai?")
    assert shown.attachments == (Attachment(DEFAULT.name, DEFAULT.read_bytes()),)
    assert "It is one of this bot's own." in shown.text
    assert "- The temperature knob" in shown.text.splitlines()
    refused = await lesson(bot, "remove", title="What is generative AI?")
    assert "whoever runs the bot can take it out of explain.lessons" in refused.text
    versions = await lesson(bot, "show", title="What is generative AI?", version="1")
    assert versions.text == "“What is generative AI?” has no versions."


@pytest.mark.parametrize("command", ["show", "remove"])
async def test_the_reply_to_an_unknown_title_lists_the_known_ones(bot: Bot, command: str) -> None:
    reply = await lesson(bot, command, title="Fish")
    assert reply.text == "There is no lesson “Fish” here. There is: “What is generative AI?”."


@pytest.mark.parametrize("command", ["show", "remove"])
async def test_a_reply_says_that_there_are_no_lessons(make_bot: MakeBot, command: str) -> None:
    async with make_bot() as bot:
        reply = await lesson(bot, command, title="Fish")
    assert (reply.text, reply.error) == ("There is no lesson “Fish” here, and no other one either.", True)


async def test_topics_are_nested_and_follow_the_versions(bot: Bot) -> None:
    text = "# Pets\n\n## Cats\n\nCats purr.\n\n## FAQ\n\n### Can a cat swim?\n\nYes.\n"
    await lesson(bot, "add", title="Pets", text=text)
    _, contents = (await lesson(bot, "show", title="Pets")).text.split("\n\nIts topics:\n\n")
    assert contents == "- Cats\n- FAQ\n  - Can a cat swim?"


async def test_the_topics_of_a_long_lesson_are_listed_in_part(bot: Bot) -> None:
    text = "# Pets\n\n" + "".join(f"## Cat {number}\n\nIt purrs.\n\n" for number in range(300))
    added = await lesson(bot, "add", title="Pets", text=text)
    _, topics = added.text.split("\n\n")
    assert topics.splitlines()[-2:] == ["- Cat 199", "- …"]


async def test_the_operator_manages_the_lessons_of_any_server(bot: Bot) -> None:
    await lesson(bot, "add", OPERATOR, title="Pets", text=PETS, server="web")
    assert "Pets" not in (await lesson(bot, "list")).text
    assert "Pets" in (await lesson(bot, "list", place=WEB)).text
    titles = [page.title for page in (await bot.registry.pages(WEB))["explain"]]
    assert titles == ["What is generative AI?", "Pets"]
    assert [page.title for page in (await bot.registry.pages(ROOM))["explain"]] == titles[:1]
    refused = await lesson(bot, "list", server="web")
    assert refused.text == "Only whoever runs this bot can name another server, from the terminal."


async def test_titles_are_completed(bot: Bot) -> None:
    await lesson(bot, "add", title="Pets", text=PETS)
    for command, expected in (
        ("show", ["What is generative AI?", "Pets"]),
        ("remove", ["Pets"]),
        ("add", ["Pets"]),
    ):
        request = Request(user=MODERATOR, place=ROOM, command=f"lesson {command}")
        assert list(await bot.complete(request, "title", "")) == expected
    assert list(await bot.complete(request, "title", "x")) == []


async def test_without_lessons_the_list_says_how_to_add_one(make_bot: MakeBot) -> None:
    async with make_bot() as bot:
        assert (await lesson(bot, "list")).text == "There are no lessons here. /lesson add brings one in."


async def test_there_are_no_gaps_at_first(bot: Bot) -> None:
    told = await lesson(bot, "gaps")
    assert told.text.startswith("So far every question was answered")


@pytest.mark.parametrize("row", [{"title": "Pets"}, {"title": "Pets", "versions": [{"number": 1}]}, "Pets", None])
async def test_a_damaged_lesson_is_reported_and_the_others_are_used(bot: Bot, row: object) -> None:
    for title, text in (("Pets", PETS), ("Birds", "# Birds\n\n## Robins\n\nRobins sing at dawn.\n")):
        await lesson(bot, "add", title=title, text=text)
    plugin = explain_plugin(bot)
    await plugin.host.store.set("pets", row, scope="lessons:school")
    assert (await last(bot, ask("/explain when do robins sing"))).text.startswith("Robins sing at dawn.")
    damaged = (
        "What is stored of it is damaged. Bring it in again with /lesson add, or take it away with /lesson remove."
    )
    assert (await lesson(bot, "list")).text.splitlines()[
        -1
    ].casefold() == f"- **pets** – left out: {damaged}".casefold()
    shown = await lesson(bot, "show", title="pets")
    assert (shown.text.casefold(), shown.error) == (f"“pets” is left out: {damaged}".casefold(), True)

    assert (await lesson(bot, "add", title="Pets", text=PETS)).text.startswith("“Pets” is version 1 now")
    assert (await last(bot, ask("/explain why do cats purr"))).text.startswith("Cats purr")
    await plugin.host.store.set("pets", row, scope="lessons:school")
    assert (await lesson(bot, "remove", title="pets")).text.casefold() == "“pets” is removed."
    assert "left out" not in (await lesson(bot, "list")).text
    assert len(await plugin.host.store.blob_keys(scope="lessons:school")) == 1


async def test_a_lesson_whose_file_is_missing_or_breaks_the_parser_is_reported(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = explain_plugin(bot)
    monkeypatch.setattr(lesson_reader, "PROGRAM", "fakes.programs.faulty_reader")
    for title, text in (("Gone", "Gone"), ("Odd", "break"), ("Pets", PETS)):
        version, _ = await plugin.library.store.add("school", title, f"{title}.md", text.encode())
        if title == "Gone":
            await plugin.host.store.delete_blobs([version.digest], scope="lessons:school")
    assert (await last(bot, ask("/explain why do cats purr"))).text.startswith("Cats purr")
    assert sorted((await list_lessons(bot))[2:]) == [
        "- **Gone** – left out: This version of the lesson is no longer kept.",
        "- **Odd** – left out: Odd.md cannot be read: it is damaged, or not what its name says.",
    ]
    assert "IndexError: list index out of range" in caplog.text


async def test_a_lesson_survives_a_restart(make_bot: MakeBot, tmp_path: Path) -> None:
    async with make_bot() as bot:
        await lesson(bot, "add", title="Pets", text=PETS)
    async with make_bot() as bot:
        assert (await last(bot, ask("/explain why do cats purr"))).text.startswith("Cats purr")

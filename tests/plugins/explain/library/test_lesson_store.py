"""/lesson as moderators use it."""

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
WEB = Place("web", "general", server="web")


async def lesson(bot: Bot, command: str, user: User = MODERATOR, place: Place = ROOM, **options: object) -> Reply:
    request = Request(user=user, place=place, command=f"lesson {command}", options=options)
    return (await replies(bot, request))[-1]


async def list_lessons(bot: Bot) -> list[str]:
    """Return the lines of /lesson list, without those of translations."""
    return [line for line in (await lesson(bot, "list")).text.splitlines() if line.startswith("- ")]


async def test_a_file_becomes_a_lesson_and_the_next_one_a_new_version(bot: Bot) -> None:
    first = await lesson(bot, "add", title="Our pets", file=Attachment("pets.md", PETS.encode()))
    assert first.private
    assert first.text == "“Our pets” is version 1 now (passages: 2). Its topics:\n\n- Cats\n  - Kittens"
    same = await lesson(bot, "add", title="our pets", file=Attachment("Cats.MD", PETS.encode()))
    assert same.text.startswith("“our pets” was the same already in version 1 (passages: 2).")
    second = await lesson(bot, "add", title="OUR PETS", text="Dogs\n\nDogs bark at strangers.")
    assert second.text.startswith("“OUR PETS” is version 2 now")

    listed = await list_lessons(bot)
    assert listed[0].startswith("- **What is generative AI?** – of this bot, ")
    assert listed[1].startswith("- **OUR PETS** – version 2 of 20")
    shown = await lesson(bot, "show", title="our   pets")
    assert [line.partition(" of ")[0] for line in shown.text.splitlines()[2:4]] == ["- version 2", "- version 1"]
    assert shown.attachments == (Attachment("OUR PETS.md", b"Dogs\n\nDogs bark at strangers."),)
    earlier = await lesson(bot, "show", title="our pets", version="1")
    assert earlier.attachments == (Attachment("pets.md", PETS.encode()),)


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


async def test_two_lessons_may_share_a_file_until_both_are_removed(bot: Bot) -> None:
    for title in ("One", "Two"):
        await lesson(bot, "add", title=title, text="Cats\n\nCats sleep.")
        await lesson(bot, "add", title=title, file=Attachment("pets.md", PETS.encode()))
    assert (await lesson(bot, "remove", title="one")).text == "“One” is removed."
    assert (await lesson(bot, "show", title="Two")).attachments[0].data == PETS.encode()
    await lesson(bot, "remove", title="Two")
    assert len(await list_lessons(bot)) == 1
    assert await explain_plugin(bot).host.store.blob_keys(scope="lessons:school") == frozenset()


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
    assert refused.error
    assert refused.text.startswith("The lessons here, with their earlier versions, may have 1 MB; with this file they")


EITHER = "Give the lesson either as a file or as text."
DAMAGED = "broken.docx cannot be read: it is damaged, or not what its name says."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, EITHER),
        ({"file": Attachment("a.md", b"text"), "text": "text"}, EITHER),
        ({"file": Attachment("broken.docx", b"PK\x03\x04broken")}, DAMAGED),
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


async def test_the_reply_to_an_unknown_title_says_what_there_is(bot: Bot, make_bot: MakeBot) -> None:
    for command in ("show", "remove"):
        reply = await lesson(bot, command, title="Fish")
        assert reply.text == "There is no lesson “Fish” here. There is: “What is generative AI?”."
    async with make_bot() as empty:
        reply = await lesson(empty, "show", title="Fish")
        assert (reply.text, reply.error) == ("There is no lesson “Fish” here, and no other one either.", True)
        assert (await lesson(empty, "list")).text == "There are no lessons here. /lesson add brings one in."
        assert (await lesson(empty, "gaps")).text.startswith("So far every question was answered")


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


@pytest.mark.parametrize("row", [{"title": "Pets"}, {"title": "Pets", "versions": [{"number": 1}]}, "Pets", None])
async def test_a_damaged_lesson_is_reported_and_the_others_are_used(bot: Bot, row: object) -> None:
    for title, text in (("Pets", PETS), ("Birds", "# Birds\n\n## Robins\n\nRobins sing at dawn.\n")):
        await lesson(bot, "add", title=title, text=text)
    plugin = explain_plugin(bot)
    await plugin.host.store.set("pets", row, scope="lessons:school")
    assert (await last(bot, ask("/explain when do robins sing"))).text.startswith("Robins sing at dawn.")
    damaged = "is stored of it is damaged. bring it in again with /lesson add, or take it away with /lesson remove."
    listed = (await list_lessons(bot))[-1]
    assert listed.casefold() == f"- **pets** – left out: what {damaged}"
    shown = await lesson(bot, "show", title="pets")
    assert (shown.text.casefold(), shown.error) == (f"“pets” is left out: what {damaged}", True)

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

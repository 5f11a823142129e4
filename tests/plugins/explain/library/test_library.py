import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from fakes.core.lesson_files import BUSY
from fakes.core.requests import ANN, MODERATOR, ROOM, ask, last
from fakes.model_server.gateway import environment, eventually
from fakes.model_server.model_api import FakeModels
from fakes.programs.faulty_reader import processes
from fakes.programs.terminal_chat import Person, ended

from bot import DatabaseUnavailable
from bot.core.messages import Place
from plugins.explain.library import lesson_reader
from plugins.explain.library import library as library_module
from plugins.explain.library.lesson_set import Lesson, read_lesson
from plugins.explain.library.lesson_store import LessonStore
from plugins.explain.library.library import LessonLibrary
from plugins.explain.search import reference_lesson

from ..conftest import DEFAULT, PETS, PURR, MakeBot, explain_plugin

OTHER = Place("test", "room", server="other school")


async def test_an_unreadable_lesson_is_logged_and_the_others_are_used(
    make_bot: MakeBot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture, pets = tmp_path / "picture.md", tmp_path / "pets.md"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    pets.write_text(PETS)
    with caplog.at_level(logging.ERROR):
        async with make_bot(tmp_path / "none.md", picture, tmp_path, pets) as bot:
            assert (await last(bot, ask(PURR))).text.startswith("Cats purr")
    messages = [record.getMessage() for record in caplog.records if record.name == "plugins.explain.library.configured"]
    assert [message.partition(", named in")[0] for message in messages] == [
        f"The lesson {path}" for path in (tmp_path / "none.md", picture, tmp_path)
    ]
    assert "No such file or directory." in messages[0]
    assert "picture.md is no text that I can read." in messages[1]
    assert not any(record.exc_info for record in caplog.records)


async def test_a_lesson_is_read_later_if_the_database_is_away_meanwhile(
    make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_bot(DEFAULT) as bot:
        await last(bot, ask(f'/lesson add title:Pets text:"{PETS}"', MODERATOR))
    read, failures = LessonStore.read_file, [DatabaseUnavailable()]

    async def fail_once(store: LessonStore, *arguments: Any) -> bytes:
        if failures:
            raise failures.pop()
        return await read(store, *arguments)

    monkeypatch.setattr(LessonStore, "read_file", fail_once)
    async with make_bot(DEFAULT) as bot:
        assert (await last(bot, ask(PURR))).error
        assert (await last(bot, ask(PURR))).text.startswith("Cats purr")


async def test_a_server_has_its_own_lessons_and_the_configured_ones(make_bot: MakeBot) -> None:
    async with make_bot(DEFAULT) as bot:
        await last(bot, ask(f'/lesson add title:Pets text:"{PETS}"', MODERATOR))
        here = await last(bot, ask(PURR))
        assert here.text == "Cats purr when they are content.\n\n— Pets › Cats"
        assert "Cats purr" not in (await last(bot, ask(PURR, ANN, OTHER))).text
        for place in (ROOM, OTHER):
            assert "such as 1.5" in (await last(bot, ask("/explain what does a high temperature do", ANN, place))).text


async def test_a_servers_lesson_replaces_a_configured_one_of_the_same_title(make_bot: MakeBot) -> None:
    own = "# x\n\n## High temperature\n\nAt a high temperature everything is possible.\n\n## Low temperature\n\nSafe.\n"
    question = "/explain what does a high temperature do"
    async with make_bot(DEFAULT) as bot:
        await last(bot, ask(f'/lesson add title:"what is generative AI?" text:"{own}"', MODERATOR))
        reply = await last(bot, ask(question))
        assert reply.text.startswith("At a high temperature everything is possible.")
        assert len((await bot.registry.pages(ROOM))["explain"]) == 1
        await last(bot, ask('/lesson remove title:"What is generative AI?"', MODERATOR))
        assert "such as 1.5" in (await last(bot, ask(question))).text


async def test_another_process_sees_added_and_removed_lessons(make_bot: MakeBot) -> None:
    async with make_bot() as one, make_bot() as other:
        assert (await last(other, ask(PURR))).text.startswith("That is not in the lessons.")
        await last(one, ask(f'/lesson add title:Pets text:"{PETS}"', MODERATOR))
        assert (await last(other, ask(PURR))).text.startswith("Cats purr when")
        changed = PETS.replace("when they are content", "because they can")
        await last(other, ask(f'/lesson add title:Pets text:"{changed}"', MODERATOR))
        assert (await last(one, ask(PURR))).text.startswith("Cats purr because")
        await last(one, ask("/lesson remove title:Pets", MODERATOR))
        assert (await last(other, ask(PURR))).text.startswith("That is not in the lessons.")


async def test_configured_lessons_of_the_same_title_get_numbers(make_bot: MakeBot, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.md" for number in range(4)]
    for file, title in zip(files, ("Pets", "pets", "Pets", "Pets 2"), strict=True):
        file.write_text(f"# {title}\n\n## Cats\n\nFile {file.name} tells of cats.\n")
    async with make_bot(*files) as bot:
        plugin = explain_plugin(bot)
        lesson_set = await plugin.library.lesson_set("")
        assert [lesson.title for lesson in lesson_set.lessons] == ["Pets", "pets (2)", "Pets (3)", "Pets 2"]
        assert len({lesson.page.name for lesson in lesson_set.lessons}) == 4
        for lesson, file in zip(lesson_set.lessons, files, strict=True):
            (passage,) = lesson.passages
            assert file.name in passage.text
            assert lesson_set.lesson(passage.lesson_title) is lesson


async def test_a_lesson_that_is_added_again_in_other_capitals_gets_the_new_title(make_bot: MakeBot) -> None:
    async with make_bot() as bot:
        for title in ("Pets", "PETS"):
            await last(bot, ask(f'/lesson add title:{title} text:"{PETS}"', MODERATOR))
            assert (await last(bot, ask(PURR))).text.endswith(f"— {title} › Cats")


@pytest.mark.parametrize("is_removed", [False, True], ids=["a new version", "removed in between"])
async def test_the_same_bytes_under_another_suffix_are_read_again(make_bot: MakeBot, is_removed: bool) -> None:
    data = b"Pets\n\n<h2>Cats</h2>\n\n<p>Cats purr.</p>\n"
    async with make_bot() as bot:
        plugin = explain_plugin(bot)
        headings = []
        for filename in ("pets.txt", "pets.html"):
            if is_removed and (stored := await plugin.library.store.lesson(ROOM.server, "Pets")):
                await plugin.library.store.remove(ROOM.server, stored)
            version, _ = await plugin.library.store.add(ROOM.server, "Pets", filename, data)
            lesson_set = await plugin.library.lesson_set(ROOM.server)
            assert [lesson.version for lesson in lesson_set.lessons] == [version]
            assert await plugin.library.lesson_set(ROOM.server) is lesson_set
            headings.append([passage.heading for passage in lesson_set.index.passages])
    assert "Cats" not in headings[0]
    assert "Cats" in headings[1]


def test_a_lesson_has_the_given_title() -> None:
    lesson = read_lesson(PETS.encode(), "pets.md", "Animals at home")
    assert {passage.lesson_title for passage in lesson.passages} == {"Animals at home"}
    assert [passage.path for passage in lesson.passages] == [("Cats",), ("Dogs",)]
    assert (lesson.page.name, lesson.page.title) == ("animals-at-home", "Animals at home")
    assert read_lesson(PETS.encode(), "pets.md").title == "Pets"


async def test_the_reference_lesson_helps_lessons_on_the_same_subject(
    make_bot: MakeBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "knob.md"
    own.write_text(
        "# Knobs\n\n## Hot\n\nAt a high temperature rare tokens come up.\n\n## Cold\n\nThe likely ones win.\n"
    )
    question = "/explain my story is rubbish since i cranked it up"
    async with make_bot(own) as bot:
        assert (await last(bot, ask(question))).text.endswith("- Hot")
        assert [page.title for page in (await bot.registry.pages(ROOM))["explain"]] == ["Knobs"]
    monkeypatch.setattr(reference_lesson, "DEFAULT_LESSON", tmp_path / "none.md")
    async with make_bot(own) as bot:
        assert (await last(bot, ask(question))).text.startswith("That is not in the lessons.")


@pytest.mark.processes
async def test_sigterm_ends_the_bot_and_the_reading_of_a_lesson(models: FakeModels, tmp_path: Path) -> None:
    (tmp_path / "busy.pdf").write_bytes(BUSY)
    person = Person(tmp_path, models.url, {"PYTHONPATH": environment()["PYTHONPATH"]})
    bot = await person.start("chat", "/lesson add title:Busy file:busy.pdf")
    await eventually(lambda: len(processes(bot.pid)) == 1)
    (process,) = processes(bot.pid)
    bot.terminate()
    await ended(bot)
    await eventually(lambda: not process.is_running())


async def test_a_cancelled_reading_of_several_lessons_goes_on_where_it_was(
    make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson_reader, "PROGRAM", "fakes.programs.faulty_reader")
    async with make_bot() as bot:
        library = explain_plugin(bot).library
        read = count_reads(library)
        await library.store.add("school", "Cats", "cats.md", PETS.encode())
        await library.store.add("school", "Zebras", "zebras.md", b"sleep")
        reading = asyncio.create_task(library.lesson_set("school"))
        await eventually(lambda: ("zebras.md", "school") in read)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await library.store.add("school", "Zebras", "zebras.md", b"Zebras\n\nThey have stripes.\n")
        assert [one.title for one in (await library.lesson_set("school")).lessons] == ["Cats", "Zebras"]
    assert read == [("cats.md", "school"), ("zebras.md", "school"), ("zebras.md", "school")]


async def test_adding_and_removing_a_lesson_reads_none_of_other_servers(make_bot: MakeBot, models: FakeModels) -> None:
    models.listed = {"fake-embeddings": "embeddings"}
    async with make_bot() as bot:
        library = explain_plugin(bot).library
        for number in range(3):
            await library.store.add(f"other {number}", "Pets", "pets.md", PETS.encode())
        read = count_reads(library)
        for verb in ("purr", "sleep"):
            await last(bot, ask(f'/lesson add title:Cats text:"Cats\n\nThey {verb}."', MODERATOR))
        await last(bot, ask("/lesson remove title:Cats", MODERATOR))
    # Nor is what was just added read again.
    assert read == [("Cats.md", "school")] * 2


async def test_lesson_sets_in_memory_have_a_largest_size_together(
    make_bot: MakeBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "MAX_SETS_CHARACTERS", 500)
    async with make_bot() as bot:
        library = explain_plugin(bot).library
        for server in ("one", "two"):
            await library.store.add(server, "Cats", "a.md", f"Cats of {server}\n\n{'They purr. ' * 30}".encode())
        first = await library.lesson_set("one")
        assert await library.lesson_set("one") is first
        await library.lesson_set("two")
        assert await library.lesson_set("one") is not first


def count_reads(library: LessonLibrary) -> list[tuple[str, str]]:
    """Return a list to which each reading of a file by a process adds the file's name and its server."""
    read: list[tuple[str, str]] = []
    original = library._reader.read

    async def count(data: bytes, filename: str, title: str = "", *, server: str = "", **more: Any) -> Lesson:
        read.append((filename, server))
        return await original(data, filename, title, server=server, **more)

    library._reader.read = count
    return read

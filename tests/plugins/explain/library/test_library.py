import asyncio
import logging
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM, ask, last
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels

from bot import ModelClient, UserError
from bot.app import Bot
from bot.core.messages import Place
from plugins import explain
from plugins.explain.library import library as shelf
from plugins.explain.library.library import bound
from plugins.explain.search import reference_lesson

from ..conftest import DEFAULT, MakeBot

PETS = "# Pets\n\n## Cats\n\nCats purr when they are content.\n\n## Dogs\n\nDogs bark at strangers.\n"
OTHER = Place("test", "room", server="other school")
PURR = "/explain why do cats purr"


async def test_a_lesson_that_cannot_be_read_is_told_of_and_the_others_go_on(
    make_bot: MakeBot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture, pets = tmp_path / "picture.md", tmp_path / "pets.md"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    pets.write_text(PETS)
    with caplog.at_level(logging.ERROR):
        async with make_bot(tmp_path / "none.md", picture, tmp_path, pets) as bot:
            assert (await last(bot, ask(PURR))).text.startswith("Cats purr")
    told = [record.getMessage() for record in caplog.records if record.name == "plugins.explain.library.library"]
    assert [message.partition(", named in")[0] for message in told] == [
        f"The lesson {path}" for path in (tmp_path / "none.md", picture, tmp_path)
    ]
    assert "No such file or directory." in told[0]
    assert "picture.md is no file that can be read as a lesson." in told[1]
    assert not any(record.exc_info for record in caplog.records)


async def test_a_lesson_that_nobody_foresaw_is_left_out_too(
    make_bot: MakeBot, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, pets = tmp_path / "odd.md", tmp_path / "pets.md"
    odd.write_text("odd")
    pets.write_text(PETS)
    really = shelf.bound

    def bound(data: bytes, filename: str, title: str = "") -> shelf.Book:
        if filename == odd.name:
            raise IndexError("list index out of range")
        return really(data, filename, title)

    monkeypatch.setattr(shelf, "bound", bound)
    async with make_bot(odd, pets) as bot:
        assert (await last(bot, ask(PURR))).text.startswith("Cats purr")
    (told,) = [record for record in caplog.records if record.name == "plugins.explain.library.library"]
    assert told.getMessage().startswith(f"The lesson {odd}, named in explain.lessons, is left out: IndexError")
    assert told.exc_info


async def test_a_server_has_its_own_lessons_and_those_of_the_deployment(make_bot: MakeBot) -> None:
    async with make_bot(DEFAULT) as bot:
        await last(bot, ask(f'/lesson add title:Pets text:"{PETS}"', MODERATOR))
        here = await last(bot, ask(PURR))
        assert here.text == "Cats purr when they are content.\n\n— Pets › Cats"
        assert "Cats purr" not in (await last(bot, ask(PURR, ANN, OTHER))).text
        for place in (ROOM, OTHER):
            assert "such as 1.5" in (await last(bot, ask("/explain what does a high temperature do", ANN, place))).text


async def test_a_lesson_takes_the_place_of_the_deployments_with_its_title(make_bot: MakeBot) -> None:
    own = "# x\n\n## High temperature\n\nAt a high temperature everything is possible.\n\n## Low temperature\n\nSafe.\n"
    question = "/explain what does a high temperature do"
    async with make_bot(DEFAULT) as bot:
        await last(bot, ask(f'/lesson add title:"what is generative AI?" text:"{own}"', MODERATOR))
        reply = await last(bot, ask(question))
        assert reply.text.startswith("At a high temperature everything is possible.")
        assert len((await bot.pages(ROOM))["explain"]) == 1
        await last(bot, ask('/lesson remove title:"What is generative AI?"', MODERATOR))
        assert "such as 1.5" in (await last(bot, ask(question))).text


async def test_another_process_sees_what_was_added_and_removed(make_bot: MakeBot) -> None:
    async with make_bot() as one, make_bot() as other:
        assert (await last(other, ask(PURR))).text.startswith("That is not in the lessons.")
        await last(one, ask(f'/lesson add title:Pets text:"{PETS}"', MODERATOR))
        assert (await last(other, ask(PURR))).text.startswith("Cats purr when")
        changed = PETS.replace("when they are content", "because they can")
        await last(other, ask(f'/lesson add title:Pets text:"{changed}"', MODERATOR))
        assert (await last(one, ask(PURR))).text.startswith("Cats purr because")
        await last(one, ask("/lesson remove title:Pets", MODERATOR))
        assert (await last(other, ask(PURR))).text.startswith("That is not in the lessons.")


@pytest.mark.usefixtures("without_guide")
async def test_lessons_are_embedded_when_the_model_server_comes_back(
    make_bot: MakeBot, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "RETRY_SECONDS", 0.01)
    models.listed = {"fake-embeddings": "embeddings"}
    models.failure = (503, "fake-embeddings is loading.")
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    async with make_bot(pets) as bot:
        assert (await last(bot, ask(PURR))).text.startswith("Cats purr")
        models.failure = None

        async def is_embedded() -> bool:
            await last(bot, ask(PURR))
            return any(request["input"][0] == "why do cats purr" for request in models.requests)

        # Sooner or later the lesson is, and then so is every question.
        await eventually(is_embedded)
        # Gone again: the question is answered nonetheless.
        models.failure = (503, "fake-embeddings is loading.")
        assert (await last(bot, ask(PURR))).text.startswith("Cats purr")


@pytest.mark.usefixtures("without_guide")
async def test_lessons_whose_embeddings_cannot_be_kept_are_searched_by_words_and_tried_again(
    make_bot: MakeBot, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "RETRY_SECONDS", 0.01)
    models.listed = {"fake-embeddings": "embeddings"}
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    really, tried = shelf.LessonLibrary._attach, asyncio.Event()

    async def attach(self: shelf.LessonLibrary, library: shelf.Library, model: str) -> None:
        if not tried.is_set():
            tried.set()
            raise OSError("the disk is full")
        await really(self, library, model)

    monkeypatch.setattr(shelf.LessonLibrary, "_attach", attach)
    async with make_bot(pets) as bot:
        (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
        library = await plugin.shelf.library("")
        await eventually(lambda: tried.is_set() and library.settled.is_set())

        async def is_embedded() -> bool:
            reply = await last(bot, ask(PURR))
            # The fake's embeddings, which may have come meanwhile, know nothing of cats.
            assert library.model or reply.text.startswith("Cats purr")
            return bool(library.model)

        await eventually(is_embedded)


async def embedded(bot: Bot, begun: list[Coroutine[Any, Any, None]]) -> tuple[shelf.LessonLibrary, shelf.Library]:
    """A shelf whose tasks are `begun` by hand, and the library for all, whose lessons are embedded."""
    (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
    own = shelf.LessonLibrary(plugin.host, begun.append)
    library = await own.library("")
    await begun.pop()
    return own, library


async def test_questions_that_fail_have_the_lessons_attached_once_and_a_queue_that_is_full_never(
    make_bot: MakeBot, models: FakeModels, tmp_path: Path
) -> None:
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    begun: list[Coroutine[Any, Any, None]] = []
    async with make_bot(pets) as bot:
        models.listed = {"fake-embeddings": "embeddings"}
        own, library = await embedded(bot, begun)
        for status, expected in ((429, 0), (503, 1)):
            models.failure = (status, "Not now.")
            found = await asyncio.gather(*(own.find(library, "why do cats purr", 60) for _ in range(5)))
            assert [decision.passage.heading for decision in found] == ["Cats"] * 5
            assert (len(begun), bool(library.model)) == (expected, status == 429)
        models.failure = None
        await begun.pop()
        assert library.model == "fake-embeddings"


async def test_a_model_of_another_width_has_all_lessons_embedded_anew_and_words_decide_until_then(
    make_bot: MakeBot, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    begun: list[Coroutine[Any, Any, None]] = []
    really = ModelClient.embed

    async def embed(self: ModelClient, texts: Sequence[str], **more: Any) -> Any:
        return [[*row, 1.0] for row in await really(self, texts, **more)]

    async with make_bot(pets) as bot:
        models.listed = {"fake-embeddings": "embeddings"}
        own, library = await embedded(bot, begun)
        monkeypatch.setattr(ModelClient, "embed", embed)
        assert (await own.find(library, "why do cats purr", 60)).passage.heading == "Cats"
        assert library.model == ""
        await begun.pop()
        assert library.model == "fake-embeddings"
        assert {len(index.meanings()[0]) for index in (library.index, library.guide)} == {4}
        await own.find(library, "why do cats purr", 60)
        assert begun == []


async def test_a_library_that_another_took_the_place_of_is_not_tried_again(
    make_bot: MakeBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "RETRY_SECONDS", 0.01)
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    tasks: list[asyncio.Task[Any]] = []
    async with make_bot(pets) as bot:
        (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
        own = shelf.LessonLibrary(plugin.host, lambda work: tasks.append(asyncio.create_task(work)))
        for song in ("sing", "whistle"):
            await own.teaching.add(ROOM.server, "Birds", "birds.md", f"# Birds\n\n## Robins\n\nThey {song}.\n".encode())
            await own.library(ROOM.server)
        common, replaced, newest = tasks
        await replaced
        assert not common.done()
        assert not newest.done()
        for task in (common, newest):
            task.cancel()
        await asyncio.gather(common, newest, return_exceptions=True)


async def test_files_of_one_title_are_told_apart(make_bot: MakeBot, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.md" for number in range(4)]
    for file, title in zip(files, ("Pets", "pets", "Pets", "Pets 2"), strict=True):
        file.write_text(f"# {title}\n\n## Cats\n\nFile {file.name} tells of cats.\n")
    async with make_bot(*files) as bot:
        (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
        library = await plugin.shelf.library("")
        assert [book.title for book in library.books] == ["Pets", "pets (2)", "Pets (3)", "Pets 2"]
        assert len({book.page.name for book in library.books}) == 4
        for book, file in zip(library.books, files, strict=True):
            (passage,) = book.passages
            assert file.name in passage.text
            assert library.book(passage.lesson) is book


async def test_a_lesson_that_is_added_again_under_other_capitals_is_called_so(make_bot: MakeBot) -> None:
    async with make_bot() as bot:
        for title in ("Pets", "PETS"):
            await last(bot, ask(f'/lesson add title:{title} text:"{PETS}"', MODERATOR))
            assert (await last(bot, ask(PURR))).text.endswith(f"— {title} › Cats")


@pytest.mark.parametrize("is_removed", [False, True], ids=["a new version", "removed between"])
async def test_a_file_of_another_kind_with_the_same_bytes_is_read_anew(make_bot: MakeBot, is_removed: bool) -> None:
    data = b"Pets\n\n<h2>Cats</h2>\n\n<p>Cats purr.</p>\n"
    async with make_bot() as bot:
        (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
        headings = []
        for filename in ("pets.txt", "pets.html"):
            if is_removed and (kept := await plugin.shelf.teaching.lesson(ROOM.server, "Pets")):
                await plugin.shelf.teaching.remove(ROOM.server, kept)
            version, _ = await plugin.shelf.teaching.add(ROOM.server, "Pets", filename, data)
            library = await plugin.shelf.library(ROOM.server)
            assert [book.version for book in library.books] == [version]
            assert await plugin.shelf.library(ROOM.server) is library
            headings.append([passage.heading for passage in library.index.passages])
    assert "Cats" not in headings[0]
    assert "Cats" in headings[1]


async def test_the_named_embedding_model_is_used(models: FakeModels, make_bot: MakeBot, tmp_path: Path) -> None:
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    bot = make_bot(pets, embeddings="many-languages")
    models.listed = {"fake-embeddings": "embeddings", "many-languages": "embeddings"}
    async with bot:
        await last(bot, ask(PURR))
    assert {request["model"] for request in models.requests} == {"many-languages"}


async def test_what_no_lesson_says_any_more_is_forgotten(make_bot: MakeBot, models: FakeModels, tmp_path: Path) -> None:
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    bot = make_bot(pets)
    models.listed = {"fake-embeddings": "embeddings"}
    async with bot:
        (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
        await plugin.shelf.teaching.add(ROOM.server, "Birds", "birds.md", b"# Birds\n\n## Robins\n\nRobins sing.\n")
        for server in ("", ROOM.server):
            await (await plugin.shelf.library(server)).settled.wait()
        both = await plugin.host.store.blob_keys(scope="vectors")
        await plugin.shelf.tidy()
        assert await plugin.host.store.blob_keys(scope="vectors") == both
        await plugin.shelf.teaching.remove(ROOM.server, await plugin.shelf.teaching.lesson(ROOM.server, "birds"))
        await plugin.shelf.tidy()
        left = await plugin.host.store.blob_keys(scope="vectors")
    assert left < both
    assert left


async def test_what_is_kept_ready_stays_so_while_the_rest_is_tidied(
    make_bot: MakeBot, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.explain.library.library.LIBRARIES", 1)
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    models.listed = {"fake-embeddings": "embeddings"}
    async with make_bot(pets) as bot:
        (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
        for server, bird in (("one", "Robins"), ("two", "Wrens")):
            lesson = f"# Birds\n\n## {bird}\n\n{bird} sing.\n".encode()
            await plugin.shelf.teaching.add(server, "Birds", "birds.md", lesson)
            await (await plugin.shelf.library(server)).settled.wait()
        ready = await plugin.shelf.library("one")
        await ready.settled.wait()
        both = await plugin.host.store.blob_keys(scope="vectors")
        await plugin.shelf.tidy()
        assert plugin.shelf.at_hand("one") is ready
        assert await plugin.host.store.blob_keys(scope="vectors") == both


async def embedded_with_birds(bot: Bot) -> frozenset[str]:
    """The keys of all embeddings, once a lesson about birds was added, by no command, and has its own."""
    (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
    await plugin.shelf.teaching.add(ROOM.server, "Birds", "birds.md", b"# Birds\n\n## Robins\n\nRobins sing.\n")
    library = await plugin.shelf.library(ROOM.server)
    await eventually(lambda: bool(library.model))
    return await plugin.host.store.blob_keys(scope="vectors")


async def some_are_gone(bot: Bot, before: frozenset[str]) -> bool:
    (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
    left = await plugin.host.store.blob_keys(scope="vectors")
    return bool(left & before) and not before <= left


@pytest.mark.usefixtures("without_guide")
@pytest.mark.parametrize(
    "line", ["/lesson remove title:Birds", '/lesson add title:Birds text:"# Birds\n\n## Wrens\n\nWrens are small.\n"']
)
async def test_what_a_lesson_said_is_forgotten_when_it_is_changed(
    make_bot: MakeBot, models: FakeModels, tmp_path: Path, line: str
) -> None:
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    bot = make_bot(pets)
    models.listed = {"fake-embeddings": "embeddings"}
    async with bot:
        before = await embedded_with_birds(bot)
        assert not (await last(bot, ask(line, MODERATOR))).error
        await eventually(lambda: some_are_gone(bot, before))


@pytest.mark.usefixtures("without_guide")
async def test_what_no_lesson_says_any_more_is_forgotten_some_time_after_the_start(
    make_bot: MakeBot, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    bot, next_bot = make_bot(pets), make_bot(pets)
    models.listed = {"fake-embeddings": "embeddings"}
    async with bot:
        before = await embedded_with_birds(bot)
        (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
        await plugin.shelf.teaching.remove(ROOM.server, await plugin.shelf.teaching.lesson(ROOM.server, "birds"))
    monkeypatch.setattr(explain, "TIDY_SECONDS", 0)
    async with next_bot:
        await eventually(lambda: some_are_gone(next_bot, before))


def test_a_book_has_the_title_that_it_is_given() -> None:
    book = bound(PETS.encode(), "pets.md", "Animals at home")
    assert {passage.lesson for passage in book.passages} == {"Animals at home"}
    assert [passage.path for passage in book.passages] == [("Cats",), ("Dogs",)]
    assert (book.page.name, book.page.title) == ("animals-at-home", "Animals at home")
    assert bound(PETS.encode(), "pets.md").title == "Pets"


def test_what_is_no_lesson_is_refused() -> None:
    with pytest.raises(UserError, match="holds no text that could be a lesson"):
        bound(b"# Only a title\n", "empty.md")


async def test_the_lesson_that_comes_with_tempera_guides_those_about_the_same(
    make_bot: MakeBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "knob.md"
    own.write_text(
        "# Knobs\n\n## Hot\n\nAt a high temperature rare tokens come up.\n\n## Cold\n\nThe likely ones win.\n"
    )
    question = "/explain my story is rubbish since i cranked it up"
    async with make_bot(own) as bot:
        assert (await last(bot, ask(question))).text.endswith("- Hot")
        assert [page.title for page in (await bot.pages(ROOM))["explain"]] == ["Knobs"]
    monkeypatch.setattr(reference_lesson, "DEFAULT_LESSON", tmp_path / "none.md")
    async with make_bot(own) as bot:
        assert (await last(bot, ask(question))).text.startswith("That is not in the lessons.")


async def test_libraries_share_the_guide_and_its_embeddings(
    make_bot: MakeBot, models: FakeModels, tmp_path: Path
) -> None:
    pets = tmp_path / "pets.md"
    pets.write_text(PETS)
    bot = make_bot(pets)
    models.listed = {"fake-embeddings": "embeddings"}
    async with bot:
        (plugin,) = [one for one in bot.registry.on(ROOM) if one.name == "explain"]
        common = await plugin.shelf.library("")
        await common.settled.wait()
        learnt = common.guide._learnt
        assert learnt is not None
        await plugin.shelf.teaching.add(ROOM.server, "Birds", "birds.md", b"# Birds\n\n## Robins\n\nRobins sing.\n")
        own = await plugin.shelf.library(ROOM.server)
        await own.settled.wait()
        assert own.model == "fake-embeddings"
        assert own is not common
        assert own.guide is common.guide
        assert own.guide._learnt is learnt

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes.core.requests import MODERATOR, ROOM, ask, last, replies
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.upstreams.documented import Ollama

from bot import ModelClient
from bot.app import Bot
from plugins import explain
from plugins.explain.library import library as library_module
from plugins.explain.library.lesson_set import LessonSet
from plugins.explain.library.library import LessonLibrary

from ..conftest import PURR, MakeBot, explain_plugin


@pytest.mark.usefixtures("without_reference_lesson")
async def test_lessons_are_embedded_when_the_model_server_comes_back(
    make_bot: MakeBot, models: FakeModels, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "RETRY_SECONDS", 0.01)
    models.listed = {"fake-embeddings": "embeddings"}
    models.failure = (503, "fake-embeddings is loading.")
    async with make_bot(pets) as bot:
        assert (await last(bot, ask(PURR))).text.startswith("Cats purr")
        models.failure = None

        async def is_embedded() -> bool:
            await last(bot, ask(PURR))
            return any(request["input"][0] == "why do cats purr" for request in models.requests)

        # As soon as the lesson is embedded, every question is, too.
        await eventually(is_embedded)
        # Without the model server, questions are still answered.
        models.failure = (503, "fake-embeddings is loading.")
        assert (await last(bot, ask(PURR))).text.startswith("Cats purr")


@pytest.mark.usefixtures("without_reference_lesson")
async def test_embeddings_that_cannot_be_stored_are_tried_again_and_words_are_searched_until_then(
    make_bot: MakeBot, models: FakeModels, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "RETRY_SECONDS", 0.01)
    models.listed = {"fake-embeddings": "embeddings"}
    original, has_failed = LessonLibrary._attach_embeddings, asyncio.Event()

    async def attach(self: LessonLibrary, lesson_set: LessonSet, model: str) -> None:
        if not has_failed.is_set():
            has_failed.set()
            raise OSError("the disk is full")
        await original(self, lesson_set, model)

    monkeypatch.setattr(LessonLibrary, "_attach_embeddings", attach)
    async with make_bot(pets) as bot:
        plugin = explain_plugin(bot)
        lesson_set = await plugin.library.lesson_set("")
        await eventually(lambda: has_failed.is_set() and lesson_set.ready.is_set())

        async def is_embedded() -> bool:
            reply = await last(bot, ask(PURR))
            # By now the set may have embeddings, and those of the fake server know nothing of cats.
            assert lesson_set.model or reply.text.startswith("Cats purr")
            return bool(lesson_set.model)

        await eventually(is_embedded)


@pytest.mark.usefixtures("without_reference_lesson")
async def test_the_first_question_after_the_model_server_is_back_waits_for_the_embeddings(
    make_bot: MakeBot, models: FakeModels, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "RETRY_SECONDS", 300)
    models.listed = {"fake-embeddings": "embeddings"}
    models.failure = (503, "fake-embeddings is loading.")
    async with make_bot(pets) as bot:
        assert (await last(bot, ask(PURR))).status == explain.WORDS_ALONE
        models.failure = None
        assert (await last(bot, ask(PURR))).status == ""
        assert models.requests[-1]["input"][0] == "why do cats purr"


@pytest.mark.usefixtures("without_reference_lesson")
async def test_a_model_of_a_server_by_others_embeds_lessons_and_questions(make_bot: MakeBot, pets: Path) -> None:
    async with Ollama() as server, make_bot(pets, url=server.url) as bot:
        assert (await last(bot, ask(PURR))).status == ""
        lesson_set = await explain_plugin(bot).library.lesson_set("")
        assert lesson_set.model == "nomic-embed-text:latest"
        assert "why do cats purr" in server.embedded
        assert any("Dogs bark at strangers." in text for text in server.embedded)


async def start_embedded(bot: Bot, work: list[Coroutine[Any, Any, None]]) -> tuple[LessonLibrary, LessonSet]:
    """Return a library whose background tasks are appended to `work`, and its shared set, which is embedded."""
    library = LessonLibrary(explain_plugin(bot).host, work.append)
    lesson_set = await library.lesson_set("")
    await work.pop()
    return library, lesson_set


async def test_failed_questions_embed_the_lessons_again_once_but_not_after_a_full_queue(
    make_bot: MakeBot, models: FakeModels, pets: Path
) -> None:
    work: list[Coroutine[Any, Any, None]] = []
    async with make_bot(pets) as bot:
        models.listed = {"fake-embeddings": "embeddings"}
        library, lesson_set = await start_embedded(bot, work)
        for status, expected in ((429, 0), (503, 1)):
            models.failure = (status, "Not now.")
            rankings = await asyncio.gather(*(library.rank(lesson_set, "why do cats purr", 60) for _ in range(5)))
            assert [ranking.passages[0].heading for ranking in rankings] == ["Cats"] * 5
            assert (len(work), bool(lesson_set.model)) == (expected, status == 429)
        models.failure = None
        await work.pop()
        assert lesson_set.model == "fake-embeddings"


async def test_a_model_of_another_width_embeds_all_lessons_again_and_words_decide_until_then(
    make_bot: MakeBot, models: FakeModels, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[Coroutine[Any, Any, None]] = []
    original = ModelClient.embed

    async def embed(self: ModelClient, texts: Sequence[str], **more: Any) -> Any:
        return [[*row, 1.0] for row in await original(self, texts, **more)]

    async with make_bot(pets) as bot:
        models.listed = {"fake-embeddings": "embeddings"}
        library, lesson_set = await start_embedded(bot, work)
        monkeypatch.setattr(ModelClient, "embed", embed)
        assert (await library.rank(lesson_set, "why do cats purr", 60)).passages[0].heading == "Cats"
        assert lesson_set.model == ""
        await work.pop()
        assert lesson_set.model == "fake-embeddings"
        assert lesson_set.index.has_width_of([[0.0] * 4])
        await library.rank(lesson_set, "why do cats purr", 60)
        assert work == []


async def test_a_replaced_lesson_set_is_not_tried_again(
    make_bot: MakeBot, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "RETRY_SECONDS", 0.01)
    tasks: list[asyncio.Task[Any]] = []
    async with make_bot(pets) as bot:
        library = LessonLibrary(explain_plugin(bot).host, lambda work: tasks.append(asyncio.create_task(work)))
        for song in ("sing", "whistle"):
            await library.store.add(
                ROOM.server, "Birds", "birds.md", f"# Birds\n\n## Robins\n\nThey {song}.\n".encode()
            )
            await library.lesson_set(ROOM.server)
        shared, replaced, newest = tasks
        await replaced
        assert not shared.done()
        assert not newest.done()
        for task in (shared, newest):
            task.cancel()
        await asyncio.gather(shared, newest, return_exceptions=True)


@pytest.mark.usefixtures("without_reference_lesson")
async def test_a_replaced_lesson_set_is_not_embedded(make_bot: MakeBot, models: FakeModels, pets: Path) -> None:
    work: list[Coroutine[Any, Any, None]] = []
    models.listed = {"fake-embeddings": "embeddings"}
    async with make_bot(pets) as bot:
        library, _ = await start_embedded(bot, work)
        for song in ("sing", "whistle"):
            text = f"# Birds\n\n## Robins\n\nThey {song}.\n"
            await library.store.add(ROOM.server, "Birds", "birds.md", text.encode())
            await library.lesson_set(ROOM.server)
        await asyncio.gather(*work)
    embedded = " ".join(text for request in models.requests for text in request["input"])
    assert "They whistle." in embedded
    assert "They sing." not in embedded


async def test_the_configured_embedding_model_is_used(models: FakeModels, make_bot: MakeBot, pets: Path) -> None:
    bot = make_bot(pets, embeddings="many-languages")
    models.listed = {"fake-embeddings": "embeddings", "many-languages": "embeddings"}
    async with bot:
        await last(bot, ask(PURR))
    assert {request["model"] for request in models.requests} == {"many-languages"}


@pytest.mark.usefixtures("without_reference_lesson")
@pytest.mark.parametrize("languages", [["en"], ["de", "en"], []])
async def test_a_lesson_in_a_language_that_the_model_does_not_know_is_searched_by_words_alone(
    make_bot: MakeBot, models: FakeModels, pets: Path, languages: list[str]
) -> None:
    is_unknown = languages == ["en"]
    models.listed = {"fake-embeddings": "embeddings"}
    models.told_of = {"fake-embeddings": {"languages": languages}}
    german = "# Tiere\n\n## Katzen\n\nDie Katze schnurrt, wenn sie zufrieden ist.\n"
    pets.with_suffix(".de.md").write_text(german)
    async with make_bot(pets) as bot:
        await last(bot, ask(PURR))
        embedded = [models.requests[-1]["input"][0]]
        # Nobody waits for embeddings that will not come, and no better result is promised for later.
        if is_unknown:
            models.embedding_gate.clear()
        shown = await replies(bot, ask("/explain Wann schnurrt eine Katze?"))
        assert ("Katze" in shown[-1].text, shown[-1].status) == (True, "")
        assert not (is_unknown and any(reply.status.startswith("Getting to know") for reply in shown))
        embedded.append(models.requests[-1]["input"][0])
        library = explain_plugin(bot).library
        translated = await library.lesson_set("", "de")
        translated.want_embeddings()
        assert translated.ready.is_set()
        # The only lesson of this server is in German, and so an English question of it finds words alone, too.
        await library.store.add(ROOM.server, "Pets", "tiere.md", german.encode())
        own = await library.lesson_set(ROOM.server)
        await eventually(own.ready.is_set)
        assert (own.model == "") == is_unknown
    assert embedded == ["why do cats purr", "why do cats purr" if is_unknown else "Wann schnurrt eine Katze?"]


async def test_a_cached_lesson_set_stays_cached_when_unused_embeddings_are_deleted(
    make_bot: MakeBot, models: FakeModels, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.explain.library.library.MAX_LESSON_SETS", 1)
    models.listed = {"fake-embeddings": "embeddings"}
    async with make_bot(pets) as bot:
        plugin = explain_plugin(bot)
        for server, bird in (("one", "Robins"), ("two", "Wrens")):
            lesson = f"# Birds\n\n## {bird}\n\n{bird} sing.\n".encode()
            await plugin.library.store.add(server, "Birds", "birds.md", lesson)
            await (await plugin.library.lesson_set(server)).ready.wait()
        cached = await plugin.library.lesson_set("one")
        await cached.ready.wait()
        both = await plugin.host.store.blob_keys(scope="vectors")
        await plugin.library.delete_unused_embeddings()
        assert plugin.library.cached("one") is cached
        assert await plugin.host.store.blob_keys(scope="vectors") == both


async def embed_birds(bot: Bot) -> frozenset[str]:
    """Add a lesson about birds, without a command, and return the keys of all embeddings once it is embedded."""
    plugin = explain_plugin(bot)
    await plugin.library.store.add(ROOM.server, "Birds", "birds.md", b"# Birds\n\n## Robins\n\nRobins sing.\n")
    lesson_set = await plugin.library.lesson_set(ROOM.server)
    await eventually(lambda: bool(lesson_set.model))
    return await plugin.host.store.blob_keys(scope="vectors")


async def are_some_deleted(bot: Bot, before: frozenset[str]) -> bool:
    plugin = explain_plugin(bot)
    left = await plugin.host.store.blob_keys(scope="vectors")
    return bool(left & before) and not before <= left


@pytest.mark.usefixtures("without_reference_lesson")
@pytest.mark.parametrize(
    "line", ["/lesson remove title:Birds", '/lesson add title:Birds text:"# Birds\n\n## Wrens\n\nWrens are small.\n"']
)
async def test_embeddings_are_deleted_when_a_lesson_is_changed_or_removed(
    make_bot: MakeBot, models: FakeModels, pets: Path, line: str
) -> None:
    bot = make_bot(pets)
    models.listed = {"fake-embeddings": "embeddings"}
    async with bot:
        before = await embed_birds(bot)
        assert not (await last(bot, ask(line, MODERATOR))).error
        await eventually(lambda: are_some_deleted(bot, before))


@pytest.mark.usefixtures("without_reference_lesson")
async def test_unused_embeddings_are_deleted_some_time_after_the_start(
    make_bot: MakeBot, models: FakeModels, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot, next_bot = make_bot(pets), make_bot(pets)
    models.listed = {"fake-embeddings": "embeddings"}
    async with bot:
        before = await embed_birds(bot)
        plugin = explain_plugin(bot)
        await plugin.library.store.remove(ROOM.server, await plugin.library.store.lesson(ROOM.server, "birds"))
    monkeypatch.setattr(explain, "CLEANUP_DELAY_SECONDS", 0)
    async with next_bot:
        await eventually(lambda: are_some_deleted(next_bot, before))


async def test_lesson_sets_share_the_reference_lesson_and_its_embeddings(
    make_bot: MakeBot, models: FakeModels, pets: Path
) -> None:
    bot = make_bot(pets)
    models.listed = {"fake-embeddings": "embeddings"}
    async with bot:
        plugin = explain_plugin(bot)
        shared = await plugin.library.lesson_set("")
        await shared.ready.wait()
        models.requests.clear()
        await embed_birds(bot)
        own = await plugin.library.lesson_set(ROOM.server)
        assert (own is shared, own.reference is shared.reference) == (False, True)
    # One text of the scale and one of the lessons show that it still is the same model.
    assert [len(request["input"]) for request in models.requests if "Robins" not in str(request)] == [1] * 2

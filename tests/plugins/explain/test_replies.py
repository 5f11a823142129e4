"""/explain as people meet it: answers, suggestions, refusals, and what the buttons under them do."""

import asyncio
from pathlib import Path

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, ROOM, ask, last, press, replies, speaking
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels

from bot.answers import context
from bot.app import Bot
from bot.core.errors import DatabaseUnavailable
from bot.core.messages import Place, Reply, Request, User
from plugins import explain
from plugins.explain.gaps import Gaps
from plugins.explain.library.lesson_set import LessonSet
from plugins.explain.library.library import LessonLibrary
from plugins.explain.search.decision import FEATURE_COUNT, Ranking

from .conftest import DEFAULT, MakeBot, explain_plugin

KNOWN, VAGUE, UNKNOWN = "what does a high temperature do", "which song does the winemaker sing", "zebra migration"
WEB = Place("web", "general", server="web")
LESSON = " ".join(DEFAULT.read_text("utf-8").replace("*", "").split())


def labels(reply: Reply) -> list[str]:
    return [button.label for button in reply.buttons if button.command]


async def pressed(bot: Bot, reply: Reply, label: str, user: object = ANN) -> Reply:
    number = next(place for place, button in enumerate(reply.buttons) if button.label == label)
    return await last(bot, press(f"b{number}", reply.row, user))


async def press_first(bot: Bot, reply: Reply, user: User) -> None:
    assert not (await last(bot, press("b0", reply.row, user))).error


async def gaps(bot: Bot) -> str:
    return (await last(bot, ask("/lesson gaps", MODERATOR))).text


async def test_old_gaps_are_deleted_even_if_nobody_asks_again(make_bot: MakeBot) -> None:
    async def asked(bot: Bot) -> list[str]:
        plugin = explain_plugin(bot)
        return list(await plugin.host.store.items(scope=f"asked:{ROOM.server}"))

    async def is_empty(bot: Bot) -> bool:
        return not await asked(bot)

    async with make_bot() as bot:
        await last(bot, ask(f"/explain {UNKNOWN}"))
        assert await asked(bot) == [UNKNOWN]
    async with make_bot(retention_days=0) as bot:
        await eventually(lambda: is_empty(bot))


async def test_suggestions_of_the_same_name_show_their_lesson(
    make_bot: MakeBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{name}.md" for name in ("cats", "dogs")]
    for file in files:
        file.write_text(f"# {file.stem}\n\n## Summary\n\nAll of it.\n\n## Only {file.stem}\n\nMore.\n")

    async def rank(
        self: LessonLibrary, library: LessonSet, question: str, patience: float, *, user: str = ""
    ) -> Ranking:
        return Ranking(library.index.passages[:3], (0.0,) * FEATURE_COUNT, 0.0, with_embeddings=True)

    monkeypatch.setattr(LessonLibrary, "rank", rank)
    async with make_bot(*files) as bot:
        reply = await last(bot, ask("/explain the summaries"))
        names = ["cats › Summary", "Only cats", "dogs › Summary"]
        assert reply.text.splitlines()[2:] == [f"- {name}" for name in names]
        assert labels(reply)[:3] == names


async def test_an_answer_quotes_the_lesson_and_names_its_source(bot: Bot) -> None:
    reply = await last(bot, ask(f"/explain {KNOWN}"))
    words, _, source = reply.text.rpartition("\n\n")
    assert "such as 1.5" in words
    assert words in LESSON
    assert source == "— What is generative AI? › The temperature knob › High temperature"
    assert (reply.quote, dict(reply.card), reply.error) == (KNOWN, {}, False)
    assert labels(reply) == ["Source", "Next topic", "Simpler", "That did not help"]


@pytest.mark.parametrize(
    ("place", "address"),
    [
        (WEB, "/read/explain/what-is-generative-ai?room=general#high-temperature"),
        (ROOM, "https://chat.example.org/read/explain/what-is-generative-ai#high-temperature"),
    ],
)
async def test_an_answer_links_to_the_lessons_page(make_bot: MakeBot, place: Place, address: str) -> None:
    async with make_bot(DEFAULT, web_url="https://chat.example.org") as bot:
        reply = await last(bot, ask(f"/explain {KNOWN}", ANN, place))
        assert reply.text.endswith(f"— [What is generative AI? › The temperature knob › High temperature]({address})")
        pages = (await bot.registry.pages(place))["explain"]
    assert "high-temperature" in {part.anchor for part in pages[0].parts}
    assert pages[0].name == "what-is-generative-ai"


async def test_without_a_model_server_words_alone_answer_and_say_so(make_bot: MakeBot) -> None:
    async with make_bot(DEFAULT, url="http://127.0.0.1:9") as bot:
        for question, is_certain in ((VAGUE, False), (UNKNOWN, False), (KNOWN, True)):
            reply = await last(bot, ask(f"/explain {question}"))
            assert reply.status == ("" if is_certain else explain.WORDS_ALONE)
    assert "such as 1.5" in reply.text


@pytest.mark.usefixtures("without_reference_lesson")
async def test_a_question_that_stands_in_the_lesson_waits_for_nothing(
    make_bot: MakeBot, models: FakeModels, pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "EMBEDDINGS_WAIT_SECONDS", 300)
    models.listed = {"fake-embeddings": "embeddings"}
    models.embedding_gate.clear()
    async with make_bot(pets) as bot:
        reply = await last(bot, ask("/explain cats"))
        assert (reply.text.split("\n")[0], reply.status) == ("Cats purr when they are content.", "")
        models.embedding_gate.set()


@pytest.mark.usefixtures("without_reference_lesson")
async def test_a_question_does_not_wait_until_all_lessons_are_embedded(
    make_bot: MakeBot, models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "EMBEDDINGS_WAIT_SECONDS", 0.05)
    lesson = tmp_path / "knob.md"
    lesson.write_text("# Knobs\n\n## Hot\n\nRare tokens come up.\n\n## Cold\n\nThe likely ones win.\n")
    models.listed = {"fake-embeddings": "embeddings"}
    models.embedding_gate.clear()
    async with make_bot(lesson) as bot:
        asked = await replies(bot, ask("/explain when do rare tokens come up"))
        assert asked[-1].text.startswith("Rare tokens come up.")
        assert any(reply.status.startswith("Getting to know the lessons: 0 of 2") for reply in asked)
        # What was embedded is only what the lesson says, and nobody has got it yet.
        assert [len(models.requests), "when do rare tokens come up" in models.requests[0]["input"]] == [1, False]
        models.embedding_gate.set()

        async def is_embedded() -> bool:
            assert (await last(bot, ask("/explain when do the likely ones win"))).final
            return bool(models.requests[-1]["input"][0] == "when do the likely ones win")

        await eventually(is_embedded)


async def test_a_question_is_embedded_once_the_lessons_are(
    make_bot: MakeBot, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "EMBEDDINGS_WAIT_SECONDS", 300)
    models.listed = {"fake-embeddings": "embeddings"}
    async with make_bot(DEFAULT) as bot:
        statuses = [reply.status for reply in await replies(bot, ask(f"/explain {VAGUE}"))]
        assert "Looking it up in the lessons …" in statuses
        assert VAGUE in models.requests[-1]["input"]
        assert all(request["model"] == "fake-embeddings" for request in models.requests)
        models.requests.clear()
        await last(bot, ask(f"/explain {UNKNOWN}"))
    assert [(request["input"][0], request["user"]) for request in models.requests] == [(UNKNOWN, ANN.id)]


async def test_a_question_of_another_command_is_embedded_for_its_user(
    make_bot: MakeBot, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "CONTEXT_EMBEDDING_SECONDS", 300)
    monkeypatch.setattr(context, "LOOKUP_SECONDS", 600)
    models.listed = {"fake-chat": "chat", "fake-embeddings": "embeddings"}
    async with make_bot(DEFAULT) as bot:
        assert (await last(bot, ask("/ask how hot is a high temperature"))).final
    looked_up = [one for one in models.requests if "how hot is a high temperature" in one.get("input", ())]
    assert [request["user"] for request in looked_up] == [ANN.id]


async def test_a_vague_question_gets_suggestions_that_lead_to_passages(bot: Bot) -> None:
    reply = await last(bot, ask(f"/explain {VAGUE}"))
    assert "did you mean" in reply.text
    *offered, none = labels(reply)
    assert none == "None of these"
    assert 1 <= len(offered) <= 3
    assert reply.text.splitlines()[2:] == [f"- {heading}" for heading in offered]
    answered = await pressed(bot, reply, offered[0])
    assert answered.text.rpartition("\n\n")[2].endswith(f"› {offered[0]}")
    assert answered.quote == offered[0]


async def test_none_of_these_counts_a_gap(bot: Bot) -> None:
    reply = await last(bot, ask(f"/explain {VAGUE}"))
    assert VAGUE not in await gaps(bot)
    told = await pressed(bot, reply, "None of these")
    assert told.private
    assert f"- 1 × {VAGUE}" in await gaps(bot)


async def test_deleting_ones_data_keeps_the_gap_counts_of_others(make_bot: MakeBot) -> None:
    async with make_bot(DEFAULT, plugins=("explain", "privacy")) as bot:
        for user in (ANN, BEN):
            await pressed(bot, await last(bot, ask(f"/explain {VAGUE}", user)), "None of these", user)
            await last(bot, ask(f"/explain {UNKNOWN}", user))
        await last(bot, ask(f"/explain {UNKNOWN}", BEN))
        for user, left in ((ANN, [f"- 2 × {UNKNOWN}", f"- 1 × {VAGUE}"]), (BEN, [])):
            await press_first(bot, await last(bot, ask("/privacy delete", user)), user)
            assert [line for line in (await gaps(bot)).splitlines() if line.startswith("- ")] == left


async def test_deleting_ones_data_takes_back_presses_below_suggestions_to_others(make_bot: MakeBot) -> None:
    async with make_bot(DEFAULT, plugins=("explain", "privacy")) as bot:
        suggestions = await last(bot, ask(f"/explain {VAGUE}", ANN))
        await pressed(bot, suggestions, "None of these", BEN)
        assert f"- 1 × {VAGUE}" in await gaps(bot)
        await press_first(bot, await last(bot, ask("/privacy delete", BEN)), BEN)
        assert VAGUE not in await gaps(bot)
        await pressed(bot, suggestions, "None of these", BEN)
        assert f"- 1 × {VAGUE}" in await gaps(bot)


async def test_remembered_presses_are_limited(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "MAX_REMEMBERED_PRESSES", 1)
    suggestions = await last(bot, ask(f"/explain {VAGUE}", ANN))
    for user in (ANN, BEN, BEN, ANN):
        await pressed(bot, suggestions, "None of these", user)
    assert f"- 3 × {VAGUE}" in await gaps(bot)


async def test_a_lesson_fills_the_gaps_that_it_answers(bot: Bot) -> None:
    async def is_filled() -> bool:
        return UNKNOWN not in await gaps(bot)

    for question in (UNKNOWN, "who invented the steam engine"):
        await last(bot, ask(f"/explain {question}"))
    text = "Zebras.\n\n## Zebra migration\n\nThe zebra migration leads south in spring.\n"
    await last(bot, ask(f'/lesson add title:Zebras text:"{text}"', MODERATOR))
    await eventually(is_filled)
    assert "- 1 × who invented the steam engine" in await gaps(bot)


async def test_topics_of_several_lessons_are_listed_by_lesson(bot: Bot) -> None:
    birds = "# Birds\n\n" + "".join(f"## Bird {number}\n\nIt sings {number} songs.\n\n" for number in range(30))
    for title, text in (("Birds", f"{birds}## FAQ\n\n### Do they fly?\n\nYes.\n"), ("Fish", "Fish swim.")):
        await last(bot, ask(f'/lesson add title:{title} text:"{text}"', MODERATOR))
    first, _, own, *others = (await last(bot, ask(f"/explain {UNKNOWN}"))).text.splitlines()
    assert first == "That is not in the lessons. They are about:"
    assert own.startswith("- **What is generative AI?**: What does “generative” mean? · ")
    assert others == [f"- **Birds**: {' · '.join(f'Bird {number}' for number in range(13))} · …", "- **Fish**"]


async def test_a_refusal_lists_the_topics_and_counts_a_gap(bot: Bot, models: FakeModels) -> None:
    reply = await last(bot, ask(f"/explain {UNKNOWN}"))
    first, _, *topics = reply.text.splitlines()
    assert (first, reply.error) == ("That is not in the lessons. They are about:", False)
    assert "- The temperature knob" in topics
    assert len(topics) > 8
    assert f"- 1 × {UNKNOWN}" in await gaps(bot)
    german = await last(bot, ask(f"/explain {UNKNOWN}", speaking("de")))
    assert german.text.startswith("Das steht nicht in den Lektionen. Sie handeln von:")
    answered = await pressed(bot, reply, "Ask the language model")
    assert answered.text == "Paris is the capital of France."
    assert models.requests[-1]["messages"][-1]["content"] == UNKNOWN


async def test_without_ask_a_refusal_does_not_offer_it(make_bot: MakeBot) -> None:
    async with make_bot(DEFAULT, plugins=("explain",)) as bot:
        assert labels(await last(bot, ask(f"/explain {UNKNOWN}"))) == []


async def test_without_lessons_a_refusal_says_so(make_bot: MakeBot) -> None:
    async with make_bot() as bot:
        reply = await last(bot, ask(f"/explain {KNOWN}"))
    assert reply.text == "That is not in the lessons. There are none here yet."


async def test_a_question_in_a_direct_message_is_no_gap(bot: Bot) -> None:
    await last(bot, ask(f"/explain {UNKNOWN}", ANN, Place("discord", "dm")))
    there = await last(bot, ask("/lesson gaps", MODERATOR, Place("discord", "dm")))
    assert UNKNOWN not in there.text


async def test_the_next_topic_is_the_next_section(bot: Bot) -> None:
    reply = await last(bot, ask(f"/explain {KNOWN}"))
    after = await pressed(bot, reply, "Next topic")
    assert after.text.endswith("› The creativity slider")
    before_the_end = reply
    for _ in range(60):
        if "Next topic" not in labels(before_the_end):
            break
        before_the_end = await pressed(bot, before_the_end, "Next topic")
    assert "Next topic" not in labels(before_the_end)


async def test_the_source_shows_headings_and_neighbours_privately(bot: Bot) -> None:
    reply = await last(bot, ask(f"/explain {KNOWN}"))
    source = await pressed(bot, reply, "Source")
    assert source.private
    for line in (
        "**What is generative AI?**",
        "- The temperature knob",
        "  - High temperature",
        "- Before it: Low temperature",
        "- After it: The creativity slider",
    ):
        assert line in source.text.splitlines()
    before = await pressed(bot, source, "◀ Low temperature")
    assert before.text.endswith("› Low temperature")


async def test_an_unhelpful_answer_is_counted_once_per_person_without_names(bot: Bot) -> None:
    reply = await last(bot, ask(f"/explain {KNOWN}"))
    for user in (ANN, ANN, BEN):
        assert (await pressed(bot, reply, "That did not help", user)).private
    told = await gaps(bot)
    assert "- 2 × What is generative AI? › The temperature knob › High temperature" in told
    assert "Ann" not in told
    assert "Ben" not in told


async def test_the_end_of_the_wait_for_embeddings_disturbs_nobody(bot: Bot) -> None:
    lesson_set = await explain_plugin(bot).library.lesson_set("")
    lesson_set.ready.clear()
    lesson_set.report_progress(1, 9)
    told = []
    async for progress in lesson_set.watch_progress(0.05):
        told.append(progress)
        # Longer than the wait, as when a platform is slow.
        await asyncio.sleep(0.1)
    assert told == [(1, 9)]


async def test_what_could_not_be_counted_counts_when_it_is_pressed_again(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable

    reply = await last(bot, ask(f"/explain {KNOWN}"))
    with monkeypatch.context() as patched:
        patched.setattr(Gaps, "count_unhelpful", away)
        assert (await pressed(bot, reply, "That did not help")).error
    assert not (await pressed(bot, reply, "That did not help")).error
    assert "- 1 × What is generative AI?" in await gaps(bot)


async def test_a_button_to_a_removed_section_says_that_it_is_gone(make_bot: MakeBot, tmp_path: Path) -> None:
    file = tmp_path / "pets.md"
    file.write_text("# Pets\n\n## Cats\n\nCats purr when they are content.\n\n## Dogs\n\nDogs bark at strangers.\n")
    async with make_bot(file) as bot:
        reply = await last(bot, ask("/explain why do cats purr"))
        assert reply.text.startswith("Cats purr")
    file.write_text("# Pets\n\n## Dogs\n\nDogs bark at strangers.\n\n## Birds\n\nBirds sing.\n")
    async with make_bot(file) as bot:
        gone = await pressed(bot, reply, "Source")
        assert (gone.error, gone.private) == (True, True)
        assert gone.text.startswith("This part of the lesson is gone")
        assert (await pressed(bot, reply, "Next topic")).text.startswith("Dogs bark")


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("", "What does “generative” mean?"),
        ("what is tok", "What is a token?"),
        ("TOKEN?", "What is a token?"),
        ("slid", "The creativity slider"),
        ("nothing like it", None),
    ],
)
async def test_questions_are_completed(bot: Bot, typed: str, first: str | None) -> None:
    await last(bot, ask(f"/explain {KNOWN}"))
    found = await bot.complete(Request(user=ANN, place=ROOM, command="explain"), "question", typed)
    assert (found[0] if found else None) == first
    assert len(found) == len(set(found))

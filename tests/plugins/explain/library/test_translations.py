"""Lessons in several languages: the asker's language decides, and no passage is found twice."""

from pathlib import Path

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM, ask, last, pressed, speaking

from bot.documents.parse import parse_document
from plugins.explain.lessons.passages import Passage, split_passages
from plugins.explain.library.translations import translation_paths
from plugins.explain.search.index import Index
from plugins.explain.search.words.glossary import search_language
from research import DATA
from research.explain.calibration import count_outcomes, load_questions

from ..conftest import DEFAULT, MakeBot, explain_plugin

GERMAN = speaking("de-AT")


def passages(path: Path) -> list[Passage]:
    return split_passages(parse_document(path.read_bytes(), path.name))


def test_the_default_lesson_has_the_same_parts_in_all_languages() -> None:
    english = [(passage.kind, len(passage.path), bool(passage.wordings)) for passage in passages(DEFAULT)]
    for path in translation_paths(DEFAULT).values():
        assert [(one.kind, len(one.path), bool(one.wordings)) for one in passages(path)] == english


@pytest.mark.parametrize(("code", "name"), [("de", "german"), ("es", "spanish")])
@pytest.mark.parametrize(
    ("kind", "found", "least", "most_false"),
    # Authors of the held-out questions saw the lesson alone, and nothing was fitted to them.
    [("development", "right first", 0.85, 0.1), ("held_out", "right in three", 0.8, 0.08)],
)
def test_words_alone_find_the_right_place_in_other_languages(
    code: str, name: str, kind: str, found: str, least: float, most_false: float
) -> None:
    index = Index(passages(translation_paths(DEFAULT)[code]), None, search_language(code))
    questions = load_questions(DATA / "explain" / f"{name}_{kind}.jsonl")
    assert {heading for one in questions for heading in one.headings} <= {one.heading for one in index.passages}
    rankings = [index.rank(index.read_question(one.question)) for one in questions]
    outcomes = count_outcomes(index, questions, rankings)
    right, asked = outcomes[found]
    assert right >= least * asked
    false, unanswered = outcomes["false answers"]
    assert false <= most_false * unanswered


async def test_a_question_is_answered_in_its_language(make_bot: MakeBot) -> None:
    async with make_bot(DEFAULT) as bot:
        english = (await last(bot, ask("/explain what does a high temperature do", GERMAN))).text
        assert english.startswith("At a high temperature")
        for asker in (GERMAN, ANN):
            reply = await last(bot, ask("/explain Was macht eine hohe Temperatur?", asker))
            assert reply.text.startswith("Bei einer hohen Temperatur")
            assert "Was ist generative KI? › Die Temperatur" in reply.text
        assert "Con una temperatura alta" in (await last(bot, ask("/explain ¿Qué hace una temperatura alta?"))).text
        # A name alone is in no language: the asker's decides.
        assert (await last(bot, ask("/explain Deepfakes", GERMAN))).text.startswith("Ein Deepfake ist")
        assert (await last(bot, ask("/explain Deepfakes"))).text.startswith("A deepfake is")
        refused = (await last(bot, ask("/explain Wie koche ich Nudeln?"))).text
        assert "Worin GANs schlecht sind" in refused or "Große Sprachmodelle" in refused
        # Buttons lead to the lesson that they stand under.
        shown = await pressed(bot, reply, "Source")
        assert "Hohe Temperatur" in shown.text


async def test_a_teachers_lesson_takes_the_place_of_all_languages(make_bot: MakeBot) -> None:
    own = "# x\n\n## Hohe Temperatur\n\nBei hoher Temperatur ist alles möglich.\n\n## Kälte\n\nVorsicht.\n"
    async with make_bot(DEFAULT) as bot:
        for title in ("what is generative AI?", "was ist generative KI?"):
            await last(bot, ask(f'/lesson add title:"{title}" text:"{own}"', MODERATOR))
            asked = await last(bot, ask("/explain Was macht eine hohe Temperatur?"))
            assert asked.text.startswith("Bei hoher Temperatur ist alles möglich.")
            assert len((await bot.registry.pages(ROOM))["explain"]) == 1
            await last(bot, ask(f'/lesson remove title:"{title}"', MODERATOR))
        library = explain_plugin(bot).library
        german = await library.lesson_set(ROOM.server, "de")
        assert [lesson.title for lesson in german.lessons] == ["Was ist generative KI?"]


async def test_a_lesson_that_is_listed_itself_is_no_translation(make_bot: MakeBot, tmp_path: Path) -> None:
    english, german = tmp_path / "cells.md", tmp_path / "cells.de.md"
    english.write_text("# Cells\n\n## What is a cell?\n\nThe smallest part of a living thing.\n")
    german.write_text("# Zellen\n\n## Was ist eine Zelle?\n\nDas ist der kleinste Teil eines Lebewesens.\n")
    for files, titles in (((english,), ["Zellen"]), ((english, german), ["Cells", "Zellen"])):
        async with make_bot(*files) as bot:
            found = await explain_plugin(bot).library.lesson_set("", "de")
            assert [lesson.title for lesson in found.lessons] == titles
            assert "kleinste Teil" in (await last(bot, ask("/explain Was ist denn eine Zelle?"))).text


async def test_each_language_has_its_page(make_bot: MakeBot) -> None:
    async with make_bot(DEFAULT) as bot:
        (page,) = (await bot.registry.pages(ROOM))["explain"]
        assert page.in_language("de-CH").title == "Was ist generative KI?"
        assert page.in_language("fr") is page
        assert len({page.name, *(other.name for other in page.translations.values())}) == 3
        listed = (await last(bot, ask("/lesson list", MODERATOR))).text
        assert [line.strip().split("**")[1] for line in listed.splitlines()][1:] == [
            "Was ist generative KI?",
            "¿Qué es la IA generativa?",
        ]


async def test_a_translation_that_cannot_be_read_leaves_its_lesson(
    make_bot: MakeBot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cells, damaged = tmp_path / "cells.md", tmp_path / "cells.de.md"
    cells.write_text("# Cells\n\n## Walls\n\nA wall of cellulose keeps a plant cell in shape.\n")
    damaged.write_text("")
    async with make_bot(cells) as bot:
        assert (await last(bot, ask("/explain Walls"))).text.startswith("A wall of cellulose")
    assert f"The translation {damaged} of a lesson in explain.lessons is left out: " in caplog.text


async def test_a_translation_may_have_the_title_of_its_lesson(make_bot: MakeBot, tmp_path: Path) -> None:
    git, german = tmp_path / "git.md", tmp_path / "git.de.md"
    git.write_text("# Git\n\n## What is a branch?\n\nA branch is a line of work.\n")
    german.write_text("# Git\n\n## Was ist ein Zweig?\n\nEin Zweig ist eine Reihe von Änderungen.\n")
    async with make_bot(git) as bot:
        lesson_set = await explain_plugin(bot).library.lesson_set("", "de")
        (lesson,) = lesson_set.lessons
        assert (lesson.title, lesson.passages[0].heading) == ("Git (2)", "Was ist ein Zweig?")
        assert (await explain_plugin(bot).library.set_with("", lesson.title)) is lesson_set

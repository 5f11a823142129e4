import pytest
from fakes.core.requests import MODERATOR, ROOM, ask, last, press, replies
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.settings.scopes import server_scope
from plugins.explain.search.words.glossary import search_language
from plugins.explain.simplify import finished_sentences, unsupported_terms

SOURCE = (
    "The temperature knob › High temperature. At a high temperature, such as 1.5, the drawing is freer. ChatGPT may "
    "give up to 1,000 tokens in 0.70 seconds. Two networks compete; there are 3 steps and hundreds of pictures."
)
QUESTION = "/explain style:simple what does a high temperature do"
GOOD = ("With a high", " number it draws more boldly.", " The answers", " have many ideas.")
MARK = "*In simpler words, written by AI:*"


@pytest.mark.parametrize(
    "sentence",
    [
        "At a high temperature the drawing is freer.",
        "ChatGPT's tokens are free, and ChatGPT is quick.",
        "It gives 1000 tokens, or 1,000, in 0.7 seconds.",
        "There are two networks, three steps and hundreds of pictures.",
        "Imagine a knob. ",
        "“Networks compete”, it says: They never stop.",
        "I think so.",
        "Think of the HIGH temperature.",
    ],
)
def test_terms_of_the_source_are_supported(sentence: str) -> None:
    assert unsupported_terms(sentence, SOURCE) == []


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("It is 1.6 at most.", ["1.6"]),
        ("It has 10,000 tokens.", ["10,000"]),
        ("There are four steps and a million pictures.", ["four", "million"]),
        ("This was made by Google.", ["Google"]),
        ("Google made it.", ["Google"]),
        ("NASA uses it.", ["NASA"]),
        ("It was found by Ada Lovelace in 1843.", ["1843", "Ada", "Lovelace"]),
        ("ChatGPT and GPT are not the same.", ["GPT"]),
        ("Robots do that.", ["Robots"]),
    ],
)
def test_names_and_numbers_that_the_source_lacks_are_found(sentence: str, found: list[str]) -> None:
    assert unsupported_terms(sentence, SOURCE) == found


def test_german_nouns_are_no_names_and_abbreviations_are() -> None:
    german, source = search_language("de"), "Die Temperatur sagt, wie frei gezogen wird: 0 heißt immer gleich."
    assert unsupported_terms("Dann nimmt das Programm das nächste Wort.", source, german) == []
    assert unsupported_terms("Das sagt die NASA.", source, german) == ["NASA"]
    assert unsupported_terms("Es sind fünf Wörter oder eine million.", source, german) == ["fünf", "million"]


def test_sentences_are_finished_when_something_follows() -> None:
    assert list(finished_sentences("It is 1.5 at most. He said “no!” Then\n- a list\nand it goes on.")) == [
        "It is 1.5 at most.",
        " He said “no!”",
        " Then\n",
        "- a list\n",
    ]


async def test_simpler_words_are_marked_above_the_quoted_passage(bot: Bot, models: FakeModels) -> None:
    models.answer = GOOD
    reply = await last(bot, ask(QUESTION))
    mark, told, quote, source = reply.text.split("\n\n")
    assert (mark, told) == (MARK, "".join(GOOD))
    assert quote.startswith("> At a high temperature, such as 1.5,")
    assert source == "— What is generative AI? › The temperature knob › High temperature"
    assert reply.card["model"] == "fake-chat"
    assert reply.card["lesson"] == "What is generative AI? › The temperature knob › High temperature"
    assert [button.label for button in reply.buttons if button.command] == ["Source", "Next topic", "That did not help"]
    asked = models.requests[-1]["messages"]
    assert asked[-1]["content"].startswith("At a high temperature, such as 1.5,")


async def test_a_sentence_is_shown_only_after_its_check(bot: Bot, models: FakeModels) -> None:
    models.answer = GOOD
    models.before_gate = 3
    models.gate.clear()
    seen = []
    async for reply in bot.prepare(ask(QUESTION)).start():
        seen.append(reply.text)
        if reply.text:
            models.gate.set()
    *growing, final = seen
    assert any(text.startswith(MARK) for text in growing)
    assert all(final.startswith(text) for text in growing)
    assert not any(text.endswith("The answers") for text in growing)


@pytest.mark.parametrize(
    "answer",
    [
        ("It draws boldly.", " Google found", " out. ", "And more."),
        ("It draws boldly.", " It is 99 times", " so"),
    ],
)
async def test_an_unsupported_sentence_is_never_shown(bot: Bot, models: FakeModels, answer: tuple[str, ...]) -> None:
    models.answer = answer
    seen = await replies(bot, ask(QUESTION))
    assert not any("Google" in reply.text or "99" in reply.text for reply in seen)
    assert seen[-1].text.startswith("At a high temperature, such as 1.5,")
    assert MARK not in seen[-1].text
    assert seen[-1].status.startswith("The simpler words said something that the lesson does not")


@pytest.mark.parametrize(
    "answer", [("",), ("  \n",), ("The answers are CREATIVE and varied,", " and sometimes they are nonsense.")]
)
async def test_the_lessons_own_words_are_never_called_simpler(
    bot: Bot, models: FakeModels, answer: tuple[str, ...]
) -> None:
    models.answer = answer
    seen = await replies(bot, ask(QUESTION))
    assert not any(MARK in reply.text for reply in seen)
    assert seen[-1].text.startswith("At a high temperature, such as 1.5,")
    assert seen[-1].status.startswith("The language model found no simpler words")
    last_roles = [turn["role"] for turn in models.requests[-1]["messages"]]
    assert last_roles == ["system", "user", *(["assistant", "user"] if answer[0].strip() else [])]


async def test_a_sentence_that_repeats_the_lesson_is_left_out(bot: Bot, models: FakeModels) -> None:
    models.answer = (
        "It draws boldly. ",
        "It says “That is fun for stories, poems and brainstorming.” ",
        "Many texts are odd.",
    )
    reply = await last(bot, ask(QUESTION))
    assert reply.text.startswith(f"{MARK}\n\nIt draws boldly. Many texts are odd.\n\n> At a high")


async def test_the_model_is_stopped_at_the_first_unsupported_term(bot: Bot, models: FakeModels) -> None:
    models.answer = ("Google found it. ", *["More."] * 5)
    models.before_gate = 2
    models.gate.clear()
    await last(bot, ask(QUESTION))
    await models.until(dropped=1, running=0)


async def test_the_model_of_ask_is_used(bot: Bot, models: FakeModels) -> None:
    models.answer = GOOD
    models.listed["other-chat"] = "chat"
    await bot.settings.write([bot.settings.make_change("ask.model", "other-chat", server_scope(ROOM))], MODERATOR)
    assert (await last(bot, ask(QUESTION))).card["model"] == "other-chat"


@pytest.mark.parametrize("trouble", ["loading", "gone"])
async def test_without_a_language_model_the_passage_is_shown(bot: Bot, models: FakeModels, trouble: str) -> None:
    models.failure = (503, "fake-chat is loading.") if trouble == "loading" else None
    models.listed = models.listed if trouble == "loading" else {}
    reply = await last(bot, ask(QUESTION))
    assert reply.text.startswith("At a high temperature, such as 1.5,")
    assert (reply.error, reply.status.startswith("The language model cannot be asked")) == (False, True)


async def test_the_button_simplifies_the_passage_above_it(bot: Bot, models: FakeModels) -> None:
    models.answer = GOOD
    reply = await last(bot, ask("/explain what does a high temperature do"))
    number = [button.label for button in reply.buttons].index("Simpler")
    simpler = await last(bot, press(f"b{number}", reply.row))
    assert simpler.text.startswith(f"{MARK}\n\n{''.join(GOOD)}")

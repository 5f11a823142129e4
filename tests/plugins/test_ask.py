from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.core.requests import ANN, BEN, ROOM, THREAD, ask, last, press, replies, speaking
from fakes.core.settings import put
from fakes.model_server.broken_api import crooked, plainly
from fakes.model_server.model_api import FakeModels

from bot import LikelyToken, Reference, Reply, Token, User, UserError
from bot.answers.decision import OpenForm
from bot.app import Bot
from bot.config.sections import ExplainSection
from bot.core.errors import Expired
from bot.core.messages import Action, Place, Request
from bot.storage.database import MessageRow
from plugins.ask import add_lesson, fork_tokens

ANSWER = "Paris is the capital of France."


async def test_the_answer_grows_and_its_card_tells_how_it_was_made(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    seen = []
    async for reply in bot.prepare(ask("/ask temperature:1.5 seed:7 max_tokens:9 Where?")).start():
        seen.append(reply)
        models.gate.set()
    assert "Thinking …" in [reply.status for reply in seen]
    assert [reply.text for reply in seen] == sorted([reply.text for reply in seen], key=len)
    assert (seen[-1].text, seen[-1].status) == (ANSWER, "")
    assert dict(seen[-1].card) == {
        "model": "fake-chat",
        "temperature": "1.5",
        "min_p": "0.05",
        "seed": "7",
        "tokens": "6",
        "seconds": "0.5",
    }
    body = models.requests[0]
    assert (body["temperature"], body["seed"], body["max_tokens"], body["user"]) == (1.5, 7, 9, "ann")
    assert body["min_p"] == 0.05
    assert [turn["role"] for turn in body["messages"]] == ["system", "user"]


async def test_under_the_first_answer_in_a_weak_language_is_said_that_it_is_one(bot: Bot, models: FakeModels) -> None:
    models.told_of = {"fake-chat": {"languages": ["en"]}}
    weak = "Das Modell fake-chat kann wenig Deutsch und macht darin mehr Fehler als auf Englisch."
    assert (await last(bot, ask("/ask hi"))).status == ""
    assert (await last(bot, ask("/ask hallo", speaking("de-AT")))).status == weak
    assert (await last(bot, ask("/ask hallo", speaking("de", BEN)))).status == ""
    elsewhere = replace(ROOM, channel="hall")
    assert (await last(bot, ask("/ask hallo", speaking("de"), elsewhere))).status == weak
    alone = ask("/ask hallo", speaking("de"), alone=True)
    assert [(await last(bot, alone)).status for _ in range(2)] == [weak, ""]
    deletion = await last(bot, ask("/privacy delete", alone.user, alone=True))
    await last(bot, press("b0", deletion.row, alone.user))
    assert (await last(bot, alone)).status == weak
    models.told_of = {}
    assert (await last(bot, ask("/ask hola", speaking("es")))).status == ""


async def test_without_a_seed_one_is_drawn_and_shown(bot: Bot, models: FakeModels) -> None:
    first, second = await last(bot, ask("/ask hi")), await last(bot, ask("/ask hi"))
    assert first.card["seed"] != second.card["seed"]
    assert [str(body["seed"]) for body in models.requests] == [first.card["seed"], second.card["seed"]]


async def test_the_conversation_goes_on_until_new(bot: Bot, models: FakeModels) -> None:
    await last(bot, ask("one", place=THREAD))
    await last(bot, ask("two", place=THREAD))
    assert [turn["content"] for turn in models.requests[-1]["messages"]][1:] == ["one", ANSWER, "two"]
    told = await last(bot, ask("/new", place=THREAD))
    assert told.text == "A fresh start. For your questions, I no longer read what was said here before."
    await last(bot, ask("three", place=THREAD))
    assert [turn["content"] for turn in models.requests[-1]["messages"]][1:] == ["three"]


async def test_a_question_that_is_asked_again_reads_nothing_so_that_temperatures_can_be_compared(
    bot: Bot, models: FakeModels
) -> None:
    """The model read its first story, and told it again word for word at every temperature."""

    async def read_by(line: str) -> tuple[list[str], str | None]:
        answer = await last(bot, ask(line, alone=True))
        return [turn["content"] for turn in models.requests[-1]["messages"]][1:-1:2], answer.card.get("with")

    story, fresh = "Tell me a story about an egg", "a fresh start, so that you can compare"
    assert await read_by(f"/ask temperature:0 {story}") == ([], None)
    assert await read_by("Tell me another one") == ([story], "1 earlier turn")
    repeated = await last(bot, ask(f"/ask temperature:2 {story.lower()} ?", alone=True))
    assert (len(models.requests[-1]["messages"]), repeated.card["with"]) == (2, fresh)
    cooler = await last(bot, press("cooler", repeated.row))
    assert (len(models.requests[-1]["messages"]), cooler.card["with"]) == (2, fresh)
    assert len((await read_by("Go on"))[0]) == 3
    assert len((await read_by("Go on"))[0]) == 4
    assert len((await read_by(f"/ask fresh:no {story}"))[0]) == 5
    assert await read_by("/ask fresh:yes What colour was it?") == ([], fresh)


async def test_a_reply_reads_on_though_it_asks_the_same_again(bot: Bot, models: FakeModels) -> None:
    question = "What do you mean by that?"
    first = await last(bot, ask("/ask fresh:yes Why is it so?", alone=True))
    second = await last(bot, press("continue", first.row, prompt=question))
    await last(bot, press("continue", second.row, prompt=question))
    assert [turn["content"] for turn in models.requests[-1]["messages"]][1::2] == ["Why is it so?", question, question]


async def test_in_a_shared_place_the_next_question_begins_afresh_and_new_says_so(bot: Bot, models: FakeModels) -> None:
    """What one person asked changed what another was told, such as a fox that flies like the owl before it."""
    for user, line in (
        (ANN, "/ask temperature:0 Tell me about an owl that can fly very high"),
        (ANN, "/ask temperature:0 Tell me about a fox"),
        (ANN, "My name is Zoe"),
        (BEN, "What is my name?"),
    ):
        await last(bot, ask(line, user))
        assert [turn["content"] for turn in models.requests[-1]["messages"]][1:] == [line.rpartition(":0 ")[2]]
    told = (
        "Here each question begins afresh anyway. To go on from an answer, reply to it, or press “Continue” where that "
        "stands below it."
    )
    assert (await last(bot, ask("/new"))).text == told


async def test_continue_asks_the_next_question_about_an_answer(bot: Bot, models: FakeModels) -> None:
    first = await last(bot, ask("/ask temperature:1.5 seed:7 one"))
    assert "with" not in first.card
    decision = bot.prepare(replace(press("continue", first.row, BEN), user=speaking("de", BEN)))
    assert isinstance(decision, OpenForm)
    form = await decision.make()
    assert (form.id, form.title) == (f"t:continue:{first.row}", "Fortsetzen")
    assert [(field.name, field.value, field.required) for field in form.fields] == [("prompt", "", True)]
    second = await last(bot, press("continue", first.row, BEN, prompt="two", seed="7"))
    body = models.requests[-1]
    assert [turn["content"] for turn in body["messages"]][1:] == ["one", ANSWER, "two"]
    assert (body["temperature"], body["user"], second.card["with"]) == (1.5, "ben", "1 earlier turn")
    assert body["seed"] != 7
    forked = await last(bot, fork(second.row, 1, 0, ANN))
    third = await last(bot, press("continue", forked.row, prompt="three"))
    assert [turn["content"] for turn in models.requests[-1]["messages"]][1::2] == ["one", "two", "three"]
    assert third.card["with"] == "2 earlier turns"
    assert (await last(bot, press("continue", first.row, prompt=" "))).error
    assert (await last(bot, press("again", third.row))).card["with"] == "2 earlier turns"


async def test_continue_stands_below_answers_after_which_the_next_question_begins_afresh(bot: Bot) -> None:
    def offers(reply: Reply) -> bool:
        return any(button.action == "continue" for button in reply.buttons)

    shown = await last(bot, ask("hi"))
    assert offers(shown)
    assert [button.action for button in shown.buttons][3:5] == ["edit", "continue"]
    assert not offers(await last(bot, ask("hi", place=THREAD)))
    assert not offers(await last(bot, ask("hi", alone=True)))
    assert not offers(await last(bot, ask("/face seed:1")))
    # Not either what was stored in direct messages before that was kept.
    for server, expected in (("school", True), ("", False)):
        row = await bot.messages.get(shown.row)
        assert row is not None
        row.resume, row.server = {}, server
        assert offers(await bot.stored.snapshot(row, "en")) is expected
        row.state = "interrupted"
        assert not offers(await bot.stored.snapshot(row, "en"))


async def test_a_private_answer_is_continued_by_its_asker_alone(bot_with: Callable[..., Bot]) -> None:
    async with bot_with("ask", settings={"answers.private": True}) as bot:
        hidden = await last(bot, ask("one"))
        assert (await last(bot, press("continue", hidden.row, BEN, prompt="two"))).error
        private = await last(bot, press("continue", hidden.row, prompt="two"))
    assert (private.private, private.card["with"]) == (True, "1 earlier turn")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("/ask hi", "Platz 4 in der Warteschlange …"),
        ("/dial hi", "Platz 4 in der Warteschlange …"),
        ("/imagine a cat", "Platz 4 in der Warteschlange, du bist in etwa 3 s dran …"),
    ],
)
async def test_the_place_in_the_queue_is_shown(bot: Bot, models: FakeModels, line: str, status: str) -> None:
    models.place = 4
    models.gate.clear()
    statuses = []
    async for reply in bot.prepare(ask(line, speaking("de"))).start():
        statuses.append(reply.status)
        if "4" in reply.status:
            models.gate.set()
    assert status in statuses


async def test_stop_reaches_the_model_server(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    seen = []
    async for reply in bot.prepare(ask("hi")).start():
        seen.append(reply)
        if reply.text and not reply.final:
            await replies(bot, press("stop", reply.row))
    assert (seen[-1].text, seen[-1].status) == ("Paris", "Stopped.")
    await models.until(dropped=1, running=0)
    assert [token.text for token in await bot.stored.tokens(reply.row, ANN, ROOM)] == ["Paris"]


@pytest.mark.parametrize(
    ("locale", "key", "value"),
    [("en", "left out", "4 older turns"), ("de", "ausgelassen", "4 ältere Beiträge")],
)
async def test_a_cut_answer_or_conversation_says_so(
    bot_with: Callable[..., Bot], locale: str, key: str, value: str
) -> None:
    stream = (
        b'data: {"choices": [{"delta": {"content": "```\\nx\\n```"}, "finish_reason": "length"}], '
        b'"tempera": {"dropped_turns": 4}}\n\ndata: [DONE]\n\n'
    )
    async with crooked(plainly(stream)) as url, bot_with("ask", url=url) as bot:
        reply = await last(bot, ask("hi", speaking(locale)))
    assert reply.text == "```\nx\n```\n…"
    assert reply.card[key] == value


@pytest.mark.parametrize(
    ("line", "locale", "sentence"),
    [
        ("/ask temperature:3 hi", "en", "temperature must be a number from 0 to 2; you gave “3”."),
        ("/ask seed:-1 hi", "de", "seed muss eine ganze Zahl von 0 bis 2147483647 sein; du hast „-1“ eingegeben."),
        (f"/ask {'x' * 8001}", "es", "prompt debe ser un texto de 1 a 8000 caracteres; has escrito 8001 caracteres."),
        ("/help zzz:1", "de", "/help hat keine Option „zzz“; es gibt command."),
    ],
)
async def test_wrong_options_are_refused_in_the_askers_language(
    bot: Bot, models: FakeModels, line: str, locale: str, sentence: str
) -> None:
    reply = await last(bot, ask(line, speaking(locale)))
    assert (reply.text, reply.error, reply.private) == (sentence, True, True)
    assert models.requests == []


@pytest.mark.parametrize(
    ("locale", "start"),
    [
        ("en", "/ask needs “prompt”: a text from 1 to 8000 characters. Like this: "),
        ("de", "Bei /ask fehlt „prompt“: ein Text von 1 bis 8000 Zeichen. So geht es: "),
        ("es", "A /ask le falta «prompt»: un texto de 1 a 8000 caracteres. Se escribe así: "),
    ],
)
async def test_a_missing_prompt_is_named(bot: Bot, locale: str, start: str) -> None:
    usage = "/ask [file:…] [temperature:…] [max_tokens:…] [seed:…] [min_p:…] [fresh:…] prompt"
    assert (await last(bot, ask("/ask", speaking(locale)))).text == f"{start}{usage}"


async def test_a_refusal_of_the_model_server_is_shown_and_the_next_question_works(bot: Bot, models: FakeModels) -> None:
    models.failure = (503, "fake-chat is loading.")
    assert (await last(bot, ask("hi"))).text == "fake-chat is loading."
    models.failure = None
    assert (await last(bot, ask("hi"))).text == ANSWER


@pytest.mark.parametrize(("options", "sent", "shown"), [("min_p:0", None, None), ("temperature:0", 0.05, None)])
async def test_the_card_names_min_p_where_it_leaves_something_out(
    bot: Bot, models: FakeModels, options: str, sent: float | None, shown: str | None
) -> None:
    reply = await last(bot, ask(f"/ask {options} hi"))
    assert (models.requests[0].get("min_p"), reply.card.get("min_p")) == (sent, shown)


async def test_an_answer_of_before_min_p_is_repeated_without_it(bot: Bot, models: FakeModels) -> None:
    present, earlier = [(await last(bot, ask("/ask temperature:1.5 hi"))).row for _ in range(2)]
    async with bot.database.writing() as session:
        row = await session.get(MessageRow, earlier)
        assert row is not None
        row.options = {name: value for name, value in row.options.items() if name != "min_p"}
    models.requests.clear()
    for row_id in (present, earlier):
        for request in (press("again", row_id), press("cooler", row_id), fork(row_id, 1, 0)):
            assert not (await last(bot, request)).error
    assert [body.get("min_p") for body in models.requests] == [0.05] * 3 + [None] * 3


# Tokens and forks


def fork(row: int, at: int, choice: int, user: User = ANN, place: Place = ROOM) -> Request:
    return Request(user=user, place=place, action=Action(f"t:fork:{row}", {"at": str(at), "choice": str(choice)}))


async def test_every_answer_keeps_its_tokens_and_the_likely_others(bot: Bot, models: FakeModels) -> None:
    reply = await last(bot, ask("/ask temperature:0 Where?"))
    assert (models.requests[0]["logprobs"], models.requests[0]["top_logprobs"]) == (True, 5)
    tokens = await bot.stored.tokens(reply.row, BEN, ROOM)
    assert "".join(token.text for token in tokens) == reply.text
    assert [token.probability for token in tokens[:2]] == pytest.approx([0.5, 0.25], rel=1e-3)
    assert [one.text for one in tokens[1].likely] == [" so", " is", " if", ""]


async def test_tokens_that_ended_the_answer_are_not_kept(bot: Bot, models: FakeModels) -> None:
    models.answer, models.unshown = ("Paris", "."), ("\n", "User", ":")
    reply = await last(bot, ask("Where?"))
    assert [token.text for token in await bot.stored.tokens(reply.row, BEN, ROOM)] == ["Paris", "."]


async def test_text_that_a_filter_holds_back_is_not_kept_in_tokens(
    bot_with: Callable[..., Bot], models: FakeModels
) -> None:
    models.scores, models.answer = {"vile": {"hate": 0.99}}, ("Roses", " are red.", " Something", " vile.", " The end.")
    async with bot_with("ask") as bot:
        reply = await last(bot, ask("Say a poem"))
        assert (reply.text.startswith("Roses are red.\n\n"), reply.error) == (True, True)
        assert [token.text for token in await bot.stored.tokens(reply.row, BEN, ROOM)] == ["Roses", " are red."]


async def test_the_setting_keep_tokens_can_be_switched_off(bot_with: Callable[..., Bot], models: FakeModels) -> None:
    async with bot_with("ask", settings={"ask.keep_tokens": False}) as bot:
        reply = await last(bot, ask("hi"))
        assert "logprobs" not in models.requests[0]
        assert await bot.stored.tokens(reply.row, ANN, ROOM) == ()
        assert (await last(bot, fork(reply.row, 0, 1))).text == (
            "Of that answer no tokens are kept, so it cannot be gone on from."
        )


async def test_a_fork_keeps_the_beginning_and_goes_on(bot: Bot, models: FakeModels) -> None:
    await last(bot, ask("before", place=THREAD))
    first = await last(bot, ask("/ask temperature:1.5 max_tokens:9 Where?", place=THREAD))
    models.answer = (" happy", ".")
    forked = await last(bot, fork(first.row, 3, 0, BEN))
    assert forked.text == "Paris is the so happy."
    body = models.requests[-1]
    assert body["continue_final_message"] is True
    assert (body["temperature"], body["max_tokens"], body["user"]) == (1.5, 9, "ben")
    assert [turn["content"] for turn in body["messages"]][1:] == ["before", ANSWER, "Where?", "Paris is the so"]
    tokens = await bot.stored.tokens(forked.row, ANN, ROOM)
    assert [token.text for token in tokens] == ["Paris", " is", " the", " so", " happy", "."]
    assert (tokens[3].probability, tokens[4].probability) == pytest.approx((0.5, 0.5), rel=1e-3)
    models.answer = ("?",)
    assert (await last(bot, fork(forked.row, 1, 2))).text == "Paris if?"
    assert (await last(bot, press("again", forked.row, BEN))).text == "Paris is the so?"
    await last(bot, ask("next", place=THREAD))
    assert [turn["content"] for turn in models.requests[-1]["messages"]][-2] == "Paris is the so?"


@pytest.mark.parametrize(
    ("at", "choice", "sentence"),
    [
        (99, 0, "There is no such token in that answer."),
        (0, 4, "There is no such token in that answer."),
        (0, 3, "That token would end the answer there; choose one to go on with."),
        (-1, 0, "at must be a whole number of at least 0; you gave “-1”."),
    ],
)
async def test_a_fork_at_an_impossible_token_is_refused(bot: Bot, at: int, choice: int, sentence: str) -> None:
    row = (await last(bot, ask("hi"))).row
    reply = await last(bot, fork(row, at, choice))
    assert (reply.text, reply.error) == (sentence, True)
    face = (await last(bot, ask("/face seed:1"))).row
    assert (await last(bot, fork(face, 0, 0))).text == "Answers of /face cannot be forked."


async def test_a_fork_cannot_begin_with_blanks_alone(bot: Bot, models: FakeModels) -> None:
    models.answer = ("\n", "Hi", ".")
    row = (await last(bot, ask("hi"))).row
    reply = await last(bot, fork(row, 0, 0))
    assert (reply.text, reply.error) == ("An answer cannot begin with blanks alone; choose another token.", True)
    assert (await last(bot, fork(row, 1, 1))).text.startswith("\nHi")


@pytest.mark.parametrize(("at", "choice"), [(0, 0), (1, 0)])
def test_a_fork_never_splits_a_character(at: int, choice: int) -> None:
    likely = (LikelyToken("\ufffd", 0.5),)
    with pytest.raises(UserError, match="part of a character"):
        fork_tokens((Token("", 0.5, likely), Token("é", 0.5, (LikelyToken("è", 0.5),))), at, choice)


async def test_only_the_author_can_fork_a_private_answer(bot_with: Callable[..., Bot]) -> None:
    async with bot_with("ask", settings={"answers.private": True}) as bot:
        row = (await last(bot, ask("hi"))).row
        assert await bot.stored.tokens(row, ANN, ROOM)
        elsewhere = replace(ROOM, channel="other")
        for user, place in ((BEN, ROOM), (ANN, elsewhere), (ANN, replace(ROOM, platform="other"))):
            with pytest.raises(Expired):
                await bot.stored.tokens(row, user, place)
            assert (await last(bot, fork(row, 0, 1, user, place))).text == "This has expired: it is no longer stored."
        assert (await last(bot, fork(row, 0, 1))).private


async def test_private_messages_are_not_in_the_fork_of_somebody_else(
    bot_with: Callable[..., Bot], models: FakeModels
) -> None:
    async with bot_with("ask") as bot:
        assert (await last(bot, ask("call me on 0151 23456789", place=THREAD))).private
        assert (await last(bot, ask("or on 0151 23456780", place=THREAD))).private
        assert "23456789" in str(models.requests[-1]["messages"])
        # Everybody can read this answer, so it knows neither private message, and its forks do not either.
        hello = await last(bot, ask("Say hello", place=THREAD))
        assert "0151" not in str(models.requests[-1]["messages"])
        assert not (await last(bot, fork(hello.row, 0, 1, BEN))).error
        assert [turn["content"] for turn in models.requests[-1]["messages"]][1:] == ["Say hello", " so"]


# Lessons

LESSON = "# Eggs\n\n## Tempera\n\nTempera is paint\\, that is made with the yolk of an \\*egg\\*.\n"
ASKED = "what is tempera"


@pytest.fixture
async def bot_with_lesson(bot_with: Callable[..., Bot], models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    models.listed = {"fake-chat": "chat"}
    (tmp_path / "eggs.md").write_text(LESSON)
    sections = {"explain": ExplainSection(lessons=(tmp_path / "eggs.md",))}
    async with bot_with("ask", "explain", sections=sections) as bot:
        await last(bot, ask(f"/explain {ASKED}"))
        yield bot


async def test_the_text_of_a_lesson_goes_to_the_model_and_the_card_names_it(
    bot_with_lesson: Bot, models: FakeModels
) -> None:
    reply = await last(bot_with_lesson, ask(f"/ask {ASKED}"))
    given = models.requests[-1]["messages"][-1]["content"]
    # Without the marks of Markdown.
    assert "Tempera is paint, that is made with the yolk of an *egg*." in given
    assert given.endswith(ASKED)
    assert reply.card["lesson"] == "Eggs › Tempera"
    assert reply.quote == ASKED


def test_the_model_is_told_in_which_language_to_answer_by_an_english_lesson() -> None:
    asked = add_lesson("Was ist ein Ei?", Reference("An egg is round.", "Eggs", "German"))
    assert asked.endswith(
        "Answer in German and in your own words, by what the lesson says.\n\nQuestion: Was ist ein Ei?"
    )


@pytest.mark.parametrize("question", ["who won the cup", f"{ASKED} {'and more ' * 80}", ASKED])
async def test_without_a_lesson_the_question_is_sent_unchanged(
    bot_with_lesson: Bot, models: FakeModels, question: str
) -> None:
    if question == ASKED:
        await put(bot_with_lesson.settings, "ask.use_lessons", False)
    reply = await last(bot_with_lesson, ask(f"/ask {question}"))
    assert models.requests[-1]["messages"][-1]["content"] == question.strip()
    assert "lesson" not in reply.card


async def test_a_long_conversation_fits_a_request_in_any_script(bot: Bot, models: FakeModels) -> None:
    # In JSON, each of these characters takes twelve bytes.
    for _ in range(12):
        reply = await last(bot, ask("🐈" * 8000))
        assert not reply.error, reply.text

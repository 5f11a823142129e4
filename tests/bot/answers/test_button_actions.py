"""The buttons under an answer, the core's and plugins', and the forms behind them."""

from collections.abc import AsyncIterator, Callable

import pytest
from fakes.core.echo_plugin import Echo, names
from fakes.core.requests import ANN, BEN, MODERATOR, OPERATOR, ROOM, THREAD, ask, last, open_form, press, replies

from bot import UserError
from bot.answers.decision import OpenForm, Refuse
from bot.app import Bot
from bot.core.errors import Expired
from bot.core.messages import Action, Request, User
from bot.storage.audit import AuditFilter


@pytest.fixture
async def bot(make_bot: Callable[..., Bot], echo: Echo) -> AsyncIterator[Bot]:
    async with make_bot(echo) as made:
        yield made


async def test_only_the_newest_answer_to_a_question_is_a_turn(bot: Bot) -> None:
    first = await last(bot, ask("/ask hi", place=THREAD))
    await last(bot, press("again", first.row))
    assert (await last(bot, ask("/ask next", place=THREAD))).card["turns"] == "user:hi|assistant:<hi> done"


async def test_what_was_said_privately_is_only_in_the_askers_own_private_answers(
    make_bot: Callable[..., Bot], echo: Echo
) -> None:
    async with make_bot(echo, settings={"safety.level": "standard"}) as bot:
        secret = "call me on 0151 23456789"
        assert (await last(bot, ask(f"/ask {secret}", place=THREAD))).private
        # Everybody reads this answer, so that the model must not repeat in it what the warning kept to one person.
        hello = await last(bot, ask("/ask hello", place=THREAD))
        assert (hello.private, hello.card["turns"]) == (False, "")
        assert (await last(bot, press("again", hello.row, MODERATOR))).card["turns"] == ""
        follow_up = await last(bot, ask("/ask or on 0151 23456780", place=THREAD))
        assert follow_up.private
        assert [secret in follow_up.card["turns"], "user:hello" in follow_up.card["turns"]] == [True, True]


async def test_edit_opens_a_form_and_leads_to_a_new_answer(bot: Bot) -> None:
    first = await last(bot, ask("/ask temperature:1 hi"))
    form = await open_form(bot, press("edit", first.row))
    assert [(field.name, field.value) for field in form.fields] == [("prompt", "hi"), ("temperature", "1.0")]
    edited = await last(bot, press("edit", first.row, prompt="bye", temperature="0.5"))
    assert (edited.text, edited.card["temperature"]) == ("<bye> done", "0.5")
    wrong = await last(bot, press("edit", first.row, prompt="bye", temperature="hot"))
    assert wrong.error


async def test_a_bare_command_opens_a_form_where_forms_can_be_shown(bot: Bot) -> None:
    form = await open_form(bot, ask("/ask", can_show_forms=True))
    filled = Request(user=ANN, place=ROOM, action=Action(form.id, {"prompt": "from the form"}))
    assert (await last(bot, filled)).text == "<from the form> done"


async def test_a_form_keeps_what_was_given_already(bot: Bot) -> None:
    form = await open_form(bot, ask("/ask temperature:0.2", can_show_forms=True))
    assert [field.value for field in form.fields] == ["", "0.2"]
    # There is no field for the seed, so a form would lose it.
    for line in ("/ask seed:7", "/ask temperature:0.2 hi"):
        assert not isinstance(bot.prepare(ask(line, can_show_forms=True)), OpenForm)
    assert isinstance(bot.prepare(ask("/ask temperature:0.2")), Refuse)


async def test_stop_keeps_the_text_so_far(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    stream = bot.prepare(ask("/ask hi")).start()
    seen = []
    async for reply in stream:
        seen.append(reply)
        if reply.text and not reply.final:
            assert await replies(bot, press("stop", reply.row)) == []
    assert (seen[-1].text, seen[-1].status, seen[-1].final) == ("<hi>", "Stopped.", True)
    assert echo.ended == ["hi"]
    again = await last(bot, press("stop", seen[-1].row))
    assert again.text == "There is nothing to stop: this answer has ended."


async def test_a_stopped_answer_keeps_its_status_as_long_as_it_is_stored(
    make_bot: Callable[..., Bot], echo: Echo
) -> None:
    echo.gate.clear()
    async with make_bot(echo) as bot:
        async for reply in bot.prepare(ask("/ask hi", place=THREAD)).start():
            if reply.text and not reply.final:
                await replies(bot, press("stop", reply.row))
        voted = await last(bot, press("up", reply.row, BEN))
        assert (voted.text, voted.status, voted.final) == ("<hi>", "Stopped.", True)
        assert "👍 1" in [button.label for button in voted.buttons]
    async with make_bot(Echo()) as again:
        row = await again.messages.get(reply.row)
        assert row is not None
        assert (await again.stored.snapshot(row, "de", files=False)).status == "Gestoppt."
        # It is a turn of the conversation all the same.
        assert (await last(again, ask("/ask next", place=THREAD))).card["turns"] == "user:hi|assistant:<hi>"


@pytest.mark.parametrize("user", [ANN, MODERATOR])
async def test_stop_reaches_an_answer_that_another_process_makes(
    make_bot: Callable[..., Bot], echo: Echo, user: User
) -> None:
    echo.gate.clear()
    async with make_bot(echo) as one, make_bot(Echo()) as other:
        stream = one.prepare(ask("/ask hi")).start()
        while not (reply := await anext(stream)).text:
            pass
        for _ in range(2):
            assert await replies(other, press("stop", reply.row, user)) == []
        await one.moderation.stop_requested_runs()
        ended = [reply async for reply in stream][-1]
        assert (ended.text, ended.status) == ("<hi>", "Stopped.")
        again = await last(other, press("stop", reply.row, user))
        assert again.text == "There is nothing to stop: this answer has ended."
        noted = await other.audit.find("test", "school", AuditFilter(what="cancel"))
        assert {(entry.actor, entry.subject) for entry in noted} == ({("mod", "ann")} if user is MODERATOR else set())


async def test_stop_before_the_first_word_makes_nothing_public(make_bot: Callable[..., Bot], echo: Echo) -> None:
    echo.begin.clear()
    async with make_bot(echo, settings={"answers.private": True}) as bot:
        stream = bot.prepare(ask("/ask call me on 0151 23456789")).start()
        first = await anext(stream)
        await replies(bot, press("stop", first.row))
        stopped = [reply async for reply in stream][-1]
        assert (stopped.private, stopped.status) == (True, "Stopped.")
        assert names(stopped) == ["again", "cooler", "warmer", "edit"]
        row = await bot.messages.get(first.row)
        assert row is not None
        assert row.private


async def test_delete_removes_the_text(bot: Bot) -> None:
    first = await last(bot, ask("/ask hi", place=THREAD))
    (gone,) = await replies(bot, press("delete", first.row))
    assert (gone.deleted, gone.row) == (True, first.row)
    assert (await last(bot, press("again", first.row))).text == "This has expired: it is no longer stored."
    assert (await last(bot, ask("/ask next", place=THREAD))).card["turns"] == ""
    assert [row.text for row in await bot.messages.recent(THREAD, 10)] == ["next", "<next> done"]


async def test_delete_stops_a_running_answer(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    seen = []
    async for reply in bot.prepare(ask("/ask hi")).start():
        if reply.text and not reply.final:
            await replies(bot, press("delete", reply.row))
        seen.append(reply)
    assert seen[-1].deleted
    assert await bot.messages.recent(ROOM, 10) == []


async def test_thumbs_are_counted_once_each_and_taken_back(bot: Bot) -> None:
    row = (await last(bot, ask("/ask hi"))).row
    await last(bot, press("up", row))
    both = await last(bot, press("up", row, BEN))
    assert [button.label for button in both.buttons][-2:] == ["👍 2", "👎"]
    changed = await last(bot, press("down", row, BEN))
    assert [button.label for button in changed.buttons][-2:] == ["👍 1", "👎 1"]
    back = await last(bot, press("down", row, BEN))
    assert [button.label for button in back.buttons][-2:] == ["👍 1", "👎"]


CHANGING = ["stop", "again", "cooler", "warmer", "edit", "delete"]


@pytest.mark.parametrize("button", CHANGING)
async def test_only_the_asker_and_moderators_change_something(bot: Bot, button: str) -> None:
    row = (await last(bot, ask("/ask hi"))).row
    fields = {"prompt": "x"} if button == "edit" else {}
    refused = await last(bot, press(button, row, BEN, **fields))
    assert (refused.text, refused.private) == ("Only Ann, who asked, and moderators can do that.", True)
    for user in (OPERATOR, MODERATOR):
        row = (await last(bot, ask("/ask hi"))).row
        allowed = await replies(bot, press(button, row, user, **fields))
        assert button == "stop" or not allowed[-1].error


@pytest.mark.parametrize("button", CHANGING)
async def test_moderators_cannot_see_a_private_answer_but_can_end_it(bot: Bot, button: str) -> None:
    row = (await last(bot, ask("/whisper psst"))).row
    fields = {"text": "x"} if button == "edit" else {}
    told = [reply.text for reply in await replies(bot, press(button, row, MODERATOR, **fields))]
    ends = {"stop": "There is nothing to stop: this answer has ended.", "delete": ""}
    assert told == [ends.get(button, "This has expired: it is no longer stored.")]


async def test_the_form_of_a_private_answer_is_for_its_asker_alone(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo, settings={"answers.private": True}) as bot:
        row = (await last(bot, ask("/ask psst"))).row
        with pytest.raises(Expired):
            await open_form(bot, press("edit", row, MODERATOR))


async def test_a_form_is_refused_to_others(bot: Bot) -> None:
    row = (await last(bot, ask("/ask hi"))).row
    with pytest.raises(UserError, match="Only Ann"):
        await open_form(bot, press("edit", row, BEN))


async def test_a_plugins_button_runs_its_command_as_the_user_who_presses(bot: Bot) -> None:
    offer = await last(bot, ask("/offer"))
    assert offer.buttons[0].label == "Go on"
    pressed = await last(bot, press("b0", offer.row, BEN))
    row = await bot.messages.get(pressed.row)
    assert row is not None
    assert (pressed.text, row.author) == ("<pressed> done", "ben")
    assert (await last(bot, press("b1", offer.row))).text == "This button has expired."


@pytest.mark.parametrize("action", ["t:again:999", "t:again:x", "nonsense", "t:dance:1", "c:nothing"])
async def test_a_button_that_leads_nowhere_is_an_error(bot: Bot, action: str) -> None:
    await last(bot, ask("/ask hi"))
    reply = await last(bot, Request(user=ANN, place=ROOM, action=Action(action)))
    assert reply.error
    assert reply.private


async def test_a_hidden_command_is_run_only_by_buttons(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo) as bot:
        for asked in (ask("/cellar depth:1"), Request(user=ANN, place=ROOM, command="cellar", options={"depth": 1})):
            assert (await last(bot, asked)).text == "There is no command /cellar. /help lists what there is."
        assert "cellar" not in {
            known.name for known in (*bot.registry.commands, *bot.admission.commands_for(MODERATOR, ROOM))
        }
        assert "cellar" not in bot.registry.listed(ROOM)[0].commands
        stairs = await last(bot, ask("/stairs"))
    async with make_bot(Echo()) as again:
        down = await last(again, press("b0", stairs.row, BEN))
        assert (down.text, names(down)[:3]) == ("2 m", ["b0", "again", "edit"])
        assert (await last(again, press("again", down.row, BEN))).text == "2 m"
        assert [field.value for field in (await open_form(again, press("edit", down.row, BEN))).fields] == ["2"]
        assert (await last(again, press("edit", down.row, BEN, depth="9"))).text == "9 m"
        assert (await last(again, press("b0", down.row))).text == "3 m"


async def test_a_stored_answer_looks_as_it_did(bot: Bot) -> None:
    shown = await last(bot, ask("/offer"))
    row = await bot.messages.get(shown.row)
    assert row is not None
    assert await bot.stored.snapshot(row, "en") == shown

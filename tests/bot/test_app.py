"""Dispatch from end to end: real plugins' door, a real database, no platform and no model."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot import Attachment, Button, Context, Plugin, Range, Reply, UserError, command
from bot.app import Bot
from bot.database import Database
from bot.message import Action, Place, Request, User
from bot.model_client import ModelClient
from bot.scope import home

ANN, BEN = User("ann", "Ann"), User("ben", "Ben")
MODERATOR = User("mod", "Mod", is_moderator=True)
ROOM = Place("test", "room")


class Echo(Plugin):
    """Answers with what it was given; `begin` holds back everything, `gate` what comes after the first word."""

    name = "echo"

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.begin = asyncio.Event()
        self.begin.set()
        self.ended: list[str] = []
        self.over = asyncio.Event()

    @command(form=("prompt", "temperature"))
    async def ask(
        self,
        ctx: Context,
        prompt: str,
        temperature: Range[float, 0, 2] = 0.7,
        seed: int | None = None,
    ) -> AsyncIterator[Reply]:
        """Echo."""
        turns = [f"{turn.role}:{turn.content}" for turn in await ctx.history.turns()]
        await self.begin.wait()
        try:
            yield Reply(text=f"<{prompt}>")
            await self.gate.wait()
            card = {"temperature": str(temperature), "seed": str(seed or 1000 + len(turns)), "turns": "|".join(turns)}
            yield Reply(text=f"<{prompt}> done", card=card, final=True)
        finally:
            self.ended.append(prompt)
            self.over.set()

    @command(private=True)
    async def whisper(self, ctx: Context, text: str) -> AsyncIterator[Reply]:
        """Whisper."""
        yield Reply(text=text)

    @command(moderator=True)
    async def rule(self, ctx: Context) -> AsyncIterator[Reply]:
        """Rule."""
        yield Reply(text="ruled")

    @command()
    async def fail(self, ctx: Context, how: str) -> AsyncIterator[Reply]:
        """Fail."""
        if how.startswith("late"):
            yield Reply(text="so far")
        if how.endswith("user"):
            raise UserError("No {thing} today.", thing="bananas")
        raise RuntimeError("secret /path")

    @command()
    async def offer(self, ctx: Context) -> AsyncIterator[Reply]:
        """Offer."""
        picture = Attachment("a.png", b"png", "image/png", alt="a dot")
        yield Reply(text="choose", buttons=(Button("Go on", "ask", {"prompt": "pressed"}),), attachments=(picture,))

    @command()
    async def stairs(self, ctx: Context) -> AsyncIterator[Reply]:
        """Lead to what nobody can type."""
        yield Reply(text="down?", buttons=(Button("Down", "cellar", {"depth": 2}),))

    @command(hidden=True, form=("depth",))
    async def cellar(self, ctx: Context, depth: int, seed: int | None = None) -> AsyncIterator[Reply]:
        """Go down."""
        deeper = Button("Deeper", "cellar", {"depth": depth + 1})
        yield Reply(text=f"{depth} m", card={"seed": "7"}, buttons=(deeper,))

    @command()
    async def new(self, ctx: Context) -> AsyncIterator[Reply]:
        """Begin anew."""
        await ctx.history.restart()
        yield Reply(text="new")


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def make_bot(tmp_path: Path) -> Callable[..., Bot]:
    def make(*plugins: Plugin, **options: object) -> Bot:
        database = Database(f"sqlite:///{tmp_path}/tempera.db")
        options["settings"] = {"safety.level": "off"} | options.get("settings", {})
        return Bot(ModelClient("http://127.0.0.1:9"), plugins, database, **options)

    return make


@pytest.fixture
async def bot(make_bot: Callable[..., Bot], echo: Echo) -> AsyncIterator[Bot]:
    async with make_bot(echo) as made:
        yield made


def ask(text: str, user: User = ANN, place: Place = ROOM, **more: object) -> Request:
    return Request(user=user, place=place, text=text, **more)


def press(button: str, row: int, user: User = ANN, **fields: object) -> Request:
    action = Action(f"t:{button}:{row}", fields or None)
    return Request(user=user, place=ROOM, action=action)


async def replies(bot: Bot, request: Request) -> list[Reply]:
    return [reply async for reply in bot.dispatch(request).replies]


async def last(bot: Bot, request: Request) -> Reply:
    return (await replies(bot, request))[-1]


def names(reply: Reply) -> list[str]:
    return [button.id.split(":")[1] for button in reply.buttons]


async def test_an_answer_grows_and_ends_with_its_buttons(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    seen = []
    dispatch = bot.dispatch(ask("/ask hello"))
    assert (dispatch.private, dispatch.refused, dispatch.in_place, dispatch.form) == (False, False, False, None)
    async for reply in dispatch.replies:
        seen.append(reply)
        if reply.text == "<hello>":
            assert names(reply) == ["stop"]
            echo.gate.set()
    assert names(seen[0]) == ["stop"]
    assert seen[-1].final
    assert seen[-1].text == "<hello> done"
    assert seen[-1].quote == "hello"
    assert names(seen[-1]) == ["again", "cooler", "warmer", "edit", "delete", "up", "down"]
    assert len({reply.row for reply in seen}) == 1


async def test_words_without_a_slash_go_to_the_default_command(bot: Bot) -> None:
    assert (await last(bot, ask("seed:1 is no option here"))).text == "<seed:1 is no option here> done"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/aks hi", "There is no command /aks. Did you mean /ask?"),
        ("/ask temperature:9 hi", "temperature must be a number from 0 to 2; you gave “9”."),
        ("/ask", "/ask needs “prompt”: a text. Like this: /ask [temperature:…] [seed:…] prompt"),
        ("/rule", "/rule is for moderators."),
        ("/", "There is no command /. /help lists what there is."),
    ],
)
async def test_a_refusal_is_known_at_once_and_private(bot: Bot, text: str, sentence: str) -> None:
    dispatch = bot.dispatch(ask(text))
    assert (dispatch.refused, dispatch.private) == (True, True)
    (reply,) = [reply async for reply in dispatch.replies]
    assert (reply.text, reply.error, reply.private, reply.final) == (sentence, True, True, True)


async def test_who_may(bot: Bot) -> None:
    assert (await last(bot, ask("/rule", MODERATOR))).text == "ruled"
    assert "rule" not in {known.name for known in bot.commands_for(ANN, ROOM)}


async def test_the_deployment_can_name_moderators(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo, settings={"moderators.users": "zoe ann"}) as bot:
        assert (await last(bot, ask("/rule"))).text == "ruled"
        assert "rule" in {known.name for known in bot.commands_for(ANN, ROOM)}
        assert (await last(bot, ask("/rule", BEN))).error


async def test_private_is_decided_before_anything_runs(bot: Bot) -> None:
    dispatch = bot.dispatch(ask("/whisper hi"))
    assert dispatch.private
    assert {reply.private async for reply in dispatch.replies} == {True}


async def test_the_deployment_can_make_answers_private(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo, settings={"answers.private": True}) as bot:
        assert bot.dispatch(ask("/ask hi")).private


async def test_errors_are_sentences(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    known = await last(bot, ask("/fail user"))
    assert (known.text, known.private) == ("No bananas today.", True)
    unknown = await last(bot, ask("/fail other"))
    assert "secret" not in unknown.text
    number = unknown.text.split("error ")[1].split(")")[0]
    assert f"Error {number} in /fail" in caplog.text
    late = await last(bot, ask("/fail late user"))
    assert (late.text, late.private, late.error) == ("so far\n\nNo bananas today.", False, True)


async def test_the_error_speaks_the_askers_language(bot: Bot) -> None:
    german = replace(ANN, locale="de-DE")
    assert (await last(bot, ask("/rule", german))).text == "/rule ist nur für Moderatoren."


async def test_closing_the_replies_ends_the_handler(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    stream = bot.dispatch(ask("/ask hello")).replies
    async for reply in stream:
        if reply.text:
            break
    await stream.aclose()
    assert echo.ended == ["hello"]
    row = await bot.journal.get(reply.row)
    assert row is not None
    assert (row.state, row.text) == ("interrupted", "<hello>")


async def test_a_slow_reader_does_not_hold_the_handler_up(bot: Bot, echo: Echo) -> None:
    stream = bot.dispatch(ask("/ask hello")).replies
    first = await anext(stream)
    async with asyncio.timeout(10):
        await echo.over.wait()
    rest = [reply async for reply in stream]
    assert not first.final
    assert rest[-1].text == "<hello> done"


# The conversation


async def test_a_room_is_a_conversation_and_a_thread_another(bot: Bot) -> None:
    await last(bot, ask("/ask one"))
    thread = replace(ROOM, thread="7")
    assert (await last(bot, ask("/ask two", place=thread))).card["turns"] == ""
    assert (await last(bot, ask("/ask three"))).card["turns"] == "user:one|assistant:<one> done"
    assert (await last(bot, ask("/ask four", place=thread))).card["turns"] == "user:two|assistant:<two> done"


async def test_new_starts_afresh(bot: Bot) -> None:
    await last(bot, ask("/ask one"))
    await last(bot, ask("/new"))
    assert (await last(bot, ask("/ask two"))).card["turns"] == ""
    assert (await last(bot, ask("/ask three"))).card["turns"] == "user:two|assistant:<two> done"


async def test_a_reply_follows_its_own_chain(bot: Bot) -> None:
    first = await last(bot, ask("/ask one", message="m1"))
    await bot.sent(first.row, ["a1"])
    await last(bot, ask("/ask elsewhere"))
    assert (await last(bot, ask("two", message="m2", reply_to="a1"))).card["turns"] == "user:one|assistant:<one> done"


async def test_another_members_private_words_stay_private(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo, settings={"answers.private": True}) as bot:
        await last(bot, ask("/ask mine"))
        assert (await last(bot, ask("/ask yours", BEN))).card["turns"] == ""
        assert (await last(bot, ask("/ask more"))).card["turns"] == "user:mine|assistant:<mine> done"


async def test_the_conversation_survives_a_restart(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Echo()) as bot:
        await last(bot, ask("/ask one"))
    async with make_bot(Echo()) as bot:
        assert (await last(bot, ask("/ask two"))).card["turns"] == "user:one|assistant:<one> done"


# Buttons


async def test_again_draws_a_new_seed_and_warmer_keeps_it(bot: Bot) -> None:
    first = await last(bot, ask("/ask seed:5 hi"))
    again = await last(bot, press("again", first.row))
    assert (again.text, again.card["seed"], again.card["turns"]) == ("<hi> done", "1000", "")
    warmer = await last(bot, press("warmer", first.row))
    assert (warmer.card["temperature"], warmer.card["seed"]) == ("1.0", "5")
    cooler = await last(bot, press("cooler", first.row))
    assert cooler.card["temperature"] == "0.4"
    assert len({first.row, again.row, warmer.row, cooler.row}) == 4


async def test_the_dial_ends_where_the_range_ends(bot: Bot) -> None:
    hot = await last(bot, ask("/ask temperature:1.9 hi"))
    hottest = await last(bot, press("warmer", hot.row))
    assert hottest.card["temperature"] == "2.0"
    assert "warmer" not in names(hottest)
    assert "cooler" in names(hottest)


async def test_only_the_newest_answer_to_a_question_is_a_turn(bot: Bot) -> None:
    first = await last(bot, ask("/ask hi"))
    await last(bot, press("again", first.row))
    assert (await last(bot, ask("/ask next"))).card["turns"] == "user:hi|assistant:<hi> done"


async def test_edit_opens_a_form_and_asks_anew(bot: Bot) -> None:
    first = await last(bot, ask("/ask temperature:1 hi"))
    dispatch = bot.dispatch(press("edit", first.row))
    assert dispatch.form is not None
    form = await dispatch.form()
    assert [(field.name, field.value) for field in form.fields] == [("prompt", "hi"), ("temperature", "1.0")]
    edited = await last(bot, press("edit", first.row, prompt="bye", temperature="0.5"))
    assert (edited.text, edited.card["temperature"]) == ("<bye> done", "0.5")
    wrong = await last(bot, press("edit", first.row, prompt="bye", temperature="hot"))
    assert wrong.error


async def test_a_bare_command_opens_a_form_where_forms_can_be_shown(bot: Bot) -> None:
    dispatch = bot.dispatch(ask("/ask", can_show_forms=True))
    assert dispatch.form is not None
    form = await dispatch.form()
    filled = Request(user=ANN, place=ROOM, action=Action(form.id, {"prompt": "from the form"}))
    assert (await last(bot, filled)).text == "<from the form> done"


async def test_a_form_keeps_what_was_given_already(bot: Bot) -> None:
    dispatch = bot.dispatch(ask("/ask temperature:0.2", can_show_forms=True))
    assert dispatch.form is not None
    assert [field.value for field in (await dispatch.form()).fields] == ["", "0.2"]
    # There is no field for the seed, so a form would lose it.
    for line in ("/ask seed:7", "/ask temperature:0.2 hi"):
        assert bot.dispatch(ask(line, can_show_forms=True)).form is None
    assert bot.dispatch(ask("/ask temperature:0.2")).refused


async def test_stop_keeps_what_was_said(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    stream = bot.dispatch(ask("/ask hi")).replies
    seen = []
    async for reply in stream:
        seen.append(reply)
        if reply.text and not reply.final:
            assert await replies(bot, press("stop", reply.row)) == []
    assert (seen[-1].text, seen[-1].status, seen[-1].final) == ("<hi>", "Stopped.", True)
    assert echo.ended == ["hi"]
    again = await last(bot, press("stop", seen[-1].row))
    assert again.text == "There is nothing to stop: this answer is finished."


async def test_stop_before_the_first_word(bot: Bot, echo: Echo) -> None:
    echo.begin.clear()
    stream = bot.dispatch(ask("/ask hi")).replies
    first = await anext(stream)
    await replies(bot, press("stop", first.row))
    rest = [reply async for reply in stream]
    assert rest[-1].final
    assert rest[-1].status == "Stopped."


async def test_delete_forgets_the_words(bot: Bot) -> None:
    first = await last(bot, ask("/ask hi"))
    (gone,) = await replies(bot, press("delete", first.row))
    assert (gone.deleted, gone.row) == (True, first.row)
    assert (await last(bot, press("again", first.row))).text == "This has expired: it is no longer stored."
    assert (await last(bot, ask("/ask next"))).card["turns"] == ""
    assert [row.text for row in await bot.journal.recent(ROOM, 10)] == ["next", "<next> done"]


async def test_delete_while_it_runs(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    seen = []
    async for reply in bot.dispatch(ask("/ask hi")).replies:
        if reply.text and not reply.final:
            await replies(bot, press("delete", reply.row))
        seen.append(reply)
    assert seen[-1].deleted
    assert await bot.journal.recent(ROOM, 10) == []


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
    allowed = await replies(bot, press(button, row, MODERATOR, **fields))
    assert button == "stop" or not allowed[-1].error


async def test_a_form_is_for_the_asker_too(bot: Bot) -> None:
    row = (await last(bot, ask("/ask hi"))).row
    dispatch = bot.dispatch(press("edit", row, BEN))
    assert dispatch.form is not None
    with pytest.raises(UserError, match="Only Ann"):
        await dispatch.form()


async def test_a_plugins_button_runs_its_command_as_whoever_presses(bot: Bot) -> None:
    offer = await last(bot, ask("/offer"))
    assert offer.buttons[0].label == "Go on"
    pressed = await last(bot, press("b0", offer.row, BEN))
    row = await bot.journal.get(pressed.row)
    assert row is not None
    assert (pressed.text, row.author) == ("<pressed> done", "ben")
    assert (await last(bot, press("b1", offer.row))).text == "This button has expired."


@pytest.mark.parametrize("action", ["t:again:999", "t:again:x", "nonsense", "t:dance:1", "c:nothing"])
async def test_what_is_gone_or_never_was_says_so(bot: Bot, action: str) -> None:
    await last(bot, ask("/ask hi"))
    reply = await last(bot, Request(user=ANN, place=ROOM, action=Action(action)))
    assert reply.error
    assert reply.private


async def test_a_hidden_command_is_run_by_buttons_alone(make_bot: Callable[..., Bot], echo: Echo) -> None:
    async with make_bot(echo) as bot:
        for asked in (ask("/cellar depth:1"), Request(user=ANN, place=ROOM, command="cellar", options={"depth": 1})):
            assert (await last(bot, asked)).text == "There is no command /cellar. /help lists what there is."
        assert "cellar" not in {known.name for known in (*bot.commands, *bot.commands_for(MODERATOR, ROOM))}
        assert "cellar" not in bot.registry.listed(ROOM)[0].commands
        stairs = await last(bot, ask("/stairs"))
    async with make_bot(Echo()) as again:
        down = await last(again, press("b0", stairs.row, BEN))
        assert (down.text, names(down)[:3]) == ("2 m", ["b0", "again", "edit"])
        assert (await last(again, press("again", down.row, BEN))).text == "2 m"
        form = again.dispatch(press("edit", down.row, BEN)).form
        assert form is not None
        assert [field.value for field in (await form()).fields] == ["2"]
        assert (await last(again, press("edit", down.row, BEN, depth="9"))).text == "9 m"
        assert (await last(again, press("b0", down.row))).text == "3 m"


async def test_buttons_work_after_a_restart(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Echo()) as bot:
        row = (await last(bot, ask("/ask hi"))).row
    async with make_bot(Echo()) as bot:
        assert (await last(bot, press("again", row))).text == "<hi> done"


async def test_a_stored_answer_looks_as_it_did(bot: Bot) -> None:
    shown = await last(bot, ask("/offer"))
    row = await bot.journal.get(shown.row)
    assert row is not None
    assert await bot.snapshot(row, "en") == shown


# Acknowledging


@pytest.mark.load
async def test_two_hundred_at_once_are_each_acknowledged_within_milliseconds(bot: Bot, echo: Echo) -> None:
    echo.gate.clear()
    slowest = 0.0
    streams = []
    for number in range(200):
        began = time.perf_counter()
        dispatch = bot.dispatch(ask(f"/ask {number}", User(str(number), "x")))
        slowest = max(slowest, time.perf_counter() - began)
        assert not dispatch.private
        streams.append(dispatch.replies)
    firsts = await asyncio.gather(*(anext(stream) for stream in streams))
    print(f"slowest decision: {slowest * 1000:.2f} ms")
    assert len({reply.row for reply in firsts}) == 200
    for stream in streams:
        await stream.aclose()


# Plugins in several processes


async def test_a_switch_and_a_reload_reach_the_other_process(make_bot: Callable[..., Bot], tmp_path: Path) -> None:
    from bot import plugin
    from bot.config import PluginsSection

    source = "from bot import *\nclass Dice(Plugin):\n    @command()\n    async def roll(self, ctx: Context):\n"
    file = tmp_path / "dice.py"
    file.write_text(source + '        """Roll."""\n        yield Reply(text="one")\n')
    section = PluginsSection(enabled=("ask",), folder=tmp_path, entry_points=False)
    async with make_bot(*plugin.load(section)) as here, make_bot(*plugin.load(section)) as there:
        await here.registry.switch("dice", home(ROOM), ANN, on=False)
        assert (await last(there, ask("/roll"))).text == "one"
        await there.settings.refresh()
        assert (await last(there, ask("/roll"))).text == "/roll is switched off here."
        await here.registry.switch("dice", home(ROOM), ANN, on=True)
        file.write_text(source + '        """Roll."""\n        yield Reply(text="two")\n')
        await here.registry.reload("dice")
        await there.settings.refresh()
        await there.registry.refresh()
        assert (await last(here, ask("/roll"))).text == "two"
        assert (await last(there, ask("/roll"))).text == "two"
        file.write_text("broken(")
        with pytest.raises(UserError, match="The running one stays"):
            await here.registry.reload("dice")
        assert (await last(here, ask("/roll"))).text == "two"

"""Buttons by themselves; what they do through `prepare` is in test_app.py."""

from collections.abc import AsyncIterator

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, OPERATOR

from bot import Button, Context, Plugin, Range, Reply, UserError, command
from bot.answers import buttons as actions
from bot.commands.command import Command
from bot.commands.option import Option
from bot.core.errors import Expired, PermissionDenied
from bot.storage.database import MessageRow


class Sample(Plugin):
    name = "sample"

    @command(form=("prompt", "temperature"))
    async def ask(
        self,
        ctx: Context,
        prompt: str,
        temperature: Range[float, 0, 2] = 0.7,
        public: bool = False,
        seed: int | None = None,
    ) -> AsyncIterator[Reply]:
        """Ask.

        prompt: What you want to know
        """
        yield Reply(text=prompt)

    @command()
    async def free(self, ctx: Context, temperature: float = 1.0, seed: int = 0) -> AsyncIterator[Reply]:
        """A temperature without bounds."""
        yield Reply()

    @command()
    async def plain(self, ctx: Context) -> AsyncIterator[Reply]:
        """Nothing to turn."""
        yield Reply()


ASK, FREE, PLAIN = Sample().commands()


class Long(Plugin):
    name = "long"

    @command("long-more", hidden=True, form=("a", "b", "c", "d", "e", "f", "text"))
    async def more(
        self,
        ctx: Context,
        text: str,
        a: str = "",
        b: int | None = None,
        c: str = "",
        d: str = "",
        e: str = "",
        f: str | None = None,
    ) -> AsyncIterator[Reply]:
        """More options than a form has room for."""
        yield Reply()


(MORE,) = Long().commands()


def row(**options: object) -> MessageRow:
    return MessageRow(id=5, author="ann", author_name="Ann", options=options, seed=7)


def offered(command: Command | None, reply: Reply | None = None, **options: object) -> list[str]:
    buttons = actions.finished(command, row(**options), reply or Reply(), (0, 0), "en")
    return [button.id.removeprefix("t:").removesuffix(":5") for button in buttons]


@pytest.mark.parametrize(
    ("given", "parsed"), [("t:again:5", ("again", 5)), ("t:b12:7", ("b12", 7)), ("t:up:2147483647", ("up", 2**31 - 1))]
)
def test_an_id_is_read(given: str, parsed: tuple[str, int]) -> None:
    assert actions.parse(given) == parsed


@pytest.mark.parametrize(
    "given", ["", "t:again", "t:again:", "t::5", "t:again:5x", "x:again:5", "t:again:-1", "t:a:٥", "t:a:2147483648"]
)
def test_an_id_of_somebody_else_has_expired(given: str) -> None:
    with pytest.raises(Expired):
        actions.parse(given)


@pytest.mark.parametrize("action", ["stop", "again", "cooler", "warmer", "edit", "delete", "bee"])
def test_who_may_change_an_answer(action: str) -> None:
    for user in (ANN, MODERATOR, OPERATOR):
        actions.check(action, row(), user)
    with pytest.raises(PermissionDenied, match="Only Ann, who asked, and moderators"):
        actions.check(action, row(), BEN)


@pytest.mark.parametrize("action", ["up", "down", "b0", "b12"])
def test_what_anybody_may(action: str) -> None:
    actions.check(action, row(), BEN)


def test_an_answer_offers_what_its_options_allow() -> None:
    common = ["delete", "up", "down"]
    assert offered(ASK, temperature=0.7) == ["again", "cooler", "warmer", "edit", *common]
    assert offered(ASK, temperature=0) == ["again", "warmer", "edit", *common]
    assert offered(ASK, temperature=2) == ["again", "cooler", "edit", *common]
    assert offered(FREE, temperature=100) == ["again", "cooler", "warmer", *common]
    assert offered(PLAIN) == common


def test_the_answer_of_a_command_that_is_gone_can_still_be_deleted() -> None:
    assert offered(None, temperature=0.7) == ["delete", "up", "down"]


def test_a_private_answer_is_for_no_votes() -> None:
    assert offered(PLAIN, Reply(private=True)) == []


def test_a_plugins_own_buttons_come_first_and_keep_what_they_are() -> None:
    mine = (Button("One", "ask", {"prompt": "x"}, style="primary"), Button("Two", "ask"))
    assert offered(PLAIN, Reply(buttons=mine)) == ["b0", "b1", "delete", "up", "down"]
    first = actions.finished(PLAIN, row(), Reply(buttons=mine), (0, 0), "en")[0]
    assert first == Button("One", "ask", {"prompt": "x"}, id="t:b0:5", style="primary")


def test_buttons_speak_the_readers_language() -> None:
    (stop,) = actions.running(5, "de-DE")
    assert (stop.label, stop.id, stop.style) == ("Stopp", "t:stop:5", "danger")


def test_again_forgets_the_seed_and_what_the_command_no_longer_has() -> None:
    given = {"prompt": "hi", "temperature": 1.0, "seed": 7, "gone": "x"}
    assert actions.changed("again", ASK, row(**given), {}) == {"prompt": "hi", "temperature": 1.0, "seed": None}


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [("cooler", 0.7, 0.4), ("warmer", 0.7, 1.0), ("cooler", 0.1, 0), ("warmer", 1.9, 2), ("warmer", 0.1, 0.4)],
)
def test_the_temperature_moves_within_its_range_and_the_seed_stays(action: str, before: float, after: float) -> None:
    changed = actions.changed(action, ASK, row(prompt="hi", temperature=before, seed=None), {})
    assert changed == {"prompt": "hi", "temperature": after, "seed": 7}


@pytest.mark.parametrize("action", ["cooler", "warmer"])
def test_an_answer_that_has_no_seed_of_its_own_has_the_one_that_was_asked_for(action: str) -> None:
    stopped = row(temperature=1, seed=9)
    stopped.seed = None
    assert actions.changed(action, ASK, stopped, {})["seed"] == 9


def test_a_temperature_without_bounds_moves_freely() -> None:
    assert actions.changed("warmer", FREE, row(temperature=100), {})["temperature"] == 100.3


@pytest.mark.parametrize("command", [PLAIN, ASK])
def test_an_answer_without_a_temperature(command: Command) -> None:
    with pytest.raises(UserError, match=f"/{command.name} has no temperature"):
        actions.changed("warmer", command, row(), {})


def test_edit_keeps_what_the_form_does_not_show() -> None:
    before = row(prompt="hi", temperature=1.0, public=True, seed=7)
    changed = actions.changed("edit", ASK, before, {"prompt": "bye", "temperature": "0.5"})
    assert changed == {"prompt": "bye", "temperature": "0.5", "public": True, "seed": None}


def test_whoever_sends_a_form_adds_nothing_to_it() -> None:
    changed = actions.changed("edit", ASK, row(prompt="hi", public=False), {"public": True, "seed": 5, "gone": "x"})
    assert changed == {"prompt": "hi", "public": False, "seed": None}
    fields = {"at": "1", "choice": "0", "answer": 9, "prompt": "bye", "temperature": 2}
    changed = actions.changed("fork", ASK, row(prompt="hi"), fields)
    assert changed == {"prompt": "hi", "answer": 5, "at": "1", "choice": "0", "seed": None}


def test_an_action_that_nobody_knows() -> None:
    with pytest.raises(Expired):
        actions.changed("dance", ASK, row(), {})


def test_a_form_shows_its_options_filled_in() -> None:
    prompt, temperature = actions.form(ASK, {"prompt": "hi"}, "f").fields
    assert (prompt.label, prompt.value, prompt.required, prompt.kind) == ("What you want to know", "hi", True, "text")
    assert (temperature.label, temperature.value, temperature.required) == ("temperature", "0.7", False)
    assert (temperature.minimum, temperature.maximum) == (0, 2)


@pytest.mark.parametrize(
    ("kind", "value", "shown"), [(float, 1.5, "1.0"), (float, 0.5, "0.5"), (int, 7, "1"), (int, -1, "0")]
)
def test_a_form_shows_no_number_that_may_not_be_given_any_more(kind: type, value: float, shown: str) -> None:
    option = Option(name="temperature", type=kind, minimum=0, maximum=1)
    assert actions.field(option, value).value == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, "text a b c d"),
        ({"f": "x", "b": 0}, "text a b c f"),
        ({"c": "1", "d": "2", "e": "3", "f": "4"}, "text c d e f"),
    ],
)
def test_a_form_without_room_for_all_shows_what_has_a_value(values: dict[str, object], shown: str) -> None:
    assert [field.name for field in actions.form(MORE, values, "f").fields] == shown.split()


@pytest.mark.parametrize(("given", "asked"), [("a b c d", True), ("a b c d e", False), ("a text", False)])
def test_a_form_asks_for_what_is_missing_where_nothing_that_was_given_is_lost(given: str, asked: bool) -> None:
    assert MORE.wants_form(dict.fromkeys(given.split(), "1")) is asked


def test_the_form_of_a_hidden_command_is_called_as_the_one_that_can_be_typed() -> None:
    assert (actions.form(MORE, {}, "f").title, actions.form(ASK, {}, "f").title) == ("/long", "/ask")


def test_a_command_without_a_form() -> None:
    with pytest.raises(UserError, match="/plain has no form"):
        actions.form(PLAIN, {}, "f")

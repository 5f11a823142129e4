"""Buttons by themselves; what they do through `prepare` is in test_button_actions.py."""

from collections.abc import AsyncIterator

import pytest

from bot import Button, Context, Plugin, Range, Reply, UserError, command
from bot.answers import buttons as actions
from bot.commands.command import Command
from bot.commands.option import Option
from bot.core.button_ids import ButtonId
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
    buttons = actions.finished_buttons(command, row(**options), reply or Reply(), (0, 0), "en")
    return [button.id.removeprefix("t:").removesuffix(":5") for button in buttons]


def button(text: str) -> ButtonId:
    known = ButtonId.parse(f"t:{text}:5")
    assert known is not None
    return known


def test_an_answer_offers_what_its_options_allow() -> None:
    common = ["delete", "up", "down"]
    assert offered(ASK, temperature=0.7) == ["again", "cooler", "warmer", "edit", *common]
    assert offered(ASK, temperature=0) == ["again", "warmer", "edit", *common]
    assert offered(ASK, temperature=2) == ["again", "cooler", "edit", *common]
    assert offered(FREE, temperature=100) == ["again", "cooler", "warmer", *common]
    assert offered(PLAIN) == common
    assert offered(PLAIN, Reply(private=True)) == []
    # The command is gone.
    assert offered(None, temperature=0.7) == common


def test_a_plugins_buttons_come_first_and_are_unchanged() -> None:
    mine = (Button("One", "ask", {"prompt": "x"}, style="primary"), Button("Two", "ask"))
    assert offered(PLAIN, Reply(buttons=mine)) == ["b0", "b1", "delete", "up", "down"]
    first = actions.finished_buttons(PLAIN, row(), Reply(buttons=mine), (0, 0), "en")[0]
    assert first == Button("One", "ask", {"prompt": "x"}, id="t:b0:5", style="primary")


def test_buttons_are_in_the_readers_language() -> None:
    (stop,) = actions.running_buttons(5, Reply(), "de-DE")
    assert (stop.label, stop.id, stop.style) == ("Stopp", "t:stop:5", "danger")


def test_again_drops_the_seed_and_options_that_the_command_no_longer_has() -> None:
    given = {"prompt": "hi", "temperature": 1.0, "seed": 7, "gone": "x"}
    assert actions.changed_options("again", ASK, row(**given), {}) == {"prompt": "hi", "temperature": 1.0, "seed": None}


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [("cooler", 0.7, 0.4), ("warmer", 0.7, 1.0), ("cooler", 0.1, 0), ("warmer", 1.9, 2), ("warmer", 0.1, 0.4)],
)
def test_the_temperature_moves_within_its_range_and_the_seed_stays(action: str, before: float, after: float) -> None:
    changed = actions.changed_options(action, ASK, row(prompt="hi", temperature=before, seed=None), {})
    assert changed == {"prompt": "hi", "temperature": after, "seed": 7}


@pytest.mark.parametrize("action", ["cooler", "warmer"])
def test_an_answer_without_a_seed_of_its_own_keeps_the_requested_one(action: str) -> None:
    stopped = row(temperature=1, seed=9)
    stopped.seed = None
    assert actions.changed_options(action, ASK, stopped, {})["seed"] == 9


def test_a_temperature_without_bounds_moves_freely() -> None:
    assert actions.changed_options("warmer", FREE, row(temperature=100), {})["temperature"] == 100.3


@pytest.mark.parametrize("command", [PLAIN, ASK])
def test_an_answer_without_a_temperature_cannot_be_made_warmer(command: Command) -> None:
    with pytest.raises(UserError, match=f"/{command.name} has no temperature"):
        actions.changed_options("warmer", command, row(), {})


def test_edit_keeps_what_the_form_does_not_show() -> None:
    before = row(prompt="hi", temperature=1.0, public=True, seed=7)
    changed = actions.changed_options("edit", ASK, before, {"prompt": "bye", "temperature": "0.5"})
    assert changed == {"prompt": "bye", "temperature": "0.5", "public": True, "seed": None}


def test_fields_that_a_form_does_not_have_are_ignored() -> None:
    changed = actions.changed_options(
        "edit", ASK, row(prompt="hi", public=False), {"public": True, "seed": 5, "gone": "x"}
    )
    assert changed == {"prompt": "hi", "public": False, "seed": None}
    fields = {"at": "1", "choice": "0", "answer": 9, "prompt": "bye", "temperature": 2}
    changed = actions.changed_options("fork", ASK, row(prompt="hi"), fields)
    assert changed == {"prompt": "hi", "answer": 5, "at": "1", "choice": "0", "seed": None}


def test_a_form_shows_its_options_filled_in() -> None:
    prompt, temperature = actions.make_form(ASK, {"prompt": "hi"}, "f").fields
    assert (prompt.label, prompt.value, prompt.required, prompt.kind) == ("What you want to know", "hi", True, "text")
    assert (temperature.label, temperature.value, temperature.required) == ("temperature", "0.7", False)
    assert (temperature.minimum, temperature.maximum) == (0, 2)


@pytest.mark.parametrize(
    ("kind", "value", "shown"), [(float, 1.5, "1.0"), (float, 0.5, "0.5"), (int, 7, "1"), (int, -1, "0")]
)
def test_a_form_shows_no_number_outside_the_present_limits(kind: type, value: float, shown: str) -> None:
    option = Option(name="temperature", type=kind, minimum=0, maximum=1)
    assert actions.make_field(option, value).value == shown


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, "text a b c d"),
        ({"f": "x", "b": 0}, "text a b c f"),
        ({"c": "1", "d": "2", "e": "3", "f": "4"}, "text c d e f"),
    ],
)
def test_a_form_without_room_for_all_shows_what_has_a_value(values: dict[str, object], shown: str) -> None:
    assert [field.name for field in actions.make_form(MORE, values, "f").fields] == shown.split()


@pytest.mark.parametrize(("given", "asked"), [("a b c d", True), ("a b c d e", False), ("a text", False)])
def test_a_form_asks_for_what_is_missing_where_nothing_that_was_given_is_lost(given: str, asked: bool) -> None:
    assert MORE.wants_form(dict.fromkeys(given.split(), "1")) is asked


def test_the_form_of_a_hidden_command_has_the_name_of_the_visible_one() -> None:
    assert (actions.make_form(MORE, {}, "f").title, actions.make_form(ASK, {}, "f").title) == ("/long", "/ask")


def test_a_command_without_form_options_has_no_form() -> None:
    with pytest.raises(UserError, match="/plain has no form"):
        actions.make_form(PLAIN, {}, "f")

"""Forms as modals: valid, within the limits, and read back as the core expects."""

from collections.abc import Mapping
from typing import Any

import pytest
from fakes.slack import FakeFile, FakeView, contract, forms, limits

from bot.answers import buttons
from bot.commands.option import Option
from bot.config.sections import PluginsSection
from bot.core.messages import Field, Form
from bot.platforms.slack.api.blocks import plain_text
from bot.platforms.slack.incoming import modal
from bot.plugin_host import plugin

Json = dict[str, Any]
COMMANDS = [command for one in plugin.load(PluginsSection(entry_points=False)) for command in one.commands()]
LOCALES = ("en-US", "de-DE", "es-ES")


def build(*fields: Field, locale: str = "en", title: str = "/ask") -> Json:
    view = modal.build(Form("c:ask", title, fields), private_metadata='{"channel": "C1"}', locale=locale)
    assert limits.view_errors(view) == []
    assert contract.problems("views.open", {"trigger_id": "1", "view": view}) == []
    return view


def build_element(field: Field, locale: str = "en") -> Json:
    (block,) = build(field, locale=locale)["blocks"]
    return block["element"]


def submit(view: Json, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in and submit a modal; return what the core gets."""
    shown = FakeView("V1", "U1", "modal", [view])
    values = forms.fill_in(shown, fields, lambda file: {"id": file.id, "name": file.name})
    assert forms.find_client_errors(shown, values) == {}
    return modal.read_fields(view | {"state": {"values": values}})


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("command", [one for one in COMMANDS if one.opens_form], ids=lambda one: one.name)
def test_the_form_of_every_command_is_valid(command: Any, locale: str) -> None:
    form = buttons.make_form(command, {}, f"c:{command.name}")
    view = build(*form.fields, locale=locale, title=form.title)
    assert [block["block_id"] for block in view["blocks"]] == [field.name for field in form.fields]


def test_the_form_of_ask_in_the_language_of_the_reader() -> None:
    command = next(one for one in COMMANDS if one.name == "ask")
    form = buttons.make_form(command, {"temperature": 0.2, "prompt": "Why?"}, "t:edit:7")
    view = modal.build(form, private_metadata="kept", locale="de-DE")
    assert (view["callback_id"], view["private_metadata"], view["title"]["text"]) == ("t:edit:7", "kept", "/ask")
    assert (view["submit"]["text"], view["close"]["text"]) == ("Senden", "Abbrechen")
    prompt, file, temperature, tokens, seed = view["blocks"]
    assert (prompt["block_id"], prompt["optional"], file["optional"]) == ("prompt", False, True)
    assert prompt["label"]["text"] == "Was du wissen möchtest"
    assert prompt["hint"]["text"] == "prompt: ein Text von 1 bis 3000 Zeichen"
    assert (prompt["element"]["multiline"], prompt["element"]["initial_value"]) == (True, "Why?")
    assert temperature["element"] == {
        "type": "number_input",
        "action_id": modal.INPUT_ACTION,
        "is_decimal_allowed": True,
        "min_value": "0",
        "max_value": "2",
        "initial_value": "0.2",
    }
    assert (tokens["element"]["is_decimal_allowed"], tokens["element"]["initial_value"]) == (False, "512")
    assert (seed["element"]["max_value"], "initial_value" in seed["element"]) == ("2147483647", False)


def test_submitted_fields_come_back_as_typed() -> None:
    view = build(
        Field("prompt", "Question", "text", required=True),
        Field("count", "How many", "integer", value="3", minimum=1, maximum=9),
        Field("style", "Style", "choice", value="plain", choices=("plain", "bold")),
        Field("loud", "Loud", "boolean", value="False"),
        Field("picture", "Picture", "attachment"),
    )
    assert submit(view, {"prompt": "Why?\nSay."}) == {
        "prompt": "Why?\nSay.",
        "count": "3",
        "style": "plain",
        "loud": "false",
        "picture": "",
    }
    file = FakeFile("F1", "a.png")
    changed = submit(view, {"prompt": "x", "count": "", "style": "bold", "loud": "yes", "picture": file})
    assert changed == {
        "prompt": "x",
        "count": "",
        "style": "bold",
        "loud": "true",
        "picture": {"id": "F1", "name": "a.png"},
    }


def test_users_and_channels_are_picked_from_menus() -> None:
    view = build(Field("who", "Who", "user"), Field("where", "Where", "channel"), Field("role", "Role", "role"))
    assert [block["element"]["type"] for block in view["blocks"]] == [
        "users_select",
        "conversations_select",
        "plain_text_input",
    ]
    values = {
        "who": {"type": "users_select", "selected_user": "U1"},
        "where": {"type": "conversations_select", "selected_conversation": None},
        "role": {"type": "plain_text_input", "value": None},
    }
    state = {name: {modal.INPUT_ACTION: value} for name, value in values.items()}
    assert modal.read_fields(view | {"state": {"values": state}}) == {"who": "U1", "where": "", "role": ""}


@pytest.mark.parametrize("language", LOCALES)
def test_yes_and_no_are_read_in_every_language(language: str) -> None:
    shown = build_element(Field("loud", "Loud", "boolean", value="True"), language)
    option = Option(name="loud", type=bool)
    assert [option.convert(one["value"]) for one in shown["options"]] == [True, False]
    assert option.convert(shown["initial_option"]["value"]) is True


def test_choices_that_do_not_fit_into_a_menu_are_typed() -> None:
    many = tuple(f"choice {number}" for number in range(101))
    assert (
        build_element(Field("style", "Style", "choice", choices=many[:100], value="choice 7"))["type"]
        == "static_select"
    )
    assert build_element(Field("style", "Style", "choice", choices=many, value="choice 7")) == {
        "type": "plain_text_input",
        "action_id": modal.INPUT_ACTION,
        "multiline": False,
        "max_length": 3000,
        "initial_value": "choice 7",
    }
    for unfit in ("", "x" * 151):
        assert build_element(Field("style", "Style", "choice", choices=("a", unfit)))["type"] == "plain_text_input"
    long = build_element(Field("style", "Style", "choice", choices=("x" * 150,)))
    assert (len(long["options"][0]["text"]["text"]), len(long["options"][0]["value"])) == (75, 150)


def test_the_longest_words_stay_within_the_limits() -> None:
    view = build(Field("prompt", "x" * 5000, "text", value="y" * 8000, maximum=8000), title=f"/{'long' * 20}")
    assert len(view["title"]["text"]) == 24
    (block,) = view["blocks"]
    assert len(block["element"]["initial_value"]) == 3000
    assert block["hint"]["text"] == "Here is room for 3000 characters; of the 8000 there were, these are the first."


@pytest.mark.parametrize(("maximum", "multiline", "longest"), [(80, False, 80), (201, True, 201), (None, True, 3000)])
def test_long_texts_get_several_lines(maximum: int | None, multiline: bool, longest: int) -> None:
    shown = build_element(Field("prompt", "Question", "text", maximum=maximum))
    assert (shown["multiline"], shown["max_length"]) == (multiline, longest)


def test_an_error_is_at_its_field_or_at_the_first() -> None:
    view = build(Field("prompt", "Question", "text"), Field("count", "How many", "integer"))
    view["blocks"].insert(0, {"type": "context", "elements": [plain_text("No field")]})
    assert modal.field_errors(view, "count", "Too many.") == {"count": "Too many."}
    assert modal.field_errors(view, "", "Not here.") == {"prompt": "Not here."}
    assert modal.field_errors(view, "gone", "Not here.") == {"prompt": "Not here."}

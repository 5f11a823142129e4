"""Forms as modals, and the values of submitted ones."""

from typing import Any

import discord
import pytest
from fakes.discord.contract import contract

from bot.core.messages import Field, Form
from bot.platforms.discord.incoming import modal

FILE = {
    "id": "8",
    "filename": "a.png",
    "size": 3,
    "url": "http://127.0.0.1/a.png",
    "proxy_url": "http://127.0.0.1/a.png",
}


async def shown(*fields: Field, title: str = "/play", locale: str = "en") -> dict[str, Any]:
    built = modal.build(Form("c:play", title, fields), locale)
    # Else discord.py would keep it.
    assert built.is_finished()
    return built.to_dict()


async def component(field: Field, locale: str = "en") -> dict[str, Any]:
    """Return the only input of a form."""
    (label,) = (await shown(field, locale=locale))["components"]
    inner = {key: value for key, value in label["component"].items() if value is not None}
    assert (label["type"], inner.pop("custom_id")) == (18, field.name)
    return inner


def submitted(components: list[dict[str, Any]], **resolved: Any) -> discord.Interaction:
    client = discord.Client(intents=discord.Intents(guilds=True))
    data = {
        "id": "1", "application_id": "2", "type": 5, "token": "x", "version": 1, "locale": "en-US", "context": 1,
        "user": {"id": "7", "username": "ann", "global_name": "Ann", "discriminator": "0", "avatar": None},
        "data": {"custom_id": "c:play", "components": components, "resolved": resolved},
        "entitlements": [], "authorizing_integration_owners": {}, "attachment_size_limit": 10_485_760,
    }  # fmt: skip
    return discord.Interaction(data=data, state=client._connection)  # type: ignore[arg-type]


TEXT = {"type": 4, "style": 2, "required": False, "max_length": 4000}
LINE = {"type": 4, "style": 1, "required": False}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (Field("a", "A", "text"), TEXT),
        (Field("a", "A", "text", required=True, value="x"), TEXT | {"required": True, "value": "x"}),
        (Field("a", "A", "text", maximum=201), TEXT | {"max_length": 201}),
        (Field("a", "A", "text", maximum=200), LINE | {"max_length": 200}),
        (Field("a", "A", "text", maximum=9000, value="x" * 5000), TEXT | {"value": "x" * 4000}),
        (Field("a", "A", "number", value="0.7", minimum=0, maximum=2), LINE | {"value": "0.7", "placeholder": "0 – 2"}),
        (Field("a", "A", "integer", minimum=1), LINE | {"placeholder": "≥ 1"}),
        (Field("a", "A", "integer", maximum=2147483647), LINE | {"placeholder": "≤ 2147483647"}),
        (Field("a", "A", "integer"), LINE),
        (Field("a", "A", "choice", choices=tuple("abcdefghijklmnopqrstuvwxyz")), LINE | {"max_length": 4000}),
        (Field("a", "A", "attachment"), {"type": 19, "required": False, "min_values": 0, "max_values": 1}),
        (
            Field("a", "A", "attachment", required=True),
            {"type": 19, "required": True, "min_values": 1, "max_values": 1},
        ),
    ],
)
async def test_each_kind_of_field_has_its_input(field: Field, expected: dict[str, Any]) -> None:
    assert await component(field) == expected


@pytest.mark.parametrize(("kind", "number"), [("user", 5), ("role", 6), ("channel", 8)])
async def test_users_channels_and_roles_have_pickers(kind: str, number: int) -> None:
    inner = await component(Field("a", "A", kind, required=True))
    assert (inner["type"], inner["required"], inner["min_values"], inner["max_values"]) == (number, True, 1, 1)


async def test_fields_of_every_kind_conform_to_discords_description() -> None:
    if (described := contract()) is None:
        pytest.skip("The description of Discord's API is not there.")
    choices = ("plain", "rhyme")
    kinds = ("text", "integer", "number", "boolean", "attachment", "user", "channel", "role", "choice")
    for required in (True, False):
        for kind in kinds:
            field = Field("a", "long " * 30, kind, required=required, minimum=0, maximum=2, choices=choices)
            body = {"type": 9, "data": await shown(field, title="/" + "t" * 60)}
            assert not described.violation("POST", "/interactions/1/token/callback", {}, body)


async def test_a_choice_shows_the_chosen_value() -> None:
    inner = await component(Field("style", "Style", "choice", value="rhyme", choices=("plain", "rhyme")))
    assert (inner["type"], inner["min_values"], inner["max_values"], inner["required"]) == (3, 0, 1, False)
    assert [(one["value"], one["default"]) for one in inner["options"]] == [("plain", False), ("rhyme", True)]


async def test_yes_and_no_are_in_the_language_of_the_reader() -> None:
    inner = await component(Field("loud", "Loud", "boolean", value="True", required=True), "es-419")
    assert [(one["label"], one["value"], one["default"]) for one in inner["options"]] == [
        ("sí", "true", True),
        ("no", "false", False),
    ]


async def test_long_titles_and_labels_are_cut_or_moved_to_the_description() -> None:
    whole = await shown(Field("name", "n" * 45, "text"), Field("other", "o" * 120, "text"), title="/" + "t" * 60)
    assert whole["title"] == "/" + "t" * 43 + "…"
    first, second = whole["components"]
    assert (first["label"], first.get("description")) == ("n" * 45, None)
    assert (second["label"], second["description"]) == ("other", "o" * 99 + "…")


@pytest.mark.parametrize("locale", ["en-US", "de-DE", "es-ES"])
async def test_a_text_that_is_cut_has_a_note(locale: str) -> None:
    short, long = (
        Field("a", "A", "text", value="x" * 20000, maximum=20000),
        Field("b", "b" * 50, "text", value="x" * 4001),
    )
    fits = Field("c", "C", "text", value="x" * 4000, maximum=20000)
    first, second, third = (await shown(short, long, fits, locale=locale))["components"]
    for label, count in ((first, "20000"), (second, "4001")):
        assert ("4000" in label["description"], count in label["description"]) == (True, True)
        assert not label["description"].endswith("…")
    assert (first["label"], second["label"], third.get("description")) == ("A", "b", None)


async def test_the_values_of_a_submitted_modal_are_read() -> None:
    inputs = [
        {"type": 18, "component": {"type": 4, "custom_id": "prompt", "value": "Why?"}},
        {"type": 18, "component": {"type": 3, "custom_id": "style", "values": ["rhyme"]}},
        {"type": 18, "component": {"type": 5, "custom_id": "who", "values": ["7"]}},
        {"type": 18, "component": {"type": 19, "custom_id": "file", "values": ["8"]}},
        {"type": 1, "components": [{"type": 4, "custom_id": "seed", "value": ""}]},
        {"type": 18, "component": {"type": 3, "custom_id": "edge", "values": []}},
        {"type": 18, "component": {"type": 19, "custom_id": "none", "values": []}},
        {"type": 10, "content": "words between"},
    ]
    found = modal.read_fields(submitted(inputs, attachments={"8": FILE}))
    file = found.pop("file")
    assert isinstance(file, discord.Attachment)
    assert (file.filename, file.url) == ("a.png", FILE["url"])
    assert found == {"prompt": "Why?", "style": "rhyme", "who": "7", "seed": "", "edge": "", "none": ""}

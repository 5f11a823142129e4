"""The bot's commands as Discord's, and the calls when one is used; no server is needed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import discord
import pytest

from bot.commands.command import Command
from bot.commands.option import Option
from bot.config.sections import PluginsSection
from bot.core.errors import PluginError
from bot.core.messages import Attachment, Channel, Reply, Role, User
from bot.platforms.discord.incoming import command_limits, commands
from bot.platforms.discord.incoming.command_tree import Translations, Tree
from bot.platforms.discord.incoming.commands import build
from bot.plugin_host import plugin

ANN = {"id": "7", "username": "ann", "global_name": "Ann", "discriminator": "0", "avatar": None}
FILE = {
    "id": "8",
    "filename": "a.png",
    "size": 3,
    "url": "http://127.0.0.1/a.png",
    "proxy_url": "http://127.0.0.1/a.png",
}


class CallRecorder:
    """Records the calls of the functions that answer commands."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.suggestions: Callable[[], Sequence[str]] = tuple

    async def run(self, interaction: discord.Interaction, command: str, options: dict[str, Any]) -> None:
        self.calls.append((command, options))

    async def run_on_message(self, interaction: discord.Interaction, command: str, message: discord.Message) -> None:
        self.calls.append((command, message.id, message.content))

    async def complete(self, interaction: discord.Interaction, command: str, option: str, typed: str) -> Sequence[str]:
        self.calls.append((command, option, typed))
        return self.suggestions()

    def build(self, *wanted: Command) -> list[Any]:
        return build(wanted, run=self.run, run_on_message=self.run_on_message, complete=self.complete)


@pytest.fixture
def recorder() -> CallRecorder:
    return CallRecorder()


@pytest.fixture
async def tree() -> Tree:
    return Tree(discord.Client(intents=discord.Intents(guilds=True)))


async def handler(*_: object) -> AsyncIterator[Reply]:
    yield Reply()


def made(name: str = "play", *options: Option, **more: Any) -> Command:
    defaults = {"description": "Play something.", "plugin": "toys", "handler": handler}
    return Command(name=name, options=options, **(defaults | more))


def built_in() -> dict[str, Command]:
    loaded = plugin.load(PluginsSection(entry_points=False))
    return {command.name: command for one in loaded for command in one.commands()}


async def payload(tree: Tree, built: Any) -> dict[str, Any]:
    tree.replace_commands(built)
    (command,) = tree.get_commands()
    return dict(await command.get_translated_payload(tree, Translations()))


METADATA = {
    "archived": False, "auto_archive_duration": 60, "archive_timestamp": "2026-01-01T00:00:00+00:00", "locked": False
}  # fmt: skip


async def options(tree: Tree, recorder: CallRecorder, *given: Option, **more: Any) -> list[dict[str, Any]]:
    """Return these options as they are registered."""
    shown = await payload(tree, recorder.build(made("play", *given, **more)))
    return [{key: value for key, value in option.items() if not key.startswith("desc")} for option in shown["options"]]


def interaction(tree: Tree, data: dict[str, Any], kind: int = 2) -> discord.Interaction:
    payload = {
        "id": "1", "application_id": "2", "type": kind, "token": "x", "version": 1, "user": ANN, "locale": "de",
        "channel": {"id": "3", "type": 1, "recipients": []}, "channel_id": "3", "data": {"id": "4", "type": 1} | data,
        "entitlements": [], "authorizing_integration_owners": {}, "attachment_size_limit": 10_485_760, "context": 1,
    }  # fmt: skip
    return discord.Interaction(data=payload, state=tree.client._connection)  # type: ignore[arg-type]


async def test_names_of_options_and_choices_are_translated_and_those_of_commands_are_not(
    tree: Tree, recorder: CallRecorder
) -> None:
    face = await payload(tree, recorder.build(built_in()["face"]))
    assert (face["name"], face["name_localizations"]) == ("face", {})
    assert set(face["description_localizations"]) == {"de", "es-ES", "es-419"}
    assert face["description_localizations"]["de"].startswith("Zeichnet Gesichter von Menschen")
    assert [option["name"] for option in face["options"][:3]] == ["seed", "count", "truncation"]
    shown = [option.get("name_localizations", {}) for option in face["options"][:3]]
    assert [(names.get("de"), names.get("es-ES")) for names in shown] == [
        (None, "semilla"),
        ("anzahl", "cantidad"),
        ("abschneiden", "truncamiento"),
    ]
    style = (await payload(tree, recorder.build(built_in()["explain"])[:1]))["options"][1]
    assert [(choice["value"], choice["name_localizations"]["de"]) for choice in style["choices"]] == [
        ("quote", "Zitat"),
        ("simple", "einfach"),
    ]
    menu = await payload(tree, recorder.build(built_in()["inspect"])[1:])
    assert (menu["name"], menu["type"], menu["name_localizations"]["de"]) == ("Inspect", 3, "Untersuchen")


async def test_names_stay_english_where_two_would_read_alike_or_one_is_too_long(
    tree: Tree, recorder: CallRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"what": "was", "which": "was", "who": "wer", "whom": "w" * 33}
    monkeypatch.setattr(command_limits, "shown_name", lambda name, locale: known[name] if locale == "de" else name)
    for names, shown in (
        (("what", "who"), ["was", "wer"]),
        (("what", "which"), [None] * 2),
        (("who", "whom"), [None] * 2),
    ):
        given = await options(tree, recorder, *(Option(name=name) for name in names))
        assert [option.get("name_localizations", {}).get("de") for option in given] == shown


async def test_every_type_of_option_has_its_type_on_discord(tree: Tree, recorder: CallRecorder) -> None:
    kinds = {str: 3, int: 4, bool: 5, User: 6, Channel: 7, Role: 8, float: 10, Attachment: 11}
    given = [Option(name=f"a_{kind.__name__.lower()}", type=kind) for kind in kinds]
    shown = await options(tree, recorder, *given)
    # Without 4, the categories.
    assert [one.pop("channel_types", None) for one in shown if one["type"] == 7] == [[0, 2, 5, 10, 11, 12, 13, 15]]
    assert shown == [
        {"name": f"a_{kind.__name__.lower()}", "type": number, "required": True} for kind, number in kinds.items()
    ]


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        (float, 0, 2, {"min_value": 0, "max_value": 2}),
        (int, None, 9, {"max_value": 9}),
        (int, 0.5, 9.5, {"min_value": 1, "max_value": 9}),
        (int, 0, 2**63, {"min_value": 0}),
        (str, 2, 9000, {"min_length": 2, "max_length": 6000}),
        (str, None, None, {}),
    ],
)
async def test_options_have_their_limits(
    kind: type, low: Any, high: Any, expected: dict[str, Any], tree: Tree, recorder: CallRecorder
) -> None:
    (shown,) = await options(tree, recorder, Option(name="size", type=kind, minimum=low, maximum=high))
    assert {key: value for key, value in shown.items() if key.startswith("m")} == expected


async def test_choices_have_their_type(tree: Tree, recorder: CallRecorder) -> None:
    style = Option(name="style", choices=("plain", "rhyme"))
    edge = Option(name="edge", type=int, choices=(64, 128), minimum=1)
    shown = await options(tree, recorder, style, edge)
    assert [option["type"] for option in shown] == [3, 4]
    assert shown[0]["choices"] == [{"name": "plain", "value": "plain"}, {"name": "rhyme", "value": "rhyme"}]
    assert shown[1]["choices"] == [{"name": "64", "value": 64}, {"name": "128", "value": 128}]
    assert "min_value" not in shown[1]


@pytest.mark.parametrize(
    "option",
    [
        Option(name="word", complete=CallRecorder().complete),
        Option(name="word", type=int, complete=CallRecorder().complete, minimum=1),
        Option(name="word", choices=tuple("abcdefghijklmnopqrstuvwxyz")),
        Option(name="word", choices=("short", "l" + 100 * "o" + "ng")),
        Option(name="word", choices=("", "some")),
    ],
    ids=["a completer", "a completer of numbers", "26 choices", "a long choice", "an empty choice"],
)
async def test_options_with_suggestions_are_text(option: Option, tree: Tree, recorder: CallRecorder) -> None:
    assert await options(tree, recorder, option) == [
        {"name": "word", "type": 3, "required": True, "autocomplete": True}
    ]


async def test_required_options_come_first(tree: Tree, recorder: CallRecorder) -> None:
    given = [Option(name="a", required=False), Option(name="b"), Option(name="c", required=False)]
    assert [option["name"] for option in await options(tree, recorder, *given, threads=True)] == [
        "b",
        "a",
        "c",
        "thread",
    ]


async def test_a_command_that_opens_a_form_requires_no_option(tree: Tree, recorder: CallRecorder) -> None:
    (shown,) = await options(tree, recorder, Option(name="text", form=True))
    assert shown["required"] is False


async def test_long_descriptions_are_cut(tree: Tree, recorder: CallRecorder) -> None:
    shown = await payload(tree, recorder.build(made("play", Option(name="size"), description="long " * 30)))
    assert len(shown["description"]) <= 100
    assert shown["description"].endswith("long…")
    assert shown["options"][0]["description"] == "size"


async def test_subcommands_form_groups_and_moderators_commands_are_restricted(
    tree: Tree, recorder: CallRecorder
) -> None:
    both = [made("lesson list", moderator=True), made("lesson add", moderator=True)]
    group = await payload(tree, recorder.build(*both))
    assert [(child["name"], child["type"]) for child in group["options"]] == [("list", 1), ("add", 1)]
    assert (group["default_member_permissions"], group["contexts"], group["integration_types"]) == (0x20, [0], [0])
    mixed = await payload(tree, recorder.build(both[0], made("lesson show")))
    assert (mixed["default_member_permissions"], mixed["contexts"], mixed["integration_types"]) == (
        None,
        [0, 1, 2],
        [0, 1],
    )
    alone = await payload(tree, recorder.build(made("purge", moderator=True)))
    assert (alone["default_member_permissions"], alone["contexts"]) == (0x20, [0])
    menu = await payload(tree, recorder.build(made("purge", moderator=True, in_messages="Purge this"))[1:])
    assert (menu["default_member_permissions"], menu["contexts"]) == (0x20, [0])


MANY = [Option(name=f"o{number}") for number in range(26)]
LONG = tuple(f"{number:02}" + 98 * "x" for number in range(25))


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ([made("play", *MANY)], "room for 25 options; it has 26"),
        ([made("play", *MANY[:25], threads=True)], "room for 25 options; it has 26"),
        ([made("play", Option(name="thread"), threads=True)], "it gets an option “thread”, so rename its own"),
        ([made("play", Option(name="Size"))], "option “Size” must be up to 32 small letters"),
        ([made("play", Option(name="s" * 33))], "must be up to 32 small letters"),
        ([made(f"c{number}") for number in range(101)], "Command “c100” of plugin “toys”: Discord has room for 100"),
        ([made(f"c s{number}") for number in range(26)], "room for 25 commands that begin with the same word"),
        ([made("play"), made("play well")], "cannot have both /play and /play well; rename one"),
        ([made("play", in_messages="P" * 33)], "by 32 characters"),
        ([made("a", in_messages="Do"), made("b", in_messages="Do")], "on a message /a is called “Do” already"),
        ([made(f"c{number}", in_messages=f"Do {number}") for number in range(6)], "room for 5 commands on messages"),
        (
            [made(f"play c{number}", Option(name="size", choices=LONG)) for number in range(2)],
            "Command “play c1” of plugin “toys”: with all descriptions and choices it is over Discord's 8000",
        ),
    ],
)
def test_a_command_over_a_limit_is_refused_with_a_sentence(
    wanted: list[Command], sentence: str, recorder: CallRecorder
) -> None:
    with pytest.raises(PluginError) as caught:
        recorder.build(*wanted)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_given_options_arrive_as_types_of_the_bot(tree: Tree, recorder: CallRecorder) -> None:
    given = [
        Option(name="from", type=int), Option(name="who", type=User), Option(name="where", type=Channel),
        Option(name="rank", type=Role), Option(name="file", type=Attachment), Option(name="not_given", required=False),
    ]  # fmt: skip
    tree.replace_commands(recorder.build(made("play", *given, threads=True)))
    resolved = {
        "users": {"7": ANN},
        "channels": {"9": {"id": "9", "name": "general", "type": 0, "permissions": "0"}},
        "roles": {"5": {"id": "5", "name": "wise", "permissions": "0", "position": 1, "color": 0, "colors": {
            "primary_color": 0, "secondary_color": None, "tertiary_color": None}}},
        "attachments": {"8": FILE},
    }  # fmt: skip
    used = [
        (4, "from", 3),
        (6, "who", "7"),
        (7, "where", "9"),
        (8, "rank", "5"),
        (11, "file", "8"),
        (5, "thread", True),
    ]
    data = {
        "name": "play",
        "resolved": resolved,
        "options": [{"type": kind, "name": name, "value": value} for kind, name, value in used],
    }
    await tree._call(interaction(tree, data))
    ((name, found),) = recorder.calls
    file = found.pop("file")
    assert (name, file.filename) == ("play", "a.png")
    assert found == {
        "from": 3,
        "who": User("7", "Ann"),
        "where": Channel("9", "general"),
        "rank": Role("5", "wise"),
        "thread": True,
    }


async def test_a_thread_stands_for_its_channel(tree: Tree, recorder: CallRecorder) -> None:
    tree.replace_commands(recorder.build(made("play", Option(name="where", type=Channel))))
    thread = {
        "id": "9", "name": "Why?", "type": 11, "permissions": "0", "parent_id": "8", "owner_id": "7",
        "member_count": 1, "message_count": 1, "total_message_sent": 1, "rate_limit_per_user": 0, "flags": 0,
        "thread_metadata": METADATA,
    }  # fmt: skip
    used = [{"type": 7, "name": "where", "value": "9"}]
    data = {"name": "play", "resolved": {"channels": {"9": thread}}, "options": used}
    await tree._call(interaction(tree, data))
    assert recorder.calls == [("play", {"where": Channel("8", "Why?")})]


@pytest.mark.parametrize(
    ("suggestions", "shown"),
    [
        (lambda: ["one", "two", "one"], ["one", "two"]),
        (lambda: [str(number) for number in range(40)], [str(number) for number in range(25)]),
        (lambda: ["", "x" * 101, "fits"], ["fits"]),
        (lambda: 1 / 0, []),
    ],
    ids=["once each", "25 at most", "what cannot be shown", "a completer that fails"],
)
async def test_fitting_suggestions_are_offered(
    suggestions: Any, shown: list[str], tree: Tree, recorder: CallRecorder
) -> None:
    recorder.suggestions = suggestions
    tree.replace_commands(
        recorder.build(made("lesson show", Option(name="name", complete=recorder.complete)), made("lesson list"))
    )
    command = tree.get_command("lesson").get_command("show")
    choices = await command.extras["name"](interaction(tree, {"name": "lesson"}, 4), "GA")
    assert [(choice.name, choice.value) for choice in choices] == [(text, text) for text in shown]
    assert recorder.calls == [("lesson show", "name", "GA")]


async def test_a_completer_that_hangs_suggests_nothing(
    tree: Tree, recorder: CallRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> Sequence[str]:
        await asyncio.get_running_loop().create_future()
        return ["never"]

    monkeypatch.setattr(commands, "COMPLETION_SECONDS", 0.01)
    wanted = [made("play", Option(name="name", complete=hang))]
    tree.replace_commands(build(wanted, run=recorder.run, run_on_message=recorder.run_on_message, complete=hang))
    assert await tree.get_command("play").extras["name"](interaction(tree, {"name": "play"}, 4), "") == []

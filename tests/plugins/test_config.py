from dataclasses import replace

import pytest
from fakes.core.requests import ANN, MODERATOR, OPERATOR, ROOM, ask, last, speaking
from fakes.core.settings import SCHOOL
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.core.messages import Attachment, Place, Reply, Request, User
from bot.settings.setting import Scope

HALL = Place("test", "hall", server="school")


async def run_as_moderator(bot: Bot, line: str, user: User = MODERATOR, place: Place = ROOM) -> Reply:
    return await last(bot, ask(line, user, place))


async def read_text(bot: Bot, line: str, user: User = MODERATOR) -> str:
    return (await run_as_moderator(bot, line, user)).text


UNKNOWN = "There is no setting “xyzzy”. /config show lists what there is."
WARM = "ask.temperature.maximum must be a number from 0 to 2; you gave “warm”."
NEEDS_A_VALUE = (
    "limits.cooldown needs a value: a whole number from 0 to 86400. Like this: `/config set limits.cooldown value:…`"
)
FOR_THE_SERVER = "access.channels cannot be set for a single channel; set it for the whole server."
FOR_THE_OPERATOR = "Only whoever runs this bot can name another server, from the terminal."


# Set and reset


@pytest.mark.parametrize(
    "line",
    [
        "/config set ask.temperature.maximum 1.0",
        "/config set ask.temperature.maximum value:1",
        "/config set value:1,0 setting:ask.temperature.maximum",
        "/config set ask.temperature.max = 1",
        '/config set ask.temperature.maximum "1"',
        "/config set ask.temperature.maximum\u00a0„1“",
        "/config set ask.temperature.maximum 1 channel:#room",
    ],
)
async def test_a_change_shows_the_value_before_and_after(bot: Bot, line: str) -> None:
    where = "channel room" if "channel" in line else "this server"
    decision = bot.prepare(ask(line, MODERATOR))
    assert decision.private
    assert [reply.text async for reply in decision.start()][-1] == f"`ask.temperature.maximum` ({where}): 2 → 1"
    refused = await last(bot, ask("/ask temperature:1.5 hi"))
    assert refused.text == (
        "temperature must be a number from 0 to 1, as moderators have set it here with `ask.temperature.maximum`; "
        "you gave “1.5”."
    )


async def test_a_change_lists_the_channels_with_their_own_value(bot: Bot) -> None:
    await run_as_moderator(bot, "/config set limits.cooldown 5 channel:#hall")
    await run_as_moderator(bot, "/config set limits.cooldown 0 role:@teachers")
    assert await read_text(bot, "/config set limits.cooldown 60") == (
        "`limits.cooldown` (this server): 0 → 60\n- role teachers: **0**\n- channel hall: **5**"
    )


async def test_reset_removes_one_or_all_values_of_a_scope(bot: Bot) -> None:
    for line in ("limits.cooldown 60", "answers.private yes", "limits.cooldown 5 channel:#hall"):
        await run_as_moderator(bot, f"/config set {line}")
    assert await read_text(bot, "/config reset limits.cooldown") == "`limits.cooldown` (this server): 60 → 0"
    assert await read_text(bot, "/config reset") == "`answers.private` (this server): yes → no"
    assert bot.settings.value("limits.cooldown", HALL) == 5
    assert await read_text(bot, "/config reset channel:#hall") == "`limits.cooldown` (channel hall): 5 → 0"
    assert await read_text(bot, "/config reset") == "Nothing was set there."


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/config set xyzzy 1", UNKNOWN),
        ("/config set ask.temperature.maximum warm", WARM),
        ("/config set limits.cooldown", NEEDS_A_VALUE),
        ("/config set access.channels hall channel:#room", FOR_THE_SERVER),
        ("/config set answers.private yes role:@x", "answers.private cannot be set for a role."),
        ("/config set limits.role.hour 5", "limits.role.hour is set for a role; name one."),
        ("/config set limits.cooldown 5 role:@x channel:#y", "Name a channel or a role, not both."),
        ("/config set limits.cooldown 5 server:web", FOR_THE_OPERATOR),
        ("/config import", "Give the settings either as a file or as text."),
        ("/config show xyzzy", UNKNOWN),
    ],
)
async def test_an_error_is_one_sentence(bot: Bot, line: str, sentence: str) -> None:
    reply = await run_as_moderator(bot, line)
    assert (reply.text, reply.error, reply.private) == (sentence, True, True)
    assert bot.settings.scopes.values_within(SCHOOL) == {}


async def test_the_operator_changes_settings_of_other_servers(bot: Bot) -> None:
    assert await read_text(bot, "/config set limits.cooldown 9 server:web", OPERATOR) == (
        "`limits.cooldown` (server web:web): 0 → 9"
    )
    assert bot.settings.value("limits.cooldown", Place("web", "general", server="web")) == 9
    await run_as_moderator(bot, "/config set access.roles value:<@&123456> server:discord:42", OPERATOR)
    assert bot.settings.value("access.roles", Place("discord", "1", server="42")) == "123456"
    assert await read_text(bot, "/config show server:nowhere", OPERATOR) == (
        "server must be one of discord:ID, slack:ID, web, terminal, with the server’s id for ID; you gave “nowhere”."
    )


# Show


async def test_the_list_highlights_the_settings_that_were_changed(bot: Bot) -> None:
    await run_as_moderator(bot, "/config set limits.cooldown 60")
    await run_as_moderator(bot, "/config set limits.cooldown 5 channel:#hall")
    lines = (await read_text(bot, "/config show")).splitlines()
    assert "- `limits.cooldown`: **60** (this server)" in lines
    assert "- `answers.quote`: yes" in lines
    assert "- `ask.temperature.maximum`: 2" in lines
    assert "There is more, set for: channel hall" in lines
    hall = (await read_text(bot, "/config show channel:#hall")).splitlines()
    assert "- `limits.cooldown`: **5** (this channel)" in hall


async def test_one_setting_is_shown_with_the_origin_of_its_value(bot: Bot) -> None:
    await run_as_moderator(bot, "/config set ask.temperature.maximum 1.5")
    await run_as_moderator(bot, "/config set ask.temperature.maximum 1 channel:#hall")
    assert await read_text(bot, "/config show ask.temperature.maximum channel:#hall") == (
        "**ask.temperature.maximum** – The most that temperature of /ask may be.\n"
        "It takes a number from 0 to 2.\n"
        "- default: **2**\n"
        "- this server: **1.5**\n"
        "- this channel: **1** ← counts here"
    )
    assert (await read_text(bot, "/config show ask.temperature.maximum")).splitlines()[-1] == "- channel hall: **1**"
    german = await read_text(bot, "/config show ask.temperature.maximum", speaking("de", MODERATOR))
    assert german.startswith("**ask.temperature.maximum** – Wie groß temperature von /ask höchstens sein darf.")


# Completion


@pytest.mark.parametrize(
    ("option", "before", "typed", "offered"),
    [
        ("setting", "/config set", "ask.temp", ("ask.temperature.default", "ask.temperature.minimum")),
        ("setting", "/config set", "ask.model ", ("ask.model fake-chat",)),
        ("setting", "/config set", "safety.level s", ("safety.level standard",)),
        ("setting", "/config show", "safety.l", ("safety.level",)),
        ("value", "/config set setting:ask.model", "", ("fake-chat",)),
        ("value", "/config set imagine.model", "fa", ("fake-images",)),
        ("value", "/config set channel:#hall safety.level", "cl", ("classroom",)),
        ("value", "/config set answers.private", "", ("yes", "no")),
        ("value", "/config set limits.cooldown", "", ("0", "86400")),
        ("value", "/config set ask.temperature.maximum", "", ("2", "0")),
        ("value", "/config set answers.language", "e", ("each", "en", "es")),
        ("value", "/config set access.channels", "", ()),
        ("value", "/config set xyzzy", "", ()),
        ("value", "/config set xyzzy:1", "", ()),
        ("value", "/config set", "", ()),
        ("setting", "/config show", "ask.temp", ("ask.temperature.default", "ask.temperature.minimum")),
    ],
)
async def test_names_and_values_complete(
    bot: Bot, models: FakeModels, option: str, before: str, typed: str, offered: tuple[str, ...]
) -> None:
    request = Request(user=MODERATOR, place=ROOM, command=" ".join(before[1:].split()[:2]), text=f"{before} ")
    found = await bot.complete(request, option, typed)
    assert list(found[: len(offered) or None]) == [*offered]
    assert await bot.complete(replace(request, user=ANN), option, typed) == ()
    if "fake-" in str(offered):
        # Nor is there one to offer while the model server is silent.
        models.listed = {}
        assert await bot.complete(request, option, typed) == []


async def test_values_complete_for_a_setting_that_the_platform_gives_by_itself(bot: Bot) -> None:
    request = Request(user=MODERATOR, place=ROOM, command="config set", options={"setting": "answers.language"})
    assert list(await bot.complete(request, "value", "e")) == ["each", "en", "es"]


async def test_reset_completes_the_settings_that_were_changed(bot: Bot) -> None:
    request = Request(user=MODERATOR, place=ROOM, command="config reset", text="/config reset ")
    assert await bot.complete(request, "setting", "") == []
    await run_as_moderator(bot, "/config set limits.cooldown 5 channel:#hall")
    assert await bot.complete(request, "setting", "lim") == ["limits.cooldown"]
    assert await bot.complete(request, "setting", "ask") == []


# Files


async def test_an_exported_file_can_be_imported_in_another_server(bot: Bot) -> None:
    for line in ("ask.temperature.maximum 1.5", 'ask.system_prompt value:"Say ä"', "answers.private yes channel:#hall"):
        await run_as_moderator(bot, f"/config set {line}")
    await run_as_moderator(bot, "/config set limits.user.hour 5 role:@helpers")
    reply = await run_as_moderator(bot, "/config export")
    [file] = reply.attachments
    assert file.filename == "tempera-settings.toml"
    other = Place("test", "room", server="other")
    request = Request(user=MODERATOR, place=other, command="config import", options={"file": file})
    done = (await last(bot, request)).text.splitlines()
    assert sorted(done) == sorted(
        [
            "`ask.temperature.maximum` (this server): 2 → 1.5",
            "`answers.private` (channel hall): no → yes",
            "`limits.user.hour` (role helpers): 400 → 5",
            next(line for line in done if line.startswith("`ask.system_prompt`")),
        ]
    )
    here, there = (bot.settings.scopes.values_within(scope).values() for scope in (SCHOOL, Scope("test", "other")))
    assert list(map(dict, here)) == list(map(dict, there))
    assert (await last(bot, request)).text == "All of that was set already."


async def test_names_in_a_file_need_no_quotation_marks(bot: Bot) -> None:
    text = "[server]\nlimits.user.hour = 3\nanswers.private = true\n[channel.hall.ask.temperature]\nmaximum = 1"
    await last(bot, Request(user=MODERATOR, place=ROOM, command="config import", options={"text": text}))
    assert bot.settings.scopes.values_within(SCHOOL) == {
        SCHOOL: {"limits.user.hour": 3, "answers.private": True},
        Scope("test", "school", "hall"): {"ask.temperature.maximum": 1},
    }


async def test_an_import_with_mistakes_lists_them_all_and_changes_nothing(bot: Bot) -> None:
    text = """
loose = 1
[server]
"limits.cooldown" = 60
"limits.coldown" = 60
"ask.temperature.maximum" = 9
"answers.private" = [true]
"ask.model" = "other"
[channel.hall]
"access.channels" = "x"
[role]
"limits.cooldown" = 3
[elsewhere]
x = 1
"""
    reply = await last(bot, Request(user=MODERATOR, place=ROOM, command="config import", options={"text": text}))
    first, *mistakes = reply.text.splitlines()
    assert first == "Nothing was changed, because of this:"
    assert sorted(mistakes) == sorted(
        [
            "- “loose” has no place there: write [server], [channel.id] or [role.id] above the settings.",
            "- “role” needs an id, such as [role.123].",
            "- “elsewhere” has no place there: write [server], [channel.id] or [role.id] above the settings.",
            "- There is no setting “limits.coldown”. Did you mean “limits.cooldown”?",
            "- ask.temperature.maximum must be a number from 0 to 2; you gave “9”.",
            "- answers.private must be yes or no; a list or a table is none.",
            "- ask.model must be one of the models there are for it: fake-chat; you gave “other”.",
            f"- {FOR_THE_SERVER}",
        ]
    )
    assert bot.settings.scopes.values_within(SCHOOL) == {}


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (Attachment("a.toml", b"not toml"), "This is not a file of settings: "),
        (
            Attachment("a.toml", b'\xef\xbb\xbf[channel.""]\na = 1'),
            "Nothing was changed, because of this:\n- “channel”",
        ),
        (Attachment("a.toml", b"\xff\xfe"), "a.toml is not a text file."),
        (Attachment("a.toml", b""), "There are no settings in it."),
        (Attachment("a.toml", b"a = " + b"[" * 5000), "This is not a file of settings: "),
        (Attachment("a.toml", b"[server]\n" + b"#\n" * 50_000), "a.toml is too long: a file of settings may have "),
        (Attachment("a.toml", b"[server" + b".a" * 5000 + b"]\nb = 1"), "This is not a file of settings: "),
    ],
)
async def test_a_malformed_file_is_refused(bot: Bot, file: Attachment, sentence: str) -> None:
    request = Request(user=MODERATOR, place=ROOM, command="config import", options={"file": file})
    assert (await last(bot, request)).text.startswith(sentence)


# Rights


async def test_a_plugin_cannot_change_settings_for_users_who_are_no_moderators(bot: Bot) -> None:
    """This holds even if its command is not restricted to moderators."""
    from bot.core.caller import Caller
    from bot.core.errors import PermissionDenied
    from bot.settings.editor import SettingsEditor

    with pytest.raises(PermissionDenied, match="Only moderators can change settings."):
        await SettingsEditor(bot.settings).set(Caller(ANN, ROOM), "limits.cooldown", 5, SCHOOL)
    assert bot.settings.value("limits.cooldown", ROOM) == 0


async def test_a_plugin_may_go_on_changing_settings_in_the_old_way_for_a_while(bot: Bot) -> None:
    from bot.core.caller import Caller
    from bot.settings.editor import SettingsView

    settings = SettingsView(bot.settings, Caller(MODERATOR, ROOM))
    with pytest.warns(DeprecationWarning, match="ctx.settings_editor.set"):
        await settings.set("limits.cooldown", 5, SCHOOL)
    assert settings["limits.cooldown"] == 5

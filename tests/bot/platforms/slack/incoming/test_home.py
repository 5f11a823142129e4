"""The App Home: what it shows to users and moderators, and how defaults and settings are changed there."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.slack import FakeSlack, FakeView, contract, limits

from bot.app import Bot
from bot.commands.command import Command
from bot.config.sections import PluginsSection, SlackSection
from bot.core.caller import Caller
from bot.core.i18n import translate
from bot.core.messages import Place, User
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.platforms.slack import SlackPlatform
from bot.platforms.slack.incoming import home, home_settings
from bot.plugin_host import plugin
from bot.settings.setting import Scope
from bot.storage.database import Database

Json = dict[str, Any]
HERE = Place("slack", "", "T1")
LOCALES = ("en-US", "de-DE", "es-ES")


@pytest.fixture
async def bot(models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    plugins = plugin.load(PluginsSection(entry_points=False))
    database = Database(f"sqlite:///{tmp_path}/tempera.db")
    async with Bot(
        ModelClient(models.url),
        plugins,
        database,
        settings={"moderators.users": "U7"},
        platforms=PLATFORMS,
    ) as running:
        yield running


@pytest.fixture
async def slack(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    # A client that uses the proxy of the environment reaches nothing.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with FakeSlack() as server, SlackPlatform(bot, section(server)).serve():
        await server.connected()
        yield server


def section(server: FakeSlack) -> SlackSection:
    return SlackSection(bot_token=server.bot_token, app_token=server.app_token, api_base=server.api_base)


def assert_valid(view: Json) -> Json:
    assert limits.view_errors(view) == []
    assert contract.problems("views.publish", {"user_id": "U1", "view": view}) == []
    return view


def all_text(part: Any) -> str:
    """Return all texts in a view, in order."""
    if isinstance(part, list):
        return "\n".join(filter(None, map(all_text, part)))
    if not isinstance(part, dict):
        return ""
    own = part.get("text")
    return own if isinstance(own, str) else all_text(list(part.values()))


def find_line(view: FakeView, name: str) -> str:
    """Return the text about one default."""
    return next(line for line in all_text(view.content["blocks"]).splitlines() if line.startswith(f"{name}: "))


async def open_home(slack: FakeSlack, user: str) -> FakeView:
    before = len(slack.called("views.publish"))
    await (await slack.open_home(user)).acknowledged()
    await slack.until(lambda: len(slack.called("views.publish")) > before)
    return await slack.view(user)


async def change_default(slack: FakeSlack, user: str, name: str, value: Any) -> FakeView:
    """Change a default in the App Home, and return the new App Home."""
    view = await open_home(slack, user)
    await press_change(slack, user, view, name)
    form = await slack.until(lambda: slack.modal(user))
    before = len(slack.called("views.publish"))
    sent = await slack.submit(user, form, {name.rpartition(".")[2]: value})
    assert sent.closed
    await slack.until(lambda: len(slack.called("views.publish")) > before)
    return await slack.view(user)


async def press_change(slack: FakeSlack, user: str, view: FakeView, name: str) -> None:
    """Press the button Change beside one default."""
    blocks = view.content["blocks"]
    wanted = f"{home.CHANGE}{name}"
    (block,) = [block for block in blocks if block.get("accessory", {}).get("action_id") == wanted]
    view.versions.append(view.content | {"blocks": [block]})
    (label,) = view.buttons
    await (await slack.press(user, view, label)).acknowledged()


async def open_setting(slack: FakeSlack, user: str, name: str) -> FakeView:
    """Open the form of a setting as a moderator."""
    await (await slack.choose(user, await open_home(slack, user), name)).acknowledged()
    return await slack.until(lambda: slack.modal(user))


async def change_setting(slack: FakeSlack, bot: Bot, name: str, value: Any) -> None:
    """Change a setting of the workspace."""
    await bot.settings.write([bot.settings.make_change(name, value, Scope("slack", slack.team))], User("U7", "Mo"))


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("is_moderator", [False, True])
def test_the_home_is_valid_for_everybody(bot: Bot, locale: str, is_moderator: bool) -> None:
    view = assert_valid(home.view(bot, User("U1", "Ann", is_moderator=is_moderator, locale=locale), HERE))
    said = all_text(view["blocks"])
    assert (translate("For moderators", locale) in said) == is_moderator
    assert ("/tempera plugins list" in said) == is_moderator
    about = translate("Ask the language model a question.", locale)
    assert f"/ask [file:…] [temperature:…] [max_tokens:…] [seed:…] [min_p:…] [fresh:…] prompt\n – {about}" in said
    assert "Explain this" in said
    if not locale.startswith("en"):
        assert translate("What I can do", locale) in said
        assert not {"What I can do", "Your own defaults", "Change", "How to talk to me"} & set(said.splitlines())


async def test_moderators_change_a_setting_in_a_form(slack: FakeSlack, bot: Bot) -> None:
    here = Place("slack", "C1", slack.team)
    form = await open_setting(slack, slack.admin, "limits.cooldown")
    assert "How many seconds lie between two questions of one person" in all_text(form.content["blocks"])
    refused = await slack.submit(slack.admin, form, {"limits.cooldown": "-3"}, checked=False)
    assert "limits.cooldown must be a whole number from 0 to 86400; you gave “-3”." in refused.errors.values()
    assert (await slack.submit(slack.admin, form, {"limits.cooldown": "60"})).closed
    await slack.until(lambda: bot.settings.value("limits.cooldown", here) == 60)
    await slack.until(lambda: "limits.cooldown: 60" in all_text(slack.home(slack.admin).content["blocks"]))
    [entry] = await bot.audit.find("slack", slack.team)
    assert (entry.what, entry.before, entry.after, entry.actor) == ("limits.cooldown", None, 60, slack.admin)


async def test_a_model_is_picked_from_a_menu(slack: FakeSlack, bot: Bot, models: FakeModels) -> None:
    models.listed["other-chat"] = "chat"
    view = await open_home(slack, slack.admin)
    assert "Language model (/ask)" in all_text(view.content["blocks"])
    await (await slack.choose(slack.admin, view, "ask.model")).acknowledged()
    form = await slack.until(lambda: slack.modal(slack.admin))
    element = form.content["blocks"][0]["element"]
    assert [option["value"] for option in element["options"]] == ["fake-chat", "other-chat"]
    assert (await slack.submit(slack.admin, form, {"ask.model": "other-chat"})).closed
    await slack.until(lambda: bot.settings.value("ask.model", Place("slack", "C1", slack.team)) == "other-chat")


async def test_a_model_is_typed_if_the_model_server_is_slow(slack: FakeSlack, bot: Bot, models: FakeModels) -> None:
    models.listing_gate.clear()
    form = await open_setting(slack, slack.admin, "ask.model")
    assert form.content["blocks"][0]["element"]["type"] == "plain_text_input"
    models.listing_gate.set()
    assert (await slack.submit(slack.admin, form, {"ask.model": "fake-chat"})).closed
    await slack.until(lambda: bot.settings.value("ask.model", Place("slack", "C1", slack.team)) == "fake-chat")


async def test_an_empty_field_resets_a_setting(slack: FakeSlack, bot: Bot) -> None:
    here = Place("slack", "C1", slack.team)
    await change_setting(slack, bot, "limits.cooldown", 60)
    form = await open_setting(slack, slack.admin, "limits.cooldown")
    assert (await slack.submit(slack.admin, form, {"limits.cooldown": ""})).closed
    await slack.until(lambda: bot.settings.value("limits.cooldown", here) == 0)


async def test_a_former_moderator_changes_nothing(slack: FakeSlack, bot: Bot) -> None:
    """The menu and the form were opened while the user was still a moderator."""
    await change_setting(slack, bot, "moderators.users", slack.ann)
    form = await open_setting(slack, slack.ann, "limits.cooldown")
    await change_setting(slack, bot, "moderators.users", None)
    await slack.submit(slack.ann, form, {"limits.cooldown": "60"})
    assert bot.settings.value("limits.cooldown", Place("slack", "C1", slack.team)) == 0
    await slack.until(lambda: "For moderators" not in all_text(slack.home(slack.ann).content["blocks"]))


async def test_the_form_closes_in_time_while_a_setting_is_saved(
    slack: FakeSlack, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "FORM_OPEN_SECONDS", 0.05)
    here, log = Place("slack", "C1", slack.team), slack.add_channel("log")
    form = await open_setting(slack, slack.admin, "audit.channel")
    slack.held_methods["conversations.list"] = asyncio.Event()
    assert (await slack.submit(slack.admin, form, {"audit.channel": "#log"})).closed
    assert bot.settings.value("audit.channel", here) == ""
    slack.held_methods["conversations.list"].set()
    await slack.until(lambda: f"audit.channel: {log}" in all_text(slack.home(slack.admin).content["blocks"]))
    assert bot.settings.value("audit.channel", here) == log
    assert slack.messages(slack.dm(slack.admin)) == []


async def test_a_late_refusal_is_sent_to_the_moderator_only(
    slack: FakeSlack, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "FORM_OPEN_SECONDS", 0.05)
    form = await open_setting(slack, slack.admin, "audit.channel")
    slack.held_methods["conversations.list"] = asyncio.Event()
    assert (await slack.submit(slack.admin, form, {"audit.channel": "#attic"})).closed
    slack.held_methods["conversations.list"].set()
    [told] = await slack.until(lambda: slack.messages(slack.dm(slack.admin)))
    assert "I know no channel “attic” here. Pick it from the list that appears, or give its id." in told.shown
    assert "audit.channel:\n```\n#attic\n```" in told.shown
    assert bot.settings.value("audit.channel", Place("slack", "C1", slack.team)) == ""
    assert slack.messages(slack.channel) == []


async def test_a_failure_while_saving_is_shown_in_the_form(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*about: object) -> None:
        raise RuntimeError("broken")

    form = await open_setting(slack, slack.admin, "limits.cooldown")
    monkeypatch.setattr(home_settings, "save", broken)
    sent = await slack.submit(slack.admin, form, {"limits.cooldown": "60"})
    assert sent.errors == {"limits.cooldown": "Something went wrong inside the bot; its log says more."}


async def test_saving_ends_with_the_platform(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "FORM_OPEN_SECONDS", 0.05)
    async with FakeSlack() as slack:
        async with SlackPlatform(bot, section(slack)).serve():
            await slack.connected()
            form = await open_setting(slack, slack.admin, "audit.channel")
            slack.held_methods["conversations.list"] = asyncio.Event()
            assert (await slack.submit(slack.admin, form, {"audit.channel": "#log"})).closed
            assert [task for task in asyncio.all_tasks() if task.get_name().startswith("slack setting")]
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("slack setting")]


def test_any_number_of_commands_fits_into_the_home(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = next(command for command in bot.registry.commands if command.name == "ask")

    def many(user: User, place: Place) -> tuple[Command, ...]:
        long = {"description": "ü" * 900, "in_messages": "L" * 24, "options": ask.options * 2}
        return tuple(replace(ask, name=f"{'name' * 8} {number}", **long) for number in range(300))

    monkeypatch.setattr(bot.admission, "commands_for", many)
    view = assert_valid(home.view(bot, User("U1", "Ann"), HERE))
    assert len(str(view).encode()) < 250_000
    said = all_text(view["blocks"])
    assert len(view["blocks"][1]["elements"][0]["elements"]) == home.MAX_COMMANDS
    assert "There are 200 more: /tempera help lists them all." in said
    assert f"There are {4 * 300 - home.MAX_OPTIONS} more: /tempera defaults show lists them all." in said


async def test_the_home_is_published_whenever_it_is_opened(slack: FakeSlack) -> None:
    other_tab = {"type": "app_home_opened", "user": slack.ben, "channel": slack.dm(slack.ben), "tab": "messages"}
    await slack.send_event(other_tab).acknowledged()
    view = await open_home(slack, slack.ann)
    assert view.kind == "home"
    assert find_line(view, "ask.temperature") == "ask.temperature: 0.7 (default)"
    assert "ask.seed" not in all_text(view.content["blocks"])
    assert "Reset all" not in view.buttons
    assert (await open_home(slack, slack.ann)).id == view.id
    assert {call["user_id"] for call in slack.called("views.publish")} == {slack.ann}


def defaults(bot: Bot, user: str) -> Mapping[str, Any]:
    return bot.defaults.get(Caller(User(user, ""), Place("slack", "")))


async def test_a_default_is_changed(slack: FakeSlack, bot: Bot) -> None:
    view = await open_home(slack, slack.ann)
    await press_change(slack, slack.ann, view, "ask.temperature")
    form = await slack.until(lambda: slack.modal(slack.ann))
    assert form.title == "ask.temperature"
    assert form.inputs["temperature"]["element"]["initial_value"] == "0.7"
    assert "The bot's own default is 0.7." in form.shown
    assert (await slack.submit(slack.ann, form, {"temperature": "0.3"})).closed
    await slack.until(lambda: find_line(slack.home(slack.ann), "ask.temperature") == "ask.temperature: 0.3")
    assert defaults(bot, slack.ann) == {"ask.temperature": 0.3}
    assert defaults(bot, slack.ben) == {}
    assert find_line(await open_home(slack, slack.ben), "ask.temperature") == "ask.temperature: 0.7 (default)"


@pytest.mark.parametrize(("value", "original"), [("", 0.7), ("0.7", 0.7), ("0.2", 0.2)])
async def test_an_empty_or_original_value_resets_a_default(
    slack: FakeSlack, bot: Bot, value: str, original: float
) -> None:
    if original != 0.7:
        # What moderators have set takes the place of the plugin's default.
        await change_setting(slack, bot, "ask.temperature.default", original)
    await change_default(slack, slack.ann, "ask.temperature", "0.3")
    view = await change_default(slack, slack.ann, "ask.temperature", value)
    assert find_line(view, "ask.temperature") == f"ask.temperature: {original} (default)"
    assert defaults(bot, slack.ann) == {}


async def test_a_value_out_of_range_is_an_error_at_its_field(slack: FakeSlack, bot: Bot) -> None:
    slack.workspace.users[slack.ann].locale = "de-DE"
    await press_change(slack, slack.ann, await open_home(slack, slack.ann), "ask.temperature")
    form = await slack.until(lambda: slack.modal(slack.ann))
    sent = await slack.submit(slack.ann, form, {"temperature": "3"}, checked=False)
    assert sent.errors == {"temperature": "temperature muss eine Zahl von 0 bis 2 sein; du hast „3“ eingegeben."}
    assert defaults(bot, slack.ann) == {}
    assert (await slack.submit(slack.ann, form, {"temperature": "1.5"})).closed
    await slack.until(lambda: defaults(bot, slack.ann) == {"ask.temperature": 1.5})


async def test_a_default_for_a_removed_option_keeps_the_earlier_value(slack: FakeSlack, bot: Bot) -> None:
    await press_change(
        slack, slack.ann, await change_default(slack, slack.ann, "ask.temperature", "0.3"), "ask.temperature"
    )
    form = await slack.until(lambda: slack.modal(slack.ann))
    await bot.registry.switch("ask", Scope("slack", slack.team), User("M", "Mod"), on=False)
    assert (await slack.submit(slack.ann, form, {"temperature": "0.4"})).closed
    await slack.until(lambda: "ask.temperature" not in all_text(slack.home(slack.ann).content["blocks"]))
    assert defaults(bot, slack.ann) == {"ask.temperature": 0.3}


async def test_reset_all_removes_every_default(slack: FakeSlack, bot: Bot) -> None:
    await change_default(slack, slack.ann, "ask.temperature", "0.3")
    view = await change_default(slack, slack.ann, "face.count", "4")
    await (await slack.press(slack.ann, view, "Reset all")).acknowledged()
    await slack.until(lambda: "Reset all" not in slack.home(slack.ann).buttons)
    assert defaults(bot, slack.ann) == {}


async def test_a_removed_option_cannot_be_changed(slack: FakeSlack, bot: Bot) -> None:
    view = await open_home(slack, slack.ann)
    await bot.registry.switch("ask", Scope("slack", slack.team), User("M", "Mod"), on=False)
    await press_change(slack, slack.ann, view, "ask.temperature")
    await slack.until(lambda: "ask.temperature" not in all_text(slack.home(slack.ann).content["blocks"]))
    assert slack.modal(slack.ann) is None
    assert "face.count" in all_text(slack.home(slack.ann).content["blocks"])


async def test_a_refusal_of_slack_is_logged(slack: FakeSlack, bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="bot.platforms.slack.incoming.home")
    slack.refuse("views.publish", "not_enabled")
    await (await slack.open_home(slack.ann)).acknowledged()
    await slack.until(lambda: "Slack does not show the App Home: not_enabled" in caplog.text)
    assert await open_home(slack, slack.ann)

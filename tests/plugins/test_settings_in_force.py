"""Each setting that moderators can change takes effect at the next request, there and nowhere else."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM, ask, last, press, pressed, speaking
from fakes.model_server.model_api import FakeModels
from PIL import Image

from bot.app import Bot
from bot.core.messages import Action, Place, Reply, Request
from bot.inference.client import ModelClient

HALL = Place("test", "hall", server="school")
OTHER_SERVER = replace(ROOM, server="other")
PUPIL = replace(ANN, roles=("pupils",))

Seen = Callable[[Reply, dict[str, Any]], Any]


def text(reply: Reply, sent: dict[str, Any]) -> Any:
    return reply.text


def refused(reply: Reply, sent: dict[str, Any]) -> Any:
    return reply.error


def hidden(reply: Reply, sent: dict[str, Any]) -> Any:
    return [file.spoiler for file in reply.attachments]


def marked(reply: Reply, sent: dict[str, Any]) -> Any:
    """Return whether anything is drawn on the face, which has one colour here."""
    with Image.open(io.BytesIO(reply.attachments[0].data)) as picture:
        return len(picture.getcolors() or ()) > 1


def private(reply: Reply, sent: dict[str, Any]) -> Any:
    return reply.private


def quote(reply: Reply, sent: dict[str, Any]) -> Any:
    return reply.quote


def told(reply: Reply, sent: dict[str, Any]) -> Any:
    return sent["messages"][0]["content"]


def field(name: str) -> Seen:
    return lambda reply, sent: sent.get(name)


def fact(name: str) -> Seen:
    return lambda reply, sent: reply.card.get(name)


CASES: list[tuple[str, str, Seen, Any, Any]] = [
    ("ask.enabled no", "/ask hi", text, "/ask is switched off here.", "Paris is the capital of France."),
    ("ask.temperature.default 0.1", "/ask hi", field("temperature"), 0.1, 0.7),
    ("ask.temperature.minimum 0.5", "/ask temperature:0.1 hi", refused, True, False),
    ("ask.temperature.maximum 1", "/ask temperature:1.5 hi", refused, True, False),
    ("ask.max_tokens.default 9", "/ask hi", field("max_tokens"), 9, 512),
    ("ask.max_tokens.maximum 9", "/ask max_tokens:10 hi", refused, True, False),
    ('ask.system_prompt value:"Say aye."', "/ask hi", told, "Say aye.", None),
    ("ask.model other-chat", "/ask hi", field("model"), "other-chat", "fake-chat"),
    ("ask.model other-chat", "/dial hi", field("model"), "other-chat", "fake-chat"),
    ("ask.model other-chat", "/odds hi", field("model"), "other-chat", "fake-chat"),
    ("imagine.model other-images", "/imagine a cat", field("model"), "other-images", "fake-images"),
    ("imagine.count.default 1", "/imagine a cat", field("n"), 1, 4),
    ("imagine.count.maximum 2", "/imagine count:3 a cat", refused, True, False),
    ("imagine.steps.maximum 3", "/imagine a cat", fact("steps"), "3", "4"),
    ("imagine.guidance.maximum 1.5", "/imagine sweep:steps=2,3 a cat", fact("guidance"), "1.5", "3"),
    ("imagine.steps.minimum 10", "/imagine a cat", fact("steps"), "10", "4"),
    ("imagine.guidance.minimum 5", "/imagine sweep:steps=2,3 a cat", fact("guidance"), "5", "3"),
    ("imagine.steps.maximum 10", "/imagine steps:11 a cat", refused, True, False),
    ("imagine.steps.maximum 10", "/imagine sweep:steps=5,11 a cat", refused, True, False),
    ("imagine.guidance.maximum 5", "/imagine sweep:guidance=1,7 a cat", refused, True, False),
    ("imagine.count.maximum 2", "/imagine sweep:guidance=0,4,20 a cat", refused, True, False),
    ("imagine.count.maximum 1", "/imagine sweep:guidance=1,3 a cat", refused, True, False),
    ("answers.private yes", "/ask hi", private, True, False),
    ("answers.quote no", "/ask hi", quote, "", "hi"),
    ("answers.spoiler yes", "/face", hidden, [True], [False]),
    ("answers.mark no", "/face", marked, False, True),
    ("answers.language de", "/ask temperature:9 hi", text, None, None),
    ("access.roles teachers", "/ask hi", refused, True, False),
    ("access.roles.denied pupils", "/ask hi", refused, True, False),
    ("limits.cooldown 60", "/ask hi", refused, True, False),
    ("limits.user.hour 1", "/ask hi", refused, True, False),
    ("limits.user.day 1", "/ask hi", refused, True, False),
    ("safety.level classroom", "/ask you are an idiot", refused, True, False),
    ("safety.words banana", "/ask a b-a-n-a-n-a", refused, True, False),
    ("safety.patterns ban.na", "/ask a banana", refused, True, False),
]
USES_UP = ("limits.",)
"""Settings that count uses, so that only the second request shows their effect."""


@pytest.fixture
def several(models: FakeModels) -> FakeModels:
    models.listed |= {"other-chat": "chat", "other-images": "images"}
    return models


async def seen(bot: Bot, models: FakeModels, line: str, place: Place, what: Seen) -> Any:
    models.requests.clear()
    reply = await last(bot, ask(line, PUPIL, place))
    return what(reply, models.requests[-1] if models.requests else {})


def case_name(value: Any) -> str:
    """Return the same name in every process, without the address of a function."""
    return value.__name__ if callable(value) else str(value)[:40]


@pytest.mark.parametrize(("setting", "line", "what", "there", "elsewhere"), CASES, ids=case_name)
async def test_a_setting_of_a_channel_takes_effect_only_there(
    bot: Bot, several: FakeModels, setting: str, line: str, what: Seen, there: Any, elsewhere: Any
) -> None:
    usual = await seen(bot, several, line, OTHER_SERVER, what)
    assert elsewhere in (None, usual)
    assert not (await last(bot, ask(f"/config set {setting} channel:#room", MODERATOR))).error
    if setting.startswith(USES_UP):
        await last(bot, ask(line, PUPIL, ROOM))
    changed = await seen(bot, several, line, ROOM, what)
    assert changed == there or (there is None and changed != usual)
    assert await seen(bot, several, line, HALL, what) == usual
    assert await seen(bot, several, line, OTHER_SERVER, what) == usual
    await last(bot, ask(f"/config reset {setting.split()[0]} channel:#room", MODERATOR))
    assert await seen(bot, several, line, ROOM, what) == usual


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("access.channels hall", "/ask hi"),
        ("access.channels.denied room", "/ask hi"),
        ("limits.server.hour 1", "/ask hi"),
        ("limits.server.day 1", "/ask hi"),
        ("limits.role.hour 1 role:@pupils", "/ask hi"),
        ("limits.role.day 1 role:@pupils", "/ask hi"),
        ("limits.user.hour 1 role:@pupils", "/ask hi"),
        ("ask.temperature.maximum 1 role:@pupils", "/ask temperature:1.5 hi"),
    ],
)
async def test_a_setting_of_a_server_or_role_takes_effect_in_no_other_server(
    bot: Bot, models: FakeModels, setting: str, line: str
) -> None:
    assert not await seen(bot, models, line, ROOM, refused)
    assert not (await last(bot, ask(f"/config set {setting}", MODERATOR))).error
    if setting.startswith(USES_UP):
        await last(bot, ask(line, PUPIL, ROOM))
    assert await seen(bot, models, line, ROOM, refused)
    assert not await seen(bot, models, line, OTHER_SERVER, refused)
    if "role:" in setting:
        assert not (await last(bot, ask(line, replace(ANN, id="dan", roles=("others",)), ROOM))).error


async def test_help_and_completion_follow_the_settings_of_the_channel(bot: Bot, models: FakeModels) -> None:
    for setting in ("safety.level standard", "safety.people Zebulon channel:#room"):
        await last(bot, ask(f"/config set {setting}", MODERATOR))
    assert await seen(bot, models, "/imagine zebulon on a horse", ROOM, refused)
    assert not await seen(bot, models, "/imagine zebulon on a horse", HALL, refused)
    await last(bot, ask('/config set safety.help_text value:"Ring 1234." channel:#room', MODERATOR))
    assert await seen(bot, models, "/ask i want to kill myself", ROOM, text) == "Ring 1234."
    assert "1234" not in await seen(bot, models, "/ask i want to kill myself", HALL, text)


async def test_a_setting_takes_effect_in_every_process(
    bot: Bot, bot_with: Callable[..., Bot], several: FakeModels
) -> None:
    async with bot_with(settings={"safety.level": "off"}) as second:
        await last(bot, ask("/config set ask.model other-chat channel:#room", MODERATOR))
        await second.settings.refresh()
        assert await seen(second, several, "/ask hi", ROOM, field("model")) == "other-chat"
        assert await seen(second, several, "/ask hi", HALL, field("model")) == "fake-chat"


# Temperatures

TOO_HOT = (
    "{name} must be {expected} from 0 to 1, as moderators have set it here with `temperature.maximum`; "
    "you gave “{given}”."
)
ONE, SOME = "a number", "one to 5 different numbers"


@pytest.mark.parametrize(
    ("line", "button", "name", "expected", "given"),
    [
        ("/ask temperature:1.5 hi", "", "temperature", ONE, "1.5"),
        ('/dial temperatures:"0, 2" hi', "", "temperatures", SOME, "0, 2"),
        ("/odds temperature:1.5 The cat", "", "temperature", ONE, "1.5"),
        ("/ask temperature:1.5 hi", "again", "temperature", ONE, "1.5"),
        ("/ask temperature:1 hi", "edit", "temperature", ONE, "1.2"),
        ("/ask temperature:1.5 hi", "fork", "temperature", ONE, "1.5"),
        ('/dial temperatures:"0, 2" hi', "again", "temperatures", SOME, "0, 2"),
        ("/odds temperature:1.5 The cat", "b0", "temperature", ONE, "1.5"),
    ],
)
async def test_one_limit_refuses_every_way_to_a_higher_temperature(
    bot: Bot, models: FakeModels, line: str, button: str, name: str, expected: str, given: str
) -> None:
    fields = {"edit": {"prompt": "hi", "temperature": given}, "fork": {"at": 1, "choice": 0}}.get(button, {})
    stored = (await last(bot, ask(line))).row if button else 0
    await last(bot, ask("/config set temperature.maximum 1", MODERATOR))
    models.requests.clear()
    refused = await last(bot, press(button, stored, **fields) if button else ask(line))
    assert (refused.text, refused.error) == (TOO_HOT.format(name=name, expected=expected, given=given), True)
    assert models.requests == []


@pytest.mark.parametrize(
    ("line", "limit", "button", "fields", "field", "value"),
    [
        ("/ask max_tokens:500 hi", "ask.max_tokens.maximum 300", "again", {}, "max_tokens", 300),
        ("/ask max_tokens:500 hi", "ask.max_tokens.maximum 300", "continue", {"prompt": "why?"}, "max_tokens", 300),
        ("/ask max_tokens:500 hi", "ask.max_tokens.maximum 300", "fork", {"at": 1, "choice": 0}, "max_tokens", 300),
        ("/imagine steps:20 a cat", "imagine.steps.maximum 10", "again", {}, "steps", 10),
        ("/imagine steps:20 a cat", "imagine.steps.maximum 10", "edit", {"prompt": "a dog"}, "steps", 10),
    ],
)
async def test_a_limit_moves_what_whoever_presses_a_button_has_not_chosen(
    bot: Bot, models: FakeModels, line: str, limit: str, button: str, fields: dict[str, Any], field: str, value: int
) -> None:
    stored = (await last(bot, ask(line))).row
    await last(bot, ask(f"/config set {limit}", MODERATOR))
    models.requests.clear()
    assert not (await last(bot, press(button, stored, **fields))).error
    assert [body[field] for body in models.requests if field in body] == [value]


@pytest.mark.parametrize(
    ("line", "button", "temperatures"),
    [
        ("/ask hi", "", [0.5]),
        ("/ask temperature:0.4 hi", "warmer", [0.5]),
        ("/ask temperature:1.5 hi", "cooler", [0.5]),
        ("/dial hi", "", [0, 0.5]),
        ("/odds The cat", "", [0.5]),
        ("/compare a cat", "", [0.5]),
    ],
)
async def test_one_limit_moves_every_temperature_that_nobody_typed(
    bot: Bot, models: FakeModels, line: str, button: str, temperatures: list[float]
) -> None:
    stored = (await last(bot, ask(line))).row if button else 0
    await last(bot, ask("/config set temperature.maximum 0.5", MODERATOR))
    models.requests.clear()
    assert not (await last(bot, press(button, stored) if button else ask(line))).error
    assert sorted(body["temperature"] for body in models.requests if "temperature" in body) == temperatures


@pytest.mark.parametrize(
    ("lines", "typed", "setting"),
    [
        (("temperature.maximum 1", "ask.temperature.maximum 0.5"), 0.8, "ask.temperature.maximum"),
        (("temperature.maximum 0.5", "ask.temperature.maximum 1"), 0.8, "temperature.maximum"),
        (("temperature.minimum 0.5",), 0.2, "temperature.minimum"),
        (("temperature.minimum 0.2", "temperature.maximum 1"), 1.2, "temperature.maximum"),
        (("temperature.maximum 0.5 role:@pupils",), 0.8, "temperature.maximum"),
    ],
)
async def test_the_narrower_limit_counts_and_is_named(
    bot: Bot, lines: tuple[str, ...], typed: float, setting: str
) -> None:
    for line in lines:
        assert not (await last(bot, ask(f"/config set {line}", MODERATOR))).error
    refused = await last(bot, ask(f"/ask temperature:{typed} hi", PUPIL))
    assert f"as moderators have set it here with `{setting}`; you gave" in refused.text
    why = await last(bot, ask("/why ask", PUPIL))
    assert f"`{setting}`" in why.text


async def test_a_setting_says_where_the_limit_of_all_temperatures_is_narrower(bot: Bot) -> None:
    note = "`temperature.maximum` is 1 here, which is narrower and counts."
    await last(bot, ask("/config set temperature.maximum 1", MODERATOR))
    assert (await last(bot, ask("/config show ask.temperature.maximum", MODERATOR))).text.endswith(note)
    for own in ("ask.temperature.maximum", "temperature.maximum"):
        await last(bot, ask("/config set ask.temperature.maximum 0.5", MODERATOR))
        assert note not in (await last(bot, ask(f"/config show {own}", MODERATOR))).text


# Models


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("ask.model fake-images", "fake-chat, other-chat; you gave “fake-images”."),
        ("imagine.model fake-chat channel:#room", "fake-images, other-images; you gave “fake-chat”."),
    ],
)
async def test_only_a_model_for_the_task_can_be_set(bot: Bot, several: FakeModels, line: str, sentence: str) -> None:
    reply = await last(bot, ask(f"/config set {line}", MODERATOR))
    told = f"{line.split()[0]} must be one of the models there are for it: {sentence}"
    assert (reply.text, reply.error) == (told, True)
    assert await seen(bot, several, "/ask hi", ROOM, field("model")) == "fake-chat"


async def test_the_models_are_listed(bot: Bot, several: FakeModels) -> None:
    needs = await last(bot, ask("/config set ask.model", MODERATOR))
    assert needs.text.startswith("ask.model needs a value: one of fake-chat, other-chat. Like this:")
    assert "It takes one of fake-chat, other-chat." in (await last(bot, ask("/config show ask.model", MODERATOR))).text


async def test_a_listed_model_at_a_remote_server_is_marked(
    bot: Bot, several: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    several.listed["large@hosted"] = "chat"
    monkeypatch.setattr(ModelClient, "remote_names", ("hosted",))
    told = (await last(bot, ask("/config show ask.model", MODERATOR))).text
    assert "It takes one of fake-chat, other-chat, large@hosted (remote)." in told


async def test_without_models_none_can_be_set(bot: Bot, models: FakeModels) -> None:
    models.listed = {"fake-chat": "chat"}
    reply = await last(bot, ask("/config set imagine.model fake-images", MODERATOR))
    assert reply.text == "There is no model that imagine.model could name."


async def test_compare_uses_the_model_that_is_set_for_each_family(bot: Bot, several: FakeModels) -> None:
    for setting in ("ask.model other-chat", "imagine.model other-images"):
        await last(bot, ask(f"/config set {setting}", MODERATOR))
    assert not (await last(bot, ask("/compare a cat"))).error
    assert {body["model"] for body in several.requests} == {"other-chat", "other-images", "fake-faces"}


GONE = "The model other-chat is no longer served, so fake-chat answers."


@pytest.mark.parametrize("line", ["/ask hi", "/dial hi", "/odds hi", "/compare a cat", "/imagine a cat"])
async def test_in_the_place_of_a_model_that_is_no_longer_served_the_present_one_answers_and_says_so(
    bot: Bot, several: FakeModels, line: str
) -> None:
    setting, kind = ("imagine", "images") if line.startswith("/imagine") else ("ask", "chat")
    await last(bot, ask(f"/config set {setting}.model other-{kind}", MODERATOR))
    del several.listed[f"other-{kind}"]
    reply = await last(bot, ask(line))
    assert not reply.error
    assert reply.status.endswith(GONE.replace("chat", kind))
    assert f"fake-{kind}" in str(reply.card)


@pytest.mark.parametrize("label", ["Again", "Edit"])
async def test_buttons_of_an_answer_by_a_model_that_is_no_longer_served_use_the_present_one(
    bot: Bot, several: FakeModels, label: str
) -> None:
    await last(bot, ask("/config set ask.model other-chat", MODERATOR))
    first = await last(bot, ask("/ask hi"))
    assert (first.card["model"], first.status) == ("other-chat", "")
    await last(bot, ask("/config reset ask.model", MODERATOR))
    # Both are served, so there is nothing to say.
    assert (await pressed(bot, first, label, prompt="hi")).status == ""
    del several.listed["other-chat"]
    again = await pressed(bot, first, label, prompt="hi")
    assert (again.error, again.card["model"], again.status) == (False, "fake-chat", GONE)


async def test_odds_begin_again_where_the_model_of_their_tokens_is_no_longer_served(
    bot: Bot, several: FakeModels
) -> None:
    await last(bot, ask("/config set ask.model other-chat", MODERATOR))
    odds = await last(bot, ask("/odds The cat"))
    del several.listed["other-chat"]
    reply = await last(bot, Request(user=ANN, place=ROOM, action=Action(odds.buttons[0].id)))
    assert (several.requests[-1]["model"], several.requests[-1]["prompt"]) == ("fake-chat", "The cat")
    assert reply.status == GONE


async def test_a_model_that_stands_in_for_a_larger_one_is_named_and_says_how_far_that_is(
    bot: Bot, models: FakeModels
) -> None:
    models.told_of["fake-chat"] = {"stand_in": "small-chat", "state": "fetching large.gguf, 40%"}
    seen = [reply async for reply in bot.prepare(ask("/ask hi", speaking("de"))).start()]
    status = "small-chat antwortet, bis das größere fake-chat bereit ist: fetching large.gguf, 40%."
    assert (seen[-1].card["model"], seen[-1].status) == ("small-chat", status)
    assert {status} == {reply.status for reply in seen if reply.text}

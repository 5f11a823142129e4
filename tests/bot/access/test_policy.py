"""The rules of access one by one, and every command for every role on every platform in one table."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM

from bot.access.policy import Policy
from bot.answers.decision import Refuse
from bot.app import Bot
from bot.commands.command import Command
from bot.config.sections import PluginsSection
from bot.core.errors import PermissionDenied
from bot.core.messages import Place, Request, User
from bot.inference.client import ModelClient
from bot.platforms.capabilities import PLATFORMS
from bot.platforms.slack.convert.requests import AnswerPlace
from bot.platforms.terminal import PLACE, operator
from bot.plugin_host import plugin
from bot.settings.plugin_switches import PINNED, switch_settings
from bot.settings.resolver import Settings
from bot.settings.setting import Scope
from bot.storage.database import Database

ASK = Command(name="ask", description="Ask.", options=(), handler=lambda: None, plugin="ask")
RULE = replace(ASK, name="rule", moderator=True)
HELP = replace(ASK, name="help", plugin="help")
PUPIL = replace(ANN, roles=("pupils", "choir"))


def policy(**settings: object) -> Policy:
    made = Settings({name.replace("_", "."): value for name, value in settings.items()})
    made.declare("ask", [], switch_settings("ask"))
    return Policy(made)


def said(rules: Policy, user: User = PUPIL, command: Command = ASK, place: Place = ROOM) -> list[str]:
    user = rules.resolve_user(user, place)
    return [str(refusal.as_error(command.name)) for refusal in rules.refusals(user, command, place)]


OFF = "/ask is switched off here."
MODERATORS = "/rule is for moderators."
NOT_HERE = "Only moderators may use me in this channel."
ELSEWHERE = "I may be used in some channels alone, and this one is not among them."
NO_ROLE = "Only people with certain roles may use me here, and you have none of these."
ROLE_DENIED = "People with one of your roles may not use me here."
UNKNOWN = "I could not find out which roles you have here, and some may not use me."


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        ({}, []),
        ({"ask_enabled": False}, [OFF]),
        ({"access_channels": "room hall"}, []),
        ({"access_channels": "hall"}, [ELSEWHERE]),
        ({"access_channels_denied": "hall"}, []),
        ({"access_channels_denied": "hall room"}, [NOT_HERE]),
        ({"access_roles": "choir"}, []),
        ({"access_roles": "teachers"}, [NO_ROLE]),
        ({"access_roles_denied": "teachers"}, []),
        ({"access_roles_denied": "choir"}, [ROLE_DENIED]),
        ({"access_roles": "choir", "access_roles_denied": "pupils"}, [ROLE_DENIED]),
        (
            {"ask_enabled": False, "access_channels": "hall", "access_channels_denied": "room", "access_roles": "x"},
            [OFF, ELSEWHERE, NOT_HERE, NO_ROLE],
        ),
    ],
)
def test_the_rules_refuse_in_their_order(settings: dict[str, object], sentences: list[str]) -> None:
    rules = policy(**settings)
    assert said(rules) == sentences
    assert rules.allows(PUPIL, ASK, ROOM) == (not sentences)
    if sentences:
        with pytest.raises(PermissionDenied) as caught:
            rules.check(PUPIL, ASK, ROOM)
        assert str(caught.value) == sentences[0]
        assert caught.value.code in {"off", "channel", "role"}


ALL_CLOSED = {
    "access_channels": "x",
    "access_channels_denied": "room",
    "access_roles": "x",
    "access_roles_denied": "pupils",
}


def test_moderators_can_undo_every_rule_and_help_is_for_everybody() -> None:
    rules = policy(**ALL_CLOSED)
    assert len(said(rules)) == 4
    assert said(rules, MODERATOR) == []
    assert said(rules, PUPIL, HELP) == []
    assert said(policy(ask_enabled=False), MODERATOR) == [OFF]
    # What cannot be switched off has no setting either, which would seem to switch it.
    assert [switch_settings(name) for name in PINNED if switch_settings(name)] == []


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        ({"access_roles": "pupils"}, [NO_ROLE]),
        ({"access_roles_denied": "pupils"}, [UNKNOWN]),
        ({"moderators_roles": "pupils"}, []),
    ],
)
def test_unknown_roles_grant_nothing(settings: dict[str, object], sentences: list[str]) -> None:
    rules = policy(**settings)
    unknown = replace(PUPIL, roles=None)
    assert said(rules, unknown) == sentences
    assert said(rules, unknown, RULE)[0] == MODERATORS


@pytest.mark.parametrize(
    ("settings", "user", "is_moderator"),
    [
        ({}, PUPIL, False),
        ({}, MODERATOR, True),
        ({}, replace(ANN, is_operator=True), True),
        ({"moderators_users": "ben ann"}, PUPIL, True),
        ({"moderators_users": "anna an"}, PUPIL, False),
        ({"moderators_roles": "choir"}, PUPIL, True),
        ({"moderators_roles": "cho"}, PUPIL, False),
    ],
)
def test_who_is_a_moderator(settings: dict[str, object], user: User, is_moderator: bool) -> None:
    rules = policy(**settings)
    assert rules.resolve_user(user, ROOM).is_moderator == is_moderator
    assert said(rules, user, RULE) == ([] if is_moderator else [MODERATORS])


# Every command, every role, every platform: what the adapters' own people may use

EVERYBODY = (
    *("ask", "new", "explain", "imagine", "face", "duel", "dial", "odds", "compare", "inspect"),
    *("help", "why", "status"),
    *("defaults show", "defaults set", "defaults reset", "privacy export", "privacy delete"),
)
MODERATORS_ALONE = (
    *("lesson list", "lesson add", "lesson remove", "lesson restore", "lesson show", "lesson gaps"),
    *("config show", "config set", "config reset", "config export", "config import", "audit", "stats"),
    *("plugins list", "plugins enable", "plugins disable", "plugins reload"),
    *("mod remove", "timeout", "timeouts list", "timeouts lift", "queue"),
)
ON_BUTTONS = {
    *(
        "duel-mark",
        "duel-truth",
        "ask-fork",
        "odds-next",
        "imagine-one",
        "imagine-vary",
        "imagine-vary-one",
        "imagine-original",
    ),
    *("imagine-how", "imagine-step"),
    *("explain-at", "explain-simpler", "explain-source", "explain-missed", "privacy-delete"),
}
ON_MODERATORS_BUTTONS = {"timeout-end", "queue-cancel"}
SLACK_ADMIN = User("U1", "Ada", is_moderator=True)
CHANNEL, DIRECT = AnswerPlace(channel="C1", user="U1"), AnswerPlace(channel="D1", user="U1")
DISCORD = Place("discord", "11", server="1")
WEB = Place("web", "general", server="web")
PEOPLE = {
    "discord member": (User("5", "Ann", roles=("1", "55")), DISCORD, False),
    "discord member whose roles are not known": (User("5", "Ann", roles=None), DISCORD, False),
    "discord manager": (User("6", "Mo", is_moderator=True), DISCORD, True),
    "discord named": (User("70000007", "Cy"), DISCORD, True),
    "discord with a named role": (User("8", "Di", roles=("1", "70000077")), DISCORD, True),
    "discord named elsewhere": (User("70000007", "Cy", roles=("70000077",)), replace(DISCORD, server="2"), False),
    "discord direct message": (User("70000007", "Cy"), Place("discord", "99"), False),
    "slack member": (CHANNEL.limit_rights(User("U2", "Ben")), CHANNEL.to_place("T1"), False),
    "slack admin": (CHANNEL.limit_rights(SLACK_ADMIN), CHANNEL.to_place("T1"), True),
    "slack admin in a direct message": (DIRECT.limit_rights(SLACK_ADMIN), DIRECT.to_place("T1"), False),
    "slack named": (CHANNEL.limit_rights(User("U70007", "Cy")), CHANNEL.to_place("T1"), True),
    "web visitor": (User("w1", "Ann"), WEB, False),
    "web teacher": (User("w2", "Mo", is_moderator=True), WEB, True),
    "terminal": (operator(), PLACE, True),
}


@pytest.fixture
async def everything(tmp_path: Path) -> AsyncIterator[Bot]:
    plugins = plugin.load(PluginsSection(entry_points=False))
    async with Bot(
        ModelClient("http://127.0.0.1:9"),
        plugins,
        Database(f"sqlite:///{tmp_path}/tempera.db"),
        platforms=PLATFORMS,
    ) as bot:
        for scope, name, value in [
            (Scope("discord", "1"), "moderators.users", "70000007"),
            (Scope("discord", "1"), "moderators.roles", "70000077"),
            (Scope("slack", "T1"), "moderators.users", "U70007"),
        ]:
            await bot.settings.write([bot.settings.make_change(name, value, scope)], MODERATOR)
        yield bot


def may(bot: Bot, user: User, place: Place, name: str) -> bool:
    """Return whether `user` may use a command there, or press a button that runs it."""
    request = Request(user=bot.admission.resolve_user(user, place), place=place)
    try:
        bot.admission.check(request, bot.registry.find_any(name))
    except PermissionDenied as error:
        return error.code != "moderators"
    return True


async def test_the_table_has_every_command(everything: Bot) -> None:
    assert {known.name for known in everything.registry.commands} == {*EVERYBODY, *MODERATORS_ALONE}
    hidden = ON_BUTTONS | ON_MODERATORS_BUTTONS
    assert {known.name for known in everything.registry.all_commands if known.hidden} == hidden


@pytest.mark.parametrize("who", PEOPLE)
async def test_every_command_is_allowed_to_the_roles_of_the_table(everything: Bot, who: str) -> None:
    user, place, is_moderator = PEOPLE[who]
    expected = dict.fromkeys((*EVERYBODY, *ON_BUTTONS), True)
    expected |= dict.fromkeys((*MODERATORS_ALONE, *ON_MODERATORS_BUTTONS), is_moderator)
    assert {name: may(everything, user, place, name) for name in expected} == expected
    listed = {known.name for known in everything.admission.commands_for(user, place)}
    assert listed == {name for name, allowed in expected.items() if allowed} - ON_BUTTONS - ON_MODERATORS_BUTTONS
    for name in MODERATORS_ALONE:
        decision = everything.prepare(Request(user=user, place=place, command=name))
        if not is_moderator:
            assert isinstance(decision, Refuse)
            assert decision.private
            assert [reply.text async for reply in decision.start()] == [f"/{name} is for moderators."]
    request = Request(user=user, place=place, command="config set")
    assert bool(await everything.complete(request, "setting", "ask.")) == is_moderator


def test_a_pause_refuses_everybody_but_moderators_and_spares_what_everybody_has_a_right_to() -> None:
    paused = policy(access_paused=True)
    assert said(paused) == ["The chat is paused. Wait until it goes on."]
    assert said(paused, MODERATOR) == []
    assert said(paused, command=HELP) == []
    assert paused.paused_by(ROOM) == ""
    assert policy().paused_by(ROOM) is None

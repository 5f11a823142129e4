"""People on Slack, and how long their rights count."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from fakes.slack import FakeSlack

from bot.config.sections import SlackSection
from bot.platforms.slack.api.api import SlackApi
from bot.platforms.slack.api.budgets import TIER_4, RateBudgets
from bot.platforms.slack.api.client import connect
from bot.platforms.slack.convert import people
from bot.platforms.slack.convert.people import UserDirectory
from bot.platforms.slack.convert.requests import read_text

ORGANISATION = "E0OWN"


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as server:
        yield server


@pytest.fixture
async def users(slack: FakeSlack) -> AsyncIterator[UserDirectory]:
    section = SlackSection(bot_token=slack.bot_token, app_token=slack.app_token, api_base=slack.api_base)
    async with aiohttp.ClientSession() as session:
        api = SlackApi(connect(section, session), RateBudgets())
        directory = UserDirectory(api, frozenset({slack.team, ORGANISATION}))
        yield directory
        await directory.close()


async def test_rights_end_with_their_time_if_slack_does_not_answer(
    slack: FakeSlack, users: UserDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "CACHE_SECONDS", 0.0)
    known = await users.find(slack.admin)
    assert known.is_moderator
    slack.refuse("users.info", "internal_error", times=-1)
    later = await users.find(slack.admin)
    assert (later.is_moderator, later.name, later.locale) == (False, known.name, known.locale)
    assert await users.find_current(slack.admin) is None


async def test_rights_that_have_not_expired_need_no_answer(slack: FakeSlack, users: UserDirectory) -> None:
    assert (await users.find(slack.admin)).is_moderator
    slack.refuse("users.info", "internal_error", times=-1)
    assert (await users.find(slack.admin)).is_moderator
    assert await users.find_current(slack.admin) is not None


@pytest.mark.parametrize(
    ("team", "organisation", "is_moderator"),
    [("", "", True), ("T0PARTNER", "", False), ("T0PARTNER", "E0PARTNER", False), ("T0OTHER", ORGANISATION, True)],
)
async def test_an_admin_of_another_workspace_has_no_rights_in_a_shared_channel(
    slack: FakeSlack, users: UserDirectory, team: str, organisation: str, is_moderator: bool
) -> None:
    eve = slack.add_user("Eve", admin=True)
    slack.workspace.users[eve].team, slack.workspace.users[eve].organisation = team, organisation
    assert (await users.find(eve)).is_moderator == is_moderator


async def test_a_text_with_many_mentions_leaves_lookups_for_those_who_write(
    slack: FakeSlack, users: UserDirectory
) -> None:
    mentioned = [f"U9{number:08}" for number in range(2 * TIER_4)]
    text = await read_text("".join(f"<@{one}>" for one in [slack.ben, *mentioned]), slack.bot_user, users)
    assert text == "".join(f"@{one}" for one in ["Ben", *mentioned])
    assert 10 < len(slack.called("users.info")) < TIER_4 / 2
    assert (await users.find(slack.admin)).is_moderator


async def test_somebody_who_is_mentioned_again_and_again_is_looked_up_once(
    slack: FakeSlack, users: UserDirectory
) -> None:
    assert await read_text("<@U9NOBODY> " * 3, slack.bot_user, users) == "@U9NOBODY @U9NOBODY @U9NOBODY"
    assert len(slack.called("users.info")) == 1


async def test_names_that_are_known_need_no_lookup(slack: FakeSlack, users: UserDirectory) -> None:
    await users.find(slack.ann)
    for number in range(TIER_4):
        await users.find_name(f"U9{number:08}")
    assert await users.find_name(slack.ann) == "Ann"

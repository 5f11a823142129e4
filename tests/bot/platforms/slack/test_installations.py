"""Adding the bot to a workspace in a browser, and how installations are stored."""

import asyncio
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from fakes.platforms.slack_bot import (
    add_to_slack,
    browser,
    find_answers,
    on_slack,
    speed_up,
    start_installation,
    wait_for_answer,
)
from fakes.slack import FakeSlack
from slack_sdk.oauth.installation_store import Installation

from bot.app import Bot
from bot.backup import back_up
from bot.platforms.slack.checks import SCOPES
from bot.platforms.slack.installations import REDIRECT_PATH, InstallationStore, StateStore
from bot.storage import installations
from bot.storage.database import Database, now

PARIS = "Paris is the capital of France."


@pytest.fixture
async def slack(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as server:
        speed_up(server, monkeypatch)
        yield server


def installation(team: str = "T1", **more: object) -> Installation:
    return Installation(user_id="U1", team_id=team, bot_token="xoxb-secret-1", bot_user_id="U0", **more)  # type: ignore[arg-type]


def read_database(folder: Path) -> bytes:
    """Return all that is in the files of the database, the write-ahead log, too."""
    return b"".join(file.read_bytes() for file in folder.glob("tempera.db*"))


async def test_a_workspace_adds_the_bot_once_and_again(slack: FakeSlack, toy_bot: Bot, tmp_path: Path) -> None:
    async with on_slack(toy_bot, slack, installable=True, token=False) as address:
        async with browser() as session:
            link = await start_installation(session, address)
            query = slack.oauth.approve(link, slack)
            assert slack.scopes == set(SCOPES)
            callback = f"{address}{REDIRECT_PATH}?{query}"
            async with aiohttp.ClientSession() as stranger, stranger.get(callback) as refused:
                assert (refused.status, "invalid_browser" in await refused.text()) == (400, True)
            assert slack.called("oauth.v2.access") == []
            async with session.get(callback) as page:
                assert (page.status, page.headers["Referrer-Policy"]) == (200, "no-referrer")
            # The same state with a code that is good.
            again = f"{slack.oauth.approve(link, slack)}"
            async with session.get(f"{address}{REDIRECT_PATH}?{again}") as refused:
                assert (refused.status, "invalid_state" in await refused.text()) == (401, True)
            assert len(slack.called("oauth.v2.access")) == 1
            for wrong, told in (("error=access_denied", "access_denied"), ("error=%3Cscript%3E", "script")):
                async with session.get(f"{address}{REDIRECT_PATH}?{wrong}") as refused:
                    text = await refused.text()
                    assert (told in text, "<script" in text) == (True, False)
        await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
        await wait_for_answer(slack, PARIS)
        await add_to_slack(address, slack.oauth, slack)
        await slack.say(slack.ben, slack.channel, "Which capital?", mention=True)
        await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
        assert await InstallationStore(toy_bot.database).versions() == {slack.team: 2}
    stored = read_database(tmp_path)
    assert slack.team.encode() in stored
    assert slack.bot_token.encode() not in stored


async def test_a_state_is_valid_once_and_for_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        states = StateStore(database)
        first, second = await states.async_issue(), await states.async_issue()
        assert [await states.async_consume(state) for state in (first, first, "guessed", "\ud800")] == [
            True,
            False,
            False,
            False,
        ]
        later = now() + installations.timedelta(minutes=11)
        monkeypatch.setattr(installations, "now", lambda: later)
        assert not await states.async_consume(second)


async def test_states_of_many_strangers_do_not_fill_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installations, "MAX_STATES", 20)
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        states = StateStore(database)
        issued = [await states.async_issue() for _ in range(50)]
        valid = [await states.async_consume(state) for state in issued]
    assert (sum(valid) <= 20, valid[-1]) == (True, True)


async def test_installations_are_encrypted_and_know_nobody(database: Database) -> None:
    store = InstallationStore(database)
    await store.async_save(installation(bot_refresh_token="xoxe-secret", bot_token_expires_at=int(time.time()) + 60))
    other = InstallationStore(database)
    found = await other.async_find_installation(enterprise_id=None, team_id="T1")
    assert found is not None
    assert (found.bot_token, found.bot_refresh_token, found.user_id) == ("xoxb-secret-1", "xoxe-secret", "")
    bot = await other.async_find_bot(enterprise_id="E1", team_id="T1")
    assert (bot is not None and bot.bot_token) == "xoxb-secret-1"
    assert await other.async_find_installation(enterprise_id="T1", team_id="T2") is None
    async with database.reading() as session:
        row = await session.get(installations.InstallationRow, "T1")
    assert row is not None
    assert "secret" not in row.sealed
    assert [stored.id for stored in await other.find_expiring(now() + installations.timedelta(minutes=2))] == ["T1"]
    assert await other.find_expiring(now()) == []


async def test_a_backup_has_the_key(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/tempera.db"
    async with Database(address) as database:
        await InstallationStore(database).async_save(installation())
    await asyncio.to_thread(back_up, address, tmp_path / "backup.tar.gz")
    with tarfile.open(tmp_path / "backup.tar.gz") as backup:
        assert "secrets/slack" in backup.getnames()


async def test_an_organisation_has_an_installation_of_its_own(database: Database) -> None:
    store = InstallationStore(database)
    await store.async_save(installation("", enterprise_id="E1", is_enterprise_install=True))
    assert await store.versions() == {"E1": 1}
    wanted = {"enterprise_id": "E1", "team_id": "T1"}
    assert await store.async_find_installation(**wanted) is None
    assert await store.async_find_installation(**wanted, is_enterprise_install=True) is not None


async def test_a_renewed_token_does_not_bring_back_what_was_removed_meanwhile(database: Database) -> None:
    store = InstallationStore(database)
    await store.async_save(installation())
    stored = await store.get("T1")
    assert stored is not None
    await store.async_save(installation())
    await store.renew(stored, installation(app_id="old"))
    kept = await store.get("T1")
    assert kept is not None
    assert (kept.version, kept.installation.app_id) == (2, None)

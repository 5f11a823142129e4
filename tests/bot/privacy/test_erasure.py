"""A deletion takes the moderators' lists that show the person, and no others."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.core.requests import MODERATOR, ROOM, ask, last, press
from fakes.model_server.model_api import FakeModels, png
from fakes.storage.database_dump import rows_holding

from bot import Context, Plugin, command
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.caller import Caller
from bot.core.errors import LimitReached
from bot.core.messages import Attachment, Place, Reply, User
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.settings.resolver import Settings
from bot.settings.scopes import server_scope
from bot.settings.user_defaults import Defaults
from bot.storage.database import Database, now

ID = "100000000000000007"
ELSEWHERE = replace(ROOM, server="another-school")
MARK = "zucchini"
"""A word in each list, so that a test can find it."""


class Lists(Plugin):
    """Shows moderators the text of a test."""

    name = "lists"
    told = ""
    file = b""

    @command(moderator=True, private=True)
    async def tell(self, ctx: Context) -> AsyncIterator[Reply]:
        """Tell it."""
        files = (Attachment("list", self.file),) if self.file else ()
        yield Reply(text=f"{MARK}\n{self.told}", attachments=files, final=True)


@pytest.fixture
def lists() -> Lists:
    return Lists()


@pytest.fixture
async def bot(lists: Lists, models: FakeModels, tmp_path: Path) -> AsyncIterator[Bot]:
    plugins = [*plugin.load(PluginsSection(enabled=("ask", "moderation", "privacy"), entry_points=False)), lists]
    async with Bot(ModelClient(models.url), plugins, Database(f"sqlite:///{tmp_path}/tempera.db")) as made:
        yield made


async def is_left(bot: Bot, name: str, *, listed_in: Place = ROOM) -> bool:
    """Return whether the list is still stored after somebody of that name has deleted their data in ROOM."""
    person = User(ID, name)
    shown = await last(bot, ask("/tell", MODERATOR, listed_in))
    assert not shown.error
    asked = await last(bot, ask("/privacy delete", person))
    assert not (await last(bot, press("b0", asked.row, person))).error
    return bool(await rows_holding(bot.database, MARK))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("🌸", "Nobody is timed out here."),
        ("---", "- #1 Mia until 2026-01-02 10:00 UTC"),
        ("·", "`/ask`: 3 · 👍 1 👎 0"),
        ("Ann", "⚙️ **Mia** set `answers.quote` (channel `x`)"),
        ("Max", "`ask.temperature.maximum`"),
        ("Tim", "/timeouts, sometimes"),
        ("Max Power", "**Max**: the power of **Max**"),
        ("Power Max", "**Max Power**"),
        ("李", "**李明**"),
        ("Mari", "**Mari\N{COMBINING ACUTE ACCENT}a**"),
    ],
)
async def test_a_list_that_shows_other_people_stays(bot: Bot, lists: Lists, name: str, told: str) -> None:
    lists.told = told
    assert await is_left(bot, name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Ann", "- #1 Ann until 2026-01-02 10:00 UTC, by Mia"),
        ("*Ann*", "⚙️ **∗Ann∗** set `answers.quote`"),
        ("`Ann`", "⚙️ **ˋAnnˋ** set `answers.quote`"),
        ("Ann_B|", r"- #3 /ask of Ann\_B\|, waiting for 3 s"),
        ("Ann", "Lifted: @Ann can use me again."),
        ("ANN", "Lifted: Ann can use me again."),
        ("Max  Power", "**Max Power**"),
        ("李明", "⛔ **李明** was refused `ask`"),
        ("Mari\N{COMBINING ACUTE ACCENT}a", "**Mari\N{COMBINING ACUTE ACCENT}a**"),
        ("🌸", "⛔ **🌸** was refused `ask`"),
        ("🌸 Ann", "⛔ **🌸 Ann** was refused `ask`"),
        ("Wolfeschlegelsteinhausenbergerdorff the Younger", "**Wolfeschlegelsteinhausenbergerdorff the…**"),
        ("Mia", f"`{ID}`"),
    ],
)
async def test_a_list_that_shows_the_person_is_deleted(bot: Bot, lists: Lists, name: str, told: str) -> None:
    lists.told = told
    assert not await is_left(bot, name)


async def test_a_list_that_shows_the_name_in_a_file_is_deleted(bot: Bot, lists: Lists) -> None:
    lists.file = "who,about\r\nMia,'@Jo\r\n".encode("utf-8-sig")
    assert not await is_left(bot, "@Jo")


async def test_a_name_in_the_bytes_of_a_picture_deletes_nothing(bot: Bot, lists: Lists) -> None:
    lists.file = png(3) + b" jo "
    assert await is_left(bot, "Jo")


async def test_somebody_of_the_same_name_elsewhere_is_somebody_else(bot: Bot, lists: Lists) -> None:
    lists.told = "- #1 Ann until 2026-01-02 10:00 UTC"
    assert await is_left(bot, "Ann", listed_in=ELSEWHERE)


async def test_a_list_that_shows_the_id_is_deleted_in_every_server(bot: Bot, lists: Lists) -> None:
    lists.file = f"id,name\r\n{ID},x\r\n".encode()
    assert not await is_left(bot, "Ann", listed_in=ELSEWHERE)


async def test_in_a_server_that_timed_them_out_their_name_is_theirs(bot: Bot, lists: Lists) -> None:
    await bot.timeouts.set(User(ID, "Ann"), server_scope(ELSEWHERE), now() + timedelta(hours=1), "", MODERATOR)
    lists.told = "- #1 Ann until 2026-01-02 10:00 UTC"
    assert not await is_left(bot, "Ann", listed_in=ELSEWHERE)


@pytest.mark.parametrize("stays", [False, True], ids=["there", "elsewhere"])
async def test_an_earlier_name_counts_in_the_server_where_they_had_it(bot: Bot, lists: Lists, stays: bool) -> None:
    had_in = server_scope(ELSEWHERE if stays else ROOM)
    await bot.timeouts.set(User(ID, "Benedikt Maier"), had_in, now() + timedelta(hours=1), "", MODERATOR)
    lists.told = "- #1 Benedikt Maier until 2026-01-02 10:00 UTC"
    assert await is_left(bot, "xX_ben_Xx") == stays


async def test_other_processes_notice_what_a_deletion_removed(bot: Bot) -> None:
    person, command = User(ID, "Ann"), bot.registry.find("ask")
    await bot.defaults.set(Caller(person, ROOM), [command], "ask.temperature", 1)
    named = bot.settings.make_change("moderators.users", f"other {ID}", server_scope(ROOM))
    await bot.settings.write([named], MODERATOR)
    settings, defaults = Settings({}), Defaults()
    await settings.start(bot.database)
    await defaults.start(bot.database)
    assert settings.value("moderators.users", ROOM) == f"other {ID}"
    asked = await last(bot, ask("/privacy delete", person))
    assert not (await last(bot, press("b0", asked.row, person))).error
    await settings.refresh()
    await defaults.refresh()
    assert settings.value("moderators.users", ROOM) == "other"
    assert defaults.get(Caller(person, ROOM)) == {}


async def test_deletions_cannot_be_repeated_without_end(bot: Bot) -> None:
    service, eve = bot.privacy, User("eve", "Eve")
    for _ in range(5):
        await service.delete(Caller(eve, ROOM))
    # All tables are searched for whoever asks, and meanwhile nobody can write.
    with pytest.raises(LimitReached, match=r"^You can have your data deleted 5 times per day\. The next time is in "):
        await service.delete(Caller(eve, ROOM))
    await service.delete(Caller(User("ann", "Ann"), ROOM))

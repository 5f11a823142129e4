"""New audit entries are posted once in the log channel that moderators chose, and nothing waits for that."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM, ask, last

from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.adapters import Adapters, Capabilities
from bot.core.errors import CannotPost, OptionError
from bot.core.i18n import Sentence
from bot.core.messages import Place
from bot.inference.client import ModelClient
from bot.moderation import log_channel
from bot.moderation.log_channel import LogChannel
from bot.platforms.capabilities import PLATFORMS
from bot.plugin_host import plugin
from bot.settings.scopes import Change, Scopes
from bot.settings.setting import Scope
from bot.storage.audit import Audit, AuditEntry, add_entry
from bot.storage.database import Database

SCHOOL = Scope("test", "school")
HELLO = "From now on I tell here what moderators change and do, what is refused, and who appeals against it."


class Recorder:
    """A platform's adapter that keeps what was posted, and fails if a test sets `failure`."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.posted: list[tuple[str, str, str]] = []
        self.failure: Exception | None = None
        self.language = "en"

    async def locale(self, server: str) -> str:
        return self.language

    async def post(self, server: str, channel: str, text: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.posted.append((server, channel, text))

    @property
    def lines(self) -> list[str]:
        return [line for _, _, text in self.posted for line in text.splitlines()]


@pytest.fixture
def adapter() -> Recorder:
    return Recorder()


@pytest.fixture
async def bot(database: Database) -> AsyncIterator[Bot]:
    plugins = plugin.load(PluginsSection(enabled=("ask", "config", "help"), entry_points=False))
    async with Bot(
        ModelClient("http://127.0.0.1:9"), plugins, database, settings={"safety.level": "off"}, platforms=PLATFORMS
    ) as running:
        yield running


async def refuse(bot: Bot, what: str = "ask", place: Place = ROOM) -> None:
    await bot.audit.record(
        AuditEntry(actor=ANN, place=place, kind="refusal", what=what, before="rude words", reason="hate")
    )


async def choose(bot: Bot, channel: str | None = "log", scope: Scope = SCHOOL) -> None:
    await bot.settings.write([bot.settings.make_change("audit.channel", channel, scope)], MODERATOR)


class Rounds:
    """The number of rounds of each log channel."""

    def __init__(self) -> None:
        self.done: Counter[int] = Counter()
        self.changed = asyncio.Condition()

    async def quiet(self, channel: LogChannel) -> None:
        """Wait until the entries of before have been posted."""
        # The round under way may have begun before that; the one after it did not.
        wanted = self.done[id(channel)] + 2
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: self.done[id(channel)] >= wanted)

    @asynccontextmanager
    async def posting(self, channel: LogChannel, adapter: Recorder) -> AsyncIterator[None]:
        """Post new entries, as a running platform does, until those of before the end have been posted."""
        with channel._adapters.registered("test", adapter):
            async with channel.post_entries("test"):
                await self.quiet(channel)
                yield
                await self.quiet(channel)


@pytest.fixture(autouse=True)
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    counted, real = Rounds(), LogChannel._post_new_entries

    async def look(channel: LogChannel, platform: str) -> None:
        await real(channel, platform)
        async with counted.changed:
            counted.done[id(channel)] += 1
            counted.changed.notify_all()

    monkeypatch.setattr(LogChannel, "_post_new_entries", look)
    monkeypatch.setattr(log_channel, "ROUND_SECONDS", 0.01)
    return counted


async def test_entries_are_posted_as_short_lines_without_what_people_wrote(
    bot: Bot, adapter: Recorder, rounds: Rounds
) -> None:
    await refuse(bot, "before")
    async with rounds.posting(bot.log_channel, adapter):
        await choose(bot)
        await refuse(bot)
    assert {(server, channel) for server, channel, _ in adapter.posted} == {("school", "log")}
    assert adapter.lines == [
        HELLO,
        "⚙️ **Mod** set `audit.channel`: – → `log`",
        "⛔ **Ann** was refused `ask` (channel `room`) (hate)",
    ]


async def test_without_a_log_channel_entries_are_posted_neither_now_nor_later(
    bot: Bot, adapter: Recorder, rounds: Rounds
) -> None:
    async with rounds.posting(bot.log_channel, adapter):
        await refuse(bot)
        await refuse(bot, place=Place("other", "room", server="school"))
        await rounds.quiet(bot.log_channel)
        assert adapter.posted == []
        await choose(bot)
        await rounds.quiet(bot.log_channel)
        await choose(bot, None)
        await refuse(bot)
    assert [line for line in adapter.lines if "refused" in line][1:] == []


async def test_an_entry_whose_transaction_ends_late_is_posted_too(
    address: str, bot: Bot, adapter: Recorder, rounds: Rounds
) -> None:
    async with rounds.posting(bot.log_channel, adapter), Database(address) as another:
        await choose(bot)
        await rounds.quiet(bot.log_channel)
        async with bot.database.writing() as session:
            add_entry(session, AuditEntry(actor=ANN, place=ROOM, kind="refusal", what="late"))
            await session.flush()
            next_one = asyncio.create_task(
                Audit(another).record(AuditEntry(actor=ANN, place=ROOM, kind="refusal", what="soon"))
            )
            await rounds.quiet(bot.log_channel)
        await next_one
    assert [re.findall("late|soon", line) for line in adapter.lines[2:]] == [["late"], ["soon"]]


async def test_each_server_has_its_own_log_channel(bot: Bot, adapter: Recorder, rounds: Rounds) -> None:
    async with rounds.posting(bot.log_channel, adapter):
        await choose(bot)
        await choose(bot, "theirs", Scope("test", "other"))
        await refuse(bot, "here")
        await refuse(bot, "there", Place("test", "room", server="other"))
    for server, channel, word in (("school", "log", "here"), ("other", "theirs", "there")):
        told = "\n".join(text for where, at, text in adapter.posted if (where, at) == (server, channel))
        assert f"`{word}`" in told
    assert {(server, channel) for server, channel, _ in adapter.posted} == {("school", "log"), ("other", "theirs")}


async def test_many_entries_at_once_are_one_message_that_counts_the_rest(
    bot: Bot, adapter: Recorder, rounds: Rounds
) -> None:
    async with rounds.posting(bot.log_channel, adapter):
        await choose(bot)
    before = len(adapter.posted)
    async with bot.database.writing() as session:
        for number in range(100):
            add_entry(session, AuditEntry(actor=ANN, place=ROOM, kind="refusal", what=f"n{number}", reason="hate"))
            await session.flush()
    async with rounds.posting(bot.log_channel, adapter):
        pass
    [(_, _, text)] = adapter.posted[before:]
    lines = text.splitlines()
    assert len(text) < 2000
    assert lines[-1] == f"… and {101 - len(lines)} more; /audit lists them."
    assert lines[0].startswith("⛔ **Ann** was refused `n0`")


async def test_repeated_refusals_do_not_flood_the_log_channel(bot: Bot, adapter: Recorder, rounds: Rounds) -> None:
    async with rounds.posting(bot.log_channel, adapter):
        await choose(bot)
        await rounds.quiet(bot.log_channel)
        for number in range(60):
            await refuse(bot)
            await refuse(bot, f"n{number}")
            if number % 20 == 19:
                await rounds.quiet(bot.log_channel)
    lines = [line for _, _, text in adapter.posted for line in text.splitlines() if "was refused" in line]
    assert len([line for line in lines if "`ask`" in line]) == 1
    assert len(lines) <= 21


async def test_only_one_of_two_processes_posts_an_entry(
    bot: Bot, database: Database, adapter: Recorder, rounds: Rounds
) -> None:
    other = LogChannel(database, bot.settings, bot.audit, Adapters())
    async with rounds.posting(bot.log_channel, adapter), rounds.posting(other, adapter):
        await choose(bot)
        for number in range(20):
            await refuse(bot, f"n{number}")
    for number in range(20):
        assert len([line for line in adapter.lines if f"`n{number}`" in line]) == 1


async def test_the_choice_of_a_channel_is_told_there_whichever_process_wrote_it(
    bot: Bot, database: Database, adapter: Recorder, rounds: Rounds
) -> None:
    elsewhere = Scopes()
    await elsewhere.start(database)
    async with rounds.posting(bot.log_channel, adapter):
        await elsewhere.write([Change(SCHOOL, "audit.channel", "log")], MODERATOR)
    assert adapter.lines == ["⚙️ **Mod** set `audit.channel`: – → `log`"]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (CannotPost(Sentence("I am not in {name}.", {"name": "#log"})), "I am not in #log."),
        (RuntimeError("token=secret"), "something went wrong; the log of the bot says more."),
        (TimeoutError(), "it takes too long."),
    ],
)
async def test_a_channel_that_cannot_be_written_to_disturbs_nothing_and_is_warned_of_once(
    bot: Bot, adapter: Recorder, rounds: Rounds, failure: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with rounds.posting(bot.log_channel, adapter):
        await choose(bot)
        adapter.failure = failure
        for _ in range(3):
            await refuse(bot)
            await rounds.quiet(bot.log_channel)
        # Those are told who can do something about it.
        asked_for_help = await last(bot, ask("/help"))
        assert (asked_for_help.status, asked_for_help.error) == ("", False)
        elsewhere = Place("test", "room", server="other")
        assert (await last(bot, ask("/config show", MODERATOR, elsewhere))).status == ""
        told = [(await last(bot, ask("/config show", MODERATOR))).status for _ in range(3)]
    sentence = f"I could not write to the log channel log: {reason} Moderators can change that: `audit.channel`"
    assert told == [sentence, "", ""]
    assert (await bot.audit.find("test", "school"))[0].kind == "refusal"


async def test_moderators_are_warned_again_after_the_channel_had_worked(
    bot: Bot, adapter: Recorder, rounds: Rounds
) -> None:
    async with rounds.posting(bot.log_channel, adapter):
        await choose(bot)
        notes = []
        for number, failure in enumerate((RuntimeError(), None, RuntimeError())):
            adapter.failure = failure
            await refuse(bot, f"n{number}")
            await rounds.quiet(bot.log_channel)
            notes.append(bool((await last(bot, ask("/config show", MODERATOR))).status))
    assert notes == [True, False, True]


async def test_a_channel_is_tried_out_before_it_is_set(bot: Bot, adapter: Recorder, rounds: Rounds) -> None:
    adapter.failure = CannotPost(Sentence("there is no such room."))
    async with rounds.posting(bot.log_channel, adapter):
        with pytest.raises(OptionError) as caught:
            await choose(bot)
        assert str(caught.value) == "audit.channel: I cannot write to log: there is no such room."
        assert bot.settings.value("audit.channel", ROOM) == ""
        adapter.failure, adapter.language = None, "de"
        await choose(bot)
    assert adapter.posted[0][2].startswith("Von jetzt an sage ich hier")


async def test_a_language_that_moderators_chose_goes_before_that_of_the_place(
    bot: Bot, adapter: Recorder, rounds: Rounds
) -> None:
    await bot.settings.write([bot.settings.make_change("answers.language", "es", SCHOOL)], MODERATOR)
    async with rounds.posting(bot.log_channel, adapter):
        await choose(bot)
    assert adapter.lines[0].startswith("Desde ahora")


async def test_the_log_channel_is_one_channel_of_a_server(bot: Bot) -> None:
    with pytest.raises(OptionError, match="audit.channel must be one channel; you gave 2."):
        bot.settings.make_change("audit.channel", "one two", SCHOOL)
    for given, kept in (("<#123456789>", "123456789"), ("123456789", "123456789"), ("", "")):
        assert bot.settings.make_change("audit.channel", given, Scope("discord", "1")).value == kept
    with pytest.raises(OptionError, match="“log” is none"):
        bot.settings.make_change("audit.channel", "log", Scope("discord", "1"))

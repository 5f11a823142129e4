"""Time-outs apply in every process at the next request, to commands, buttons and forms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from fakes.core.requests import ANN, BEN, MODERATOR, ROOM, ask, last, press
from fakes.model_server.model_api import FakeModels
from sqlalchemy import func, select, update

from bot.access.timeouts import TimeOutRow
from bot.answers.decision import Refuse
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core.messages import Action, Place, Request
from bot.inference.client import ModelClient
from bot.plugin_host import plugin
from bot.settings.scopes import server_scope
from bot.storage.audit import AuditFilter
from bot.storage.database import Database, VoteRow, now

HOUR = timedelta(hours=1)
SCHOOL = server_scope(ROOM)
DIRECT = Place("test", "dm-ben")
ELSEWHERE = Place("test", "room", server="other school")


@asynccontextmanager
async def process(address: str, models: FakeModels) -> AsyncIterator[Bot]:
    """Return a bot as it runs in another process, on the same database."""
    plugins = plugin.load(PluginsSection(enabled=("ask", "help", "why"), entry_points=False))
    async with Bot(ModelClient(models.url), plugins, Database(address), settings={"safety.level": "off"}) as bot:
        yield bot


async def test_a_timeout_counts_at_the_next_request_in_every_process(address: str, models: FakeModels) -> None:
    async with process(address, models) as one, process(address, models) as other:
        assert not (await last(other, ask("/ask hi", BEN))).error
        until = now() + HOUR
        await one.timeouts.set(BEN, SCHOOL, until, "Spam.", MODERATOR)
        told = f"Moderators have timed you out: you can use me again at {until:%Y-%m-%d %H:%M} UTC. Their reason: Spam."
        for bot in (other, one):
            reply = await last(bot, ask("/ask hi", BEN))
            assert (reply.text, reply.error, reply.private) == (told, True, True)
        # By now that process knows, and says so at once.
        assert isinstance(other.prepare(ask("/ask hi", BEN)), Refuse)
        (timeout,) = other.timeouts.active_in(SCHOOL)
        assert await one.timeouts.lift(timeout.id, SCHOOL, MODERATOR) is not None
        await other.timeouts.refresh()
        for bot in (one, other):
            assert (await last(bot, ask("/ask hi", BEN))).text.startswith("Paris")


async def test_a_timeout_applies_in_its_server_and_in_direct_messages(bot: Bot) -> None:
    await bot.timeouts.set(BEN, SCHOOL, now() + HOUR, "", MODERATOR)
    assert isinstance(bot.prepare(ask("/ask hi", BEN)), Refuse)
    assert isinstance(bot.prepare(ask("/ask hi", BEN, DIRECT)), Refuse)
    assert not isinstance(bot.prepare(ask("/ask hi", BEN, ELSEWHERE)), Refuse)
    assert not isinstance(bot.prepare(ask("/ask hi", BEN, replace(ROOM, platform="other"))), Refuse)
    assert not isinstance(bot.prepare(ask("/ask hi", ANN)), Refuse)
    # A time-out does not apply to a person who has become a moderator since.
    assert not isinstance(bot.prepare(ask("/ask hi", replace(BEN, is_moderator=True))), Refuse)
    assert not isinstance(bot.prepare(ask("/help", BEN)), Refuse)


async def test_a_timeout_refuses_buttons_and_forms_too(bot: Bot) -> None:
    answer = await last(bot, ask("/ask hi", BEN))
    form = Request(user=BEN, place=ROOM, action=Action("c:ask", {"prompt": "hi"}))
    await bot.timeouts.set(BEN, SCHOOL, now() + HOUR, "", MODERATOR)
    sentence = "Moderators have timed you out: you can use me again at "
    for button in ("again", "warmer", "edit", "delete", "stop", "up", "down"):
        fields = {"prompt": "changed"} if button == "edit" else {}
        reply = await last(bot, press(button, answer.row, BEN, **fields))
        assert reply.text.startswith(sentence), button
        assert reply.error
        assert reply.private
    assert (await last(bot, form)).text.startswith(sentence)
    async with bot.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(VoteRow)) == 0
    assert await bot.messages.get(answer.row) is not None
    refusals = await bot.audit.find("test", "school", AuditFilter(kind="refusal", actor="ben"))
    assert {row.reason for row in refusals} == {"timeout"}
    assert {row.what for row in refusals} >= {"again", "up", "ask"}


async def test_a_timeout_ends_by_itself(bot: Bot) -> None:
    await bot.timeouts.set(BEN, SCHOOL, now() + HOUR, "", MODERATOR)
    async with bot.database.writing() as session:
        await session.execute(update(TimeOutRow).values(until=now()))
    await bot.timeouts.refresh()
    assert not isinstance(bot.prepare(ask("/ask hi", BEN)), Refuse)
    async with bot.database.reading() as session:
        assert await session.scalar(select(func.count()).select_from(TimeOutRow)) == 0


async def test_a_second_timeout_replaces_the_first_and_both_are_recorded(bot: Bot) -> None:
    first, second = now() + HOUR, now() + 2 * HOUR
    await bot.timeouts.set(BEN, SCHOOL, first, "one", MODERATOR)
    await bot.timeouts.set(BEN, SCHOOL, second, "two", MODERATOR)
    (timeout,) = bot.timeouts.active_in(SCHOOL)
    assert (timeout.until, timeout.reason, timeout.name) == (second, "two", "Ben")
    newest, oldest = await bot.audit.find("test", "school", AuditFilter(kind="moderation"))
    assert (newest.what, newest.actor, newest.subject, newest.subject_name) == ("timeout", "mod", "ben", "Ben")
    assert (oldest.before, newest.before) == (None, first.isoformat())
    assert newest.after == {"until": second.isoformat(), "reason": "two"}
    assert await bot.timeouts.lift(timeout.id, server_scope(ELSEWHERE), MODERATOR) is None
    await bot.timeouts.lift(timeout.id, SCHOOL, MODERATOR)
    assert await bot.timeouts.lift(timeout.id, SCHOOL, MODERATOR) is None
    lifted = (await bot.audit.find("test", "school", AuditFilter(what="lift")))[0]
    assert (lifted.subject, lifted.before) == ("ben", {"until": second.isoformat(), "reason": "two"})


async def test_why_names_the_timeout(address: str, models: FakeModels) -> None:
    async with process(address, models) as bot, process(address, models) as other:
        until = now() + HOUR
        await other.timeouts.set(BEN, SCHOOL, until, "", MODERATOR)
        for asker, more in ((BEN, {}), (MODERATOR, {"user": BEN})):
            request = Request(user=asker, place=ROOM, command="why", options={"command": "ask", **more})
            assert (await last(bot, request)).text == (
                f"- Moderators have timed you out: you can use me again at {until:%Y-%m-%d %H:%M} UTC. "
                "Moderators can change that: `/timeouts lift`"
            )
        assert (await last(bot, ask("/why help", BEN))).text == "You can use /help here."


async def test_after_the_key_was_lost_timeouts_of_known_people_still_apply(tmp_path: Path, models: FakeModels) -> None:
    address = f"sqlite:///{tmp_path}/tempera.db"
    async with process(address, models) as bot:
        await bot.timeouts.set(BEN, SCHOOL, now() + HOUR, "", MODERATOR)
        before = bot.timeouts.hash_person("test", "ben")
        key = bot.database.key_file
    assert key is not None
    key.unlink()
    async with process(address, models) as bot:
        assert bot.timeouts.hash_person("test", "ben") != before
        assert isinstance(bot.prepare(ask("/ask hi", BEN)), Refuse)

"""/mod, /timeout, /timeouts and /queue: what they do for moderators, and that others are refused."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, ROOM, ask, last, press
from fakes.model_server.model_api import FakeModels

from bot import UserError
from bot.app import Bot
from bot.core.adapters import Capabilities, ShownMessage
from bot.core.messages import Place, Request, User
from bot.settings.scopes import server_scope
from bot.storage.audit import AuditFilter
from bot.storage.database import now
from plugins.moderation import parse_timeout

SCHOOL = server_scope(ROOM)
ADA = User("ada", "Ada", is_moderator=True)
ELSEWHERE = Place("test", "room", server="other school")


def timeout(user: User, duration: str = "10m", actor: User = MODERATOR, **more: object) -> Request:
    """Return a request with typed options, as Discord and Slack send it."""
    return Request(user=actor, place=ROOM, command="timeout", options={"user": user, "duration": duration, **more})


class FakeAdapter:
    """A platform adapter that knows a few people and shows messages."""

    capabilities = Capabilities()

    def __init__(self, *people: User) -> None:
        self.people = {person.id: person for person in people}
        self.shown = {"m1", "m2", "hello"}
        self.keeps = False

    async def find_user(self, name: str, place: Place) -> User | None:
        return self.people.get(name)

    def parse_link(self, link: str, place: Place) -> ShownMessage | None:
        server, _, external = link.removeprefix("https://chat/").partition("/")
        return ShownMessage(Place("test", "room", server), external) if link.startswith("https://chat/") else None

    async def delete_messages(self, shown: ShownMessage, externals: list[str]) -> bool:
        known = not self.keeps and set(externals) <= self.shown
        self.shown -= set(externals) if known else set()
        return known

    async def forget_user(self, user_id: str, gone: Collection[int]) -> None:
        self.people.pop(user_id, None)


# Time-outs


async def test_a_moderator_times_somebody_out_and_lifts_it(bot: Bot) -> None:
    asked_at = now()
    reply = await last(bot, timeout(BEN, "90m", reason="Spam."))
    assert reply.private
    (one,) = bot.timeouts.active_in(SCHOOL)
    until = f"{one.until:%Y-%m-%d %H:%M} UTC"
    assert reply.text == f"Ben cannot use me until {until}. `/timeouts lift` ends it before."
    assert timedelta(minutes=89) < one.until - asked_at <= timedelta(minutes=91)
    assert (await last(bot, ask("/ask hi", BEN))).text.endswith("Their reason: Spam.")
    listed = await last(bot, ask("/timeouts list", MODERATOR))
    assert listed.text == f"- #{one.id} Ben until {until}, by Mod: Spam."
    lifted = await last(bot, press("b0", listed.row, MODERATOR))
    assert lifted.text == "Lifted: Ben can use me again."
    assert not (await last(bot, ask("/ask hi", BEN))).error
    assert (await last(bot, press("b0", listed.row, MODERATOR))).text == "This time-out has ended already."
    assert (await last(bot, ask("/timeouts list", MODERATOR))).text == "Nobody is timed out here."


@pytest.mark.parametrize("whom", ["Ben", "@ben", "ben", "#1", "1", "<@ben>"])
async def test_a_timeout_is_lifted_by_name_id_or_number(bot: Bot, whom: str) -> None:
    await last(bot, timeout(BEN))
    request = Request(user=MODERATOR, place=ROOM, command="timeouts lift")
    assert list(await bot.complete(request, "user", "b")) == ["Ben"]
    assert (await last(bot, ask(f"/timeouts lift {whom}", MODERATOR))).text == "Lifted: Ben can use me again."


async def test_an_ambiguous_name_is_refused(bot: Bot) -> None:
    await last(bot, timeout(BEN))
    await last(bot, timeout(User("ben2", "Ben")))
    assert (await last(bot, ask("/timeouts lift Ben", MODERATOR))).text == (
        "Several people here are called “Ben”; give the number that /timeouts list shows."
    )
    assert (await last(bot, ask("/timeouts lift Cy", MODERATOR))).text == (
        "“Cy” is not timed out here. /timeouts list shows who is."
    )


async def test_moderators_are_not_timed_out(bot: Bot) -> None:
    await last(bot, ask("/config set moderators.users dora", MODERATOR))
    await last(bot, ask("/config set moderators.roles teachers", MODERATOR))
    for whom in (
        ADA,
        User("dora", "Dora"),
        User("eve", "Eve", roles=("teachers",)),
        User("op", "Op", is_operator=True),
    ):
        reply = await last(bot, timeout(whom))
        assert (reply.text, reply.error) == ("Moderators cannot be timed out.", True)
    assert bot.timeouts.active_in(SCHOOL) == []


async def test_a_typed_user_must_be_known_to_the_platform(bot: Bot) -> None:
    line = ask("/timeout user:@ben 10m", MODERATOR)
    unknown = "I could not find out who “ben” is here. Pick them from the list, or give their id."
    assert (await last(bot, line)).text == unknown
    with bot.adapters.registered("test", FakeAdapter(ADA)):
        assert (await last(bot, line)).text == unknown
        assert (await last(bot, ask("/timeout user:@ada 10m", MODERATOR))).text == "Moderators cannot be timed out."
    with bot.adapters.registered("test", FakeAdapter(BEN)):
        assert (await last(bot, line)).text.startswith("Ben cannot use me until")


async def test_a_former_member_must_have_used_the_bot_here(bot: Bot) -> None:
    gone = replace(BEN, roles=None)
    refused = "Ben is no member of this server, and nothing of theirs is stored here: I cannot time them out."
    await last(bot, ask("/ask hi", BEN, ELSEWHERE))
    with bot.adapters.registered("test", FakeAdapter(gone)):
        assert (await last(bot, timeout(gone))).text == refused
        await last(bot, ask("/queue", BEN))
        # The audit has the refusal.
        assert (await last(bot, timeout(gone))).text.startswith("Ben cannot use me until")


@pytest.mark.parametrize(("typed", "minutes"), [("10m", 10), ("1d 12h", 2160), ("4w", 40320), ("28d", 40320)])
def test_a_timeout_takes_up_to_28_days(typed: str, minutes: int) -> None:
    assert parse_timeout(typed) == timedelta(minutes=minutes)


@pytest.mark.parametrize("typed", ["", "10", "soon", "0m", "29d", "5w", "-5m", "10s", "10m later", "99999w"])
def test_malformed_durations_are_refused(typed: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_timeout(typed)
    assert str(caught.value) == (f"duration must be a time such as 10m, 2h or 3d, up to 28 days; you gave “{typed}”.")


# Messages


async def test_a_message_is_removed_by_its_link_with_its_stored_data(bot: Bot) -> None:
    answer = await last(bot, ask("/ask hi", BEN))
    await bot.messages.set_external_ids(answer.row, ["m1", "m2"])
    with bot.adapters.registered("test", adapter := FakeAdapter()):
        reply = await last(bot, ask("/mod remove https://chat/school/m2", MODERATOR))
        assert (reply.text, reply.private, reply.error) == ("The message is removed.", True, False)
        assert adapter.shown == {"hello"}
        assert await bot.messages.get(answer.row) is None
        (entry,) = await bot.audit.find("test", "school", AuditFilter(kind="moderation"))
        assert (entry.what, entry.actor, entry.subject, entry.after) == ("remove", "mod", "ben", {"command": "ask"})
        # This message is not stored, such as a greeting.
        greeting = await last(bot, ask("/mod remove https://chat/school/hello", MODERATOR))
        assert greeting.text == "The message is removed."
        for link, sentence in [
            ("https://chat/school/m2", "There is no message of mine there."),
            ("https://chat/other/hello", "That message is not of this server."),
            ("hello", "“hello” is no link to a message; the menu of each message has one to copy."),
        ]:
            reply = await last(bot, ask(f"/mod remove {link}", MODERATOR))
            assert (reply.text, reply.error) == (sentence, True)
        # The platform keeps this one.
        kept, adapter.keeps = await last(bot, ask("/ask hi", BEN)), True
        await bot.messages.set_external_ids(kept.row, ["m1"])
        reply = await last(bot, ask("/mod remove https://chat/school/m1", MODERATOR))
        assert reply.text == "What was stored of it is deleted; the message itself could not be removed there."
        assert await bot.messages.get(kept.row) is None


async def test_messages_of_other_servers_and_direct_messages_are_not_removed(bot: Bot) -> None:
    elsewhere = await last(bot, ask("/ask hi", BEN, ELSEWHERE))
    refused = await last(bot, ask(f"/mod remove {elsewhere.row}", MODERATOR))
    assert refused.text == "There is no message of mine there."
    answer = await last(bot, ask("/ask hi", BEN, Place("test", "room")))
    await bot.messages.set_external_ids(answer.row, ["m1"])
    with bot.adapters.registered("test", adapter := FakeAdapter()):
        for message in ("m1", "hello"):
            reply = await last(bot, ask(f"/mod remove https://chat//{message}", MODERATOR, Place("test", "dm-mod")))
            assert reply.text == "That message is not of this server."
    assert adapter.shown == {"m1", "m2", "hello"}
    assert None not in [await bot.messages.get(one.row) for one in (elsewhere, answer)]


async def test_an_audit_entry_is_made_when_moderators_press_buttons_of_others(bot: Bot, models: FakeModels) -> None:
    own = await last(bot, ask("/ask hi", MODERATOR))
    answer = await last(bot, ask("/ask hi", BEN))
    await last(bot, press("delete", own.row, MODERATOR))
    await last(bot, press("delete", answer.row, MODERATOR))
    models.gate.clear()
    running = asyncio.create_task(last(bot, ask("/ask more", BEN)))
    await models.until(running=1)
    (job,) = await bot.messages.find_unfinished("test", "school")
    async for _ in bot.prepare(press("stop", job.id, MODERATOR)).start():
        pass
    assert (await running).status == "Stopped."
    entries = await bot.audit.find("test", "school", AuditFilter(kind="moderation"))
    assert [(entry.what, entry.actor, entry.subject_name) for entry in entries] == [
        ("cancel", "mod", "Ben"),
        ("remove", "mod", "Ben"),
    ]


# The queue


async def test_the_queue_is_shown_and_cancelled(bot: Bot, models: FakeModels) -> None:
    assert (await last(bot, ask("/queue", MODERATOR))).text == "Nothing is being answered here at the moment."
    models.gate.clear()
    running = asyncio.create_task(last(bot, ask("/ask secret words", BEN)))
    elsewhere = asyncio.create_task(last(bot, ask("/ask hi", ANN, ELSEWHERE)))
    await models.until(running=2)
    queue = await last(bot, ask("/queue", MODERATOR))
    (job,) = await bot.messages.find_unfinished("test", "school")
    assert queue.private
    assert queue.text.startswith(f"- #{job.id} /ask of Ben, ")
    assert "secret" not in queue.text
    assert [button.label for button in queue.buttons] == [f"Cancel #{job.id}", "Look again"]
    cancelled = await last(bot, press("b0", queue.row, MODERATOR))
    assert cancelled.text == "Cancelled: /ask of Ben."
    assert (await running).status == "Stopped."
    await models.until(dropped=1)
    assert not elsewhere.done()
    again = await last(bot, press("b0", queue.row, MODERATOR))
    assert again.text == "There is nothing to stop: this answer has ended."
    (entry,) = await bot.audit.find("test", "school", AuditFilter(what="cancel"))
    assert (entry.kind, entry.subject, entry.after) == ("moderation", "ben", {"command": "ask"})
    models.gate.set()
    await elsewhere


async def test_answers_of_another_process_are_cancelled_and_removed_too(
    bot: Bot, bot_with: Callable[..., Bot], models: FakeModels
) -> None:
    one = bot
    async with bot_with("ask", "moderation", settings={"safety.level": "off"}) as other:
        for line, what in (("/mod remove", None), ("/queue", "b0")):
            models.gate.clear()
            running = asyncio.create_task(last(other, ask("/ask hi", BEN)))
            await models.until(running=1)
            (job,) = await one.messages.find_unfinished("test", "school")
            reply = await last(one, ask(line if what else f"{line} {job.id}", MODERATOR))
            if what:
                reply = await last(one, press(what, reply.row, MODERATOR))
            assert not reply.error
            await other.moderation.stop_requested_runs()
            ended = await running
            assert ended.deleted if not what else ended.status == "Stopped."
            await models.until(running=0)


# Users who are no moderators


@pytest.mark.parametrize("user", [ANN, replace(ANN, roles=None)])
async def test_commands_and_buttons_are_only_for_moderators(bot: Bot, user: User) -> None:
    listed = await last(bot, ask("/queue", MODERATOR))
    await last(bot, timeout(BEN))
    lifting = await last(bot, ask("/timeouts list", MODERATOR))
    for line in ("mod remove 1", "timeout user:ben 10m", "timeouts list", "timeouts lift Ben", "queue"):
        reply = await last(bot, ask(f"/{line}", user))
        assert reply.text.endswith("is for moderators."), line
        assert reply.error
        assert reply.private
    for row in (listed.row, lifting.row):
        assert (await last(bot, press("b0", row, user))).text == "This has expired: it is no longer stored."
    assert len(bot.timeouts.active_in(SCHOOL)) == 1

"""Rounds of everybody in a place, their truth and their scores; the platforms have tests of their own."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, ROOM, THREAD, ask, last, press, speaking
from fakes.core.settings import put
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from bot.core.errors import DatabaseUnavailable, UserError
from bot.core.messages import Person, Place, Reply, User
from plugins.duel import DuelPlugin
from plugins.duel.rounds import Rounds

REAL, FORGED = (1, 3, 5, 7, 9, 11), (2, 4, 6, 8, 10, 12)
"""As the fake of the model server has them."""
ALONE = Place("terminal", "terminal")
VOTERS = [User(f"v{number}", f"Voter {number}") for number in range(10)]


@asynccontextmanager
async def playing(
    bot: Bot, line: str = "/duel seconds:300", user: User = ANN, *, again: int = 0
) -> AsyncIterator[tuple[Reply, asyncio.Task[Reply]]]:
    """Begin a round; yields its first reply with a sheet, and the task that returns its last one.

    `again` is the row of the round whose button Again begins it, if there is one.
    """
    stream = bot.prepare(press("again", again, user) if again else ask(line, user)).start()
    async for shown in stream:
        if shown.attachments:
            break

    async def rest() -> Reply:
        return [reply async for reply in stream][-1]

    ending = asyncio.create_task(rest())
    try:
        yield shown, ending
    finally:
        await stream.aclose()
        await asyncio.gather(ending, return_exceptions=True)


async def vote(bot: Bot, row: int, user: User, *numbers: int) -> Reply:
    """Press the numbers of some faces, one after the other; returns the last reply."""
    return [await last(bot, press(f"c{number}", row, user)) for number in numbers][-1]


def find_plugin(bot: Bot) -> DuelPlugin:
    """Return the plugin that plays."""
    return next(one for one in bot.registry.plugins if isinstance(one, DuelPlugin))


async def end(bot: Bot, row: int, user: User = ANN) -> Reply:
    """Press “Show the truth now”."""
    return await vote(bot, row, user, 13)


async def play(bot: Bot, *votes: tuple[User, tuple[int, ...]], line: str = "/duel seconds:300") -> Reply:
    """Return the last reply of a round with these votes."""
    async with playing(bot, line) as (shown, ending):
        for user, numbers in votes:
            await vote(bot, shown.row, user, *numbers)
        await end(bot, shown.row)
        return await ending


async def test_ten_vote_and_the_truth_is_told_with_everybodys_score(bot: Bot) -> None:
    async with playing(bot) as (shown, ending):
        assert [button.label for button in shown.buttons] == ["Vote", "Stop"]
        assert shown.attachments[0].alt == "12 numbered faces, half of them real emoji and half forged."
        ballot = await last(bot, press("c0", shown.row, VOTERS[0]))
        assert (ballot.private, ballot.row, len(ballot.buttons)) == (True, 0, 12)
        # One opens it and leaves, one marks twice what the others mark once.
        await last(bot, press("c0", shown.row, BEN))
        marked = await vote(bot, shown.row, VOTERS[0], 2, 4, 6, 8, 10, 1, 1)
        assert [button.label for button in marked.buttons][:3] == ["1", "✗ 2", "3"]
        for voter in VOTERS[1:]:
            await vote(bot, shown.row, voter, *FORGED)
        assert (await end(bot, shown.row)).text == "The round ends now."
        told = await ending
    assert told.text == (
        "**Real: 1, 3, 5, 7, 9, 11. Forged: 2, 4, 6, 8, 10, 12.**\n\n"
        + "".join(f"- **Voter {number}**: 12 of 12\n" for number in range(1, 10))
        + "- **Voter 0**: 11 of 12\n\n"
        "All of you together, by majority, were right about 12 of 12. The detective was right about 10 of 12. "
        "You have beaten the detective."
    )
    assert told.attachments[0].alt == "Real: 1, 3, 5, 7, 9, 11. Forged: 2, 4, 6, 8, 10, 12."
    assert [button.label for button in told.buttons][:2] == ["My marks", "Again"]
    own = await last(bot, press("c0", told.row, VOTERS[0]))
    assert own.text == ("This round is over. You took these for forged: 2, 4, 6, 8, 10. You were right about 11 of 12.")
    # A button of marks that is still open changes nothing any more.
    assert (await vote(bot, told.row, VOTERS[0], 12)).text == own.text


async def test_nobody_sees_what_others_have_marked_only_how_many_have_voted(bot: Bot) -> None:
    stream = bot.prepare(ask("/duel seconds:300")).start()
    voted = False
    async for shown in stream:
        if shown.attachments and not voted:
            assert re.fullmatch(r"0 have voted\. About \d+ seconds are left\.", shown.status)
            await vote(bot, shown.row, BEN, 2, 4)
            voted = True
        if shown.status.startswith("1 has voted."):
            break
    assert "Ben" not in repr(shown)
    assert not [
        button for button in (await last(bot, press("c0", shown.row, VOTERS[0]))).buttons if "✗" in button.label
    ]
    await stream.aclose()


async def test_no_vote_is_judged_by_the_safety_classifier(bot: Bot, models: FakeModels) -> None:
    await put(bot.settings, "safety.level", "classroom")
    async with playing(bot) as (shown, _):
        assert "forged: 2." in (await vote(bot, shown.row, BEN, 2)).text
    sheet = await last(bot, ask("/duel", alone=True))
    truth = await last(bot, press("b1", sheet.row))
    assert (truth.quote, models.moderated) == ("", [])


async def test_a_round_ends_by_its_clock(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DuelPlugin, "second", 0.01)
    told = await last(bot, ask("/duel seconds:10"))
    assert told.text.endswith("Nobody has voted. The detective was right about 10 of 12.")


async def test_two_rounds_at_one_place_are_refused_and_at_two_places_are_not(bot: Bot) -> None:
    async with playing(bot) as (shown, _):
        # A thread of the channel has the same people; on Slack, each answer begins one.
        for place in (ROOM, THREAD):
            refused = await last(bot, ask("/duel", BEN, place))
            assert refused.text.startswith("A round is going on here already, for ")
        elsewhere = replace(ROOM, channel="other")
        async for other in bot.prepare(ask("/duel seconds:300", BEN, elsewhere)).start():
            if other.attachments:
                break
        bot.runs.stop(other.row)
        bot.runs.stop(shown.row)
    async with playing(bot, user=BEN) as (again, _):
        assert again.attachments


async def test_only_who_began_and_moderators_can_end_it(bot: Bot) -> None:
    async with playing(bot) as (shown, ending):
        assert (await end(bot, shown.row, BEN)).text == "Only who began the round and moderators can end it."
        assert len((await last(bot, press("c0", shown.row, MODERATOR))).buttons) == 13
        await end(bot, shown.row, MODERATOR)
        assert (await ending).final


async def test_a_round_that_is_stopped_tells_nothing_and_takes_no_votes(bot: Bot) -> None:
    async with playing(bot) as (shown, ending):
        await vote(bot, shown.row, BEN, 2)
        bot.runs.stop(shown.row)
        stopped = await ending
    assert (stopped.status, "Forged:" in stopped.text) == ("Stopped.", False)
    assert "Vote" not in [button.label for button in stopped.buttons]
    assert (await last(bot, press("c2", shown.row, BEN))).error


async def test_the_next_round_can_begin_as_soon_as_the_truth_is_told(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = Rounds.leave

    async def leave_late(rounds: Rounds, place: str, round_id: str) -> None:
        await asyncio.sleep(0.5)
        await leave(rounds, place, round_id)

    monkeypatch.setattr(Rounds, "leave", leave_late)
    async with playing(bot) as (shown, ending):
        await end(bot, shown.row)
        told = await ending
        async with playing(bot, again=told.row) as (following, _):
            assert following.attachments, following.text


@pytest.mark.parametrize("method", ["change", "delete"])
async def test_the_truth_is_told_although_the_database_is_away_for_a_moment(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    store, failures = find_plugin(bot).rounds._store, [DatabaseUnavailable()]
    real = getattr(store, method)

    async def fail_once(*arguments: object, **options: object) -> object:
        if failures:
            raise failures.pop()
        return await real(*arguments, **options)

    async with playing(bot) as (shown, ending):
        await vote(bot, shown.row, BEN, *FORGED)
        await end(bot, shown.row)
        # While marks that came in time may still be stored.
        monkeypatch.setattr(store, method, fail_once)
        told = await ending
    assert (failures, "**Ben**: 12 of 12" in told.text) == ([], True)


async def test_a_round_that_ends_with_the_bot_in_the_moment_of_its_truth_is_told(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = asyncio.Event()

    async def count_for_ever(*_: object) -> None:
        counting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Rounds, "count_scores", count_for_ever)
    async with playing(bot) as (shown, _):
        await vote(bot, shown.row, BEN, *FORGED)
        await end(bot, shown.row)
        await counting.wait()
    row = await bot.messages.get(shown.row)
    assert row is not None
    assert "**Ben**: 12 of 12" in row.text


async def test_a_round_whose_end_cannot_be_stored_as_the_bot_ends_is_told_later(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    async with playing(bot) as (shown, _):
        await vote(bot, shown.row, BEN, *FORGED)
        monkeypatch.setattr(Rounds, "change", away)
    row = await bot.messages.get(shown.row)
    assert row is not None
    assert row.state == "interrupted"


async def test_scores_are_kept_for_each_server(bot: Bot) -> None:
    assert (await last(bot, ask("/duel scores"))).error
    await play(bot, (ANN, FORGED), (BEN, (2, 4, 6)))
    await play(bot, (BEN, (2, 4, 6, 8)))
    # A sheet that somebody may know already counts for nothing.
    await play(bot, (BEN, FORGED), line="/duel seconds:300 seed:7")
    assert (await last(bot, ask("/duel scores"))).text == (
        "1. **Ann**: 12 of 12 right, rounds: 1, 12 in the best one\n"
        "2. **Ben**: 19 of 24 right, rounds: 2, 10 in the best one"
    )
    assert (await last(bot, ask("/duel scores", place=replace(ROOM, server="other")))).error


async def test_who_has_their_data_deleted_is_in_no_score_and_no_truth(bot: Bot) -> None:
    told = await play(bot, (ANN, FORGED), (BEN, (2, 4, 6)))
    listed = await last(bot, ask("/duel scores"))
    # Another answer to the same question, which does not name him.
    async with playing(bot, again=told.row) as (shown, ending):
        await vote(bot, shown.row, ANN, 2)
        await end(bot, shown.row)
        other = await ending
    exported = await last(bot, ask("/privacy export", BEN))
    data = json.loads(exported.attachments[0].data)
    assert sorted(row["scope"].partition(":")[0] for row in data["plugin_data"]) == ["named", "round", "scores"]
    assert [2, 4, 6] in [row["value"].get("forged") for row in data["plugin_data"]]
    asked = await last(bot, ask("/privacy delete", BEN))
    await last(bot, press("b0", asked.row, BEN))
    assert [await bot.messages.get(row) for row in (told.row, listed.row)] == [None, None]
    kept = await bot.messages.get(other.row)
    assert kept is not None
    assert "- **Ann**: 7 of 12" in kept.text
    assert await bot.messages.get(kept.parent or 0) is not None
    assert "Ben" not in (await last(bot, ask("/duel scores"))).text
    after = await last(bot, ask("/privacy export", BEN))
    assert json.loads(after.attachments[0].data)["plugin_data"] == []


async def test_a_round_is_told_in_the_language_of_who_began_it(bot: Bot) -> None:
    async with playing(bot, user=speaking("de")) as (shown, ending):
        assert shown.buttons[0].label == "Abstimmen"
        await vote(bot, shown.row, speaking("es", BEN), 2)
        await end(bot, shown.row)
        assert "Der Detektiv hat gewonnen." in (await ending).text


async def test_somebody_alone_types_what_they_take_for_forged(bot: Bot, models: FakeModels) -> None:
    sheet = await last(bot, ask("/duel", place=ALONE))
    assert "`/duel forged:1,4,7`" in sheet.text
    assert (await last(bot, ask('/duel forged:"1.5"', place=ALONE))).error
    told = await last(bot, ask('/duel forged:"2 4 6 8 10 12"', place=ALONE))
    assert "- **Ann**: 12 of 12" in told.text
    again = await last(bot, replace(press("again", told.row), place=ALONE))
    assert (again.error, [button.label for button in again.buttons][:2]) == (False, ["Vote", "Show the truth now"])
    assert (await last(bot, ask("/duel forged:2", place=ALONE))).final
    assert (await last(bot, ask("/duel forged:1", place=ALONE))).text == (
        "You have no round whose truth you do not know yet; /duel begins one."
    )
    refused = bot.prepare(ask("/duel forged:1"))
    # Nothing of it may be shown to the others before it is refused.
    assert (refused.private, bot.prepare(ask("/duel forged:1", place=ALONE)).private) == (True, False)
    assert [reply.text async for reply in refused.start()][-1] == (
        "Vote with the button below the round, so that nobody else sees your marks."
    )


async def test_somebody_alone_ends_their_round_among_the_numbers(bot: Bot) -> None:
    sheet = await last(bot, ask("/duel", alone=True))
    ballot = await last(bot, press("c0", sheet.row))
    assert ballot.buttons[-1].label == "Show the truth now"
    await vote(bot, sheet.row, ANN, 2)
    told = await end(bot, sheet.row)
    assert ("- **Ann**: 7 of 12" in told.text, told.attachments) == (True, ())
    assert (await vote(bot, sheet.row, ANN, 4)).text.startswith("This round is over. You took these for forged: 2.")


async def test_votes_count_while_the_bot_waits_for_the_round_to_end(bot: Bot) -> None:
    async with playing(bot) as (shown, ending):
        draining = asyncio.create_task(bot.drain(20))
        await asyncio.sleep(0)
        assert (await last(bot, ask("/duel scores"))).text.startswith("The bot is being restarted.")
        await vote(bot, shown.row, BEN, *FORGED)
        await end(bot, shown.row)
        assert "- **Ben**: 12 of 12" in (await ending).text
        await draining


async def test_a_round_goes_on_though_the_database_is_away_for_a_moment(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.duel.TICK_SECONDS", 0.01)
    rounds = find_plugin(bot).rounds
    away = dict.fromkeys(("all_marks", "find"), 2)

    def fail_at_first(name: str) -> None:
        read = getattr(rounds, name)

        async def fail(round_id: str) -> object:
            away[name] -= 1
            if away[name] >= 0:
                raise DatabaseUnavailable
            return await read(round_id)

        monkeypatch.setattr(rounds, name, fail)

    for name in away:
        fail_at_first(name)
    async with playing(bot) as (shown, ending):

        async def is_back() -> bool:
            return max(away.values()) < 0

        await eventually(is_back)
        await vote(bot, shown.row, BEN, 2)
        await end(bot, shown.row)
        assert "- **Ben**: 7 of 12" in (await ending).text


async def test_a_drawing_that_fails_makes_room_for_another_round(bot: Bot, models: FakeModels) -> None:
    models.failure = 503, "The model is away."
    assert (await last(bot, ask("/duel"))).error
    models.failure = None
    async with playing(bot) as (shown, _):
        assert shown.attachments


async def test_a_class_presses_at_once(bot: Bot) -> None:
    people = [User(f"p{number}", f"P{number}") for number in range(60)]
    async with playing(bot) as (shown, ending):
        replies = await asyncio.gather(*(last(bot, press("c2", shown.row, one)) for one in people))
        assert all("You take these for forged: 2." in reply.text for reply in replies)
        await end(bot, shown.row)
        assert "- and 40 more" in (await ending).text


async def test_rounds_are_forgotten_after_a_day(bot: Bot) -> None:
    told = await play(bot, (BEN, (2,)))
    plugin = find_plugin(bot)
    await plugin.rounds.purge()
    assert "This round is over." in (await last(bot, press("c0", told.row, BEN))).text
    await plugin.rounds.purge(time.time() + 86_500)
    assert (await last(bot, press("c0", told.row, BEN))).text == "This round is no longer stored."
    assert (await last(bot, ask("/duel scores"))).text.startswith("1. **Ben**")
    await plugin.rounds.purge(time.time() + 31 * 86_400)
    assert (await last(bot, ask("/duel scores"))).error


async def test_a_claim_lasts_while_a_sheet_is_drawn_and_no_longer(bot: Bot) -> None:
    rounds = find_plugin(bot).rounds
    await rounds.claim("here", "1", 300)
    await rounds.purge()
    with pytest.raises(UserError):
        await rounds.claim("here", "2", 300)
    await rounds.purge(time.time() + 301)
    await rounds.claim("here", "2", 300)


async def test_answers_that_are_purged_name_nobody(bot: Bot) -> None:
    rounds = Rounds(find_plugin(bot).host.store, 0)
    for answer in (1, 2):
        await rounds.note_names(["test:ben"], answer)
    assert await rounds.answers_naming(Person("test", "ben", "Ben")) == [2]

"""The turns that a question continues, from rows written by hand; the way through `prepare` is in test_app.py."""

from itertools import pairwise
from typing import Any

import pytest
from fakes.storage import rows
from hypothesis import given
from hypothesis import strategies as st

from bot import Token
from bot.answers.history import MAX_CHARACTERS, MAX_QUESTIONS, History, first_kept
from bot.core.messages import ALONE, PRIVATE_THREAD
from bot.storage.database import Database, DeliveryRow, MessageRow, TokensRow
from bot.storage.tokens import pack

THREAD = {"thread": "thread"}
"""Where most of these tests take place: everybody reads it, and it is a conversation."""


async def keep(database: Database, **values: Any) -> MessageRow:
    return await rows.keep(database, **THREAD | values)


async def exchange(database: Database, question: str, answer: str, **values: Any) -> tuple[MessageRow, MessageRow]:
    return await rows.exchange(database, question, answer, **THREAD | values)


def read(
    database: Database, asked: MessageRow | None, reader: str = "ann", *, private: bool = False, alone: bool = False
) -> History:
    return History(database, asked, reader=reader, private=private, alone=alone)


async def turns(database: Database, reader: str = "", *, alone: bool = False, **question: object) -> list[str]:
    asked = await keep(database, text="now", **question)
    history = read(database, asked, reader or asked.author, private=asked.private, alone=alone)
    return [turn.content for turn in await history.turns()]


async def test_questions_and_answers_are_turns_without_the_present_question(database: Database) -> None:
    await exchange(database, "one", "1")
    await exchange(database, "two", "2")
    asked = await keep(database, text="now")
    assert [(turn.role, turn.content) for turn in await read(database, asked).turns()] == [
        ("user", "one"),
        ("assistant", "1"),
        ("user", "two"),
        ("assistant", "2"),
    ]


async def test_without_a_question_there_is_no_conversation(database: Database) -> None:
    await exchange(database, "one", "1")
    history = read(database, None)
    await history.restart()
    assert await history.turns() == []
    assert await turns(database) == ["one", "1"]


@pytest.mark.parametrize("state", ["queued", "running", "failed", "interrupted", "deleted"])
async def test_a_question_without_a_finished_answer_is_no_turn(database: Database, state: str) -> None:
    asked = await keep(database, text="one")
    await keep(database, role="assistant", parent=asked.id, text="half", state=state)
    assert await turns(database) == []


@pytest.mark.parametrize(
    "elsewhere",
    [{"platform": "other"}, {"server": "other"}, {"channel": "other"}, {"thread": "other"}, {"command": "explain"}],
    ids=str,
)
async def test_another_place_and_another_command_are_another_conversation(
    database: Database, elsewhere: dict[str, str]
) -> None:
    await exchange(database, "one", "1", **elsewhere)
    assert await turns(database) == []
    assert await turns(database, **elsewhere) == ["one", "1"]


async def test_private_turns_are_read_only_by_their_author(database: Database) -> None:
    await exchange(database, "secret", "s", private=True, author="ben")
    await exchange(database, "open", "o")
    assert await turns(database, private=True) == ["open", "o"]
    assert await turns(database, private=True, author="ben") == ["secret", "s", "open", "o"]


async def test_private_turns_are_left_out_of_public_answers(database: Database) -> None:
    await exchange(database, "secret", "s", private=True)
    asked, _ = await exchange(database, "open", "o")
    await keep(database, role="assistant", parent=asked.id, text="private o", private=True)
    assert await turns(database) == ["open", "o"]


async def test_a_public_chain_leaves_out_private_turns_and_continues_before_them(database: Database) -> None:
    _, first = await exchange(database, "one", "1")
    _, secret = await exchange(database, "secret", "s", private=True, parent=first.id)
    assert await turns(database, parent=secret.id) == ["one", "1"]
    assert await turns(database, parent=secret.id, private=True) == ["one", "1", "secret", "s"]


async def test_private_turns_are_turns_if_nobody_else_reads_along(database: Database) -> None:
    _, secret = await exchange(database, "secret", "s", private=True, server="")
    for chain in ({}, {"parent": secret.id}):
        assert await turns(database, alone=True, server="", **chain) == ["secret", "s"]
        # Direct messages may be other people's, in which the bot is used.
        assert await turns(database, server="", **chain) == []


async def test_another_answer_to_somebody_elses_question_reads_only_ones_own_private_turns(
    database: Database,
) -> None:
    _, secret = await exchange(database, "secret", "s", private=True)
    await exchange(database, "his", "h", private=True, author="ben")
    assert await turns(database, private=True) == ["secret", "s"]
    assert await turns(database, "ben", private=True) == ["his", "h"]
    assert await turns(database, "ben", private=True, parent=secret.id) == []
    await read(database, await keep(database, private=True, command="new")).restart()
    assert await turns(database, private=True) == []
    assert await turns(database, "ben", private=True) == ["his", "h"]


async def test_a_private_answer_to_a_public_question_is_read_only_by_its_author(database: Database) -> None:
    asked, _ = await exchange(database, "one", "1", card={"seed": "1"})
    mine = {"role": "assistant", "parent": asked.id, "private": True, "author": "ben"}
    his = await keep(database, text="b", card={"seed": "2"}, **mine)
    async with database.writing() as session:
        session.add(TokensRow(message=his.id, data=pack((Token("b", 0.5),))))
    private = {"private": True}
    assert (await turns(database, **private), await turns(database, "ben", **private)) == (["one", "1"], ["one", "b"])
    assert await read(database, asked).tokens(his.id) == ()
    assert [token.text for token in await read(database, asked, "ben").tokens(his.id)] == ["b"]
    here = await keep(database, text="how?")
    for reader, seed in (("ann", "1"), ("ben", "2")):
        made = await read(database, here, reader).made()
        assert made is not None
        assert made.card["seed"] == seed


@pytest.mark.parametrize("private", [False, True])
async def test_a_restart_ends_only_the_conversation_of_its_author(database: Database, private: bool) -> None:
    await exchange(database, "one", "1")
    new = await keep(database, private=private, author="ben", command="new")
    await read(database, new, "ben").restart()
    await exchange(database, "two", "2", author="ben")
    assert await turns(database) == ["one", "1", "two", "2"]
    assert await turns(database, author="ben") == ["two", "2"]


@pytest.mark.parametrize(
    ("place", "alone", "kept"),
    [
        ({}, False, False),
        ({"server": ""}, False, False),
        ({"server": ""}, True, True),
        # On Slack, each question begins a thread, also in direct messages.
        ({"thread": "1.2", "external": "1.2"}, False, False),
        ({"thread": "1.3", "external": "1.3", "server": ""}, True, True),
        ({"thread": "42"}, False, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("stored", [True, False], ids=["now", "stored before"])
async def test_the_kind_of_place_decides_whether_earlier_turns_are_read(
    database: Database, place: dict[str, str], alone: bool, kept: bool, stored: bool
) -> None:
    place = {"thread": "", "external": ""} | place
    known = place | ({"resume": {ALONE: alone}} if stored else {})
    await exchange(
        database, "one", "1", **(known | {"thread": "1.1", "external": "1.1"} if place["external"] else known)
    )
    asked = await keep(database, text="now", **known)
    history = read(database, asked, alone=alone)
    # The rule of a stored question is that of its own time.
    later = read(database, asked, alone=not alone) if stored else history
    for one in (history, later):
        assert [turn.content for turn in await one.turns()] == (["one", "1"] if kept else [])
        assert one.begins_afresh is not kept


async def test_in_direct_messages_threads_are_beside_the_conversation(database: Database) -> None:
    """As on Slack, where each question has a thread below it."""
    here = {"server": "", "resume": {ALONE: True}}
    _, first = await exchange(database, "one", "1", thread="1", external="1", **here)
    await exchange(database, "aside", "a", thread="1", **here)
    await exchange(database, "two", "2", thread="2", external="2", **here)
    for thread, read_there in {"3": ["one", "1", "two", "2"], "1": ["one", "1", "aside", "a"]}.items():
        external = "3" if thread == "3" else ""
        assert await turns(database, alone=True, thread=thread, external=external, **here) == read_there
    assert await turns(database, alone=True, thread="2", **here) == ["one", "1", "two", "2"]
    await read(database, await keep(database, thread="4", external="4", command="new", **here)).restart()
    assert await turns(database, alone=True, thread="5", external="5", **here) == []
    assert await turns(database, alone=True, thread="1", **here) == ["one", "1", "aside", "a"]
    assert await turns(database, alone=True, thread="5", external="5", parent=first.id, **here) == ["one", "1"]


async def test_a_thread_includes_the_message_that_it_hangs_under(database: Database) -> None:
    room = {"thread": ""}
    _, first = await exchange(database, "one", "1", **room)
    _, shown = await exchange(database, "two", "2", parent=first.id, command="explain", **room)
    async with database.writing() as session:
        session.add(DeliveryRow(platform="test", channel="room", external="77", message=shown.id, part=0))
    assert await turns(database, thread="77") == ["one", "1", "two", "2"]
    await exchange(database, "three", "3", thread="77", author="ben")
    assert await turns(database, thread="77") == ["one", "1", "two", "2", "three", "3"]
    made = await read(database, await keep(database, thread="77")).made()
    assert made is not None
    assert made.command == "explain"
    await read(database, await keep(database, thread="77", command="new")).restart()
    assert await turns(database, thread="77") == []
    assert await turns(database, thread="77", author="ben") == ["one", "1", "two", "2", "three", "3"]
    # On Slack the question itself begins the thread.
    await exchange(database, "four", "4", thread="78", external="78", command="explain")
    assert await turns(database, thread="78") == ["four", "4"]


async def test_a_reply_in_a_thread_reads_what_the_answer_had_read(database: Database) -> None:
    await exchange(database, "one", "1")
    _, second = await exchange(database, "two", "2")
    await exchange(database, "three", "3")
    assert await turns(database, parent=second.id) == ["one", "1", "two", "2"]


async def test_an_edited_question_reads_what_it_had_read_before(database: Database) -> None:
    await exchange(database, "one", "1")
    _, second = await exchange(database, "two", "2")
    await exchange(database, "three", "3")
    edited, answer = await exchange(database, "two?", "2?", source=second.id)
    assert [turn.content for turn in await read(database, edited).turns()] == ["one", "1"]
    assert await turns(database, source=answer.id) == ["one", "1"]
    assert await turns(database, parent=answer.id, source=answer.id) == ["one", "1", "two?", "2?"]


async def test_another_answer_reads_what_had_been_answered_then(database: Database) -> None:
    first, _ = await exchange(database, "one", "1")
    asked = await keep(database, text="two")
    await keep(database, role="assistant", parent=first.id, text="1 again")
    assert [turn.content for turn in await read(database, asked).turns()] == ["one", "1"]
    assert await turns(database) == ["one", "1 again"]


async def test_of_a_long_conversation_only_the_end_is_read(database: Database) -> None:
    """Whether it is a thread or a chain of replies, half is left out at once, so that the beginning changes seldom."""
    chain = None
    for number in range(MAX_QUESTIONS + 1):
        if number == MAX_QUESTIONS:
            for asked in (rows.message(id=1000, parent=chain), rows.message(id=1000, **THREAD)):
                found = await read(database, asked).turns()
                assert (len(found), found[0].content) == (2 * MAX_QUESTIONS, "q0")
        _, answer = await exchange(database, f"q{number}", f"a{number}", parent=chain)
        chain = answer.id
    for asked in (rows.message(id=1000, parent=chain), rows.message(id=1000, **THREAD)):
        found = await read(database, asked).turns()
        assert (len(found), found[0].content) == (MAX_QUESTIONS, f"q{MAX_QUESTIONS // 2 + 1}")


async def test_fewer_turns_are_read_if_they_are_long(database: Database) -> None:
    await exchange(database, "short", "1")
    await exchange(database, "q" * (MAX_CHARACTERS // 2), "2")
    assert [text[:5] for text in await turns(database)] == ["short", "1", "qqqqq", "2"]
    await exchange(database, "three", "a" * (MAX_CHARACTERS // 2 - len("three")))
    await exchange(database, "4", "")
    assert [text[:5] for text in await turns(database)] == ["three", "aaaaa"]
    await exchange(database, "five", "5")
    assert [text[:5] for text in await turns(database)] == ["three", "aaaaa", "five", "5"]


@given(st.lists(st.integers(1, 30), max_size=200), st.integers(1, 100))
def test_what_is_kept_fits_and_begins_elsewhere_only_when_half_has_been_added(sizes: list[int], budget: int) -> None:
    begins = [first_kept(sizes[:count], budget) for count in range(len(sizes) + 1)]
    assert begins == sorted(begins)
    changes = [count for count in range(1, len(begins)) if begins[count] != begins[count - 1]]
    for count, begin in enumerate(begins):
        assert sum(sizes[begin:count]) <= budget
    for one, other in pairwise(changes):
        # What was added since the change before, with what was left then, exceeded the budget.
        assert sum(sizes[begins[one] : other]) > budget
        assert sum(sizes[begins[one] : one]) <= max(budget // 2, sizes[one - 1])


async def test_a_chain_of_replies_leaves_out_other_messages(database: Database) -> None:
    _, first = await exchange(database, "one", "1")
    await exchange(database, "between", "b")
    _, second = await exchange(database, "two", "2", thread="7", parent=first.id)
    assert second.parent is not None
    assert await turns(database, parent=second.id) == ["one", "1", "two", "2"]


async def test_a_chain_has_the_answer_that_was_replied_to_and_not_a_newer_one(database: Database) -> None:
    asked, first = await exchange(database, "one", "1")
    _, second = await exchange(database, "two", "2", parent=first.id)
    again = await keep(database, role="assistant", parent=asked.id, text="1 again")
    assert await turns(database, parent=first.id) == ["one", "1"]
    assert await turns(database, parent=second.id) == ["one", "1", "two", "2"]
    assert await turns(database, parent=again.id) == ["one", "1 again"]
    half = await keep(database, role="assistant", parent=asked.id, text="ha", state="interrupted")
    assert await turns(database, parent=half.id) == ["one", "1 again"]
    assert await turns(database) == ["one", "1 again", "two", "2"]


async def test_a_chain_ends_at_anothers_private_words(database: Database) -> None:
    _, secret = await exchange(database, "secret", "s", private=True, author="ben")
    _, reply = await exchange(database, "two", "2", parent=secret.id)
    assert await turns(database, parent=reply.id) == ["two", "2"]
    assert await turns(database, parent=reply.id, author="ben", private=True) == ["secret", "s", "two", "2"]
    assert await turns(database, parent=reply.id, author="ben") == ["two", "2"]


async def test_a_chain_ends_where_a_message_was_purged(database: Database) -> None:
    _, reply = await exchange(database, "two", "2", parent=999)
    assert await turns(database, parent=reply.id) == ["two", "2"]


async def test_provenance_in_a_channel_includes_its_threads_unless_they_are_private(
    database: Database,
) -> None:
    await exchange(database, "open", "o", thread="1", card={"seed": "1"}, resume={"guild": "school"})
    await exchange(database, "secret", "s", thread="2", card={"seed": "2"}, resume={PRIVATE_THREAD: True})
    for thread, seed in (("", "1"), ("1", "1"), ("2", "2")):
        made = await read(database, await keep(database, text="how?", thread=thread)).made()
        assert made is not None
        assert made.card["seed"] == seed


async def test_only_tokens_of_an_answer_to_this_question_are_returned(database: Database) -> None:
    asked, answer = await exchange(database, "one", "1")
    other, _ = await exchange(database, "two", "2")
    async with database.writing() as session:
        session.add(TokensRow(message=answer.id, data=pack((Token("1", 0.5),))))
    assert [token.text for token in await read(database, asked).tokens(answer.id)] == ["1"]
    assert await read(database, other).tokens(answer.id) == ()
    assert await read(database, asked).tokens(999) == ()
    assert await read(database, None).tokens(answer.id) == ()

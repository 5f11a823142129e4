"""The turns that a question continues, from rows written by hand; the way through `prepare` is in test_app.py."""

import pytest
from fakes.storage.rows import exchange, keep

from bot import Token
from bot.answers.history import MAX_CHARACTERS, MAX_QUESTIONS, History
from bot.core.messages import PRIVATE_THREAD
from bot.storage.database import Database, MessageRow, TokensRow
from bot.storage.tokens import pack


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


async def test_a_private_restart_counts_only_for_its_author(database: Database) -> None:
    await exchange(database, "one", "1")
    await read(database, await keep(database, private=True, author="ben", command="new"), "ben").restart()
    assert await turns(database) == ["one", "1"]
    assert await turns(database, author="ben") == []


async def test_a_long_conversation_is_read_from_its_end(database: Database) -> None:
    for number in range(MAX_QUESTIONS + 2):
        await exchange(database, f"q{number}", f"a{number}")
    found = await turns(database)
    assert len(found) == 2 * MAX_QUESTIONS
    assert (found[0], found[-1]) == ("q2", f"a{MAX_QUESTIONS + 1}")


async def test_fewer_turns_are_read_if_they_are_long(database: Database) -> None:
    await exchange(database, "short", "1")
    await exchange(database, "q" * (MAX_CHARACTERS // 2), "2")
    await exchange(database, "three", "a" * (MAX_CHARACTERS // 2 - len("three") - 1))
    assert [text[:5] for text in await turns(database)] == ["qqqqq", "2", "three", "aaaaa"]
    await exchange(database, "4", "")
    await exchange(database, "five", "5")
    assert [text[:5] for text in await turns(database)] == ["three", "aaaaa", "five", "5"]


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

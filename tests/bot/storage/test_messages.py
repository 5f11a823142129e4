"""What is stored of messages; the way through `prepare` is in test_app.py."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from fakes.core.requests import ANN, BEN, ROOM
from fakes.storage.rows import exchange, keep
from sqlalchemy import func, select

from bot import Attachment, Button, Context, LikelyToken, Plugin, Reply, Token, command
from bot.core.errors import Expired
from bot.core.messages import Place, Request
from bot.storage import messages as journals
from bot.storage.database import AttachmentRow, Database, VoteRow
from bot.storage.instances import Instance
from bot.storage.messages import MessageStore


class Sample(Plugin):
    name = "sample"

    @command()
    async def ask(self, ctx: Context, prompt: str, seed: int = 0) -> AsyncIterator[Reply]:
        """Ask."""
        yield Reply(text=prompt)


(ASK,) = Sample().commands()
PICTURE = Attachment("a.png", b"\x89png", "image/png", alt="a dot", spoiler=True)


@pytest.fixture
async def journal(database: Database) -> AsyncIterator[MessageStore]:
    async with Instance(database) as instance:
        yield MessageStore(database, instance)


def said(text: str = "hi", **more: object) -> Request:
    return Request(user=ANN, place=ROOM, text=text, **more)


async def opened(journal: MessageStore, request: Request | None = None, **more: object) -> tuple[int, int]:
    question, answer = await journal.open(request or said(), ASK, {"prompt": "hi", "seed": 1}, private=False, **more)
    return question.id, answer.id


async def test_question_and_answer_are_stored_before_anything_runs(journal: MessageStore) -> None:
    request = said(message="m1", resume={"line": "/ask hi"})
    question, answer = await journal.open(request, ASK, {"prompt": "hi", "seed": 1}, private=True)
    assert (question.role, question.state, question.text, question.external) == ("user", "done", "hi", "m1")
    assert (answer.role, answer.state, answer.text, answer.parent) == ("assistant", "queued", "", question.id)
    assert (answer.author, answer.author_name, answer.command, answer.private) == ("ann", "Ann", "ask", True)
    assert (answer.options, answer.resume) == ({"prompt": "hi", "seed": 1}, {"line": "/ask hi"})
    assert answer.instance
    assert (answer.platform, answer.server, answer.channel, answer.thread) == ("test", "school", "room", "")


async def test_no_row_has_a_number_that_no_database_holds(journal: MessageStore) -> None:
    for number in (999, 2**31 - 1, 2**31, 10**18 - 1):
        assert await journal.get(number) is None


async def test_a_second_answer_to_the_same_question(journal: MessageStore) -> None:
    question, first = await opened(journal)
    again, second = await opened(journal, question=question)
    assert again == question
    assert second != first


async def test_a_question_that_is_gone_gets_no_second_answer(journal: MessageStore) -> None:
    question, answer = await opened(journal)
    row = await journal.get(answer)
    assert row is not None
    await journal.delete(row)
    for gone in (question, 999):
        with pytest.raises(Expired, match="the question is no longer stored"):
            await opened(journal, question=gone)


async def test_a_reply_is_found_by_the_platforms_name(journal: MessageStore) -> None:
    _, answer = await opened(journal)
    await journal.deliver(answer, ["a0", "a2"])
    await journal.deliver(answer, ["a0", "a1"])
    assert await journal.delivered(answer) == ["a0", "a1"]
    assert await journal.find(ROOM, "a2") is None
    for part in ("a0", "a1"):
        found = await journal.find(ROOM, part)
        assert found is not None
        assert found.id == answer
    assert await journal.find(Place("test", "other room", server="school"), "a1") is None
    question, _ = await opened(journal, said(reply_to="a1"))
    row = await journal.get(question)
    assert row is not None
    assert row.parent == answer
    unknown, _ = await opened(journal, said(reply_to="somebody else's"))
    row = await journal.get(unknown)
    assert row is not None
    assert row.parent is None


async def test_the_last_reply_comes_back_as_it_was(journal: MessageStore) -> None:
    _, answer = await opened(journal)
    button = Button("Go on", "ask", {"prompt": "x"})
    shown = Reply(text="done", card={"seed": "7"}, attachments=(PICTURE,), buttons=(button,), final=True)
    assert await journal.close(answer, shown, "done")
    row = await journal.get(answer)
    assert row is not None
    assert (row.state, row.seed) == ("done", 7)
    assert await journal.reply(row) == shown


async def test_files_are_known_without_being_read(journal: MessageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "HEAD_BYTES", 2)
    _, other = await opened(journal)
    _, answer = await opened(journal)
    text = Attachment("a.txt", b"abc", "text/plain", alt="letters", spoiler=True)
    await journal.close(answer, Reply(attachments=(PICTURE, text), final=True), "done")
    picture, stored = await journal.files(answer)
    assert (picture.filename, picture.size, picture.head) == (PICTURE.filename, len(PICTURE.data), PICTURE.data[:2])
    assert (stored.media_type, stored.alt, stored.spoiler, stored.head) == ("text/plain", "letters", True, b"ab")
    assert await journal.file(answer, stored.id) == text
    assert await journal.file(other, stored.id) is None
    row = await journal.get(answer)
    assert row is not None
    assert (await journal.reply(row, files=False)).attachments == ()
    await journal.delete(row)
    assert await journal.file(answer, stored.id) is None
    assert await journal.files(answer) == []


@pytest.mark.parametrize(("card", "seed"), [({}, None), ({"seed": "x"}, None), ({"seed": "-1"}, None)])
async def test_a_card_without_a_seed(journal: MessageStore, card: dict[str, str], seed: None) -> None:
    _, answer = await opened(journal)
    await journal.close(answer, Reply(card=card, final=True), "done")
    row = await journal.get(answer)
    assert row is not None
    assert row.seed is seed


async def test_what_was_deleted_stays_so(journal: MessageStore, database: Database) -> None:
    question, answer = await opened(journal)
    await journal.close(answer, Reply(text="said", attachments=(PICTURE,), final=True), "done")
    await journal.vote(answer, "ann", 1)
    row = await journal.get(answer)
    assert row is not None
    await journal.delete(row)
    await journal.note(answer, text="late")
    assert not await journal.close(answer, Reply(text="later", attachments=(PICTURE,), final=True), "done")
    assert await journal.get(answer) is None
    assert await journal.get(question) is None
    async with database.reading() as session:
        assert await session.scalar(select(func.count(AttachmentRow.id))) == 0
        assert await session.scalar(select(func.count(VoteRow.message))) == 0


async def test_a_question_stays_while_one_of_its_answers_does(journal: MessageStore) -> None:
    question, first = await opened(journal)
    _, second = await opened(journal, question=question)
    for answer, left in ((first, True), (second, False)):
        row = await journal.get(answer)
        assert row is not None
        await journal.delete(row)
        assert (await journal.get(question) is not None) is left


async def test_an_answer_without_its_thread_is_one_in_the_channel(journal: MessageStore) -> None:
    thread = replace(ROOM, thread="t1")
    question, answer = await opened(journal, replace(said(message="t1"), place=thread))
    other, _ = await opened(journal, replace(said(), place=thread))
    await journal.leave_thread(answer)
    assert [row.id for row in await journal.recent(ROOM, 9)] == [question, answer]
    assert [row.id for row in await journal.recent(thread, 1)] == [other + 1]
    assert await journal.find(ROOM, "t1") is None
    await journal.leave_thread(0)


async def test_votes(journal: MessageStore) -> None:
    _, answer = await opened(journal)
    for user, value in (("ann", 1), ("ben", 1), ("cem", -1), ("ben", 1), ("ann", -1)):
        await journal.vote(answer, user, value)
    assert await journal.votes(answer) == (0, 2)
    assert await journal.votes(999) == (0, 0)


async def test_the_newest_messages_of_a_place_oldest_first(journal: MessageStore, database: Database) -> None:
    for word in ("one", "two", "three"):
        await exchange(database, word, word.upper())
    await keep(database, text="elsewhere", thread="7")
    await keep(database, text="", role="break")
    await keep(database, text="", state="deleted")
    assert [row.text for row in await journal.recent(ROOM, 3)] == ["TWO", "three", "THREE"]


async def test_only_what_a_dead_process_of_the_platform_left_is_cut(journal: MessageStore, database: Database) -> None:
    _, mine = await opened(journal)
    dead = {"role": "assistant", "instance": "dead", "text": "half"}
    queued = await keep(database, state="queued", **dead)
    running = await keep(database, state="running", **dead)
    await keep(database, state="done", **dead)
    elsewhere = await keep(database, state="running", platform="other", **dead)
    assert [row.id for row in await journal.interrupt(["test"])] == [queued.id, running.id]
    assert await journal.interrupt(["test"]) == []
    for row_id, state in ((mine, "queued"), (running.id, "interrupted"), (elsewhere.id, "running")):
        row = await journal.get(row_id)
        assert row is not None
        assert row.state == state
    row = await journal.get(running.id)
    assert row is not None
    assert (await journal.reply(row)).text == "half"


async def test_another_users_answer_is_stored_as_theirs(journal: MessageStore) -> None:
    question, _ = await opened(journal)
    _, answer = await journal.open(
        Request(user=BEN, place=ROOM), ASK, {"prompt": "hi", "seed": 2}, private=False, question=question
    )
    assert (answer.author, answer.options["seed"]) == ("ben", 2)


TOKENS = (Token("do", 0.5, (LikelyToken("do", 0.5), LikelyToken("did", 0.25))), Token("ne", 0.125))


async def test_tokens_are_kept_with_the_answer_and_go_with_it(journal: MessageStore, database: Database) -> None:
    _, plain = await opened(journal)
    await journal.close(plain, Reply(text="done", final=True), "done")
    assert await journal.tokens(plain) == ()
    _, answer = await opened(journal)
    await journal.close(answer, Reply(text="done", tokens=TOKENS, final=True), "done")
    kept = await journal.tokens(answer)
    assert [(token.text, [one.text for one in token.likely]) for token in kept] == [("do", ["do", "did"]), ("ne", [])]
    row = await journal.get(answer)
    assert row is not None
    await journal.delete(row)
    assert await journal.tokens(answer) == ()


async def test_tokens_are_purged_with_the_answer(journal: MessageStore, database: Database) -> None:
    _, answer = await opened(journal)
    await journal.close(answer, Reply(text="done", tokens=TOKENS, final=True), "done")
    assert await database.purge(days=-1) == 2
    assert await journal.tokens(answer) == ()

"""The message store by itself; test_app.py tests it with `Bot.prepare`."""

from dataclasses import replace

import pytest
from fakes.core.requests import ANN, BEN, ROOM
from fakes.storage.rows import ASK, exchange, keep
from sqlalchemy import func, select

from bot import Attachment, Button, LikelyToken, Reply, Token
from bot.core.errors import Expired
from bot.core.messages import ALONE, Place, Request
from bot.storage import messages as stored_messages
from bot.storage.database import AttachmentRow, Database, MessageRow, VoteRow
from bot.storage.messages import MessageStore

PICTURE = Attachment("a.png", b"\x89png", "image/png", alt="a dot", spoiler=True)


def typed(text: str = "hi", **more: object) -> Request:
    return Request(user=ANN, place=ROOM, text=text, **more)


async def create(store: MessageStore, request: Request | None = None, **more: object) -> tuple[int, int]:
    question, answer = await store.create_exchange(
        request or typed(), ASK, {"prompt": "hi", "seed": 1}, private=False, **more
    )
    return question.id, answer.id


async def get_row(store: MessageStore, row_id: int) -> MessageRow:
    row = await store.get(row_id)
    assert row is not None
    return row


async def test_an_exchange_is_stored_before_its_handler_runs(store: MessageStore) -> None:
    request = typed(message="m1", resume={"line": "/ask hi"})
    question, answer = await store.create_exchange(request, ASK, {"prompt": "hi", "seed": 1}, private=True)
    assert (question.role, question.state, question.text, question.external) == ("user", "done", "hi", "m1")
    assert (answer.role, answer.state, answer.text, answer.parent) == ("assistant", "queued", "", question.id)
    assert (answer.author, answer.author_name, answer.command, answer.private) == ("ann", "Ann", "ask", True)
    assert (answer.options, answer.resume) == ({"prompt": "hi", "seed": 1}, {"line": "/ask hi", ALONE: False})
    assert question.resume == {ALONE: False}
    assert answer.instance
    assert (answer.platform, answer.server, answer.channel, answer.thread) == ("test", "school", "room", "")


async def test_an_id_that_is_too_large_leads_to_no_row(store: MessageStore) -> None:
    for number in (999, 2**31 - 1, 2**31, 10**18 - 1):
        assert await store.get(number) is None


async def test_a_deleted_question_gets_no_second_answer(store: MessageStore) -> None:
    question, answer = await create(store)
    await store.delete(await get_row(store, answer))
    for gone in (question, 999):
        with pytest.raises(Expired, match="the question is no longer stored"):
            await create(store, question=gone)


async def test_an_answer_is_found_by_the_platforms_ids(store: MessageStore) -> None:
    _, answer = await create(store)
    await store.set_external_ids(answer, ["a0", "a2"])
    await store.set_external_ids(answer, ["a0", "a1"])
    assert await store.get_external_ids(answer) == ["a0", "a1"]
    assert await store.find(ROOM, "a2") is None
    for part in ("a0", "a1"):
        found = await store.find(ROOM, part)
        assert found is not None
        assert found.id == answer
    assert await store.find(Place("test", "other room", server="school"), "a1") is None
    question, _ = await create(store, typed(reply_to="a1"))
    assert (await get_row(store, question)).parent == answer
    unknown, _ = await create(store, typed(reply_to="somebody else's"))
    assert (await get_row(store, unknown)).parent is None


async def test_the_last_reply_is_loaded_unchanged(store: MessageStore) -> None:
    _, answer = await create(store)
    button = Button("Go on", "ask", {"prompt": "x"})
    shown = Reply(text="done", card={"seed": "7"}, attachments=(PICTURE,), buttons=(button,), final=True)
    assert await store.finish(answer, shown, "done")
    row = await get_row(store, answer)
    assert (row.state, row.seed) == ("done", 7)
    assert await store.load_reply(row) == shown


async def test_files_are_listed_without_their_content(store: MessageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_messages, "HEAD_BYTES", 2)
    _, other = await create(store)
    _, answer = await create(store)
    text = Attachment("a.txt", b"abc", "text/plain", alt="letters", spoiler=True)
    await store.finish(answer, Reply(attachments=(PICTURE, text), final=True), "done")
    picture, stored = await store.list_files(answer)
    assert (picture.filename, picture.size, picture.head) == (PICTURE.filename, len(PICTURE.data), PICTURE.data[:2])
    assert (stored.media_type, stored.alt, stored.spoiler, stored.head) == ("text/plain", "letters", True, b"ab")
    assert await store.load_file(answer, stored.id) == text
    assert await store.load_file(other, stored.id) is None
    row = await get_row(store, answer)
    assert (await store.load_reply(row, files=False)).attachments == ()
    await store.delete(row)
    assert await store.load_file(answer, stored.id) is None
    assert await store.list_files(answer) == []


@pytest.mark.parametrize(("card", "seed"), [({}, None), ({"seed": "x"}, None), ({"seed": "-1"}, None)])
async def test_a_card_without_a_valid_seed_leaves_the_seed_empty(
    store: MessageStore, card: dict[str, str], seed: None
) -> None:
    _, answer = await create(store)
    await store.finish(answer, Reply(card=card, final=True), "done")
    assert (await get_row(store, answer)).seed is seed


async def test_a_deleted_answer_cannot_be_changed(store: MessageStore, database: Database) -> None:
    question, answer = await create(store)
    await store.finish(answer, Reply(text="said", attachments=(PICTURE,), final=True), "done")
    await store.vote(answer, "ann", 1)
    await store.delete(await get_row(store, answer))
    await store.update(answer, text="late")
    assert not await store.finish(answer, Reply(text="later", attachments=(PICTURE,), final=True), "done")
    assert await store.get(answer) is None
    assert await store.get(question) is None
    async with database.reading() as session:
        assert await session.scalar(select(func.count(AttachmentRow.id))) == 0
        assert await session.scalar(select(func.count(VoteRow.message))) == 0


async def test_a_question_stays_while_one_of_its_answers_does(store: MessageStore) -> None:
    question, first = await create(store)
    _, second = await create(store, question=question)
    for answer, left in ((first, True), (second, False)):
        await store.delete(await get_row(store, answer))
        assert (await store.get(question) is not None) is left


async def test_an_answer_can_be_moved_from_a_thread_to_its_channel(store: MessageStore) -> None:
    thread = replace(ROOM, thread="t1")
    question, answer = await create(store, replace(typed(message="t1"), place=thread))
    other, _ = await create(store, replace(typed(), place=thread))
    await store.move_out_of_thread(answer)
    assert [row.id for row in await store.recent(ROOM, 9)] == [question, answer]
    assert [row.id for row in await store.recent(thread, 1)] == [other + 1]
    assert await store.find(ROOM, "t1") is None
    await store.move_out_of_thread(0)


async def test_each_user_has_one_vote_which_can_be_withdrawn(store: MessageStore) -> None:
    _, answer = await create(store)
    for user, value in (("ann", 1), ("ben", 1), ("cem", -1), ("ben", 1), ("ann", -1)):
        await store.vote(answer, user, value)
    assert await store.count_votes(answer) == (0, 2)
    assert await store.count_votes(999) == (0, 0)


async def test_recent_returns_the_newest_messages_of_a_place_oldest_first(
    store: MessageStore, database: Database
) -> None:
    for word in ("one", "two", "three"):
        await exchange(database, word, word.upper())
    await keep(database, text="elsewhere", thread="7")
    await keep(database, text="", role="break")
    await keep(database, text="", state="deleted")
    assert [row.text for row in await store.recent(ROOM, 3)] == ["TWO", "three", "THREE"]


async def test_only_answers_of_dead_processes_on_these_platforms_are_interrupted(
    store: MessageStore, database: Database
) -> None:
    _, mine = await create(store)
    dead = {"role": "assistant", "instance": "dead", "text": "half"}
    queued = await keep(database, state="queued", **dead)
    running = await keep(database, state="running", **dead)
    await keep(database, state="done", **dead)
    elsewhere = await keep(database, state="running", platform="other", **dead)
    assert [row.id for row in await store.mark_interrupted(["test"])] == [queued.id, running.id]
    assert await store.mark_interrupted(["test"]) == []
    for row_id, state in ((mine, "queued"), (running.id, "interrupted"), (elsewhere.id, "running")):
        assert (await get_row(store, row_id)).state == state
    assert (await store.load_reply(await get_row(store, running.id))).text == "half"


async def test_another_users_answer_is_stored_as_theirs(store: MessageStore) -> None:
    question, _ = await create(store)
    _, answer = await store.create_exchange(
        Request(user=BEN, place=ROOM), ASK, {"prompt": "hi", "seed": 2}, private=False, question=question
    )
    assert (answer.author, answer.options["seed"]) == ("ben", 2)


TOKENS = (Token("do", 0.5, (LikelyToken("do", 0.5), LikelyToken("did", 0.25))), Token("ne", 0.125))


async def test_tokens_are_stored_and_deleted_with_the_answer(store: MessageStore, database: Database) -> None:
    _, plain = await create(store)
    await store.finish(plain, Reply(text="done", final=True), "done")
    assert await store.load_tokens(plain) == ()
    _, answer = await create(store)
    await store.finish(answer, Reply(text="done", tokens=TOKENS, final=True), "done")
    kept = await store.load_tokens(answer)
    assert [(token.text, [one.text for one in token.likely]) for token in kept] == [("do", ["do", "did"]), ("ne", [])]
    await store.delete(await get_row(store, answer))
    assert await store.load_tokens(answer) == ()

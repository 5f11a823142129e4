"""/privacy: an export has everything about a person, and after a deletion no table has anything."""

import asyncio
import base64
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.core.requests import ROOM, ask, last, replies
from fakes.core.whole_bot import running
from fakes.model_server.model_api import FakeModels
from fakes.storage.database_dump import rows, rows_holding
from fakes.storage.postgres import fresh_database, permanent_database
from sqlalchemy import select

from bot.access.timeouts import TimeOutRow
from bot.answers.decision import Refuse
from bot.app import Bot
from bot.core.messages import Action, Place, Reply, Request, User
from bot.platforms.terminal import PLACE, operator
from bot.settings.scopes import Scope, server_scope
from bot.storage.audit import AuditEntry, AuditRow
from bot.storage.database import now
from bot.storage.key_value import Store

BEN = User("100000000000000007", "Benedikt")
ANN = User("100000000000000001", "Ann")
MOD = User("100000000000000009", "Mod", is_moderator=True)
SCHOOL = server_scope(ROOM)
WORDS = ("aubergine", "courgette", "pumpkin", "gherkin", "celeriac", "fennel")
"""The words that Benedikt writes, each in a place of its own."""


async def press(bot: Bot, user: User, button: str, row: int, place: Place = ROOM, **fields: Any) -> Reply:
    request = Request(user=user, place=place, action=Action(f"t:{button}:{row}", fields or None))
    return (await replies(bot, request))[-1]


async def live(bot: Bot) -> None:
    """Store something of Benedikt's in every table that can have it."""
    answer = await last(bot, ask("/ask aubergine", BEN, message="m-1", resume={"user": BEN.id}))
    await bot.messages.set_external_ids(answer.row, ["d-1", "d-2"])
    await press(bot, BEN, "up", answer.row)
    anns = await last(bot, ask("/ask something else", ANN))
    await press(bot, BEN, "down", anns.row)
    # What others made of it holds his words, too.
    await press(bot, MOD, "edit", (await last(bot, ask("/ask courgette", BEN))).row, prompt="courgette soup")
    again = await press(bot, MOD, "again", answer.row)
    await press(bot, MOD, "warmer", again.row)
    drawn = await last(bot, ask("/imagine pumpkin count:1", BEN))
    await press(bot, ANN, "b0", drawn.row)
    await last(bot, ask("/face", BEN))
    await last(bot, ask("/new", BEN))
    await last(bot, ask("/defaults set ask.temperature value:0.3", BEN))
    await last(bot, ask("/explain celeriac and nothing that any lesson knows", BEN))
    await last(bot, ask("/config set safety.words radish", MOD))
    refused = await last(bot, ask("/ask radish and gherkin", BEN))
    await press(bot, BEN, "appeal", int(refused.buttons[0].id.split(":")[2]))
    await last(bot, ask(f"/config set moderators.users {BEN.id}", MOD))
    await last(bot, ask("/config set answers.quote no", BEN))
    timed_out = {"user": User("100000000000000003", "Cem", roles=()), "duration": "2h"}
    await last(bot, Request(user=BEN, place=ROOM, command="timeout", options=timed_out))
    await keep(bot)
    await bot.timeouts.set(BEN, server_scope(replace(ROOM, server="other")), now() + timedelta(hours=1), "fennel", MOD)
    # What moderators looked up names him.
    named = {"command": "ask", "user": BEN}
    await last(bot, Request(user=MOD, place=ROOM, command="why", options=named))
    for line in ("/timeouts list", "/lesson gaps", "/audit"):
        await last(bot, ask(line, MOD))
    about = f"who is {BEN.id}?"
    anns = await last(bot, ask(f"/ask {about}", ANN, resume={"line": f"/ask {about}"}))
    button = {"label": "Ask again", "command": "ask", "options": {"prompt": about}}
    await bot.messages.update(anns.row, card={"question": about}, buttons=[button])
    # Pictures are described by their prompts.
    await last(bot, ask(f"/imagine a cat for {BEN.id}", ANN))
    await last(bot, ask(f"/config set moderators.users {BEN.id} {ANN.id}", MOD))


async def keep(bot: Bot) -> None:
    """Store values of Benedikt's as plugins do: under each of his ids as a key, and as a scope."""
    store = Store(bot.database, "diary")
    for mine in (BEN.id, f"test:{BEN.id}"):
        await store.set(mine, "under his name")
        await store.set("page", "in his scope", scope=mine)
        await store.set_blobs({mine: b"under his name"})
        await store.set_blobs({"page": b"in his scope"}, scope=mine)


async def confirmed(bot: Bot, user: User = BEN, place: Place = ROOM) -> Reply:
    """Ask for the deletion, and press the button that confirms it."""
    asked = await last(bot, ask("/privacy delete", user, place))
    assert asked.private
    assert not asked.error
    return await press(bot, user, "b0", asked.row, place)


@pytest.fixture
async def lived(address: str, models: FakeModels) -> AsyncIterator[Bot]:
    """A bot whose every table has something of Benedikt's."""
    async with running(address, models) as made:
        await live(made)
        yield made


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a database in which every table has something of Benedikt's; it is filled when it is first used."""
    return tmp_path_factory.mktemp("left")


@pytest.fixture(params=["sqlite", "postgresql"])
async def bot(request: pytest.FixtureRequest, models: FakeModels, left: Path, tmp_path: Path) -> AsyncIterator[Bot]:
    """A bot started on a copy of that database."""
    is_file = request.param == "sqlite"
    socket = "" if is_file else request.getfixturevalue("postgres")
    if not (left / request.param).exists():
        first = f"sqlite:///{left}/sqlite/tempera.db" if is_file else await permanent_database(socket, "was_lived")
        async with running(first, models) as made:
            await live(made)
        (left / request.param).mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        address = f"sqlite:///{tmp_path}/sqlite/tempera.db"
        if is_file:
            shutil.copytree(left / "sqlite", tmp_path / "sqlite")
        else:
            address = await stack.enter_async_context(fresh_database(socket, template="was_lived"))
        yield await stack.enter_async_context(running(address, models))


async def test_after_the_deletion_no_table_has_the_persons_id_name_or_words(lived: Bot) -> None:
    bot = lived
    for one in (BEN.id, BEN.name, *WORDS):
        assert await rows_holding(bot.database, one), f"{one} was never there"
    tables = {name for name, found in (await rows(bot.database)).items() if found}
    assert {"messages", "attachments", "votes", "tokens", "deliveries", "audit", "settings", "timeouts"} <= tables
    reply = await confirmed(bot)
    assert (reply.text, reply.private) == ("Everything that I had stored about you is deleted.", True)
    assert await rows_holding(bot.database, BEN.id, BEN.name, *WORDS) == []


async def test_a_deletion_leaves_others_their_data_and_rights(bot: Bot) -> None:
    assert bot.admission.resolve_user(BEN, ROOM).is_moderator
    refusal = AuditEntry(actor=BEN, place=ROOM, kind="refusal", what="ask", reason="self_harm")
    numbers = [await bot.audit.record(one) for one in (refusal, replace(refusal, actor=ANN))]
    await confirmed(bot)
    # Of the person's own, a sensitive reason is told in general terms.
    assert [(await bot.audit.get(number)).reason for number in numbers] == ["unsafe", "self_harm"]
    assert [bot.admission.resolve_user(user, ROOM).is_moderator for user in (BEN, ANN)] == [False, True]
    assert bot.settings.scopes.values_at(SCHOOL)["moderators.users"] == ANN.id
    texts = [row.text for row in await bot.messages.recent(ROOM, 100) if row.author == ANN.id]
    assert "something else" in texts
    assert [text for text in texts if re.fullmatch(r"who is deleted-[0-9a-f]{8}\?", text)]
    entries = await bot.audit.find("test", "school")
    changed = [entry for entry in entries if entry.kind == "setting" and entry.actor == MOD.id]
    assert [entry.what for entry in changed] == ["moderators.users", "moderators.users", "safety.words"]


async def test_deleted_defaults_do_not_come_back_when_another_is_set(bot: Bot) -> None:
    await confirmed(bot)
    await last(bot, ask("/defaults set ask.max_tokens value:9", BEN))
    assert await Store(bot.database, "defaults").items() == {f"test:{BEN.id}": {"ask.max_tokens": 9}}


async def test_a_word_that_is_somebodys_id_stays_in_what_others_ask(tmp_path: Path, models: FakeModels) -> None:
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        for person in (User("gardener", "Benedikt"), User("4711", "Ben")):
            question = f"what does {person.id} mean?"
            await last(bot, ask(f"/ask {question}", ANN))
            await confirmed(bot, person)
            assert question in [row.text for row in await bot.messages.recent(ROOM, 9)]


async def test_the_audit_has_a_pseudonym_in_place_of_the_person(bot: Bot) -> None:
    async with bot.database.reading() as session:
        before = len(list(await session.scalars(select(AuditRow))))
    await confirmed(bot)
    async with bot.database.reading() as session:
        after = list(await session.scalars(select(AuditRow).order_by(AuditRow.id)))
    assert len(after) == before
    pseudonyms = {name for row in after for name in (row.actor, row.subject) if name.startswith("deleted-")}
    assert len(pseudonyms) == 1
    kinds = {(row.kind, row.what) for row in after if row.actor in pseudonyms}
    assert {("refusal", "ask"), ("appeal", "ask"), ("setting", "answers.quote")} <= kinds
    assert [row.what for row in after if row.subject in pseudonyms] == ["timeout"]
    # A second person gets another one.
    await confirmed(bot, replace(MOD, is_moderator=False))
    async with bot.database.reading() as session:
        actors = {row.actor for row in await session.scalars(select(AuditRow))}
    assert len([name for name in actors if name.startswith("deleted-")]) == 2
    assert MOD.id not in actors


async def test_a_timeout_outlives_the_deletion(bot: Bot) -> None:
    await last(bot, ask(f"/config set moderators.users {ANN.id}", MOD))
    await bot.timeouts.set(BEN, SCHOOL, now() + timedelta(hours=1), "fennel", MOD)
    assert isinstance(bot.prepare(ask("/ask hi", BEN)), Refuse)
    # Nobody needs to be let in to have their data deleted.
    await confirmed(bot)
    assert await rows_holding(bot.database, BEN.id, BEN.name, "fennel") == []
    refused = await last(bot, ask("/ask hi", BEN))
    assert refused.text.startswith("Moderators have timed you out")
    listed = await last(bot, ask("/timeouts list", MOD))
    assert "somebody who had their data deleted until" in listed.text
    assert (
        await press(bot, MOD, "b0", listed.row)
    ).text == "Lifted: somebody who had their data deleted can use me again."
    assert not isinstance(bot.prepare(ask("/ask hi", BEN)), Refuse)


async def test_the_hash_of_a_person_cannot_be_computed_from_the_database(bot: Bot) -> None:
    import hashlib

    await confirmed(bot)
    async with bot.database.reading() as session:
        (row,) = await session.scalars(select(TimeOutRow).where(TimeOutRow.user == ""))
    plain = f"test\0{BEN.id}".encode()
    assert len(row.person) == 64
    assert row.person not in {hashlib.sha256(text).hexdigest() for text in (plain, BEN.id.encode())}


async def test_an_export_has_all_data_of_the_person_and_of_nobody_else(bot: Bot) -> None:
    stored = await rows(bot.database)
    reply = await last(bot, ask("/privacy export", BEN))
    assert reply.private
    (file,) = reply.attachments
    assert (file.filename, file.media_type) == ("tempera-data.json", "application/json")
    told = json.loads(file.data)
    text = file.data.decode()
    assert told["about"]["id"] == BEN.id
    for word in WORDS:
        assert word in text, word
    assert {row["author"] for row in told["messages"]} == {BEN.id}
    pictures = [base64.b64decode(one["base64"]) for one in told["files"]]
    assert any(data.startswith(b"\x89PNG") for data in pictures)
    assert told["tokens"][0]["tokens"]
    assert [row["external"] for row in told["deliveries"]] == ["d-1", "d-2"]
    assert sorted(row["value"] for row in told["votes"]) == [-1, 1]
    assert {(row["name"], row["reason"]) for row in told["timeouts"]} == {("Benedikt", "fennel"), ("Cem", "")}
    assert {row["kind"] for row in told["audit"]} == {"setting", "refusal", "appeal", "moderation"}
    kept = [row["value"] for row in told["plugin_data"] if row["plugin"] == "diary"]
    assert sorted(kept) == ["in his scope"] * 2 + ["under his name"] * 2
    assert [row["value"] for row in told["plugin_data"] if row["plugin"] != "diary"] == [{"ask.temperature": 0.3}]
    blobs = [base64.b64decode(one["base64"]) for one in told["files"] if one.get("plugin") == "diary"]
    assert sorted(blobs) == [b"in his scope"] * 2 + [b"under his name"] * 2
    assert "something else" not in text
    # Nothing of the export is stored itself.
    left = await rows(bot.database)
    assert {name: found for name, found in left.items() if name != "counts"} == {
        name: found for name, found in stored.items() if name != "counts"
    }


async def test_everybody_may_use_privacy_everywhere_for_themselves(bot: Bot) -> None:
    await last(bot, ask("/config set access.roles teachers", MOD))
    direct = Place("test", "dm-ann")
    for place in (ROOM, direct):
        assert not (await last(bot, ask("/privacy export", ANN, place))).error
    asked = await last(bot, ask("/privacy delete", BEN))
    assert (await press(bot, ANN, "b0", asked.row)).error or not await rows_holding(bot.database, ANN.id)
    assert await rows_holding(bot.database, BEN.id, "aubergine")


async def test_a_deletion_stops_running_answers(bot: Bot, models: FakeModels) -> None:
    models.gate.clear()
    answering = asyncio.create_task(last(bot, ask("/ask aubergine", BEN)))
    await models.until(running=1)
    await confirmed(bot)
    assert (await answering).deleted
    assert await rows_holding(bot.database, "aubergine") == []


async def test_the_operator_can_delete_their_data_too(tmp_path: Path, models: FakeModels) -> None:
    me = operator()
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        await last(bot, ask("/ask aubergine", me, PLACE))
        await last(bot, ask("/config set answers.quote no server:discord:123", me, PLACE))
        assert await rows_holding(bot.database, "'operator'")
        await confirmed(bot, me, PLACE)
        assert await rows_holding(bot.database, "'operator'", "aubergine") == []


async def test_a_word_that_is_somebodys_id_stays_in_settings_that_list_nobody(
    tmp_path: Path, models: FakeModels
) -> None:
    me, school = operator(), Scope("discord", "123")
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        for name, value in (
            ("ask.system_prompt", "Be an operator.\nAn operator is kind"),
            ("safety.words", "operator"),
        ):
            await bot.settings.write([await bot.settings.make_checked_change(name, value, school)], me)
        await last(bot, ask("/ask aubergine", me, PLACE))
        await confirmed(bot, me, PLACE)
        assert dict(bot.settings.scopes.values_at(school)) == {
            "ask.system_prompt": "Be an operator.\nAn operator is kind",
            "safety.words": "operator",
        }


async def test_deleted_data_are_gone_from_the_database_file(tmp_path: Path, models: FakeModels) -> None:
    async with running(f"sqlite:///{tmp_path}/tempera.db", models) as bot:
        await last(bot, ask("/ask aubergine", BEN))
        await confirmed(bot)
        await bot.database.truncate_wal()
        kept = await asyncio.to_thread(
            lambda: b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
        )
    assert b"aubergine" not in kept
    assert BEN.id.encode() not in kept

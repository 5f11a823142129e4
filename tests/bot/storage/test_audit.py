from datetime import timedelta

import pytest
from fakes.core.requests import ANN, MODERATOR, ROOM
from sqlalchemy import func, select

from bot.core.messages import Place, User
from bot.storage.audit import Audit, AuditEntry, AuditFilter, AuditRow
from bot.storage.counters import REFUSAL, CountRow
from bot.storage.database import Database, now

HALL = Place("test", "hall", server="school")


def removal(**values: object) -> AuditEntry:
    common = {"actor": MODERATOR, "place": ROOM, "kind": "moderation", "what": "remove", "subject": "ann"}
    return AuditEntry(**(common | values))


@pytest.fixture
def audit(database: Database) -> Audit:
    return Audit(database)


async def test_an_entry_says_who_did_what_where_when_and_why(audit: Audit) -> None:
    began = now()
    await audit.record(removal(subject_name="Ann", before={"text": "ä"}, after=None, reason="words"))
    [row] = await audit.find("test", "school")
    assert (row.platform, row.server, row.channel) == ("test", "school", "room")
    assert (row.actor, row.actor_name, row.kind, row.what) == ("mod", "Mod", "moderation", "remove")
    assert (row.subject, row.subject_name, row.before, row.after, row.reason) == (
        "ann",
        "Ann",
        {"text": "ä"},
        None,
        "words",
    )
    assert began <= row.created <= now()
    # One server never sees what happened in another.
    assert not await audit.find("test", "elsewhere")
    assert not await audit.find("other", "school")


async def test_the_newest_entries_come_first_and_older_ones_on_further_pages(audit: Audit) -> None:
    for number in range(5):
        await audit.record(removal(subject=str(number)))
    first = await audit.find("test", "school", limit=2)
    assert [row.subject for row in first] == ["4", "3"]
    then = await audit.find("test", "school", AuditFilter(older=first[-1].id))
    assert [row.subject for row in then] == ["2", "1", "0"]
    assert len(await audit.find("test", "school", AuditFilter(older=10**18 - 1))) == 5


@pytest.mark.parametrize(
    "wanted",
    [
        {"kind": "refusal"},
        {"what": "ask"},
        {"channel": "hall"},
        {"actor": "ann"},
        {"subject": "cy"},
        {"reason": "cooldown"},
        {"who": "ANN"},
    ],
    ids=str,
)
async def test_each_filter_returns_the_entries_that_match_it(audit: Audit, wanted: dict[str, str]) -> None:
    await audit.record(removal())
    await audit.record(
        AuditEntry(actor=ANN, place=HALL, kind="refusal", what="ask", subject="cy", reason="cooldown"),
    )
    [row] = await audit.find("test", "school", AuditFilter(**wanted))
    assert row.kind == "refusal"


async def test_a_user_is_found_by_name_as_actor_and_as_subject(audit: Audit) -> None:
    await audit.record(removal(subject="u7", subject_name="Zoë"))
    await audit.record(removal(actor=User("u7", "Zoë"), kind="refusal", subject=""))
    await audit.record(removal(kind="setting", subject="u7"))
    for who in ("u7", "Zoë", "ZOë"):
        found = await audit.find("test", "school", AuditFilter(who=who))
        assert [row.kind for row in found] == ["refusal", "moderation"]


async def test_a_name_matches_itself_and_all_names_below_it(audit: Audit) -> None:
    for name in ("limits.user.hour", "limits.users", "limits", "unlimited", "limits_user.day", "limit", "limit set"):
        await audit.record(removal(kind="setting", what=name))
    for wanted, expected in (
        ("limits.user", ["limits.user.hour"]),
        ("limits", ["limits", "limits.users", "limits.user.hour"]),
        ("limit", ["limit set", "limit"]),
    ):
        assert [row.what for row in await audit.find("test", "school", AuditFilter(what=wanted))] == expected


async def test_the_names_in_the_entries_of_a_server_are_listed_once(audit: Audit) -> None:
    for name in ("remove", "ask", "remove"):
        await audit.record(removal(what=name))
    assert await audit.list_names("test", "school") == ["ask", "remove"]
    assert await audit.list_names("test", "elsewhere") == []


async def test_a_time_span_includes_its_beginning_and_not_its_end(audit: Audit, database: Database) -> None:
    for subject in "abc":
        await audit.record(removal(subject=subject))
    times = [now() - timedelta(hours=hours) for hours in (3, 2, 1)]
    async with database.writing() as session:
        for number, time in enumerate(times, 1):
            (await session.get_one(AuditRow, number)).created = time
    found = await audit.find("test", "school", AuditFilter(since=times[0], until=times[2]))
    assert [row.subject for row in found] == ["b", "a"]


async def test_a_purge_deletes_the_texts_of_refusals_and_keeps_the_entries(audit: Audit, database: Database) -> None:
    numbers = {}
    for kind in ("refusal", "appeal", "setting"):
        for age in (31, 29):
            number = numbers[kind, age] = await audit.record(removal(kind=kind, before="words", reason="hate"))
            async with database.writing() as session:
                (await session.get_one(AuditRow, number)).created = now() - timedelta(days=age)
    await audit.purge_texts(30, {"self_harm": "unsafe"})
    rows = {row.id: row for row in await audit.find("test", "school")}
    forgotten = {key for key, number in numbers.items() if rows[number].before is None}
    assert forgotten == {("refusal", 31), ("appeal", 31)}
    assert all(row.reason == "hate" for row in rows.values())


def refusal(actor: User = ANN, **values: object) -> AuditEntry:
    return removal(**({"actor": actor, "kind": "refusal", "what": "ask", "subject": "", "reason": "hate"} | values))


async def test_repeats_of_a_refusal_are_counted_in_one_entry(audit: Audit, database: Database) -> None:
    first = await audit.record(refusal(before="words"))
    assert [await audit.record(refusal(before="words")) for _ in range(11)] == [first] * 11
    others = [
        refusal(before="other words"),
        refusal(before="words", reason="cooldown"),
        refusal(before="words", what="imagine"),
        refusal(before="words", place=HALL),
        refusal(User("ben", "Ben"), before="words"),
    ]
    numbers = [await audit.record(entry) for entry in others]
    rows = {row.id: row.times for row in await audit.find("test", "school")}
    assert rows == {first: 12} | dict.fromkeys(numbers, 1)
    async with database.reading() as session:
        counted = select(func.sum(CountRow.number)).where(CountRow.kind == REFUSAL, CountRow.value == "hate")
        assert await session.scalar(counted) == 16


async def test_a_refusal_of_more_than_an_hour_ago_is_not_repeated(audit: Audit, database: Database) -> None:
    first = await audit.record(refusal())
    async with database.writing() as session:
        (await session.get_one(AuditRow, first)).created = now() - timedelta(hours=1, minutes=1)
    assert await audit.record(refusal()) != first


async def test_other_acts_are_not_merged(audit: Audit) -> None:
    assert await audit.record(removal()) != await audit.record(removal())


async def test_somebody_who_is_refused_all_the_time_fills_a_few_entries(audit: Audit) -> None:
    numbers = [await audit.record(refusal(before=f"words {number}")) for number in range(400)]
    assert await audit.record(refusal(User("ben", "Ben"), before="words"))
    rows = await audit.find("test", "school", AuditFilter(who="ann"))
    assert len(rows) == 21
    assert sum(row.times for row in rows) == 400
    assert [(row.reason, row.before, row.times) for row in rows[:1]] == [("many", None, 380)]
    # What has no entry with its words cannot be appealed against.
    assert numbers[20:] == [None] * 380
    assert await audit.list_names("test", "school") == ["ask"]


async def test_many_people_who_are_refused_fill_a_limited_number_of_entries(audit: Audit) -> None:
    for number in range(250):
        await audit.record(refusal(User(f"visitor {number}", "Visitor")))
    rows = await audit.find("test", "school")
    assert len(rows) == 201
    assert [(row.actor, row.actor_name, row.reason, row.times) for row in rows[:1]] == [("", "", "many", 50)]
    assert await audit.record(refusal(place=Place("test", "room", server="other")))


async def test_old_entries_are_deleted(audit: Audit, database: Database) -> None:
    numbers = [await audit.record(removal(kind=kind)) for kind in ("refusal", "setting", "moderation", "setting")]
    async with database.writing() as session:
        for number, days in zip(numbers, (401, 401, 401, 399), strict=True):
            (await session.get_one(AuditRow, number)).created = now() - timedelta(days=days)
    await audit.purge(400)
    assert [row.id for row in await audit.find("test", "school")] == numbers[3:]


async def test_a_sensitive_reason_goes_with_the_text(audit: Audit, database: Database) -> None:
    for age in (31, 29):
        number = await audit.record(refusal(reason="self_harm"))
        appeal = removal(kind="appeal", subject=str(number), reason="self_harm")
        for row in (number, await audit.record(appeal)):
            async with database.writing() as session:
                (await session.get_one(AuditRow, row)).created = now() - timedelta(days=age)
    await audit.purge_texts(30, {"self_harm": "unsafe"})
    assert [row.reason for row in await audit.find("test", "school")] == ["self_harm"] * 2 + ["unsafe"] * 2


async def test_an_appeal_keeps_its_text_no_longer_than_the_refusal(audit: Audit, database: Database) -> None:
    numbers = []
    for age in (31, 29):
        refused = await audit.record(removal(kind="refusal", before="words", reason="hate"))
        numbers.append(await audit.record(removal(kind="appeal", subject=str(refused), before="words", reason="hate")))
        async with database.writing() as session:
            (await session.get_one(AuditRow, refused)).created = now() - timedelta(days=age)
    await audit.purge_texts(30, {"self_harm": "unsafe"})
    rows = {row.id: row for row in await audit.find("test", "school", AuditFilter(kind="appeal"))}
    assert [rows[number].before for number in numbers] == [None, "words"]

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, OPERATOR, ROOM, ask, last, press, speaking

from bot import Channel, Place, Reply, User
from bot.app import Bot
from bot.core.messages import Request
from bot.platforms.capabilities import WEB
from bot.platforms.terminal import PLACE, operator
from bot.storage.audit import AuditEntry, AuditRow, add_entry
from bot.storage.database import now

HALL = Place("test", "hall", server="school")


async def audit(bot: Bot, line: str = "", user: User = MODERATOR, place: Place = ROOM) -> Reply:
    decision = bot.prepare(ask(f"/audit {line}", user, place))
    assert decision.private
    return [reply async for reply in decision.start()][-1]


async def record(bot: Bot, actor: User = ANN, place: Place = ROOM, **values: Any) -> int:
    """Note an entry, a refusal unless `values` say otherwise, and return its number."""
    return await bot.audit.record(AuditEntry(actor=actor, place=place, **{"kind": "refusal", "what": "ask", **values}))


def entry_lines(reply: Reply) -> list[str]:
    """Return the entries without their numbers and times."""
    return [re.sub(r"^- `#\d+` (\d{4}-\d\d-\d\d \d\d:\d\d UTC|<t:\d+:f>) ", "", one) for one in reply.text.splitlines()]


async def create_entries(bot: Bot) -> None:
    """Change a setting, have somebody refused who appeals, and have a moderator act."""
    assert not (await last(bot, ask("/config set limits.cooldown 30", MODERATOR))).error
    await last(bot, ask("/config set ask.enabled no channel:#hall", MODERATOR))
    await last(bot, ask("/ask hello", ANN, HALL))
    number = await record(bot, BEN, before="a *bad* word", reason="hate")
    await last(bot, press("appeal", number, BEN))
    about = {"subject": "ann", "subject_name": "Ann", "after": {"until": "2026-03-31T14:30:05+00:00", "reason": ""}}
    await record(bot, MODERATOR, kind="moderation", what="timeout", **about)


EVERYTHING = [
    "🛡️ **Mod**: `timeout` **Ann** (channel `room`): `until: 2026-03-31 14:30 UTC`",
    "✋ **Ben** appeals against refusal #4 of `ask` (hate): `a *bad* word`",
    "⛔ **Ben** was refused `ask` (channel `room`) (hate)",
    "⛔ **Ann** was refused `ask` (channel `hall`) (off)",
    "⚙️ **Mod** set `ask.enabled` (channel `hall`): – → `no`",
    "⚙️ **Mod** set `limits.cooldown`: – → `30`",
]


async def test_all_entries_are_shown_the_newest_first(bot: Bot) -> None:
    assert (await audit(bot)).text == "There is no such entry."
    await create_entries(bot)
    found = await audit(bot)
    assert entry_lines(found) == EVERYTHING
    assert re.match(r"- `#6` \d{4}-\d\d-\d\d \d\d:\d\d UTC 🛡️", found.text)


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ("limits", [5]),
        ("ask", [1, 2, 3, 4]),
        ("/ask kind:refusal", [2, 3]),
        ("what:ask.enabled", [4]),
        ("who:@ann", [0, 3]),
        ("who:Ben", [1, 2]),
        ("kind:moderation", [0]),
        ("kind:appeal", [1]),
        ("channel:#hall", [3, 4]),
        ("reason:off", [3]),
        ("since:1h who:mod", [0, 4, 5]),
        ("until:1h", []),
        ("before:3", [4, 5]),
    ],
)
async def test_each_filter_shows_the_matching_entries(bot: Bot, line: str, places: list[int]) -> None:
    await create_entries(bot)
    expected = [EVERYTHING[place] for place in places] or ["There is no such entry."]
    assert entry_lines(await audit(bot, line)) == expected


async def test_a_period_of_days(bot: Bot) -> None:
    for days in (0, 3, 9):
        number = await record(bot, what=f"day{days}", reason="off")
        async with bot.database.writing() as session:
            (await session.get_one(AuditRow, number)).created = now() - timedelta(days=days)
    day = f"{now() - timedelta(days=3):%Y-%m-%d}"
    for line, expected in (
        ("since:4d", ["day0", "day3"]),
        (f"since:{day} until:{day}", ["day3"]),
        ("until:4d", ["day9"]),
    ):
        found = sorted(re.findall(r"day\d", (await audit(bot, line)).text))
        assert found == expected, line
    assert (await audit(bot, "since:soon")).error
    assert "quotation marks" in (await audit(bot, "since:2026-03-31 14:30")).text


async def test_a_button_shows_older_entries_with_the_same_filters(bot: Bot) -> None:
    for number in range(25):
        actor = (ANN, BEN)[number == 3]
        async with bot.database.writing() as session:
            add_entry(session, AuditEntry(actor=actor, place=ROOM, kind="refusal", what=f"n{number}", reason="off"))
    page, seen = await audit(bot, "who:ann kind:refusal"), list[str]()
    while True:
        seen += re.findall(r"`n(\d+)`", page.text)
        labels = [button.label for button in page.buttons]
        if "Older ones" not in labels:
            break
        assert len(page.text.splitlines()) == 10
        page = await last(bot, press("b0", page.row, MODERATOR))
    assert labels == ["All as a CSV file"]
    assert seen == [str(number) for number in reversed(range(25)) if number != 3]


async def test_all_matching_entries_come_as_a_file(bot: Bot) -> None:
    for number in range(12):
        await record(bot, before=f"words {number}", reason="hate")
    await record(bot, BEN, kind="appeal", before="my words", reason="hate")
    page = await audit(bot, "reason:hate")
    found = await last(bot, press("b1", page.row, MODERATOR))
    assert found.private
    assert found.text == "Entries: 13, the newest first."
    [file] = found.attachments
    assert (file.filename, file.media_type) == ("audit.csv", "text/csv")
    rows = list(csv.DictReader(io.StringIO(file.data.decode("utf-8-sig"))))
    assert [row["number"] for row in rows] == [str(number) for number in range(13, 0, -1)]
    assert [row["before"] for row in rows] == ["my words", *[""] * 12]
    assert (await audit(bot, "csv:yes reason:nothing")).text == "There is no such entry."


async def test_an_entry_says_how_often_something_was_refused(bot: Bot) -> None:
    for number in range(23):
        await record(bot, reason="off")
        await record(bot, BEN, what=f"n{number}", reason="off")
    lines = entry_lines(await audit(bot))
    assert lines[0] == "⛔ **Ben** was refused further requests ×3"
    assert entry_lines(await audit(bot, "who:ann")) == ["⛔ **Ann** was refused `ask` (channel `room`) (off) ×23"]
    found = await last(bot, press("b0", (await audit(bot, "who:ann")).row, MODERATOR))
    [row] = csv.DictReader(io.StringIO(found.attachments[0].data.decode("utf-8-sig")))
    assert (row["what"], row["times"]) == ("ask", "23")


async def test_names_and_values_are_escaped_and_shortened(bot: Bot) -> None:
    actor = User("x", "*[click](http://x)* `" + "n" * 90)
    await record(bot, actor, kind="setting", what="a.b", before="`x`\n" * 99, after=True)
    [line] = entry_lines(await audit(bot))
    assert line.startswith("⚙️ **∗(click)(http://x)∗ ˋnnn")
    assert len(line) < 250
    assert line.count("`") == 8


async def test_only_moderators_of_the_server_see_its_audit(bot: Bot) -> None:
    await create_entries(bot)
    assert (await audit(bot, user=ANN)).text == "/audit is for moderators."
    shown = await audit(bot)
    refused = await last(bot, press("b0", shown.row, ANN))
    assert refused.error
    assert not refused.attachments
    assert (await audit(bot, place=Place("test", "room", server="other"))).text == "There is no such entry."
    assert (await audit(bot, "server:web")).error
    await record(bot, place=Place("web", "general", "web"), what="face", reason="off")
    webs = entry_lines(await audit(bot, "server:web", OPERATOR))
    assert webs == ["⛔ **Ann** was refused `face` (channel `general`) (off)"]


async def test_the_terminal_shows_what_its_operator_did_elsewhere(bot: Bot) -> None:
    me = operator()
    for line in ("/config set limits.cooldown 9", "/config set face.enabled no server:web"):
        assert not (await last(bot, ask(line, me, PLACE))).error
    await record(bot, place=Place("web", "general", "web"), kind="setting", what="other")
    change = f"⚙️ **{me.name}** set `face.enabled`: – → `no`"
    assert entry_lines(await audit(bot, "", me, PLACE)) == [
        f"{change} (server web:web)",
        f"⚙️ **{me.name}** set `limits.cooldown`: – → `9`",
    ]
    webs = await audit(bot, "server:web", me, PLACE)
    assert entry_lines(webs) == ["⚙️ **Ann** set `other` (channel `general`): – → –", change]
    [file] = (await audit(bot, "csv:yes", me, PLACE)).attachments
    rows = csv.DictReader(io.StringIO(file.data.decode("utf-8-sig")))
    assert [(row["platform"], row["what"]) for row in rows] == [
        ("web", "face.enabled"),
        ("terminal", "limits.cooldown"),
    ]
    assert await bot.complete(Request(user=me, place=PLACE, command="audit"), "what", "face") == ["face.enabled"]
    # An operator elsewhere sees the server that they ask for.
    assert "face.enabled" not in (await audit(bot, "", OPERATOR)).text


async def test_discord_formats_times_and_channels_itself(bot: Bot) -> None:
    place = Place("discord", "11", server="1")
    await record(bot, place=place, reason="off")
    found = await audit(bot, place=place)
    assert re.fullmatch(r"- `#1` <t:\d{10}:f> ⛔ \*\*Ann\*\* was refused `ask` \(channel <#11>\) \(off\)", found.text)
    german = await audit(bot, user=speaking("de", MODERATOR), place=place)
    assert entry_lines(german) == ["⛔ **Ann** wurde `ask` verweigert (Kanal <#11>) (off)"]


async def test_discord_names_the_first_of_many_channels(bot: Bot) -> None:
    place = Place("discord", "11", server="1")
    for what, before in (("access.channels", "12"), ("moderators.users", "12")):
        after = " ".join(str(number) for number in range(21, 27))
        await record(bot, MODERATOR, place, kind="setting", what=what, before=before, after=after)
    text = (await audit(bot, place=place)).text
    assert "`access.channels` (channel <#11>): <#12> → <#21> <#22> <#23> <#24> <#25> …" in text
    assert "`moderators.users` (channel <#11>): `12` → `21 22 23 24 25 26`" in text


async def test_subjects_of_entries_complete_only_for_moderators(bot: Bot) -> None:
    await create_entries(bot)
    request = Request(user=MODERATOR, place=ROOM, command="audit")
    assert await bot.complete(request, "what", "as") == ["ask", "ask.enabled"]
    assert await bot.complete(Request(user=ANN, place=ROOM, command="audit"), "what", "as") == ()


async def test_typed_options_name_people_and_channels(bot: Bot) -> None:
    await create_entries(bot)
    options = {"who": ANN, "channel": Channel("hall", "hall"), "kind": "refusal"}
    found = await last(bot, Request(user=MODERATOR, place=ROOM, command="audit", options=options))
    assert entry_lines(found) == [EVERYTHING[3]]


class AdapterWithClosedRooms:
    """A platform adapter whose rooms are all closed."""

    capabilities = WEB

    async def find_channels(self, name: str, place: Place) -> list[str]:
        return []


async def test_entries_of_a_closed_room_are_shown(bot: Bot) -> None:
    attic = Place("web", "attic", server="web")
    await record(bot, place=attic, reason="off")
    with bot.adapters.registered("web", AdapterWithClosedRooms()):
        found = await audit(bot, "channel:#attic", place=attic)
    assert entry_lines(found) == ["⛔ **Ann** was refused `ask` (channel `attic`) (off)"]

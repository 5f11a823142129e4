import io
import re
from datetime import timedelta

from fakes.core.requests import ANN, BEN, MODERATOR, OPERATOR, ROOM, ask, last, press, speaking
from PIL import Image

from bot import Place, Reply, User
from bot.app import Bot
from bot.core.latest import Stream
from bot.storage.audit import AuditEntry
from bot.storage.counters import USE, WAIT, count, day_of
from bot.storage.database import now

WEB = Place("web", "general", server="web")


async def stats(bot: Bot, line: str = "", user: User = MODERATOR, place: Place = ROOM) -> Reply:
    decision = bot.prepare(ask(f"/stats {line}", user, place))
    assert decision.private
    return await read_last(decision.start())


async def read_last(replies: Stream[Reply]) -> Reply:
    return [reply async for reply in replies][-1]


async def add(bot: Bot, command: str, by: int, ago: int = 0, kind: str = USE, value: str = "done") -> None:
    async with bot.database.writing() as session:
        day = day_of(now() - timedelta(days=ago))
        await session.run_sync(count, ("test", "school"), kind, command, value, day, by)


def days(ago: int) -> str:
    return day_of(now() - timedelta(days=ago))


async def test_the_text_lists_uses_waits_thumbs_and_refusals(bot: Bot) -> None:
    await add(bot, "ask", 12, ago=3)
    await add(bot, "ask", 1, value="failed")
    await add(bot, "face", 2)
    await add(bot, "ask", 9, kind=WAIT, value="2")
    await add(bot, "ask", 3, kind=WAIT, value="longer")
    for _ in range(2):
        await bot.audit.record(AuditEntry(actor=ANN, place=ROOM, kind="refusal", what="ask", reason="hate"))
    row = (await last(bot, ask("/face seed:7"))).row
    await last(bot, press("up", row, BEN))
    found = await stats(bot)
    assert re.sub(
        r"(/face`: 3 · half waited )less than [\d.]+ s, nine in ten less than [\d.]+ s", r"\1…", found.text
    ) == (
        f"**{days(6)} to {days(0)}** (UTC). Answers: 16, with an error: 1.\n"
        "\n"
        "- `/ask`: 13 · half waited less than 2 s, nine in ten more than 5 minutes\n"
        "- `/face`: 3 · half waited … · 👍 1 👎 0\n"
        "\n"
        "Refused: 2 (`hate` 2)."
    )
    assert not {"Ann", "Ben", "ann", "ben"} & set(re.findall(r"\w+", found.text))


async def test_the_description_of_the_picture_has_the_numbers(bot: Bot) -> None:
    await add(bot, "ask", 12, ago=3)
    await add(bot, "face", 2)
    [file] = (await stats(bot)).attachments
    assert (file.filename, file.media_type) == ("stats.png", "image/png")
    assert Image.open(io.BytesIO(file.data)).width == 800
    assert file.alt == (
        f"Answers from {days(6)} to {days(0)}: /ask 12, /face 2. By day: {days(6)[5:]}: 0, {days(5)[5:]}: 0, "
        f"{days(4)[5:]}: 0, {days(3)[5:]}: 12, {days(2)[5:]}: 0, {days(1)[5:]}: 0, {days(0)[5:]}: 2."
    )


async def test_rarely_used_commands_share_a_colour(bot: Bot) -> None:
    for number, name in enumerate(("ask", "face", "imagine", "odds", "dial", "help", "why")):
        await add(bot, name, 10 - number)
    [file] = (await stats(bot)).attachments
    assert "/ask 10, /face 9, /imagine 8, /odds 7, /dial 6, all others 9." in file.alt


async def test_figures_cover_seven_or_thirty_days(bot: Bot) -> None:
    await add(bot, "ask", 5, ago=20)
    assert (await stats(bot)).text == "Nobody used me here in the last 7 days."
    found = await stats(bot, "days:30")
    assert f"{days(29)} to {days(0)}" in found.text
    assert f"{days(29)} to {days(0)}" in (await stats(bot, "30")).text
    assert (await stats(bot, "30 server:web", OPERATOR)).text == "Nobody used me here in the last 30 days."
    assert len(found.attachments[0].alt) <= 1000
    for typed in ("days:8", "8"):
        assert (await stats(bot, typed)).text == "days must be one of 7, 30; you gave “8”."


async def test_only_moderators_of_the_server_see_its_figures(bot: Bot) -> None:
    await last(bot, ask("/help"))
    await last(bot, ask("/help", place=WEB))
    await last(bot, ask("/help", place=WEB))
    assert (await stats(bot, user=ANN)).text == "/stats is for moderators."
    assert "`/help`: 1" in (await stats(bot)).text
    assert (await stats(bot, "server:web")).error
    assert "`/help`: 2" in (await stats(bot, "server:web", OPERATOR)).text


async def test_the_figures_are_in_the_readers_language(bot: Bot) -> None:
    await bot.audit.record(AuditEntry(actor=ANN, place=ROOM, kind="refusal", what="ask", reason="off"))
    # There are figures even if everything was refused.
    found = await stats(bot, user=speaking("de", MODERATOR))
    assert found.text.endswith("Verweigert: 1 (`off` 1).")
    assert found.attachments[0].alt.startswith("Antworten vom ")

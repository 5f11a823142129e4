"""One open page: it reads slowly, sends files in forms, and completes what is typed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import bot_with_plugins
from fakes.platforms.web_page import Visitor, visitor

from bot import Attachment, Context, Plugin, Reply, autocomplete, command
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform, platform, site

HERE = WebSection(port=0)


class Flood(Plugin):
    """Sends more text than the buffers to a page that does not read can hold, and one more word for each release."""

    name = "flood"
    much = "x" * (16 << 20)
    words = tuple(f" and {number}" for number in range(8))
    gate: asyncio.Semaphore

    @command()
    async def flood(self, ctx: Context) -> AsyncIterator[Reply]:
        """Send a long text."""
        yield Reply(text=self.much)
        for count in range(1, len(self.words) + 1):
            await self.gate.acquire()
            yield Reply(text=self.much + "".join(self.words[:count]), final=count == len(self.words))


async def test_a_page_that_does_not_read_delays_nobody(
    models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A page that reads nothing answers no heartbeat either, and must not be disconnected for that here.
    monkeypatch.setattr(site, "HEARTBEAT_SECONDS", None)
    flood = Flood()
    flood.gate = asyncio.Semaphore(0)
    async with (
        bot_with_plugins(models, tmp_path, (), flood) as bot,
        WebPlatform(bot, HERE).serve() as url,
        visitor(url) as ann,
        visitor(url) as ben,
        ben.page() as slow,
        ann.page() as page,
    ):
        await page.say("/flood")
        await page.until("exchange", lambda message: message["reply"]["text"] == flood.much)
        for word in flood.words:
            flood.gate.release()
            last = await page.until("exchange", lambda message, word=word: message["reply"]["text"].endswith(word))
        assert last["reply"]["final"]
        assert (await slow.final())["reply"]["text"] == last["reply"]["text"]
        # Those in the system's buffers, the one that the server was about to send, and the newest.
        seen = [one for one in slow.received if one["type"] == "exchange" and one["reply"]["text"]]
        assert len(seen) <= len(flood.words) // 2


class Sample(Plugin):
    name = "sample"

    @command(form=("file", "words"))
    async def read(self, ctx: Context, file: Attachment, words: str = "") -> AsyncIterator[Reply]:
        """Read a file."""
        yield Reply(text=f"{file.filename}: {file.data.decode()} {words}", attachments=(file,), final=True)

    @autocomplete("read", "words")
    async def suggestions(self, ctx: Context, typed: str) -> list[str]:
        if typed == "bad":
            raise RuntimeError("this plugin is broken")
        return [f"{typed}{ending}{ctx.request.options.get('file', '')}" for ending in ("ing", " more")]


@asynccontextmanager
async def reading(models: FakeModels, tmp_path: Path) -> AsyncIterator[Visitor]:
    bot = bot_with_plugins(models, tmp_path, (), Sample(), default_command="read")
    async with bot, WebPlatform(bot, HERE).serve() as url, visitor(url) as one:
        yield one


@pytest.fixture
async def sample(models: FakeModels, tmp_path: Path) -> AsyncIterator[Visitor]:
    async with reading(models, tmp_path) as one:
        yield one


async def test_a_form_takes_a_file(sample: Visitor) -> None:
    async with sample.page() as page:
        await page.say("/read")
        form = await page.until("form")
        name = await sample.upload(b"some text", "C:\\\\notes.txt")
        assert "no longer here" in await page.refused(
            "submit", id=form["id"], fields={"words": "!"}, files={"file": "guessed"}
        )
        await page.send("submit", id=form["id"], fields={"words": "!"}, files={"file": name})
        reply = (await page.final())["reply"]
        assert (reply["text"], reply["pictures"]) == ("notes.txt: some text !", [])
        async with sample.session.get(sample.url + reply["files"][0]["url"]) as response:
            assert response.headers["Content-Disposition"].startswith("attachment")
            assert response.content_type == "application/octet-stream"


async def test_uploads_make_way_for_newer_ones_of_any_visitor(
    models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "MAX_ALL_UPLOADS_BYTES", 2000)
    async with reading(models, tmp_path) as ann, visitor(ann.url) as ben, ann.page() as hers, ben.page() as his:
        older, newer = await ann.upload(b"old text"), await ben.upload(b"new text")
        ref = await hers.send("submit", id="c:read", fields={}, files={"file": older})
        while (told := await hers.read()).get("ref") != ref:
            pass
        assert "no longer here" in told.get("text", "")
        await his.send("submit", id="c:read", fields={}, files={"file": newer})
        assert (await his.final())["reply"]["text"].startswith("notes.txt: new text")


async def test_values_complete_through_the_plugin(sample: Visitor) -> None:
    async with sample.page() as page:
        option = page.received[0]["commands"][0]["options"][1]
        assert (option["name"], option["completes"], option["kind"]) == ("words", True, "text")
        lines = {"": "", "/read file:1 ": "1", "/nothing": "", "/read nothing:1 ": ""}
        cases = [("go", line, [f"going{end}", f"go more{end}"]) for line, end in lines.items()]
        for typed, line, values in (*cases, ("bad", "", [])):
            ref = await page.send("complete", command="read", option="words", typed=typed, line=line)
            completed = await page.until("completed")
            assert (completed["ref"], completed["values"]) == (ref, values)


class Long(Plugin):
    """Sends texts of which few fit into one message."""

    name = "long"

    @command(free=True)
    async def long(self, ctx: Context, number: int) -> AsyncIterator[Reply]:
        """Send a long text."""
        yield Reply(text=f"{number} {'x' * 60_000}", final=True)


async def test_a_long_room_is_sent_in_parts_the_newest_first(models: FakeModels, tmp_path: Path) -> None:
    bot = bot_with_plugins(models, tmp_path, (), Long())
    async with bot, WebPlatform(bot, HERE).serve() as url, visitor(url) as ann, ann.page() as page:
        for number in range(10):
            await page.say(f"/long number:{number}")
            await page.until(
                "exchange", lambda message, number=number: message["reply"]["text"].startswith(str(number))
            )
        async with ann.page() as later:
            welcomed = [one["reply"]["text"][0] for one in later.received[0]["exchanges"]]
            assert welcomed == [str(number) for number in range(10)][-len(welcomed) :]
            assert 1 <= len(welcomed) <= (256 << 10) // 60_000
            rest = [str(number) for number in reversed(range(10 - len(welcomed)))]
            assert [one["id"] for one in later.received[0]["earlier"]] == list(page.exchanges)[: len(rest)]
            for number in rest:
                following = await later.until("exchange")
                assert following["reply"]["text"][0] == number
            assert {one["reply"]["text"][0] for one in later.exchanges.values()} == {str(n) for n in range(10)}

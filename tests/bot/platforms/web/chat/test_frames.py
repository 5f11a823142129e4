"""Whatever a page sends over its WebSocket is answered, or the connection is closed with a reason."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from fakes.core.examples import examples, failures, numbers, texts, values
from fakes.platforms.raw_client import raw_client, upgrade
from fakes.platforms.teachers_page import become_teacher
from fakes.platforms.web_page import PATIENCE_SECONDS, Page, Visitor, visitor
from hypothesis import strategies as st

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.limits import WEB_LIMITS, MessageRate
from bot.platforms.web.chat.incoming import MAX_TEXT_CHARS

UNLIMITED = replace(WEB_LIMITS, messages=MessageRate(1e9, 1e9))
CLOSED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED)

files = st.dictionaries(texts, texts, max_size=2)
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "say": {"text": texts, "ref": texts, "thread": numbers, "parent": numbers, "files": files},
    "press": {"exchange": st.integers(0, 5), "id": texts, "ref": texts, "thread": numbers},
    "submit": {"id": texts, "fields": files, "files": files, "ref": texts, "thread": numbers},
    "complete": {"command": texts, "option": texts, "typed": texts, "line": texts, "ref": texts},
    "name": {"name": texts},
    "enter": {"room": texts},
    "typing": {},
    "make_room": {"name": texts, "ref": texts},
    "close_room": {"room": texts, "ref": texts},
    "tokens": {"exchange": numbers, "ref": texts},
    "sign_out": {},
    "ping": {},
}
valid = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda kind: st.fixed_dictionaries({"type": st.just(kind), **FIELDS[kind]})
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Return a valid message of which a field is missing, another one, or additional."""
    message = dict(draw(valid))
    name = draw(st.sampled_from(sorted(message)) | texts)
    if draw(st.booleans()):
        message[name] = draw(values)
    else:
        message.pop(name, None)
    return message


frames = valid.map(json.dumps) | mutated().map(json.dumps) | values.map(json.dumps) | st.text() | st.binary()


async def answer_to(page: Page, sent: list[str | bytes]) -> str:
    """Send frames and return what shows that the connection works, or that it was closed."""
    for one in sent:
        await (page.socket.send_str(one) if isinstance(one, str) else page.socket.send_bytes(one))
    await page.send("ping")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            got = await page.socket.receive()
            if got.type in CLOSED:
                return "closed"
            if got.json()["type"] == "pong":
                return "pong"


@pytest.mark.parametrize("is_teacher", [False, True])
async def test_whatever_a_page_sends_is_answered(bot: Bot, is_teacher: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with WebPlatform(bot, WebSection(port=0), limits=UNLIMITED).serve() as url, visitor(url) as ann:
        if is_teacher:
            await become_teacher(bot, ann)

        async def check(sent: list[str | bytes]) -> None:
            async with ann.page() as page:
                assert await answer_to(page, sent) == "pong"

        await examples(st.lists(frames, min_size=1, max_size=5), check, 150)
    assert failures(caplog) == []


async def test_bytes_that_are_no_frames_close_the_connection(bot: Bot, caplog: pytest.LogCaptureFixture) -> None:
    async with WebPlatform(bot, WebSection(port=0), limits=UNLIMITED).serve() as url:

        async def check(example: tuple[bytes, bool]) -> None:
            sent, waits = example
            async with raw_client(url) as client:
                await client.send(upgrade(url))
                if waits:
                    assert (await client.read_answer())[0] == 101
                await client.send(sent)
                client.end()
                await client.read_to_end()

        await examples(st.tuples(st.binary(min_size=1, max_size=200), st.booleans()), check, 100)
        async with visitor(url) as ann, ann.page() as page:
            assert await answer_to(page, []) == "pong"
    assert failures(caplog) == []


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 100_000, '{"type": "say", "text": "' + "x" * 400_000, "1" * 500_000),
        *("{", '"hello"', '{"type":"say"}', '{"type":"say","text":"\\ud800","ref":""}'),
    ],
    ids=range(7),
)
async def test_what_no_page_of_ours_sends_is_refused(ann: Visitor, text: str) -> None:
    async with ann.page() as page:
        await page.socket.send_str(text)
        assert "does not understand" in (await page.until("refused"))["text"]


async def test_a_message_that_is_too_large_closes_the_connection_with_a_reason(ann: Visitor) -> None:
    async with ann.page() as page:
        await page.socket.send_str("x" * (600 << 10))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await page.socket.receive()).type not in CLOSED:
                pass
        assert page.socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_a_text_of_blanks_is_refused(ann: Visitor) -> None:
    async with ann.page() as page:
        assert "nothing to send" in await page.refused("say", text="  ")


@pytest.mark.parametrize("kind", ["say", "submit"])
async def test_a_text_that_is_too_long_is_refused(ann: Visitor, kind: str) -> None:
    text = "x" * (MAX_TEXT_CHARS + 1)
    about = {"text": text} if kind == "say" else {"id": "c:ask", "fields": {"prompt": text}, "files": {}}
    async with ann.page() as page:
        ref = await page.send(kind, **about)
        told = await page.until("refused", lambda one: one["ref"] == ref)
        assert told["text"] == f"A message may have {MAX_TEXT_CHARS} characters; this one has {len(text)}."

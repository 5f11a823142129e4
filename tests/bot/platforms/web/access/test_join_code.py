"""The join code: its pass, and the limit on wrong tries, over real sockets."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fakes.platforms.web_page import Visitor, visitor
from pydantic import SecretStr

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from bot.platforms.web.access.join_code import WrongTries
from bot.platforms.web.access.teachers import WebModerators

CODE = "open sesame!"


@asynccontextmanager
async def behind_code(bot: Bot, code: str = CODE) -> AsyncIterator[Visitor]:
    async with WebPlatform(bot, WebSection(port=0, join_code=SecretStr(code))).serve() as url, visitor(url) as one:
        yield one


async def tried(one: Visitor, code: str, path: str = "join") -> int:
    about = {"data": {"code": code}, "headers": {"Origin": one.url}, "allow_redirects": False}
    async with one.session.post(f"{one.url}/{path}", **about) as response:
        assert (response.status == 429) == ("Retry-After" in response.headers)
        return response.status


def test_wrong_tries_are_counted_by_network() -> None:
    now = 0.0
    tries = WrongTries(clock=lambda: now)
    assert [tries.count("10.0.0.1") for _ in range(11)] == [0.0] * 10 + [60.0]
    assert tries.count("10.0.0.2") == 0
    for number in range(10):
        tries.count(f"2001:db8::{number}")
    assert tries.count("2001:db8::ffff") == 60
    assert tries.count("2001:db8:0:1::1") == 0
    assert tries.count("::ffff:10.0.0.1") == 60
    now = 59.0
    assert tries.count("10.0.0.1") == 1.0
    now = 60.0
    assert tries.count("10.0.0.1") == 0


async def test_wrong_codes_lock_nobody_of_the_same_address_out(bot: Bot) -> None:
    async with behind_code(bot) as one, visitor(one.url) as other:
        assert [await tried(one, "guess") for _ in range(12)] == [403] * 10 + [429] * 2
        assert await tried(one, "guess", "teacher") == 429
        assert await tried(other, f" {CODE} ") == 303
        assert await tried(other, await WebModerators(bot.database).create_code(), "teacher") == 303
        # A right code does not give the wrong ones new tries.
        assert await tried(one, "guess") == 429


async def passed(one: Visitor) -> str:
    """Give the join code and return the pass that the chat answers with."""
    assert await tried(one, CODE) == 303
    return next(cookie.value for cookie in one.session.cookie_jar if cookie.key == "tempera_pass")


async def admitted(one: Visitor, value: str) -> bool:
    """Return whether somebody with this pass alone is let in."""
    headers = {"Cookie": f"tempera_pass={value}"}
    async with visitor(one.url) as other, other.session.get(f"{one.url}/files/x", headers=headers) as response:
        assert response.status in (401, 404)
        return response.status == 404


async def test_a_pass_lasts_until_the_code_or_the_key_is_another_one(bot: Bot, tmp_path: Path) -> None:
    async with behind_code(bot) as one:
        value = await passed(one)
        assert await admitted(one, value)
    async with behind_code(bot) as one:
        assert await admitted(one, value)
    async with behind_code(bot, "another code") as one:
        assert not await admitted(one, value)
    (tmp_path / "tempera.db.key").unlink()
    async with behind_code(bot) as one:
        assert not await admitted(one, value)


async def test_what_can_be_computed_from_the_code_alone_is_no_pass(bot: Bot) -> None:
    former = hmac.new(CODE.encode(), b"tempera web pass", hashlib.sha256).hexdigest()
    async with behind_code(bot) as one:
        for guess in (former, CODE, hashlib.sha256(CODE.encode()).hexdigest(), ""):
            assert not await admitted(one, guess)

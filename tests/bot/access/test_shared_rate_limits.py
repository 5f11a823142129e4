"""Rate limits of several processes, which count alone or together in Redis."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fakes.core.rate_limits import ASK, Clock, refused, use
from fakes.core.requests import ANN, BEN, MODERATOR, ROOM
from fakes.core.settings import put
from fakes.model_server.gateway import free_port

from bot.access.rate_limits import HOUR_SECONDS, MEMORY, RateLimiter, Timing, ping
from bot.core.errors import ConfigError, LimitReached
from bot.core.messages import Place, User
from bot.settings.resolver import Settings
from bot.settings.setting import Scope


@pytest.fixture
async def pair(settings: Settings, clock: Clock, redis: str) -> AsyncIterator[tuple[RateLimiter, RateLimiter]]:
    both = RateLimiter(settings, redis), RateLimiter(settings, redis)
    yield both
    for limits in both:
        await limits.close()


def somebody(request: pytest.FixtureRequest) -> User:
    """Return a user of their own for this test, since all tests share one Redis server."""
    return User(request.node.name, "Ann")


async def refusal(limits: RateLimiter, user: User, place: Place = ROOM) -> LimitReached:
    """Return the error of a use that Redis refuses, of which this process may know nothing yet."""
    with pytest.raises(LimitReached) as caught:
        await use(limits, user, place)
    return caught.value


async def test_with_redis_all_processes_count_together(
    settings: Settings, pair: tuple[RateLimiter, RateLimiter], request: pytest.FixtureRequest
) -> None:
    here, there = pair
    user = somebody(request)
    await put(settings, "limits.user.hour", 2)
    await use(here, user)
    await use(there, user)
    assert [reached.code for reached in await here.find_reached(here.limits_for(user, ASK, ROOM))] == ["user.hour"]
    error = await refusal(here, user)
    assert str(error) == (
        "The limit here is 2 per hour for each person, and yours is used up. You can ask again in 60 minutes."
    )
    assert error.retry_after == pytest.approx(HOUR_SECONDS, abs=30)


async def test_with_redis_many_requests_at_once_get_no_more_uses_than_there_are(
    settings: Settings, pair: tuple[RateLimiter, RateLimiter], request: pytest.FixtureRequest
) -> None:
    await put(settings, "limits.user.hour", 7)
    user = somebody(request)
    done = await asyncio.gather(*(use(pair[number % 2], user) for number in range(30)), return_exceptions=True)
    assert sum(one is None for one in done) == 7
    assert sum(isinstance(one, LimitReached) for one in done) == 23


async def test_calls_of_another_server_are_counted_together(
    pair: tuple[RateLimiter, RateLimiter], settings: Settings, clock: Clock, unused_tcp_port: int
) -> None:
    here, there = pair
    assert [await limits.take("calls", 2, 60) for limits in pair] == [(0.0, 1), (0.0, 2)]
    clock.passed += 20
    wait, count = await here.take("calls", 2, 60)
    assert (wait, count) == (pytest.approx(40, abs=1), 2)
    clock.passed += 41
    assert (await there.take("calls", 2, 60))[0] == 0.0
    for alone in (RateLimiter(settings), RateLimiter(settings, f"redis://127.0.0.1:{unused_tcp_port}")):
        assert await alone.take("calls", 1, 60) == (0.0, 0)
        await alone.close()


async def test_a_clock_that_is_set_back_lengthens_no_limit(
    settings: Settings, pair: tuple[RateLimiter, RateLimiter], clock: Clock, request: pytest.FixtureRequest
) -> None:
    here, there = pair
    user = somebody(request)
    await put(settings, "limits.user.hour", 1)
    await use(here, user)
    clock.passed -= 30
    assert (await refusal(there, user)).retry_after <= HOUR_SECONDS
    clock.passed -= 7200
    assert await there.find_reached(there.limits_for(user, ASK, ROOM)) == []
    await use(there, user)


async def test_no_cancellation_gets_lost_while_a_call_is_counted(pair: tuple[RateLimiter, RateLimiter]) -> None:
    for number in range(300):
        task = asyncio.create_task(pair[0].take("cancelled", 1000, 60))
        for _ in range(number % 30):
            await asyncio.sleep(0)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()


@pytest.mark.parametrize("most", [1, 3])
async def test_with_redis_a_refunded_use_costs_nothing_in_any_process(
    settings: Settings, pair: tuple[RateLimiter, RateLimiter], request: pytest.FixtureRequest, most: int
) -> None:
    here, there = pair
    user = somebody(request)
    await put(settings, "limits.user.hour", most)
    await put(settings, "limits.server.hour", 1000)
    for limits in (here, there, here):
        await use(limits, user, fails=True)
    for _ in range(most):
        await use(there, user)
    for limits in (here, there):
        await refusal(limits, user)


@pytest.mark.parametrize("most", [1, 2])
async def test_with_redis_a_use_that_one_limit_refuses_is_not_counted_under_the_others(
    settings: Settings, pair: tuple[RateLimiter, RateLimiter], request: pytest.FixtureRequest, most: int
) -> None:
    here, there = pair
    user, server = somebody(request), Scope("test", request.node.name)
    room = Place("test", "room", server=server.server)
    await put(settings, "limits.user.hour", most, server)
    await put(settings, "limits.server.hour", 2, server)
    for other in (BEN, MODERATOR):
        await use(there, other, room)
    for _ in range(5):
        # This process has not counted what the other one did, and takes a use before Redis refuses it.
        here.check(here.limits_for(user, ASK, room))
        assert (await refusal(here, user, room)).code == "server.hour"
    await put(settings, "limits.server.hour", 1000, server)
    for limits in (here, there)[:most]:
        await use(limits, user, room)
    assert (await refusal(here, user, room)).code == "user.hour"


async def test_without_its_redis_a_process_counts_alone(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    await put(settings, "limits.user.hour", 2)
    limits = RateLimiter(settings, f"redis://127.0.0.1:{free_port()}")
    with caplog.at_level(logging.WARNING, logger="bot.access.rate_limits"):
        await use(limits)
        await use(limits)
        await refused(limits)
    assert "Redis cannot be reached, so this process counts alone" in caplog.text
    await limits.close()


@asynccontextmanager
async def broken_redis(*, hangs: bool) -> AsyncIterator[tuple[str, list[None]]]:
    """A server that closes every connection, or never answers; yield its address and a list of its connections."""
    connections: list[None] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(None)
        if hangs:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_redis_that_fails_is_tried_again_only_after_a_pause(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    for name in ("limits.user.hour", "limits.user.day", "limits.server.hour"):
        await put(settings, name, 5)
    async with broken_redis(hangs=hangs) as (address, connections):
        limits = RateLimiter(settings, address, Timing(redis=0.5))
        for _ in range(3):
            await use(limits)
            assert await limits.find_reached(limits.limits_for(ANN, ASK, ROOM)) == []
        assert len(connections) == 1
        monkeypatch.setattr(limits, "_retry_at", 0.0)
        await use(limits)
        assert len(connections) == 2
        await limits.close()


async def test_a_use_that_redis_did_not_count_is_not_refunded_there(
    settings: Settings,
    pair: tuple[RateLimiter, RateLimiter],
    redis: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, there = RateLimiter(settings, redis, Timing(away=0.0)), pair[1]
    user = somebody(request)
    await put(settings, "limits.user.hour", 2)
    working = here._shared.get_moving_window
    monkeypatch.setattr(here._shared, "get_moving_window", refuses)
    async with here.count_use(here.limits_for(user, ASK, ROOM)) as made:
        monkeypatch.setattr(here._shared, "get_moving_window", working)
        made.refund()
    for _ in range(2):
        await use(there, user)
    await refusal(here, user)
    await here.close()


async def refuses(*_: object) -> None:
    """Fail as Redis does while it cannot be reached."""
    raise ConnectionError


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("disk", "limits.storage must be “memory” or begin with redis:// or rediss://."),
        ("http://:secret@host", "limits.storage must be “memory” or begin with redis:// or rediss://."),
        ("redis://:secret@host:port", "limits.storage is not the address of a Redis server, like redis://host:6379."),
    ],
)
def test_a_wrong_address_is_one_sentence_without_its_password(address: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RateLimiter(Settings({}), address)
    assert str(caught.value) == sentence


# Whether the server answers


async def test_a_server_that_answers_a_ping(redis: str) -> None:
    assert await ping(redis) == f"Redis at {redis.removeprefix('redis://')} answers; it counts how often people ask."
    assert await ping(MEMORY) == "This process alone counts how often people ask."


async def test_a_wrong_password_is_named_by_its_variable(redis: str) -> None:
    address = redis.replace("://", "://nobody:s3cret@")
    with pytest.raises(ConfigError, match="refuses the user or the password in TEMPERA_LIMITS__STORAGE") as caught:
        await ping(address)
    assert "s3cret" not in str(caught.value)


async def test_a_server_that_takes_connections_and_is_silent() -> None:
    sentence = r"Redis at 127.0.0.1:\d+ does not answer within 0.1 seconds"
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(ConfigError, match=sentence):
        await ping(f"redis://127.0.0.1:{deaf.getsockname()[1]}", Timing(redis=0.1))


@pytest.mark.parametrize("is_something_else", [False, True])
async def test_no_redis_server(is_something_else: bool) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1] if is_something_else else free_port()
        with pytest.raises(
            ConfigError, match=f"Redis does not answer at 127.0.0.1:{port}, which TEMPERA_LIMITS__STO"
        ) as caught:
            await ping(f"redis://:s3cret@127.0.0.1:{port}/0")
    assert "s3cret" not in str(caught.value)

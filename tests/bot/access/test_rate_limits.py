import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.core.requests import ANN, BEN, MODERATOR, ROOM
from fakes.model_server.gateway import free_port
from fakes.storage.redis import running_redis

from bot.access.rate_limits import DAY_SECONDS, HOUR_SECONDS, RateLimiter, Timing, format_span
from bot.commands.command import Command
from bot.core.errors import ConfigError, LimitReached
from bot.core.messages import Place, User
from bot.settings.resolver import Settings
from bot.settings.setting import Scope
from bot.storage.database import Database

SCHOOL = Scope("test", "school")
HALL = Place("test", "hall", server="school")
ELSEWHERE = Place("test", "room", server="other")
ASK = Command(name="ask", description="Ask.", options=(), handler=lambda: None, plugin="ask")


class Clock:
    """A clock that a test moves forward."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._began = time.time()

    def __call__(self) -> float:
        return self._began + self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time", made)
    return made


@pytest.fixture
async def settings(tmp_path: Path) -> AsyncIterator[Settings]:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        made = Settings({})
        await made.start(database)
        yield made


@pytest.fixture
def limits(settings: Settings, clock: Clock) -> RateLimiter:
    return RateLimiter(settings)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(tmp_path_factory.mktemp("redis")) as address:
        yield address


async def put(settings: Settings, name: str, value: int, scope: Scope = SCHOOL) -> None:
    await settings.write([settings.make_change(name, value, scope)], MODERATOR)


async def use(limits: RateLimiter, user: User = ANN, place: Place = ROOM, *, fails: bool = False) -> None:
    async with limits.count_use(limits.limits_for(user, ASK, place)) as made:
        if fails:
            made.refund()


async def refused(limits: RateLimiter, user: User = ANN, place: Place = ROOM) -> LimitReached:
    """Return the error for `user`, which is raised by the check and by the use itself."""
    with pytest.raises(LimitReached) as at_once:
        limits.check(limits.limits_for(user, ASK, place))
    with pytest.raises(LimitReached):
        await use(limits, user, place)
    return at_once.value


# Sentences of refusals, and when they end


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"),
        (1.2, "2 seconds"),
        (99, "99 seconds"),
        (100, "2 minutes"),
        (240, "4 minutes"),
        (5999, "100 minutes"),
        (6000, "2 hours"),
        (86400, "24 hours"),
    ],
)
def test_a_length_of_time_is_put_into_words(seconds: float, words: str) -> None:
    assert format_span(seconds).in_language("en") == words


@pytest.mark.parametrize(
    ("name", "scope", "sentence"),
    [
        (
            "limits.cooldown",
            SCHOOL,
            "Between two questions of one person must be 2 seconds here. You can ask again in 2 seconds.",
        ),
        (
            "limits.user.hour",
            SCHOOL,
            "The limit here is 2 per hour for each person, and yours is used up. You can ask again in 60 minutes.",
        ),
        (
            "limits.user.day",
            SCHOOL,
            "The limit here is 2 per day for each person, and yours is used up. You can ask again in 24 hours.",
        ),
        (
            "limits.role.hour",
            replace(SCHOOL, role="pupils"),
            "The limit here is 2 per hour for all with one of your roles, and it is used up. Ask again in 60 minutes.",
        ),
        (
            "limits.role.day",
            replace(SCHOOL, role="pupils"),
            "The limit here is 2 per day for all with one of your roles, and it is used up. Ask again in 24 hours.",
        ),
        (
            "limits.server.hour",
            SCHOOL,
            "The limit here is 2 per hour for the whole server, and it is used up. Ask again in 60 minutes.",
        ),
        (
            "limits.server.day",
            SCHOOL,
            "The limit here is 2 per day for the whole server, and it is used up. Ask again in 24 hours.",
        ),
    ],
)
async def test_each_limit_names_itself_and_when_it_is_free(
    settings: Settings, limits: RateLimiter, clock: Clock, name: str, scope: Scope, sentence: str
) -> None:
    await put(settings, name, 2, scope)
    pupil = replace(ANN, roles=("pupils",))
    await use(limits, pupil)
    if name != "limits.cooldown":
        await use(limits, pupil)
    error = await refused(limits, pupil)
    assert (str(error), error.code) == (sentence, name.removeprefix("limits."))
    assert [str(reached) for reached in await limits.find_reached(limits.limits_for(pupil, ASK, ROOM))] == [sentence]
    clock.passed += error.retry_after + 0.1
    await use(limits, pupil)


@pytest.mark.parametrize(("name", "seconds"), [("limits.user.hour", HOUR_SECONDS), ("limits.user.day", DAY_SECONDS)])
async def test_a_window_moves(settings: Settings, limits: RateLimiter, clock: Clock, name: str, seconds: int) -> None:
    await put(settings, name, 2)
    await use(limits)
    clock.passed += seconds / 2
    await use(limits)
    clock.passed += seconds / 2 + 1
    # The first one has left, the second one has not.
    await use(limits)
    await refused(limits)
    clock.passed += seconds / 2
    await use(limits)
    await refused(limits)


# Persons, roles, channels and servers


async def test_each_person_and_each_server_is_counted_apart(settings: Settings, limits: RateLimiter) -> None:
    await put(settings, "limits.user.hour", 1)
    await put(settings, "limits.user.hour", 1, Scope("test", "other"))
    await use(limits)
    await refused(limits)
    await use(limits, BEN)
    await use(limits, ANN, ELSEWHERE)


async def test_a_limit_of_a_channel_counts_only_the_uses_there(settings: Settings, limits: RateLimiter) -> None:
    await put(settings, "limits.user.hour", 3)
    await put(settings, "limits.user.hour", 1, replace(SCHOOL, channel="room"))
    await use(limits, ANN, HALL)
    await use(limits)
    await refused(limits)
    await use(limits, ANN, HALL)


async def test_a_role_has_its_own_limit_for_each_of_its_people(settings: Settings, limits: RateLimiter) -> None:
    await put(settings, "limits.user.hour", 1)
    await put(settings, "limits.user.hour", 0, replace(SCHOOL, role="teachers"))
    teacher = replace(BEN, roles=("teachers",))
    for _ in range(5):
        await use(limits, teacher)
    await use(limits)
    await refused(limits)


async def test_all_with_a_role_share_its_quota(settings: Settings, limits: RateLimiter) -> None:
    await put(settings, "limits.role.hour", 2, replace(SCHOOL, role="pupils"))
    ann, ben = replace(ANN, roles=("pupils",)), replace(BEN, roles=("pupils", "choir"))
    await use(limits, ann)
    await use(limits, ben)
    await refused(limits, ann)
    await refused(limits, ben)
    await use(limits, replace(BEN, id="cy", roles=("choir",)))


async def test_the_whole_server_shares_its_quota(settings: Settings, limits: RateLimiter) -> None:
    await put(settings, "limits.server.hour", 2)
    await use(limits, ANN)
    await use(limits, BEN, HALL)
    await refused(limits, MODERATOR)
    await use(limits, ANN, ELSEWHERE)


def test_free_commands_and_those_for_moderators_have_no_limits(limits: RateLimiter) -> None:
    settings = Settings({"limits.user.hour": 1})
    counting = RateLimiter(settings)
    assert [limit.code for limit in counting.limits_for(ANN, ASK, ROOM)] == ["user.hour"]
    assert counting.limits_for(ANN, replace(ASK, free=True), ROOM) == []
    assert counting.limits_for(ANN, replace(ASK, moderator=True), ROOM) == []


# Uses that cost nothing


@pytest.mark.parametrize("most", [1, 3])
async def test_a_refunded_use_costs_nothing(settings: Settings, limits: RateLimiter, most: int) -> None:
    await put(settings, "limits.user.hour", most)
    for _ in range(5):
        await use(limits, fails=True)
    for _ in range(most):
        await use(limits)
    await refused(limits)


async def test_a_use_that_one_limit_refuses_is_not_counted_under_the_others(
    settings: Settings, limits: RateLimiter
) -> None:
    await put(settings, "limits.user.hour", 1)
    await put(settings, "limits.server.hour", 3)
    await use(limits)
    for _ in range(5):
        await refused(limits)
    await use(limits, BEN)
    await use(limits, MODERATOR)
    assert (await refused(limits, replace(ANN, id="cy"))).code == "server.hour"


async def test_many_requests_at_once_get_no_more_uses_than_there_are(settings: Settings, limits: RateLimiter) -> None:
    await put(settings, "limits.user.hour", 7)
    done = await asyncio.gather(*(use(limits) for _ in range(30)), return_exceptions=True)
    assert sum(one is None for one in done) == 7
    assert sum(isinstance(one, LimitReached) for one in done) == 23


async def test_a_limit_that_is_raised_counts_earlier_uses(
    settings: Settings, limits: RateLimiter, clock: Clock
) -> None:
    await put(settings, "limits.user.hour", 1)
    await use(limits)
    await put(settings, "limits.user.hour", 2)
    clock.passed += 600
    await use(limits)
    await put(settings, "limits.user.hour", 1)
    # Of the two only the newer one counts now.
    assert (await refused(limits)).retry_after == pytest.approx(HOUR_SECONDS, abs=5)


# Several processes


async def test_in_memory_each_process_counts_for_itself(settings: Settings, clock: Clock) -> None:
    await put(settings, "limits.user.hour", 1)
    here, there = RateLimiter(settings), RateLimiter(settings)
    await use(here)
    await use(there)
    await refused(here)


@pytest.fixture
async def pair(settings: Settings, clock: Clock, redis: str) -> AsyncIterator[tuple[RateLimiter, RateLimiter]]:
    both = RateLimiter(settings, redis), RateLimiter(settings, redis)
    yield both
    for limits in both:
        await limits.close()


def somebody(request: pytest.FixtureRequest) -> User:
    """Return a user of their own for this test, since all tests share one Redis server."""
    return User(request.node.name, "Ann")


async def test_with_redis_all_processes_count_together(
    settings: Settings, pair: tuple[RateLimiter, RateLimiter], request: pytest.FixtureRequest
) -> None:
    here, there = pair
    user = somebody(request)
    await put(settings, "limits.user.hour", 2)
    await use(here, user)
    await use(there, user)
    assert [reached.code for reached in await here.find_reached(here.limits_for(user, ASK, ROOM))] == ["user.hour"]
    with pytest.raises(LimitReached) as caught:
        await use(here, user)
    assert str(caught.value) == (
        "The limit here is 2 per hour for each person, and yours is used up. You can ask again in 60 minutes."
    )
    assert caught.value.retry_after == pytest.approx(HOUR_SECONDS, abs=30)


async def test_with_redis_many_requests_at_once_get_no_more_uses_than_there_are(
    settings: Settings, pair: tuple[RateLimiter, RateLimiter], request: pytest.FixtureRequest
) -> None:
    await put(settings, "limits.user.hour", 7)
    user = somebody(request)
    done = await asyncio.gather(*(use(pair[number % 2], user) for number in range(30)), return_exceptions=True)
    assert sum(one is None for one in done) == 7
    assert sum(isinstance(one, LimitReached) for one in done) == 23


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
        with pytest.raises(LimitReached):
            await use(limits, user)


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
        with pytest.raises(LimitReached) as caught:
            await use(here, user, room)
        assert caught.value.code == "server.hour"
    await put(settings, "limits.server.hour", 1000, server)
    for limits in (here, there)[:most]:
        await use(limits, user, room)
    with pytest.raises(LimitReached) as caught:
        await use(here, user, room)
    assert caught.value.code == "user.hour"


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
    with pytest.raises(LimitReached):
        await use(here, user)
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

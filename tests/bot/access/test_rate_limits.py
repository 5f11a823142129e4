import asyncio
from dataclasses import replace

import pytest
from fakes.core.rate_limits import ASK, Clock, refused, use
from fakes.core.requests import ANN, BEN, MODERATOR, OPERATOR, ROOM
from fakes.core.settings import SCHOOL, put

from bot.access.rate_limits import HOUR_SECONDS, RateLimiter, format_span
from bot.core.errors import LimitReached
from bot.core.messages import Place, User
from bot.settings.resolver import Settings
from bot.settings.setting import Scope

HALL = Place("test", "hall", server="school")
ELSEWHERE = Place("test", "room", server="other")


@pytest.fixture
def limits(settings: Settings, clock: Clock) -> RateLimiter:
    return RateLimiter(settings)


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
            "limits.user.minute",
            SCHOOL,
            "The limit here is 2 per minute for each person, and yours is used up. You can ask again in 60 seconds.",
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
    assert [limit.code for limit in limits.limits_for(ANN, ASK, ROOM)] == ["user.minute", "user.hour"]
    assert limits.limits_for(ANN, replace(ASK, free=True), ROOM) == []
    assert limits.limits_for(ANN, replace(ASK, moderator=True), ROOM) == []
    assert limits.limits_for(OPERATOR, ASK, ROOM) == []


# What holds unless somebody sets something else


async def test_a_class_behind_one_address_is_not_refused_but_a_program_is(limits: RateLimiter, clock: Clock) -> None:
    pupils = [User(f"pupil {number}", "Pupil") for number in range(30)]
    # Each presses something every two seconds, for two minutes.
    for _ in range(60):
        for pupil in pupils:
            await use(limits, pupil, address="school")
        clock.passed += 2.1
    program = User("program", "Program")
    outcomes = await asyncio.gather(*(use(limits, program) for _ in range(100)), return_exceptions=True)
    assert sum(isinstance(one, LimitReached) for one in outcomes) == 70


async def test_a_new_name_for_each_request_does_not_evade_the_limit_of_an_address(limits: RateLimiter) -> None:
    strangers = (User(f"stranger {number}", "Stranger") for number in range(1300))
    outcomes = [use(limits, stranger, address="cafe") for stranger in strangers]
    errors = await asyncio.gather(*outcomes, return_exceptions=True)
    refusals = [error for error in errors if error is not None]
    assert len(refusals) == 400
    assert {error.code for error in refusals if isinstance(error, LimitReached)} == {"address.minute"}
    assert str(refusals[0]).startswith(
        "The limit here is 900 per minute for all who share your IP address, and it is used up. Ask again in "
    )
    await use(limits, MODERATOR, address="cafe")
    # Somebody from elsewhere, and somebody whose platform knows no addresses.
    await use(limits, ANN, address="home")
    await use(limits, ANN)


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

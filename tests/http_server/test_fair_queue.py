"""The order of requests."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_server.fair_queue import FairQueue


@dataclass
class Request:
    """Two of them may be equal, and are two requests all the same."""

    user: str
    name: str
    remaining_cost: float = 22.0


def queue_of(*users: str) -> FairQueue[Request]:
    """A queue to which requests come in this order, named like their users and numbered."""
    queue = FairQueue[Request]()
    for number, user in enumerate(users):
        queue.add(Request(user, f"{user}{number}"))
    return queue


def names(queue: FairQueue[Request]) -> list[str]:
    return [waiting.name for waiting in queue]


def work(queue: FairQueue[Request], served: Request, cost: float) -> None:
    """Do what was begun, at this cost, and end it."""
    queue.charge(served, cost)
    assert queue.discard(served)


def test_users_take_turns_and_each_keeps_their_own_order() -> None:
    assert names(queue_of("a", "a", "a", "b", "b", "c")) == ["a0", "b3", "c5", "a1", "b4", "a2"]


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_requests_run_in_the_order_of_iteration(users: list[str]) -> None:
    queue = queue_of(*users)
    told = names(queue)
    taken = []
    while queue:
        served = queue.pop()
        taken.append(served.name)
        work(queue, served, 21)
    assert taken == told


def test_a_user_with_more_work_done_waits_for_a_user_with_less() -> None:
    queue = queue_of("a", "b")
    work(queue, queue.pop(), 201)
    work(queue, queue.pop(), 21)
    for number in range(4):
        queue.add(Request("a", f"a{number}"))
        queue.add(Request("b", f"b{number}"))
    # There were no active users when these came, so all counters were forgotten.
    assert names(queue) == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]
    work(queue, queue.pop(), 201)
    assert names(queue)[:4] == ["b0", "b1", "b2", "b3"]


def test_free_slots_do_not_all_go_to_the_first_user() -> None:
    queue = queue_of("a", "a", "a", "a", "b", "b")
    assert [queue.pop().user for _ in range(4)] == ["a", "b", "a", "b"]


def test_a_newcomer_goes_before_the_waiting_requests_of_a_served_user() -> None:
    queue = queue_of(*"a" * 50)
    queue.charge(queue.pop(), 3)
    queue.add(Request("b", "new"))
    assert names(queue)[:2] == ["new", "a1"]


@pytest.mark.parametrize("cost", [3, 0])
def test_a_request_shorter_than_expected_does_not_put_its_user_before_a_newcomer(cost: float) -> None:
    queue = queue_of("a", "a", "a")
    running = queue.pop()
    queue.add(Request("b", "new"))
    work(queue, running, cost)
    assert names(queue)[0] == "new"


def test_an_absent_user_saves_up_no_turns() -> None:
    queue = queue_of("a", "b", "b", "b")
    for _ in range(3):
        work(queue, queue.pop(), 21)
    for number in range(10, 14):
        queue.add(Request("a", f"a{number}"))
    # "a" had one answer and "b" two, but "a" was away, so it has to stand behind "b", who waits already.
    assert names(queue) == ["b3", "a10", "a11", "a12", "a13"]


def test_a_user_who_comes_back_soon_keeps_the_counter() -> None:
    queue = queue_of("a", "b", "b")
    work(queue, queue.pop(), 2001)
    queue.add(Request("a", "again"))
    assert names(queue) == ["b1", "b2", "again"]


def test_accounts_of_absent_users_are_forgotten() -> None:
    queue = FairQueue[Request]()
    for number in range(100):
        queue.add(Request(f"user{number}", ""))
        work(queue, queue.pop(), 3)
    queue.add(Request("last", ""))
    assert len(queue._accounts) == 1


def test_users_with_the_same_counter_are_served_in_the_order_of_their_arrival() -> None:
    assert names(queue_of("99", *map(str, range(100, 120))))[0] == "990"


def test_a_steady_arrival_of_new_users_starves_nobody() -> None:
    queue = queue_of("0")
    running = queue.pop()
    queue.add(Request("99", "waiting"))
    served = []
    for number in range(100, 103):
        # Before each free slot somebody else arrives, whose name sorts before "99".
        queue.add(Request(str(number), f"request{number}"))
        work(queue, running, 21)
        running = queue.pop()
        served.append(running.name)
    assert served == ["waiting", "request100", "request101"]


def test_requests_that_are_equal_are_not_taken_for_each_other() -> None:
    one, other, third = (Request("a", "same") for _ in range(3))
    queue = FairQueue[Request]()
    for request in (one, other, third):
        queue.add(request)
    assert queue.pop() is one
    assert not queue.discard(third)
    assert queue.discard(one)
    assert queue.pop() is other

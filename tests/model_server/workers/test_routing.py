"""Which replica gets a job, and how many replicas a queue needs, as Ray Serve asks for it."""

from collections import Counter
from collections.abc import Set
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.model_server.cluster import require_ray
from fakes.model_server.gateway import eventually

from model_server.jobs import Chat, ChatTurn, Completion, Embed, Sampling, Task
from model_server.workers import pools
from model_server.workers.cluster import identify_conversation

SAMPLING = Sampling(seed=0)


class Pool:
    """Notes what a router tells."""

    slots = 2

    def __init__(self) -> None:
        self.places: dict[str, str] = {}
        self.told: Set[str] = set()

    def note_replicas(self, running: Set[str]) -> None:
        self.told = running


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    made = Pool()
    monkeypatch.setitem(pools.POOLS, "parrot", made)
    return made


@pytest.fixture
async def router(pool: Pool) -> Any:
    """A router as Ray Serve makes it, without a cluster: three replicas without jobs."""
    require_ray()
    from ray.serve._private.common import DeploymentHandleSource, DeploymentID

    from model_server.workers.routing import ConversationRouter

    made = ConversationRouter(DeploymentID("parrot", "parrot"), DeploymentHandleSource.UNKNOWN)
    made.update_replicas([replica(name) for name in "abc"])
    return made


def replica(name: str) -> SimpleNamespace:
    async def get_queue_len(deadline_s: float) -> int:
        return 0

    return SimpleNamespace(replica_id=Id(name), get_queue_len=get_queue_len)


class Id(str):
    """The id of a replica."""

    __slots__ = ()

    @property
    def unique_id(self) -> str:
        return str(self)


def request(conversation: str, name: str = "request") -> SimpleNamespace:
    metadata = SimpleNamespace(session_id=conversation, internal_request_id=name)
    context = SimpleNamespace(should_backoff=False)
    return SimpleNamespace(args=[SimpleNamespace(id=name)], metadata=metadata, routing_context=context)


async def choose(router: Any, conversation: str, name: str = "request") -> str:
    """Return the replica that is chosen for a job, which stays there only if the pool knows it."""
    ranked = await router.choose_replicas(list(router.curr_replicas.values()), request(conversation, name))
    assert sorted(one.replica_id for [one] in ranked) == sorted(router.curr_replicas)
    return str(ranked[0][0].replica_id)


async def test_a_conversation_has_one_replica_while_a_slot_is_free_there(router: Any, pool: Pool) -> None:
    home = await choose(router, "one", "first")
    assert {await choose(router, "one", f"request {number}") for number in range(20)} == {home}
    # Three jobs at once, none of which was sent yet.
    pool.places |= dict.fromkeys(["x", "y", "z"], "")
    assert [await choose(router, "one", "x"), await choose(router, "one", "y")] == [home, home]
    assert await choose(router, "one", "z") != home
    assert pool.places["z"] != home


async def test_a_job_that_is_tried_again_does_not_count_against_itself(router: Any, pool: Pool) -> None:
    pool.places["x"] = ""
    pool.slots = 1
    assert await choose(router, "one", "x") == await choose(router, "one", "x") == pool.places["x"]


async def test_conversations_and_other_jobs_are_spread(router: Any) -> None:
    for prefix in ("", "x"):
        chosen = Counter([await choose(router, prefix and f"{prefix}{n}", f"request {n}") for n in range(300)])
        assert chosen.keys() == set("abc")
        assert min(chosen.values()) > 60


async def test_other_jobs_go_where_the_fewest_are(router: Any, pool: Pool) -> None:
    pool.places |= {"x": "a", "y": "c"}
    assert {await choose(router, "", f"request {number}") for number in range(20)} == {"b"}


async def test_a_replica_that_leaves_moves_its_own_conversations_alone(router: Any) -> None:
    before = {str(number): await choose(router, str(number)) for number in range(100)}
    router.update_replicas([replica("a"), replica("b")])
    after = {name: await choose(router, name) for name in before}
    assert {name for name in before if before[name] != after[name]} == {name for name in before if before[name] == "c"}


async def test_a_replica_that_could_not_be_reached_is_tried_again(
    pool: Pool, router: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_server.workers.routing.AWAY_SECONDS", 0.05)
    router.on_replica_actor_unavailable(Id("a"))
    assert pool.told == router.curr_replicas.keys() == {"b", "c"}
    await eventually(lambda: pool.told == router.curr_replicas.keys() == {"a", "b", "c"})


async def test_a_replica_that_ray_serve_dropped_meanwhile_stays_away(
    pool: Pool, router: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_server.workers.routing.AWAY_SECONDS", 0.05)
    router.on_replica_actor_unavailable(Id("a"))
    router.update_replicas([replica("b"), replica("c")])
    told: list[Set[str]] = []
    monkeypatch.setattr(pool, "note_replicas", told.append)
    await eventually(lambda: bool(told))
    assert told == [{"b", "c"}]


async def test_where_a_job_went_is_noted_unless_it_was_cancelled(router: Any, pool: Pool) -> None:
    pool.places["kept"] = ""
    for name in ("kept", "cancelled"):
        router.on_request_routed(request("one", name), Id("a"), None)
    assert pool.places == {"kept": "a"}


def chat(*turns: tuple[str, str]) -> Chat:
    return Chat(messages=tuple(ChatTurn(role, text) for role, text in turns), sampling=SAMPLING)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        (chat(("user", "a")), chat(("user", "a"), ("assistant", "b"), ("user", "c")), True),
        (chat(("system", "x"), ("user", "a")), chat(("system", "y"), ("user", "a")), True),
        (chat(("user", "a")), chat(("user", "b")), False),
        (Completion(prompt="x" * 2000, sampling=SAMPLING), Completion(prompt="x" * 3000, sampling=SAMPLING), True),
        (Completion(prompt=(1, 2), sampling=SAMPLING), Completion(prompt=(1, 3), sampling=SAMPLING), False),
    ],
)
def test_a_conversation_is_known_by_its_beginning(one: Task, other: Task, are_same: bool) -> None:
    assert (identify_conversation(one) == identify_conversation(other)) is are_same
    assert identify_conversation(one)
    # What has no beginning is no conversation.
    assert identify_conversation(Embed(texts=("a",))) == ""


@pytest.mark.parametrize(("jobs", "wanted"), [(None, 3), (0, 0), (1, 1), (4, 1), (5, 2), (41, 11)])
def test_replicas_follow_from_the_jobs_in_the_queue_once_there_are_figures(jobs: int | None, wanted: int) -> None:
    require_ray()
    from model_server.workers.routing import scale_by_queue

    # A replica that was started just now has not been told yet.
    measured = None if jobs is None else {"jobs": {"a": jobs, "b": 0}, "slots": {"a": 4, "b": 4}}
    context: Any = SimpleNamespace(aggregated_metrics=measured, target_num_replicas=3)
    assert scale_by_queue(context) == (wanted, {})

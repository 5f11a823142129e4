"""Examples of odd input for one running bot: what strangers write, and valid payloads with something changed."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import TYPE_CHECKING, Any

import numpy  # noqa: F401 - hypothesis looks into it, also while another thread has only begun to import it
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    import pytest

Path = tuple[str | int, ...]

LONGEST_CHECK_SECONDS = 120
"""So that a check which never ends fails in its own place."""

# Also halves of surrogate pairs, which JSON can contain and UTF-8 cannot.
texts = st.text(st.characters(), max_size=20) | st.sampled_from(["/help", "/ask hi", "t:stop:1", "c:ask", "general"])
numbers = st.integers(-(1 << 70), 1 << 70) | st.sampled_from([0, 1, 1 << 59, 10**4000])
plain = st.none() | st.booleans() | numbers | st.floats() | texts
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))

odd_lines = st.sampled_from([
    "x" * 41_000, "`" * 3000, "<@" * 3000, " " * 5000 + "x", "\0", "\ud800", "/", "//", "/nothing", "/help nothing",
    "/ask temperature:" + "9" * 5000, "/face count:٣ seed:😀", "/weigh", "[" * 3000, "null", "[]", "{}",
    "<|im_start|>system", "<@!1> <@&2> <#3> <:a:4> <t:5:R> @everyone", "<!channel> <!here|x> <!subteam^S1> <",
    "<http://a|b> <mailto:a@b|a@b> <#C1|x>", "t::", "t:again:999999999999999999", "t:edit:1", "t:page1:1",
    "t:stop:99999999999999999999", "c:", "c:nothing", "c:weigh", "c:mod remove", "m:nothing", "../../etc/passwd",
    "a.html", "text/html", "de-DE", "xx",
])  # fmt: skip
"""What somebody may write, or give back in the place of a button's id."""


async def examples(strategy: st.SearchStrategy[Any], check: Callable[[Any], Awaitable[None]], count: int) -> None:
    """Check examples in this loop, one after the other, always the same ones."""
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def holds(example: Any) -> None:
        asyncio.run_coroutine_threadsafe(check(example), loop).result(LONGEST_CHECK_SECONDS)

    await asyncio.to_thread(holds)


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the errors in the log, and whatever has a traceback."""
    return [one.getMessage() for one in caplog.records if one.exc_info or one.levelno >= logging.ERROR]


def leaves(payload: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of all values in a payload that contain no others."""
    inner = payload.items() if isinstance(payload, dict) else enumerate(payload) if isinstance(payload, list) else ()
    if not inner:
        yield path
    for name, value in inner:
        yield from leaves(value, (*path, name))


def shape(payload: Any) -> str:
    """Return the same text for payloads that differ in nothing but values."""
    return repr(sorted(leaves(payload), key=repr))


@st.composite
def changed(draw: st.DrawFn, payload: Any, paths: Sequence[Path], new: st.SearchStrategy[Any], most: int = 3) -> Any:
    """Return a copy of a payload with other values at some of these paths."""
    payload = copy.deepcopy(payload)
    for path in draw(st.lists(st.sampled_from(paths), min_size=1, max_size=most, unique=True)):
        _holder(payload, path)[path[-1]] = draw(new)
    return payload


@st.composite
def broken(draw: st.DrawFn, payload: Any) -> Any:
    """Return a copy of a payload of which a part is missing, something else, or additional."""
    payload = copy.deepcopy(payload)
    path = draw(st.sampled_from(sorted(leaves(payload), key=repr)))
    path = path[: draw(st.integers(1, len(path)))]
    holder = _holder(payload, path)
    match draw(st.sampled_from(["missing", "other", "more"])):
        case "missing":
            del holder[path[-1]]
        case "more" if isinstance(holder, dict):
            holder[draw(texts)] = draw(values)
        case _:
            holder[path[-1]] = draw(values)
    return payload


def _holder(payload: Any, path: Path) -> Any:
    for name in path[:-1]:
        payload = payload[name]
    return payload

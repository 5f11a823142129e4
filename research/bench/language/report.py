"""The table of the language benchmark, and the notes below it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from research.bench.language.company import MANY_REQUESTS, SAME_PROMPTS
from research.bench.language.speeds import LONG, SHORT
from research.bench.servers import CLIENTS
from research.bench.table import Goal, TableRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from research.bench.language.goals import LanguageGoals
    from research.bench.language.speeds import LanguageSpeeds
    from research.bench.language.traffic import Traffic

TOGETHER = f"{CLIENTS} streams, tokens/s in total, prefill of {SHORT}-token prompts included"
WAIT = f"seconds to the first token, {LONG}-token prompts, {CLIENTS} at once, median"


@dataclass(frozen=True, slots=True)
class PeerResults:
    """The results of one compared program. Memory in bytes: when it was ready, and at most."""

    name: str
    speeds: LanguageSpeeds
    memory_empty: int
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageResults:
    """All results of one comparison."""

    ours: LanguageSpeeds
    peers: Sequence[PeerResults]
    memory_empty: int
    """Memory of our worker in bytes when it was ready, and at most, which is after all slots were filled."""
    memory_full: int
    slots: int
    filled: int
    """The fewest tokens that each of `slots` slots was filled with."""
    traffic: Traffic
    bandwidths: Sequence[float]
    """The bandwidth of the machine in bytes per second, each time that it was measured."""
    others: float
    """The share of the machine's CPU time that other processes took during the comparison, from 0 to 1."""
    same: int
    waited_for: int
    thread: float
    """How many times as long as the tenth question of a conversation the 200th takes."""
    quality: dict[str, Any] = field(default_factory=dict)
    """As research/bench/language/losses.py reports it; empty if it could not be measured."""


def rows(results: LanguageResults, goals: LanguageGoals) -> list[TableRow]:
    """Return the rows of the table. Figures are medians over the runs; ratios are to the better of the peers."""
    return [
        _compare("one stream, tokens/s", results, "alone", _at_least(goals.alone)),
        *_bandwidth_rows(results, goals),
        _compare("one stream, answers from a lesson, tokens/s", results, "lessons", _at_least(goals.lessons)),
        _compare(TOGETHER, results, "together", _at_least(goals.together)),
        _compare(WAIT, results, "wait", Goal("≤", goals.wait), digits=2),
        TableRow(
            what="the same with the prompts cached, compared with not cached",
            ours=f"{statistics.median(results.ours.wait_cached):.2f}",
            theirs=tuple(f"{statistics.median(peer.speeds.wait_cached):.2f}" for peer in results.peers),
            figure=statistics.median(results.ours.wait_cached) / statistics.median(results.ours.wait),
            ratio=True,
            goal=Goal("≤", 0.3),
        ),
        *_quality_rows(results),
        TableRow(
            what="same seed alone, from the cache, in a batch, staggered: same tokens",
            ours=f"{results.same} of {SAME_PROMPTS}",
            figure=results.same,
            goal=Goal("≥", SAME_PROMPTS),
        ),
        TableRow(
            what="memory of the worker with empty slots, GB",
            ours=f"{results.memory_empty / 1e9:.2f}",
            theirs=tuple(f"{peer.memory_empty / 1e9:.2f}" for peer in results.peers),
            figure=results.memory_empty / 1e9,
            goal=_at_most(goals.memory_empty),
        ),
        TableRow(
            what=f"memory with {results.slots} slots full, {results.filled:,} tokens in each, GB",
            ours=f"{results.memory_full / 1e9:.2f}",
            figure=results.memory_full / 1e9,
            goal=_at_most(goals.memory_full),
        ),
        TableRow(
            what=f"answers of a user with {MANY_REQUESTS} that another with one waits for",
            ours=str(results.waited_for),
            figure=results.waited_for,
            goal=Goal("≤", 1),
        ),
        TableRow(
            what="the 200th question of a long conversation, compared with the tenth",
            ours=f"{results.thread:.2f}",
            figure=results.thread,
            ratio=True,
            goal=Goal("≤", 1.5),
        ),
    ]


def vllm_rows(ours: LanguageSpeeds, theirs: PeerResults, goals: LanguageGoals) -> list[TableRow]:
    """Return the rows of the comparison with vLLM."""
    results = (ours, [theirs])
    return [
        _ratio("one stream, tokens/s", *results, "alone", None),
        _ratio("one stream, answers from a lesson, tokens/s", *results, "lessons", None),
        _ratio(TOGETHER, *results, "together", _at_least(goals.together_vllm)),
        _ratio(WAIT, *results, "wait", None, digits=2),
    ]


def notes(results: LanguageResults) -> str:
    """Return the figures run by run, and what the table has no room for."""
    figures = (
        ("one stream, tokens/s", "alone"),
        ("answers from a lesson, tokens/s", "lessons"),
        (f"{CLIENTS} streams, tokens/s", "together"),
        ("first token, s", "wait"),
        ("first token with a cached prompt, s", "wait_cached"),
    )
    lines = [
        f"- {what}, run by run: "
        + "; ".join(
            f"{name}: {_listed(getattr(speeds, attribute))}"
            for name, speeds in [("Tempera", results.ours), *((peer.name, peer.speeds) for peer in results.peers)]
        )
        for what, attribute in figures
    ]
    memory = ", ".join(f"{peer.name} {peer.memory / 1e9:.2f} GB" for peer in results.peers)
    lows, highs = min(results.bandwidths) / 1e9, max(results.bandwidths) / 1e9
    lines += [
        f"- the long prompts had {min(results.ours.prompts)} to {max(results.ours.prompts)} tokens",
        f"- memory at most, with {CLIENTS} smaller slots: {memory}",
        f"- bandwidth, {len(results.bandwidths)} times in turn with the servers: {lows:.1f} to {highs:.1f} GB/s",
        f"- other processes took {results.others:.0%} of the machine while the servers were compared",
    ]
    if quality := results.quality:
        lines.append(f"- quality over {quality['positions']} tokens of fixed text; served: {quality['served']}")
    return "\n".join(["", *lines])


def _bandwidth_rows(results: LanguageResults, goals: LanguageGoals) -> list[TableRow]:
    """Return what one stream reads for a token, what the machine delivers, and the share of it that is reached."""
    length = statistics.median(results.ours.lengths)
    own = results.traffic.per_step(length, results.quality.get("bytes_per_token"))
    # llama.cpp reads the blocks of the file, though some of them in another order.
    other = results.traffic.per_step(length)
    bandwidth = statistics.median(results.bandwidths)
    share, *shares = (
        100 * statistics.median(speeds.alone) * read / bandwidth
        for speeds, read in [(results.ours, own), *((peer.speeds, other) for peer in results.peers)]
    )
    return [
        TableRow(
            what="bytes that one stream reads for a token, GB",
            ours=f"{own / 1e9:.2f}",
            theirs=(f"{other / 1e9:.2f}",) * len(results.peers),
            figure=own / 1e9,
            goal=None,
        ),
        TableRow(
            what=f"share of the machine's {bandwidth / 1e9:.1f} GB/s that one stream reaches, %",
            ours=f"{share:.0f}",
            theirs=tuple(f"{figure:.0f}" for figure in shares),
            figure=share,
            goal=_at_least(goals.share),
        ),
    ]


def _quality_rows(results: LanguageResults) -> list[TableRow]:
    """Return the loss against the file's weights in float32. The native build computes that of llama.cpp."""
    quality = results.quality
    if not quality:
        return []
    places = len(results.peers) - 1
    compared = "peer_kl" in quality
    loss = [
        TableRow(
            what="KL divergence from the file's weights in fp32, nats",
            ours=f"{quality['kl']:.4f}",
            theirs=("",) * places + (f"{quality['peer_kl']:.4f}",) if compared else (),
            figure=quality["kl"],
            goal=Goal("≤", 0.003),
        ),
        TableRow(
            what="most probable token as in fp32, %",
            ours=f"{100 * quality['top1']:.1f}",
            theirs=("",) * places + (f"{100 * quality['peer_top1']:.1f}",) if compared else (),
            figure=100 * quality["top1"],
            goal=Goal("≥", 98),
        ),
    ]
    if compared:
        ratio = TableRow(
            what="KL divergence, compared with llama.cpp's",
            ours=f"{quality['kl']:.4f}",
            theirs=("",) * places + (f"{quality['peer_kl']:.4f}",),
            figure=quality["kl"] / quality["peer_kl"],
            ratio=True,
            goal=Goal("≤", 1),
        )
        loss.insert(1, ratio)
    return loss


def _compare(what: str, results: LanguageResults, attribute: str, goal: Goal | None, digits: int = 1) -> TableRow:
    return _ratio(what, results.ours, results.peers, attribute, goal, digits)


def _ratio(
    what: str,
    ours: LanguageSpeeds,
    peers: Sequence[PeerResults],
    attribute: str,
    goal: Goal | None,
    digits: int = 1,
) -> TableRow:
    """Return the row of one figure, compared with the better of the peers: less is better for a wait."""
    better: Callable[[list[float]], float] = min if attribute == "wait" else max
    own = statistics.median(getattr(ours, attribute))
    theirs = [statistics.median(getattr(peer.speeds, attribute)) for peer in peers]
    return TableRow(
        what=what,
        ours=f"{own:.{digits}f}",
        theirs=tuple(f"{other:.{digits}f}" for other in theirs),
        figure=own / better(theirs),
        ratio=True,
        goal=goal,
    )


def _at_least(bound: float | None) -> Goal | None:
    return None if bound is None else Goal("≥", bound)


def _at_most(bound: float | None) -> Goal | None:
    return None if bound is None else Goal("≤", bound)


def _listed(figures: list[float]) -> str:
    return ", ".join(f"{figure:.2f}" for figure in figures)

"""The table of the language benchmark."""

from typing import Any

import pytest

from research.bench.language.goals import LARGE, find_goals
from research.bench.language.report import LanguageResults, PeerResults, notes, rows, vllm_rows
from research.bench.language.speeds import LanguageSpeeds
from research.bench.language.traffic import Traffic
from research.bench.table import markdown

GOALS = find_goals(LARGE, vnni=True)
QUALITY = {"kl": 0.0025, "top1": 0.985, "positions": 800, "served": "blocks", "peer_kl": 0.004, "peer_top1": 0.97}


def speeds(alone: float, together: float, wait: float, lessons: float = 40) -> LanguageSpeeds:
    return LanguageSpeeds(
        alone=[alone, alone + 10, alone - 10],
        lessons=[lessons],
        together=[together],
        wait=[wait],
        wait_cached=[wait / 4],
        prompts=[390, 410],
        lengths=[100, 100, 100],
    )


def results(**changes: Any) -> LanguageResults:
    met = {
        "ours": speeds(50, 200, 2.0, lessons=60),
        "peers": [
            PeerResults("wheel", speeds(30, 50, 4.0), 1_200_000_000, 1_500_000_000),
            PeerResults("native", speeds(40, 45, 5.0), 1_300_000_000, 1_600_000_000),
        ],
        "memory_empty": 1_600_000_000,
        "memory_full": 2_900_000_000,
        "slots": 12,
        "filled": 4000,
        "traffic": Traffic(weights=980_000_000, per_token=28_672, parameters=1_777_000_000),
        "bandwidths": [50e9, 60e9, 54e9],
        "same": 50,
        "waited_for": 1,
        "thread": 1.4,
        "others": 0.1,
        "quality": QUALITY,
    }
    return LanguageResults(**met | changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"same": 49}, "49 of 50 |  |  |  | ≥ 50 | no, by 2%"),
        ({"memory_empty": 2_000_000_000}, "| 2.00 | 1.20 | 1.30 |  | ≤ 1.7 | no, by 18%"),
        ({"memory_full": 3_300_000_000}, "4,000 tokens in each, GB | 3.30 |  |  |  | ≤ 3 | no, by 10%"),
        ({"thread": 3.0}, "compared with the tenth | 3.00 |  |  | 3.00 × | ≤ 1.5 × | no, by 100%"),
        ({"waited_for": 9}, "| 9 |  |  |  | ≤ 1 | no, by 800%"),
        ({"quality": QUALITY | {"kl": 0.006}}, "| 0.0060 |  | 0.0040 |  | ≤ 0.003 | no, by 100%"),
        ({"quality": QUALITY | {"kl": 0.006}}, "| 0.0060 |  | 0.0040 | 1.50 × | ≤ 1 × | no, by 50%"),
        ({"quality": QUALITY | {"top1": 0.49}}, "| 49.0 |  | 97.0 |  | ≥ 98 | no, by 50%"),
        ({"bandwidths": [100e9]}, "100.0 GB/s that one stream reaches, % | 49 | 29 | 39 |  | ≥ 85 | no, by 42%"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_missed_goal_is_printed_as_missed(changes: dict[str, Any], said: str) -> None:
    assert said in markdown(rows(results(**changes), GOALS), "wheel", "native")


def test_a_ratio_is_to_the_better_peer_and_of_medians() -> None:
    printed = markdown(rows(results(), GOALS), "wheel", "native")
    assert "| one stream, tokens/s | 50.0 | 30.0 | 40.0 | 1.25 × | ≥ 1.1 × | yes |" in printed
    assert "| 200.0 | 50.0 | 45.0 | 4.00 × | ≥ 4 × | yes |" in printed
    assert "| 2.00 | 4.00 | 5.00 | 0.50 × | ≤ 0.5 × | yes |" in printed


def test_what_the_runner_says_that_it_reads_comes_before_the_size_of_the_file() -> None:
    printed = markdown(rows(results(quality=QUALITY | {"bytes_per_token": 490_000_000}), GOALS), "wheel", "native")
    assert "reads for a token, GB | 0.49 | 0.98 | 0.98 |" in printed
    assert "54.0 GB/s that one stream reaches, % | 46 | 55 | 73 |" in printed


def test_without_a_native_build_or_memory_the_table_has_no_such_rows() -> None:
    wheel = results().peers[:1]
    own = {name: QUALITY[name] for name in ("kl", "top1", "positions", "served")}
    printed = markdown(rows(results(peers=wheel, quality=own), GOALS), "wheel")
    assert "nats | 0.0025 |  |  | ≤ 0.003 | yes" in printed
    assert "compared with llama.cpp's" not in printed
    assert "nats" not in markdown(rows(results(quality={}), GOALS), "wheel", "native")
    assert "quality" not in notes(results(quality={}))


def test_vllm_has_a_goal_with_vnni_alone() -> None:
    theirs = PeerResults("vLLM", speeds(30, 100, 4.0), 0, 0)
    printed = markdown(vllm_rows(results().ours, theirs, GOALS), "vLLM")
    assert "| 200.0 | 100.0 | 2.00 × | ≥ 2.5 × | no, by 20% |" in printed
    assert "| 200.0 | 100.0 | 2.00 × |  |  |" in markdown(
        vllm_rows(results().ours, theirs, find_goals(LARGE, vnni=False)), "vLLM"
    )

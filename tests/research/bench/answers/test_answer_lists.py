"""The two lists of questions with checkable answers have the right format and balance."""

import json
import re
from collections import Counter
from difflib import SequenceMatcher
from typing import Any

import pytest

from research import DATA

HALVES = ("tuning", "held_out")
KEYS = {"id", "category", "language", "question", "accept", "reject"}
Question = dict[str, Any]


def read_half(half: str) -> list[Question]:
    """The questions of `answers/<half>.jsonl`."""
    return [json.loads(line) for line in (DATA / "answers" / f"{half}.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.filterwarnings("error:Possible nested set")
@pytest.mark.parametrize("half", HALVES)
def test_every_question_has_the_right_keys_and_patterns(half: str) -> None:
    for question in read_half(half):
        assert set(question) - {"everybody_knows"} == KEYS
        assert question.get("everybody_knows", True) is True
        assert question["id"].startswith(f"{question['category']}-{question['language']}-")
        assert question["language"] in {"en", "de", "es"}
        assert question["accept"]
        for pattern in question["accept"] + question["reject"]:
            assert not re.search(pattern, "", re.IGNORECASE), f"{question['id']}: {pattern} is found in anything"
            # Tried at each letter, a look-ahead over a whole answer takes a minute for a long one.
            assert not pattern.startswith(("(?=.*", "(?s)(?=.*")), f"{question['id']}: {pattern} needs \\A"


def test_no_question_stands_in_both_halves_or_twice_in_one() -> None:
    tuning, held_out = map(read_half, HALVES)
    for key in ("id", "question"):
        assert max(Counter(question[key] for question in tuning + held_out).values()) == 1
    for one in tuning:
        for other in held_out:
            if one["language"] == other["language"]:
                matcher = SequenceMatcher(None, one["question"].lower(), other["question"].lower())
                # The quick ratio is never below the exact one.
                assert matcher.quick_ratio() < 0.85 or matcher.ratio() < 0.85, (one["id"], other["id"])


def test_the_halves_are_alike() -> None:
    tuning, held_out = (Counter((entry["category"], entry["language"]) for entry in read_half(half)) for half in HALVES)
    assert tuning.total() + held_out.total() >= 340
    assert tuning.keys() == held_out.keys()
    assert abs(tuning.total() - held_out.total()) <= 0.1 * tuning.total()
    for kind in tuning:
        assert abs(tuning[kind] - held_out[kind]) <= 1, kind
    for half in HALVES:
        assert sum("everybody_knows" in question for question in read_half(half)) == 20

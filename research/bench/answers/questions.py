"""Questions with checkable answers: reads files of them, and says whether an answer is right."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_server.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

CATEGORIES = (
    *("facts", "sums", "reasoning", "language", "instructions"),
    *("generative-ai", "false-premise", "unanswerable"),
)
LANGUAGES = ("en", "de", "es")
TEXTS, LISTS = ("id", "category", "language", "question"), ("accept", "reject")
OPTIONAL = ("reject", "everybody_knows")
BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
MARKS = re.compile(r"\\[()]|[*_`$]")
"""The marks of Markdown and LaTeX that are left out of an answer before it is checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, and the patterns by which its answer is checked."""

    id: str
    category: str
    language: str
    text: str
    accept: tuple[re.Pattern[str], ...]
    reject: tuple[re.Pattern[str], ...] = ()
    everybody_knows: bool = False

    def is_answered_by(self, answer: str) -> bool:
        """Return whether at least one `accept` and no `reject` is found in the answer."""
        folded = fold(answer)
        is_accepted = any(pattern.search(folded) for pattern in self.accept)
        return is_accepted and not any(pattern.search(folded) for pattern in self.reject)


def fold(answer: str) -> str:
    """Return an answer without marks of Markdown and LaTeX, and with single blanks for all white space."""
    return " ".join(MARKS.sub("", BOXED.sub(r"\1", answer)).split())


def load_questions(path: Path) -> tuple[Question, ...]:
    """Read a file with one JSON object a line. Raises OperatorError, which quotes no question: it may be a secret."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise OperatorError(
            f"There is no file {path}. The questions are in research/data of the source code: "
            "run this in a checkout, or name a file with --questions."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"The questions in {path} cannot be read: {error}.") from None
    questions = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                questions.append(_parse(json.loads(line)))
            except ValueError as error:
                reason = "it is not JSON" if isinstance(error, json.JSONDecodeError) else error
                raise OperatorError(f"Line {number} of {path.name} is no question: {reason}.") from None
    if not questions:
        raise OperatorError(f"There are no questions in {path}.")
    if len({question.id for question in questions}) < len(questions):
        raise OperatorError(f"Two questions in {path.name} have the same id.")
    return tuple(questions)


def _parse(row: Any) -> Question:
    """Return the question of one line. Raises ValueError with the reason if it is none."""
    if not isinstance(row, dict):
        raise ValueError("it should be an object")  # noqa: TRY004 - one kind of error for all reasons
    if unknown := row.keys() - {*TEXTS, *LISTS, *OPTIONAL}:
        raise ValueError(f"it has the unknown key {min(unknown)!r}")
    row = {"reject": [], "everybody_knows": False} | row
    for key in TEXTS:
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise ValueError(f"{key!r} should be a text")
    for key in LISTS:
        if not isinstance(row.get(key), list) or not all(isinstance(pattern, str) for pattern in row[key]):
            raise ValueError(f"{key!r} should be a list of regular expressions")
    if not row["accept"]:
        raise ValueError("'accept' should have at least one regular expression")
    if row["category"] not in CATEGORIES:
        raise ValueError(f"'category' should be one of {', '.join(CATEGORIES)}")
    if row["language"] not in LANGUAGES:
        raise ValueError(f"'language' should be one of {', '.join(LANGUAGES)}")
    return Question(
        id=row["id"],
        category=row["category"],
        language=row["language"],
        text=row["question"].strip(),
        accept=_compile("accept", row["accept"]),
        reject=_compile("reject", row["reject"]),
        everybody_knows=row["everybody_knows"] is True,
    )


def _compile(key: str, patterns: list[str]) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
    except re.error as error:
        raise ValueError(f"{key!r} has a wrong regular expression ({error.msg})") from None

"""Files of questions, and the check of answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from model_server.errors import OperatorError
from research.bench.answers.questions import Question, fold, load_questions


def row(**changes: Any) -> dict[str, Any]:
    whole = {"id": "a", "category": "sums", "language": "en", "question": "What is 6 times 7?", "accept": [r"\b42\b"]}
    return whole | changes


def load(folder: Path, *rows: object) -> tuple[Question, ...]:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in rows), "utf-8")
    return load_questions(path)


@pytest.mark.parametrize(
    ("answer", "folded"),
    [
        ("  It is\n\n\t42. ", "It is 42."),
        ("The capital is **Paris**, `not` _Lyon_.", "The capital is Paris, not Lyon."),
        (r"So \( x = $42$ \).", "So x = 42 ."),
        (r"\boxed{42}, or \boxed{\frac{1}{2}}", r"42, or \frac{1}{2}"),
        ("{42}", "{42}"),
    ],
)
def test_marks_are_left_out_and_white_space_is_folded(answer: str, folded: str) -> None:
    assert fold(answer) == folded


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        ("It is forty-\n**TWO**.", False),
        ("It is\nforty **TWO**.", True),
        ("Perhaps 42.", True),
        ("42 or 43.", False),
        ("142", False),
        ("", False),
    ],
)
def test_one_accepted_pattern_and_no_rejected_one(answer: str, is_right: bool, tmp_path: Path) -> None:
    [question] = load(tmp_path, row(accept=[r"\b42\b", "is forty two"], reject=[r"\b43\b"]))
    assert question.is_answered_by(answer) is is_right


def test_the_lines_of_a_file_are_read(tmp_path: Path) -> None:
    first, second = load(tmp_path, row(question=" Why? "), "", row(id="b", everybody_knows=True, reject=["no"]))
    assert (first.id, first.category, first.language, first.text) == ("a", "sums", "en", "Why?")
    assert (first.everybody_knows, second.everybody_knows) == (False, True)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("{", "it is not JSON"),
        ([], "it should be an object"),
        (row(kind="x"), "it has the unknown key 'kind'"),
        (row(question=" "), "'question' should be a text"),
        (row(accept="42"), "'accept' should be a list of regular expressions"),
        (row(accept=[]), "'accept' should have at least one regular expression"),
        (row(reject=["("]), r"'reject' has a wrong regular expression \(missing \), unterminated subpattern\)"),
        (row(category="maths"), "'category' should be one of facts, sums"),
        (row(language="fr"), "'language' should be one of en, de, es"),
    ],
)
def test_a_wrong_line_is_named_and_not_quoted(wrong: object, reason: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=rf"^Line 2 of questions\.jsonl is no question: {reason}") as error:
        load(tmp_path, row(), wrong)
    assert "6 times 7" not in str(error.value)


def test_two_questions_with_the_same_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="have the same id"):
        load(tmp_path, row(), row())


def test_without_the_file_the_error_says_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"research/data of the source code: run this in a checkout"):
        load_questions(tmp_path / "held_out.jsonl")

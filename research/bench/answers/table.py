"""The tables of right answers: by category for each side, and how the goals are met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from research.bench.answers.questions import CATEGORIES
from research.bench.table import Goal, TableRow, markdown
from research.intervals import SIGNIFICANCE, share, sign_test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from research.bench.answers.questions import Question

SMALL, DEFAULT, PEER_NAME = "small", "default", "llama.cpp"
ENGLISH = ("facts", "language")
"""The categories that are also counted in English alone."""
POINTS_OVER_SMALL, LEAST_IN_ENGLISH = 15, 92
"""Goals, in percentage points and percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An answer, and what there is to count about it."""

    text: str
    is_right: bool
    is_cut: bool = False
    """Whether it ended at the token limit."""
    is_cut_unseen: bool = False
    """Whether it did, and the bot did not show that."""
    is_refused: bool = False
    """Whether the bot refused the question itself, so that no model was asked."""
    has_lesson: bool = False
    """Whether the model was given the text of a lesson."""


def tabulate(questions: Sequence[Question], verdicts: Mapping[str, Sequence[Verdict]]) -> str:
    """Return the tables in Markdown: right answers, what else was counted, and the goals."""
    return "\n".join((*_shares(questions, verdicts), "", markdown(goal_rows(questions, verdicts), PEER_NAME)))


def describe_failures(questions: Sequence[Question], verdicts: Mapping[str, Sequence[Verdict]]) -> str:
    """Return each question that was answered wrongly, with the answer."""
    return "\n".join(
        f"\n{side}, {question.id} ({question.category}, {question.language}): {question.text}\n{verdict.text}"
        for side, judged in verdicts.items()
        for question, verdict in zip(questions, judged, strict=True)
        if not verdict.is_right
    )


def goal_rows(questions: Sequence[Question], verdicts: Mapping[str, Sequence[Verdict]]) -> list[TableRow]:
    """Return the goals of the default model, as far as the others were asked."""
    ours = verdicts[DEFAULT]
    groups = dict(_groups(questions))
    rows = [
        _least_share(f"right answers, {name}, %", ours, groups[name])
        for name in (f"{category} in English" for category in ENGLISH)
        if name in groups
    ]
    if known := groups.get("everybody knows"):
        right = sum(ours[place].is_right for place in known)
        what = "right answers to what everybody knows"
        rows.append(TableRow(what=what, ours=f"{right}", figure=right, goal=Goal("≥", len(known))))
    if SMALL in verdicts:
        points = 100 * (_rate(ours) - _rate(verdicts[SMALL]))
        what = "percentage points over the small model, total"
        rows.append(TableRow(what=what, ours=f"{points:.1f}", figure=points, goal=Goal("≥", POINTS_OVER_SMALL)))
    if PEER_NAME in verdicts:
        rows += [_not_below(name, ours, verdicts[PEER_NAME], groups[name]) for name in ("total", *_present(questions))]
    unseen = sum(verdict.is_cut_unseen for verdict in ours)
    rows.append(TableRow(what="cut off without a sign", ours=f"{unseen}", figure=unseen, goal=Goal("≤", 0)))
    return rows


def _shares(questions: Sequence[Question], verdicts: Mapping[str, Sequence[Verdict]]) -> Iterator[str]:
    yield _line("right answers (95 % interval)", verdicts)
    yield _line("---", ["---:"] * len(verdicts))
    for name, places in _groups(questions):
        yield _line(
            name,
            (share(sum(judged[place].is_right for place in places), len(places)) for judged in verdicts.values()),
        )
    counts: dict[str, Callable[[Verdict], bool]] = {
        "cut off at the token limit": lambda verdict: verdict.is_cut,
        "given a lesson": lambda verdict: verdict.has_lesson,
        "refused by the bot before a model was asked": lambda verdict: verdict.is_refused,
    }
    for name, counted in counts.items():
        yield _line(name, (str(sum(map(counted, judged))) for judged in verdicts.values()))


def _groups(questions: Sequence[Question]) -> Iterator[tuple[str, list[int]]]:
    """Yield the name of each row, and the places of its questions."""
    every = list(enumerate(questions))
    for category in _present(questions):
        of_category = [(place, question) for place, question in every if question.category == category]
        yield category, [place for place, _ in of_category]
        english = [place for place, question in of_category if question.language == "en"]
        if category in ENGLISH and english:
            yield f"{category} in English", english
    if known := [place for place, question in every if question.everybody_knows]:
        yield "everybody knows", known
    yield "total", [place for place, _ in every]


def _present(questions: Sequence[Question]) -> list[str]:
    there = {question.category for question in questions}
    return [category for category in CATEGORIES if category in there]


def _least_share(what: str, judged: Sequence[Verdict], places: Sequence[int]) -> TableRow:
    percent = 100 * _rate([judged[place] for place in places])
    return TableRow(what=what, ours=f"{percent:.1f}", figure=percent, goal=Goal("≥", LEAST_IN_ENGLISH))


def _not_below(name: str, ours: Sequence[Verdict], theirs: Sequence[Verdict], places: Sequence[int]) -> TableRow:
    """Return the row about the questions that only one of the two answered rightly."""
    better = sum(ours[place].is_right and not theirs[place].is_right for place in places)
    worse = sum(theirs[place].is_right and not ours[place].is_right for place in places)
    probability = sign_test(better, worse)
    return TableRow(
        what=f"right where the other is wrong, {name} (p of the sign test)",
        ours=f"{better} (p = {probability:.2f})",
        theirs=(str(worse),),
        figure=probability,
        goal=Goal("≥", SIGNIFICANCE),
    )


def _rate(judged: Sequence[Verdict]) -> float:
    return sum(verdict.is_right for verdict in judged) / len(judged)


def _line(first: str, others: Iterable[str]) -> str:
    return f"| {' | '.join((first, *others))} |"

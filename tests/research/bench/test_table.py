"""The table of results."""

from research.bench.table import Goal, TableRow, markdown


def test_a_missed_goal_says_by_how_much() -> None:
    slow = TableRow(what="x", ours="", figure=0.4, ratio=True, goal=Goal("≥", 1.0))
    assert slow.cells()[-3:] == ("0.40 ×", "≥ 1 ×", "no, by 60%")


def test_each_compared_program_has_a_column() -> None:
    rows = [
        TableRow(what="a", ours="1", theirs=("2", "3"), figure=1, goal=None),
        TableRow(what="b", ours="4", figure=4, goal=Goal("≤", 4)),
    ]
    assert markdown(rows, "left", "right").splitlines() == [
        "|  | Tempera | left | right | compared | goal | met |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        "| a | 1 | 2 | 3 |  |  |  |",
        "| b | 4 |  |  |  | ≤ 4 | yes |",
    ]

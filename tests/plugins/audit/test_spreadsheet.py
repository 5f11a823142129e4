import csv
import io
import re
from datetime import UTC, datetime

import pytest

from bot import AuditRow
from plugins.audit.spreadsheet import write_csv


def row(**values: object) -> AuditRow:
    common = {
        "id": 7,
        "created": datetime(2026, 3, 31, 14, 30, 5, tzinfo=UTC),
        "platform": "web",
        "server": "web",
        "channel": "",
        "actor": "a1",
        "actor_name": "Ann",
        "kind": "setting",
        "what": "limits.cooldown",
        "subject": "",
        "subject_name": "",
        "before": None,
        "after": 30,
        "reason": "",
        "times": 1,
    }
    return AuditRow(**(common | values))


def read(*rows: AuditRow) -> list[dict[str, str]]:
    text = write_csv((one, one.before) for one in rows).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_each_entry_is_a_row_under_named_columns() -> None:
    assert write_csv([]).startswith(b"\xef\xbb\xbfnumber,")
    assert read(row()) == [
        {
            "number": "7",
            "time (UTC)": "2026-03-31 14:30:05",
            "platform": "web",
            "server": "web",
            "channel": "",
            "kind": "setting",
            "what": "limits.cooldown",
            "who (id)": "a1",
            "who": "Ann",
            "about (id)": "",
            "about": "",
            "before": "",
            "after": "30",
            "reason": "",
            "times": "1",
        }
    ]


def test_special_characters_survive() -> None:
    wild = 'two\nlines, "quotes" and ünïcode;'
    [found] = read(row(before=wild, after={"until": "ü"}, actor_name="Zoë, the 1st"))
    assert (found["before"], found["after"], found["who"]) == (wild, '{"until": "ü"}', "Zoë, the 1st")


def test_text_that_looks_like_a_formula_is_escaped() -> None:
    [found] = read(
        row(actor_name='=HYPERLINK("http://x")', before="@SUM(1)", after="-cmd", subject_name="+1", reason="a=b")
    )
    assert found["who"] == '\'=HYPERLINK("http://x")'
    assert (found["before"], found["after"]) == ("'@SUM(1)", "'-cmd")
    assert (found["about"], found["reason"]) == ("+1", "a=b")


@pytest.mark.parametrize("name", ["Eve;=1+1", "Eve; @SUM(1)", "Eve\t-1+1", "Eve\n=1+1", "＝1+1", "x;;+1+1"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_is_a_formula_whatever_separates_cells_in_a_country(name: str, separator: str) -> None:
    text = write_csv([(row(actor_name=name), None)]).decode("utf-8-sig")
    # Not as a reader of CSV takes quotation marks: a spreadsheet that expects other separators sees none of them.
    cells = re.split(rf"[{separator}\n]", text)
    assert not [cell for cell in cells if cell.strip('" ').startswith(tuple("=+-@＝"))]

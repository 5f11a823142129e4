"""Entries of the audit as a CSV file for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable
from datetime import UTC
from typing import Any

from bot import AuditRow

COLUMNS = (
    *("number", "time (UTC)", "platform", "server", "channel", "kind", "what"),
    *("who (id)", "who", "about (id)", "about", "before", "after", "reason", "times"),
)
FORMULA_START = re.compile(r"(^|[;\t\r\n]) *(?=[=+\-@＝＋－＠\t\r])")
"""Where a spreadsheet may begin to compute: at the start of a cell, and after what separates cells in some countries.

Anybody can write names, so a ' stands there.
"""


def write_csv(entries: Iterable[tuple[AuditRow, Any]]) -> bytes:
    """Return a CSV file of `entries`: each a row and the part of its `before` that may be shown.

    It is UTF-8 with the byte order mark that Excel needs.
    """
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for row, before in entries:
        time = row.created.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        place = (row.platform, row.server, row.channel)
        people = (row.actor, row.actor_name, row.subject, row.subject_name)
        values = (*place, row.kind, row.what, *people, _format_cell(before), _format_cell(row.after), row.reason)
        table.writerow([row.id, time, *map(_escape_formula, values), row.times])
    return file.getvalue().encode("utf-8-sig")


def _format_cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _escape_formula(text: str) -> str:
    return text if _is_number(text) else FORMULA_START.sub(r"\g<0>'", text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

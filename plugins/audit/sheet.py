"""Entries as a table that spreadsheets open."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot import AuditRow

COLUMNS = (
    *("number", "time (UTC)", "platform", "server", "channel", "kind", "what"),
    *("who (id)", "who", "about (id)", "about", "before", "after", "reason"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet compute a cell. Names and words come from anybody, so such cells get a ' before them."""


def sheet(entries: Iterable[tuple[AuditRow, Any]]) -> bytes:
    """A CSV file of entries, each with what of its `before` may be shown. In UTF-8 with the mark that Excel needs."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\r\n")
    table.writerow(COLUMNS)
    for row, before in entries:
        time = row.created.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        place = (row.platform, row.server, row.channel)
        people = (row.actor, row.actor_name, row.subject, row.subject_name)
        values = (*place, row.kind, row.what, *people, _cell(before), _cell(row.after), row.reason)
        table.writerow([row.id, time, *map(_harmless, values)])
    return file.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

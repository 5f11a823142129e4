"""Durations as people type them."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta

DURATION_PART = re.compile(r"(?P<count>[0-9]{1,5})\s*(?P<unit>[^\W\d_]*)")
UNITS = {
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "minuto", "minutos", "minuten"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours", "hora", "horas", "stunde", "stunden", "std"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days", "día", "días", "tag", "tage"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks", "semana", "semanas", "woche", "wochen"), timedelta(weeks=1)),
}


def parse_duration(text: str) -> timedelta | None:
    """Parse a duration such as "10m", "2h" or "1d 12h", in English, German or Spanish; None for anything else."""
    words = unicodedata.normalize("NFC", text.casefold()).replace(",", " ")
    parts = list(DURATION_PART.finditer(words))
    if not parts or DURATION_PART.sub("", words).strip() or any(part["unit"] not in UNITS for part in parts):
        return None
    return sum((int(part["count"]) * UNITS[part["unit"]] for part in parts), timedelta())

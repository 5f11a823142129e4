"""The log as JSON, in which both programs write it alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


def make_json_formatter() -> logging.Formatter:
    """Return what writes each record as an object, with its own fields, such as the number that a user sees."""
    # Only who wants such a log waits for the library.
    from pythonjsonlogger.json import JsonFormatter

    names = {"asctime": "time", "levelname": "level", "name": "logger"}
    return JsonFormatter("{asctime}{levelname}{name}{message}", style="{", rename_fields=names)

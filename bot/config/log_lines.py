"""Log lines in which what others wrote forges no line of the log and commands no terminal."""

from __future__ import annotations

import logging
import sys

from http_server.json_log import make_json_formatter

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
ESCAPES = {
    code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029) if chr(code) not in "\n\t"
}
"""A translation table that spells out control characters and ends of lines, but keeps line feeds and tabs."""
INDENT = "  "


class LineFormatter(logging.Formatter):
    """Begins a line for each record. Further lines of it, such as those of a traceback, are indented."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as text. Names, and the sentences of errors, may hold anything."""
        return super().format(record).translate(ESCAPES).replace("\n", f"\n{INDENT}")


def log_to_stderr(level: str, *, as_json: bool = False) -> None:
    """Log records of `level` and above to stderr, unless something logs already."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(make_json_formatter() if as_json else LineFormatter())
    logging.basicConfig(level=level, handlers=[handler])

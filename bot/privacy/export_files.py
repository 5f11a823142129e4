"""The files of an export: rows as JSON, written to the disk as they are read, so that no export fills the memory."""

from __future__ import annotations

import base64
import json
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from bot.core.messages import Attachment
from bot.storage.tokens import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from bot.storage.database import TokensRow

FILE_BYTES = 6 * 2**20
"""The largest file of an export, so that every platform accepts it."""
BETWEEN_ROWS = b",\n"


@dataclass(slots=True)
class _File:
    """Where the rows of a file are in the spool: for each section its beginning and its end; and their size in all."""

    sections: dict[str, tuple[int, int]] = field(default_factory=dict)
    size: int = 0
    has_pieces: bool = False


class ExportFiles:
    """The rows of an export in a temporary file without a name, divided into files of at most `FILE_BYTES`.

    A context manager; its methods block. `sections` are all names of sections in their order, which the first file has
    even if they are empty.
    """

    def __init__(self, sections: Iterable[str]) -> None:
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of the context
        self._files = [_File(dict.fromkeys(sections, (0, 0)))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    def __len__(self) -> int:
        return len(self._files)

    def add(self, section: str, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows of a section, each in a line. All rows of one section are added before those of the next."""
        for row in rows:
            lines = _split_row(row)
            for line in lines:
                self._add_line(section, line)
                self._files[-1].has_pieces |= "pieces" in row or len(lines) > 1

    def _add_line(self, section: str, line: str) -> None:
        data = line.encode("utf-8", "replace") + BETWEEN_ROWS
        if self._files[-1].size and self._files[-1].size + len(data) > FILE_BYTES:
            self._files.append(_File())
        file, start = self._files[-1], self._spool.tell()
        known = file.sections.get(section, (0, 0))
        file.sections[section] = (known[0] if known[1] else start, start + len(data))
        file.size += len(data)
        self._spool.write(data)

    def read(self, first: int, most: int, about: Mapping[str, Any], note: str) -> list[Attachment]:
        """Return at most `most` files from the `first` on, which counts from 0; `note` explains pieces of rows."""
        return [self._read_file(number, about, note) for number in range(first, min(first + most, len(self._files)))]

    def _read_file(self, number: int, about: Mapping[str, Any], note: str) -> Attachment:
        file = self._files[number]
        facts = {**about, "file": number + 1, "files": len(self._files)} | ({"pieces": note} if file.has_pieces else {})
        parts = [f'"about":{_json(facts)}'.encode("utf-8", "replace")]
        parts += [b'"%b":[\n%b\n]' % (name.encode(), self._read_lines(*where)) for name, where in file.sections.items()]
        name = "tempera-data.json" if number == 0 else f"tempera-data-{number + 1}.json"
        return Attachment(name, b"{\n%b\n}\n" % BETWEEN_ROWS.join(parts), "application/json", confidential=True)

    def _read_lines(self, start: int, end: int) -> bytes:
        self._spool.seek(start)
        return self._spool.read(end - start).removesuffix(BETWEEN_ROWS)


def as_json_rows(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Return database rows as JSON objects; columns of bytes are left out."""
    return [
        {
            column.key: value
            for column in row.__table__.columns
            if not isinstance(value := getattr(row, column.key), bytes)
        }
        for row in rows
    ]


def token_rows(tokens: Iterable[TokensRow]) -> Iterator[dict[str, Any]]:
    """Yield the tokens of each answer with their probabilities, to four significant digits, as they are stored."""
    for row in tokens:
        pairs = [[token.text, float(f"{token.probability:.4g}")] for token in unpack(row.data)]
        yield {"message": row.message, "tokens": pairs}


def file_rows(rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield rows with their bytes as base64; bytes too large for one file are split into numbered pieces."""
    # Base64 is a third longer, and still fits.
    length = FILE_BYTES // 2
    for row in rows:
        starts = range(0, len(row.data), length) or range(1)
        for number, start in enumerate(starts, 1):
            data = base64.b64encode(row.data[start : start + length]).decode()
            of_several = {"piece": number, "pieces": len(starts)} if len(starts) > 1 else {}
            yield as_json_rows([row])[0] | of_several | {"base64": data}


def _split_row(row: dict[str, Any]) -> Sequence[str]:
    """Return the JSON of a row, or of pieces of that if it is too large for one file."""
    line = _json(row)
    if len(line.encode("utf-8", "replace")) <= FILE_BYTES:
        return [line]
    # A character has at most four bytes; one that is escaped again has two.
    length = FILE_BYTES // 4
    starts = range(0, len(line), length)
    return [
        _json({"piece": number, "pieces": len(starts), "json": line[start : start + length]})
        for number, start in enumerate(starts, 1)
    ]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)

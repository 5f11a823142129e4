"""Shows the progress of fetching on stderr: bars on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from typing import IO, TYPE_CHECKING, Any, Self

from model_server.files.cache import format_size

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_INTERVAL_SECONDS = 5.0


class Bars:
    """A FetchListener with one tqdm bar for each piece of work."""

    def __init__(self) -> None:
        self._what = ""
        self._bar: Any = None

    def update(self, what: str, done: int, total: int | None) -> None:
        """Show the progress (see `FetchListener`)."""
        if what != self._what:
            self._close()
            self._bar = self._make_bar(what, total)
            self._what = what
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _make_bar(self, what: str, total: int | None) -> Any:
        from tqdm import tqdm

        if what.startswith("waiting"):
            return tqdm(desc=what, bar_format="{desc} ({elapsed})", miniters=0)
        if what.startswith("converting"):
            return tqdm(desc=what, total=total, bar_format="{desc}: {bar} step {n} of {total} ({elapsed})", miniters=0)
        return tqdm(desc=what, total=total, unit="B", unit_scale=True, miniters=0)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Lines:
    """A FetchListener that writes a line when new work begins, and then one every few seconds."""

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._what = ""
        self._last_report = 0.0

    def update(self, what: str, done: int, total: int | None) -> None:
        """Show the progress (see `FetchListener`)."""
        now = self._clock()
        if what == self._what and now - self._last_report < LINE_INTERVAL_SECONDS:
            return
        self._what, self._last_report = what, now
        self._stream.write(f"{what}{_format_amount(what, done, total)}\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing; there is no bar to close."""


def progress_on_stderr() -> Bars | Lines:
    """Return the listener that suits stderr."""
    return Bars() if sys.stderr.isatty() else Lines(sys.stderr)


def _format_amount(what: str, done: int, total: int | None) -> str:
    if what.startswith("waiting"):
        return ""
    if total is None:
        return f": {format_size(done)}"
    return f": {100 * done // total if total else 100}%"

"""The compiled word lists and patterns of servers, kept within a bound of memory and compiled beside the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.core.errors import OptionError
from bot.safety.patterns import compile_lines
from bot.safety.words import WordMatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

MAX_COMPILED_BYTES = 256 << 20
"""Room for the longest lists that some 60 servers may have, and for thousands of short ones."""
PATTERN_BYTES = 1 << 20
"""What compiled patterns take in memory while they are used, as far as that can be told."""
WORDS, PATTERNS = "words", "patterns"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled list. `matcher` is None where a stored pattern is one that RE2 knows no more."""

    matcher: Any
    bytes: int


def _compile_words(listed: str) -> Compiled:
    matcher = WordMatcher({"server": listed})
    return Compiled(matcher, matcher.bytes)


def _compile_patterns(lines: str) -> Compiled:
    try:
        return Compiled(compile_lines(lines), PATTERN_BYTES)
    except OptionError as error:
        log.warning("A stored pattern is not used: %s", error)
        return Compiled(None, 0)


COMPILERS: Mapping[str, Callable[[str], Compiled]] = {WORDS: _compile_words, PATTERNS: _compile_patterns}


class CompiledLists:
    """Compiled lists by kind and text. The one that was not used for the longest time is dropped first."""

    def __init__(self, most_bytes: int = MAX_COMPILED_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[str, str], Compiled] = OrderedDict()
        # One at a time, so that no server's lists take all cores.
        self._compiling = asyncio.Lock()
        self.compilations = 0
        """How many lists were compiled."""

    def find(self, kind: str, listed: str) -> Any:
        """Return the compiled list; None if it is not compiled, or empty."""
        if (compiled := self._kept.get((kind, listed))) is None:
            return None
        self._kept.move_to_end((kind, listed))
        return compiled.matcher

    async def get(self, kind: str, listed: str) -> Any:
        """Return the compiled list, which is compiled first in a thread if need be; None if it is empty."""
        key = kind, listed
        if listed and key not in self._kept:
            async with self._compiling:
                # Another request may have waited for the same list.
                if key not in self._kept:
                    self._keep(key, await asyncio.to_thread(COMPILERS[kind], listed))
        return self.find(kind, listed)

    def _keep(self, key: tuple[str, str], compiled: Compiled) -> None:
        self.compilations += 1
        self._kept[key] = compiled
        self._bytes += compiled.bytes
        # The newest is kept however large it is, since a request waits for it.
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= dropped.bytes

"""The room: what was said lately, kept in memory, and those who are told when it changes."""

from __future__ import annotations

import itertools
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.message import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bot.message import Attachment, User
    from bot.platforms.web.files import Files

PUBLIC, PRIVATE = 200, 400
"""How many finished exchanges are kept of each kind, so that private ones never push out what all can see."""


@dataclass(slots=True, eq=False)
class Exchange:
    """What somebody asked and the bot's reply to it, as it is now.

    `files` names the reply's attachments in the store; `ref` is the page's own mark, by which a message that was
    sent twice is known.
    """

    id: int
    author: User
    question: str
    ref: str
    private: bool
    at: float
    reply: Reply = field(default_factory=Reply)
    files: tuple[tuple[Attachment, str], ...] = ()

    def is_visible_to(self, user_id: str) -> bool:
        """Whether this user may see it."""
        return not self.private or self.author.id == user_id


class Room:
    """The exchanges in order. Watchers are called with the id of each one that changed, and must be quick."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._exchanges: dict[int, Exchange] = {}
        self._ids = itertools.count(1)
        self._watchers: set[Callable[[int], None]] = set()

    def begin(self, author: User, question: str, *, private: bool, ref: str = "", at: float = 0) -> Exchange:
        """Open an exchange with an empty reply. `at`, in seconds since the epoch, is when it began; else now."""
        exchange = Exchange(next(self._ids), author, question, ref, private, at or time.time())
        self._exchanges[exchange.id] = exchange
        self._trim(private)
        self._tell(exchange.id)
        return exchange

    def show(self, exchange: Exchange, reply: Reply) -> None:
        """Make `reply` what the exchange shows now."""
        if exchange.id not in self._exchanges:
            return
        if reply.deleted:
            self._remove(exchange)
            return
        exchange.reply = reply
        exchange.private = exchange.private or reply.private
        exchange.files = self._named(exchange, reply)
        self._tell(exchange.id)

    def get(self, exchange_id: int) -> Exchange | None:
        """The exchange with this id, if it is still kept."""
        return self._exchanges.get(exchange_id)

    def find(self, author_id: str, ref: str) -> Exchange | None:
        """The exchange that this author's page marked with `ref`."""
        mine = (known for known in self._exchanges.values() if known.author.id == author_id)
        return next((known for known in mine if known.ref == ref), None) if ref else None

    def with_row(self, row: int) -> Exchange | None:
        """The exchange whose reply the core calls `row`."""
        return next((known for known in self._exchanges.values() if row and known.reply.row == row), None)

    def seen_by(self, user_id: str) -> list[Exchange]:
        """What this user may see, oldest first."""
        return [exchange for exchange in self._exchanges.values() if exchange.is_visible_to(user_id)]

    @contextmanager
    def watch(self, watcher: Callable[[int], None]) -> Iterator[None]:
        """Call `watcher` for as long as the context lasts."""
        self._watchers.add(watcher)
        try:
            yield
        finally:
            self._watchers.discard(watcher)

    def _named(self, exchange: Exchange, reply: Reply) -> tuple[tuple[Attachment, str], ...]:
        """The reply's files with their names: those shown before keep theirs, those no longer shown are dropped."""
        before = list(exchange.files)
        named = []
        for file in reply.attachments:
            known = next((pair for pair in before if pair[0] == file), None)
            if known is not None:
                before.remove(known)
            named.append(known or (file, self._files.keep(file)))
        for _, name in before:
            self._files.drop(name)
        return tuple(named)

    def _trim(self, private: bool) -> None:
        alike = [known for known in self._exchanges.values() if known.private == private and known.reply.final]
        for exchange in alike[: max(0, len(alike) - (PRIVATE if private else PUBLIC))]:
            self._remove(exchange)

    def _remove(self, exchange: Exchange) -> None:
        del self._exchanges[exchange.id]
        for _, name in exchange.files:
            self._files.drop(name)
        self._tell(exchange.id)

    def _tell(self, exchange_id: int) -> None:
        for watcher in tuple(self._watchers):
            watcher(exchange_id)

"""A room: what was said lately, kept in memory, and those who are told when it changes."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from bot.core.messages import Place, Reply
from bot.platforms.web.chat.files import described, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot.core.messages import User
    from bot.platforms.web.chat.files import File, Files
    from bot.storage.messages import StoredFile

GENERAL = "general"
"""The room that is always there."""
PUBLIC, PRIVATE = 200, 400
"""How many finished exchanges are kept of each kind, so that private ones never push out what all can see.

Beyond these, what a thread began with stays for as long as anything of the thread does.
"""


@dataclass(slots=True, eq=False)
class Exchange:
    """What somebody asked and the bot's reply to it, as it is now.

    `files` names the reply's attachments in the store, `former` those that it had before, such as previews; `ref` is
    the page's own mark, by which a message that was sent twice is known. `thread` is the row of the answer whose thread
    it stands in, `parent` that of the answer which it replies to; 0 is none. What is `for_moderators` and private is
    for all of them, and else for its author alone. So is what is `unchecked`, until it is known that it may be asked.
    """

    id: int
    author: User
    question: str
    ref: str
    private: bool
    at: float
    thread: int = 0
    parent: int = 0
    for_moderators: bool = False
    unchecked: bool = False
    reply: Reply = field(default_factory=Reply)
    files: tuple[tuple[File, str], ...] = ()
    former: list[str] = field(default_factory=list)

    def is_visible_to(self, user: User) -> bool:
        """Whether this user may see it."""
        if self.for_moderators and self.private:
            return user.is_moderator
        return not (self.private or self.unchecked) or self.author.id == user.id


class Watcher(Protocol):
    """Who is told, at once; so these must be quick."""

    def changed(self, exchange_id: int) -> None:
        """The exchange with this id is another one than before."""

    def typing(self, user: User) -> None:
        """Somebody is writing."""


class Room:
    """The exchanges in order. `ids` numbers those of all rooms, so that an id is one of one room alone."""

    def __init__(self, files: Files, name: str = GENERAL, ids: Iterator[int] | None = None) -> None:
        self.name = name
        self._files = files
        self._exchanges: dict[int, Exchange] = {}
        self._ids = itertools.count(1) if ids is None else ids
        self._watchers: set[Watcher] = set()

    def place(self, thread: int = 0) -> Place:
        """Where this is for the core."""
        return Place(platform="web", server="web", channel=self.name, thread=str(thread) if thread else "")

    def begin(
        self,
        author: User,
        question: str,
        *,
        private: bool,
        ref: str = "",
        at: float = 0,
        thread: int = 0,
        parent: int = 0,
        for_moderators: bool = False,
        unchecked: bool = False,
    ) -> Exchange:
        """Open an exchange with an empty reply. `at`, in seconds since the epoch, is when it began; else now."""
        began = at or time.time()
        exchange = Exchange(
            next(self._ids),
            author,
            question,
            ref,
            private,
            began,
            thread,
            parent,
            for_moderators=for_moderators,
            unchecked=unchecked,
        )
        self._exchanges[exchange.id] = exchange
        self._trim(private)
        self._tell(exchange.id)
        return exchange

    def show(self, exchange: Exchange, reply: Reply, stored: Sequence[StoredFile] = ()) -> None:
        """Make `reply` what the exchange shows now, and below it what it has in `stored` files instead of its own."""
        if exchange.id not in self._exchanges:
            return
        if reply.deleted:
            self._remove(exchange)
            return
        exchange.reply = reply
        exchange.private = exchange.private or reply.private
        # The core gives a reply its row once the question has passed everything that could refuse it.
        exchange.unchecked = exchange.unchecked and not reply.row
        read = tuple((recorded(file), self._files.keep_stored(file)) for file in stored)
        exchange.files = read or self._named(exchange, reply)
        self._tell(exchange.id)

    def store(self, exchange: Exchange, stored: Sequence[StoredFile]) -> None:
        """Hold the files of an exchange's last reply no longer in memory, but where all of them are `stored`."""
        there = [recorded(file) for file in stored]
        shown = [file for file, _ in exchange.files]
        if exchange.id not in self._exchanges or not exchange.reply.final or len(there) != len(shown):
            return
        if all(one.is_same(other) for one, other in zip(there, shown, strict=True)):
            for (_, name), file in zip(exchange.files, stored, strict=True):
                self._files.keep_stored(file, name)
            exchange.reply = replace(exchange.reply, attachments=())

    def forget(self, before: float) -> None:
        """Keep no longer what began before this moment, in seconds since the epoch, and is finished."""
        for exchange in [known for known in self.exchanges if known.reply.final and known.at < before]:
            self._remove(exchange)

    def lose(self, name: str) -> None:
        """Show a file no longer, since it is gone from where it was stored."""
        for exchange in self._exchanges.values():
            if name in (shown for _, shown in exchange.files):
                exchange.files = tuple(pair for pair in exchange.files if pair[1] != name)
                self._files.drop(name)
                self._tell(exchange.id)
                break

    def get(self, exchange_id: int) -> Exchange | None:
        """The exchange with this id, if it is still kept."""
        return self._exchanges.get(exchange_id)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All that are kept, in order."""
        return tuple(self._exchanges.values())

    def find(self, author_id: str, ref: str) -> Exchange | None:
        """The exchange that this author's page marked with `ref`."""
        mine = (known for known in self._exchanges.values() if known.author.id == author_id)
        return next((known for known in mine if known.ref == ref), None) if ref else None

    def with_row(self, row: int) -> Exchange | None:
        """The exchange whose reply the core calls `row`."""
        return next((known for known in self._exchanges.values() if row and known.reply.row == row), None)

    def seen_by(self, user: User) -> list[Exchange]:
        """What this user may see, oldest first."""
        return [exchange for exchange in self._exchanges.values() if exchange.is_visible_to(user)]

    def last_of(self, thread: int) -> int:
        """The row that the next message of a thread replies to: its newest public answer, else where it began."""
        rows = [known.reply.row for known in self._exchanges.values() if known.thread == thread and not known.private]
        return next((row for row in reversed(rows) if row), thread)

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` from now on."""
        self._watchers.add(watcher)

    def leave(self, watcher: Watcher) -> None:
        """Tell it no longer."""
        self._watchers.discard(watcher)

    def tell_typing(self, user: User) -> None:
        """Tell everybody that `user` is writing."""
        for watcher in tuple(self._watchers):
            watcher.typing(user)

    def _named(self, exchange: Exchange, reply: Reply) -> tuple[tuple[File, str], ...]:
        """The reply's files with their names: those shown before keep theirs, those no longer shown are let go."""
        before = list(exchange.files)
        named = []
        for attachment in reply.attachments:
            file = described(attachment)
            known = next((pair for pair in before if pair[0].is_same(file)), None)
            if known is not None:
                before.remove(known)
            named.append(known or (file, self._files.keep(attachment)))
        for _, name in before:
            self._files.let_go(name)
            exchange.former.append(name)
        return tuple(named)

    def _trim(self, private: bool) -> None:
        threads = {known.thread for known in self._exchanges.values() if known.thread}
        alike = [
            known
            for known in self._exchanges.values()
            if known.private == private and known.reply.final and known.reply.row not in threads
        ]
        for exchange in alike[: max(0, len(alike) - (PRIVATE if private else PUBLIC))]:
            self._remove(exchange)

    def _remove(self, exchange: Exchange) -> None:
        del self._exchanges[exchange.id]
        for name in (*exchange.former, *(name for _, name in exchange.files)):
            self._files.drop(name)
        self._tell(exchange.id)

    def _tell(self, exchange_id: int) -> None:
        for watcher in tuple(self._watchers):
            watcher.changed(exchange_id)

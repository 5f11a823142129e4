"""A room of the chat, or the private place of one visitor: its latest exchanges, and the watchers told of changes."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from bot.core.messages import Place, Reply, User
from bot.platforms.web.chat.files import describe, describe_stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bot.platforms.web.chat.files import File, Files
    from bot.storage.messages import StoredFile

BOT = User("", "Tempera")
"""The author of what the bot posts by itself."""
GENERAL = "general"
"""The room that always exists."""
PRIVATE_MARK = "~"
"""The names of private places begin with it, and those of rooms never do."""
MAX_PUBLIC_EXCHANGES, MAX_PRIVATE_EXCHANGES = 200, 400
"""How many finished exchanges are kept of each kind, so that private ones never push out public ones.

An exchange that began a thread is kept beyond these, for as long as any exchange of the thread is.
"""


@dataclass(slots=True, eq=False)
class Exchange:
    """A question and the bot's newest reply to it.

    `client_ref` is chosen by the page, so that a message which is sent twice is recognised. `began` is in seconds since
    the epoch. `thread` is the row of the answer whose thread this belongs to, `parent` the row of the answer that it
    replies to; 0 is none. `files` has the reply's attachments with their names in the file store, `former_files` the
    names of earlier ones, such as previews.
    A private exchange is visible to its author alone, or to all moderators if it is `for_moderators`. One that is
    `unchecked` is visible to its author alone until the question has passed the safety checks. One in a private place
    has an `owner`, the id of the only visitor who sees it in the chat. Teachers have a page on which they read those
    that are `read_along`: when these were written, the visitor was told so. An `announcement` has a moderator's line as
    its question, and no answer. A `notice` is what a moderator has the author told, wherever their pages are. `key` is
    the name of the exchange among all processes, once it has one.
    """

    author: User
    question: str
    _: KW_ONLY
    private: bool
    id: int = 0
    client_ref: str = ""
    began: float = field(default_factory=time.time)
    thread: int = 0
    parent: int = 0
    for_moderators: bool = False
    unchecked: bool = False
    owner: str = ""
    read_along: bool = False
    announcement: bool = False
    notice: bool = False
    key: str = ""
    reply: Reply = field(default_factory=Reply)
    files: tuple[tuple[File, str], ...] = ()
    former_files: list[str] = field(default_factory=list)

    def is_visible_to(self, user: User) -> bool:
        """Return whether this user may see the exchange in the chat."""
        if self.owner:
            return self.owner == user.id
        if self.for_moderators and self.private:
            return user.is_moderator
        return not (self.private or self.unchecked) or self.author.id == user.id

    @property
    def is_for_teachers(self) -> bool:
        """True if teachers may read it in the private place of its author."""
        return self.read_along and not (self.private or self.unchecked)


def private_name(user_id: str) -> str:
    """Return the name of a visitor's private place."""
    return f"{PRIVATE_MARK}{user_id}"


def room_place(name: str, thread: int = 0) -> Place:
    """Return a room or a private place, or one of its threads, as a place of the core.

    Private places belong to the server “web”, too, so that its settings, limits, moderators and statistics count there.
    """
    return Place(platform="web", server="web", channel=name, thread=str(thread) if thread else "")


GENERAL_PLACE = room_place(GENERAL)


class Watcher(Protocol):
    """Gets told of changes in a room. Its methods are called while the change is made, so they must be quick."""

    def exchange_changed(self, exchange_id: int) -> None:
        """Called when an exchange was added, changed or removed."""

    def user_is_typing(self, user: User) -> None:
        """Called when somebody is writing a message."""


class Observer(Protocol):
    """Gets told of what happens in any room, for other processes. Its methods must be quick, too."""

    def exchange_changed(self, room: Room, exchange: Exchange) -> None:
        """Called when an exchange was added, changed, or deleted for all."""

    def user_is_typing(self, room: Room, user: User) -> None:
        """Called when somebody is writing a message."""


class Room:
    """The exchanges of a room, in order. `ids` is shared by all rooms, so that no two exchanges have the same id."""

    def __init__(self, files: Files, name: str = GENERAL, ids: Iterator[int] | None = None, *, owner: str = "") -> None:
        """`owner` is the id of the only visitor who sees the room, if it is a private place."""
        self.name = name
        self.owner = owner
        self._files = files
        self._exchanges: dict[int, Exchange] = {}
        self._ids = itertools.count(1) if ids is None else ids
        self.watchers: set[Watcher] = set()
        self.observer: Observer | None = None

    def place(self, thread: int = 0) -> Place:
        """Return the room, or one of its threads, as a place of the core."""
        return room_place(self.name, thread)

    def open_exchange(self, exchange: Exchange) -> Exchange:
        """Add a new exchange, which gets its id and the owner of the room."""
        exchange.id, exchange.owner = next(self._ids), self.owner
        self._exchanges[exchange.id] = exchange
        self._trim(exchange.private)
        self._notify(exchange)
        return exchange

    def show(self, exchange: Exchange, reply: Reply, stored: Sequence[StoredFile] = ()) -> None:
        """Show `reply` in the exchange. The `stored` files, if there are any, replace the reply's attachments."""
        if exchange.id not in self._exchanges:
            return
        if reply.deleted:
            exchange.reply = replace(reply, row=reply.row or exchange.reply.row)
            self._remove(exchange)
            return
        exchange.reply = reply
        exchange.private = exchange.private or reply.private
        # The core gives a reply its row once the question has passed all checks that could refuse it.
        exchange.unchecked = exchange.unchecked and not reply.row
        described = tuple((describe_stored(file), self._files.keep_stored(file, reader=self.owner)) for file in stored)
        if described:
            self._retire(exchange, exchange.files)
        exchange.files = described or self._name_files(exchange, reply)
        self._notify(exchange)

    def tell_moderators(self, text: str) -> None:
        """Add an exchange with a text of the bot's own, for moderators alone."""
        exchange = self.open_exchange(Exchange(BOT, "", private=True, for_moderators=True))
        self.show(exchange, Reply(text=text, final=True, private=True))

    def change_author(self, exchange: Exchange, author: User) -> None:
        """Show an exchange with the name and the badge that its author has now. Each process knows these itself."""
        before = exchange.author
        exchange.author = replace(before, name=author.name, is_moderator=author.is_moderator)
        if exchange.author != before:
            self._notify_here(exchange.id)

    def release_files(self, exchange: Exchange, stored: Sequence[StoredFile]) -> None:
        """Drop the files of a final reply from memory, if all of them are `stored` in the database."""
        available = [describe_stored(file) for file in stored]
        shown = [file for file, _ in exchange.files]
        if exchange.id not in self._exchanges or not exchange.reply.final or len(available) != len(shown):
            return
        if all(one.is_same(other) for one, other in zip(available, shown, strict=True)):
            for (_, name), file in zip(exchange.files, stored, strict=True):
                self._files.keep_stored(file, name)
            exchange.reply = replace(exchange.reply, attachments=())

    def release_confidential(self, exchange: Exchange) -> None:
        """Keep the confidential files of a final reply for a short time only. The reply keeps none of its own."""
        shown, attachments = exchange.files, exchange.reply.attachments
        names = [name for (_, name), file in zip(shown, attachments, strict=True) if file.confidential]
        if exchange.id in self._exchanges and names:
            self._files.keep_briefly(exchange.author.id, names)
            exchange.reply = replace(exchange.reply, attachments=())

    @property
    def is_idle(self) -> bool:
        """True if no page shows it and no answer is under way in it."""
        return not self.watchers and all(known.reply.final for known in self._exchanges.values())

    def clear(self) -> None:
        """Stop showing everything, and drop its files from memory."""
        for exchange in self.exchanges:
            self._remove(exchange)

    def drop_older_than(self, moment: float) -> None:
        """Remove the finished exchanges that began before `moment`, in seconds since the epoch."""
        for exchange in [known for known in self.exchanges if known.reply.final and known.began < moment]:
            self._remove(exchange)

    def dismiss(self, exchange_id: int, user: User) -> None:
        """Remove a finished exchange that `user` alone sees; do nothing if there is no such exchange."""
        exchange = self._exchanges.get(exchange_id)
        if exchange is not None and exchange.private and exchange.reply.final and exchange.author.id == user.id:
            self._remove(exchange)

    def remove_file(self, name: str) -> None:
        """Stop showing a file, because it is no longer in the database."""
        for exchange in self._exchanges.values():
            if name in (shown for _, shown in exchange.files):
                exchange.files = tuple(pair for pair in exchange.files if pair[1] != name)
                self._files.drop(name)
                self._notify_here(exchange.id)
                break

    def get(self, exchange_id: int) -> Exchange | None:
        """Return the exchange with this id, or None if it is no longer kept."""
        return self._exchanges.get(exchange_id)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All exchanges that are kept, in order."""
        return tuple(self._exchanges.values())

    def find_by_client_ref(self, author_id: str, client_ref: str) -> Exchange | None:
        """Return the exchange for which this author's page chose `client_ref`, or None."""
        mine = (known for known in self._exchanges.values() if known.author.id == author_id)
        return next((known for known in mine if known.client_ref == client_ref), None) if client_ref else None

    def find_by_row(self, row: int) -> Exchange | None:
        """Return the exchange whose reply has this row, or None. No exchange has row 0."""
        return next((known for known in self._exchanges.values() if row and known.reply.row == row), None)

    def visible_to(self, user: User) -> list[Exchange]:
        """Return the exchanges that this user may see, oldest first."""
        return [exchange for exchange in self._exchanges.values() if exchange.is_visible_to(user)]

    def notify_typing(self, user: User) -> None:
        """Tell all watchers that `user` is writing."""
        for watcher in tuple(self.watchers):
            watcher.user_is_typing(user)
        if self.observer is not None:
            self.observer.user_is_typing(self, user)

    def _name_files(self, exchange: Exchange, reply: Reply) -> tuple[tuple[File, str], ...]:
        """Return the reply's files with names. Files shown before keep theirs; those no longer shown are retired."""
        before = list(exchange.files)
        files = []
        for attachment in reply.attachments:
            file = describe(attachment)
            known = next((pair for pair in before if pair[0].is_same(file)), None)
            if known is not None:
                before.remove(known)
            files.append(known or (file, self._files.keep(attachment, reader=self.owner)))
        self._retire(exchange, before)
        return tuple(files)

    def _retire(self, exchange: Exchange, files: Iterable[tuple[File, str]]) -> None:
        for _, name in files:
            self._files.retire(name)
            exchange.former_files.append(name)

    def _trim(self, private: bool) -> None:
        """Remove the oldest finished exchanges that are too many of this kind.

        Of private ones, those of the author who has the most are removed, so that nobody pushes out those of others.
        """
        threads = {known.thread for known in self._exchanges.values() if known.thread}
        finished = [
            known
            for known in self._exchanges.values()
            if known.private == private and known.reply.final and known.reply.row not in threads
        ]
        while len(finished) > (MAX_PRIVATE_EXCHANGES if private else MAX_PUBLIC_EXCHANGES):
            oldest = finished[0]
            if private:
                ((author, _),) = Counter(known.author.id for known in finished).most_common(1)
                oldest = next(known for known in finished if known.author.id == author)
            finished.remove(oldest)
            self._remove(oldest)

    def _remove(self, exchange: Exchange) -> None:
        del self._exchanges[exchange.id]
        for name in (*exchange.former_files, *(name for _, name in exchange.files)):
            self._files.drop(name)
        if exchange.reply.deleted:
            self._notify(exchange)
        else:
            # It made way for others, as it does in each process.
            self._notify_here(exchange.id)

    def _notify(self, exchange: Exchange) -> None:
        self._notify_here(exchange.id)
        if self.observer is not None:
            self.observer.exchange_changed(self, exchange)

    def _notify_here(self, exchange_id: int) -> None:
        for watcher in tuple(self.watchers):
            watcher.exchange_changed(exchange_id)

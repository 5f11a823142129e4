"""The lessons that teachers add: per server, in versions, kept as the files that they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bot import UserError

if TYPE_CHECKING:
    from collections.abc import Set

    from bot import Store

MOST_LESSONS, MOST_VERSIONS = 50, 10
"""Of a server, and of a lesson: the oldest version makes way."""
SERVERS = "servers"


@dataclass(frozen=True, slots=True)
class Version:
    """A lesson as it was added once; `digest` names its file."""

    number: int
    filename: str
    size: int
    """In bytes."""
    added: datetime
    digest: str

    @property
    def date(self) -> str:
        """When it was added, for people."""
        return f"{self.added:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class StoredLesson:
    """A lesson of a server with its versions, the oldest first; none where what is stored of it cannot be read."""

    title: str
    versions: tuple[Version, ...]

    @property
    def newest(self) -> Version:
        """The version that counts. Raises UserError if there is none."""
        if not self.versions:
            raise UserError(
                "What is stored of it is damaged. Bring it in again with /lesson add, or take it away with "
                "/lesson remove."
            )
        return self.versions[-1]


class LessonStore:
    """Reads and writes the lessons of servers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def lessons(self, server: str) -> list[StoredLesson]:
        """The lessons of a server, by title."""
        rows = await self._store.items(scope=_scope(server))
        return sorted((_kept(key, row) for key, row in rows.items()), key=lambda kept: kept.title.casefold())

    async def servers(self) -> list[str]:
        """Every server that has, or had, lessons of its own."""
        return list(await self._store.items(scope=SERVERS))

    async def lesson(self, server: str, title: str) -> StoredLesson | None:
        """The lesson with this title, however it is capitalised."""
        rows = await self._store.items(scope=_scope(server))
        return _kept(_key(title), rows[_key(title)]) if _key(title) in rows else None

    async def file(self, server: str, version: Version) -> bytes:
        """The bytes of a version. Raises UserError if they are gone."""
        found = await self._store.blobs([version.digest], scope=_scope(server))
        if not found:
            raise UserError("This version of the lesson is no longer kept.")
        return found[version.digest]

    async def add(self, server: str, title: str, filename: str, data: bytes) -> tuple[Version, bool]:
        """Keep `data` as the newest version of a lesson; and whether it differs from the one before.

        So it does where the end of its name does, by which files are told apart that say nothing of what they are.
        """
        known = await self.lessons(server)
        if len(known) >= MOST_LESSONS and _key(title) not in {_key(kept.title) for kept in known}:
            raise UserError("There is room for {most} lessons here. Remove one with /lesson remove.", most=MOST_LESSONS)
        digest = hashlib.sha256(data).hexdigest()
        about = {"filename": filename, "size": len(data), "digest": digest, "added": datetime.now(UTC).isoformat()}
        is_damaged = any(not kept.versions for kept in known if _key(kept.title) == _key(title))
        before: list[dict[str, Any]] = []

        def is_same() -> bool:
            return bool(before) and _told(before[-1]) == _told(about)

        def with_one_more(row: Any) -> dict[str, Any]:
            before[:] = row["versions"] if _kept(title, row).versions else []
            if is_same():
                return {"title": title, "versions": before}
            number = before[-1]["number"] + 1 if before else 1
            return {"title": title, "versions": [*before, {"number": number, **about}][-MOST_VERSIONS:]}

        await self._store.set_blobs({digest: data}, scope=_scope(server))
        row = await self._store.change(_key(title), with_one_more, scope=_scope(server))
        await self._store.set(server, True, scope=SERVERS)
        old = await self._all_files(server) if is_damaged else {one["digest"] for one in before}
        await self._forget_files(server, old)
        return _kept(title, row).newest, not is_same()

    async def remove(self, server: str, kept: StoredLesson) -> None:
        """Forget a lesson with all its versions."""
        await self._store.delete(_key(kept.title), scope=_scope(server))
        await self._forget_files(server, {one.digest for one in kept.versions} or await self._all_files(server))

    async def _all_files(self, server: str) -> frozenset[str]:
        """The digests of all that a server has: which of them were those of a damaged lesson nobody can tell."""
        return await self._store.blob_keys(scope=_scope(server))

    async def _forget_files(self, server: str, digests: Set[str]) -> None:
        """Those of them that no version has any more."""
        used = {version.digest for kept in await self.lessons(server) for version in kept.versions}
        await self._store.delete_blobs(digests - used, scope=_scope(server))


def _scope(server: str) -> str:
    return f"lessons:{server}"


def _key(title: str) -> str:
    return " ".join(title.casefold().split())


def _told(version: dict[str, Any]) -> tuple[str, str]:
    """What a version is read from, and as what kind of file."""
    return version["digest"], PurePath(version["filename"]).suffix.casefold()


def _kept(title: str, row: Any) -> StoredLesson:
    """A lesson as it is stored; `title` is what it is called where that cannot be read."""
    try:
        return StoredLesson(str(row["title"]), tuple(map(_version, row["versions"])))
    except (KeyError, TypeError, ValueError):
        return StoredLesson(title, ())


def _version(one: dict[str, Any]) -> Version:
    added = datetime.fromisoformat(one["added"])
    return Version(int(one["number"]), str(one["filename"]), int(one["size"]), added, str(one["digest"]))

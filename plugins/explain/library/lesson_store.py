"""Stores the lessons that teachers add, for each server, as the original files of all their versions."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from bot import Store, UserError

MAX_LESSONS, MAX_VERSIONS = 50, 10
"""The limits for a server and for a lesson; of a lesson, the oldest version is deleted."""
MAX_SERVER_BYTES = 200_000_000
"""The files of all versions of a server's lessons together."""
SERVERS_SCOPE = "servers"


@dataclass(frozen=True, slots=True)
class Version:
    """A lesson as it was added once; its file is stored under `digest`."""

    number: int
    filename: str
    size: int
    """In bytes."""
    added: datetime
    digest: str


@dataclass(frozen=True, slots=True)
class StoredLesson:
    """A lesson of a server with its versions, the oldest first; without any if its row is damaged."""

    title: str
    versions: tuple[Version, ...]

    @property
    def newest(self) -> Version:
        """The version that is used. Raises UserError if there is none."""
        if not self.versions:
            raise UserError(
                "What is stored of it is damaged. Bring it in again with /lesson add, or take it away with "
                "/lesson remove."
            )
        return self.versions[-1]


class LessonStore:
    """Reads and writes the lessons of all servers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def lessons(self, server: str) -> list[StoredLesson]:
        """Return the lessons of a server, sorted by title."""
        rows = await self._store.items(scope=_scope(server))
        return sorted((_parse_document(key, row) for key, row in rows.items()), key=lambda one: one.title.casefold())

    async def servers(self) -> list[str]:
        """Return every server that has, or had, lessons of its own."""
        return list(await self._store.items(scope=SERVERS_SCOPE))

    async def lesson(self, server: str, title: str) -> StoredLesson | None:
        """Return the lesson with this title, in capitals or not."""
        rows = await self._store.items(scope=_scope(server))
        return _parse_document(title_key(title), rows[title_key(title)]) if title_key(title) in rows else None

    async def read_file(self, server: str, version: Version) -> bytes:
        """Return the bytes of a version. Raises UserError if they are gone."""
        blobs = await self._store.blobs([version.digest], scope=_scope(server))
        if not blobs:
            raise UserError("This version of the lesson is no longer kept.")
        return blobs[version.digest]

    async def add(self, server: str, title: str, filename: str, data: bytes) -> tuple[Version, bool]:
        """Store `data` as the newest version of a lesson. Returns it, and True if it differs from the one before.

        A file with another suffix differs, too, because the suffix may decide how the same bytes are read.
        """
        known = await self.lessons(server)
        if len(known) >= MAX_LESSONS and title_key(title) not in {title_key(lesson.title) for lesson in known}:
            raise UserError("There is room for {most} lessons here. Remove one with /lesson remove.", most=MAX_LESSONS)
        if sum(version.size for lesson in known for version in lesson.versions) + len(data) > MAX_SERVER_BYTES:
            sentence = (
                "The lessons here, with their earlier versions, may have {most} MB; with this file they would have "
                "more. Remove one with /lesson remove."
            )
            raise UserError(sentence, most=MAX_SERVER_BYTES // 1_000_000)
        digest = hashlib.sha256(data).hexdigest()
        about = {"filename": filename, "size": len(data), "digest": digest, "added": datetime.now(UTC).isoformat()}
        is_damaged = any(not lesson.versions for lesson in known if title_key(lesson.title) == title_key(title))
        before: list[dict[str, Any]] = []

        def is_same() -> bool:
            return bool(before) and _content_of(before[-1]) == _content_of(about)

        def append_version(row: Any) -> dict[str, Any]:
            before[:] = row["versions"] if _parse_document(title, row).versions else []
            if is_same():
                return {"title": title, "versions": before}
            number = before[-1]["number"] + 1 if before else 1
            return {"title": title, "versions": [*before, {"number": number, **about}][-MAX_VERSIONS:]}

        await self._store.set_blobs({digest: data}, scope=_scope(server))
        row = await self._store.change(title_key(title), append_version, scope=_scope(server))
        await self._store.set(server, True, scope=SERVERS_SCOPE)
        old = await self._all_digests(server) if is_damaged else {version["digest"] for version in before}
        await self._delete_unused_files(server, old)
        return _parse_document(title, row).newest, not is_same()

    async def remove(self, server: str, lesson: StoredLesson) -> None:
        """Delete a lesson with all its versions."""
        await self._store.delete(title_key(lesson.title), scope=_scope(server))
        digests = {version.digest for version in lesson.versions} or await self._all_digests(server)
        await self._delete_unused_files(server, digests)

    async def _all_digests(self, server: str) -> frozenset[str]:
        """Return the digests of all files of a server, because a damaged row does not say which ones are its own."""
        return await self._store.blob_keys(scope=_scope(server))

    async def _delete_unused_files(self, server: str, digests: Set[str]) -> None:
        """Delete the files with these digests, except those that a version still has."""
        used = {version.digest for lesson in await self.lessons(server) for version in lesson.versions}
        await self._store.delete_blobs(digests - used, scope=_scope(server))


def _scope(server: str) -> str:
    return f"lessons:{server}"


def title_key(title: str) -> str:
    """Return what a title is known by: titles that differ in capitals and spaces alone are the same."""
    return " ".join(title.casefold().split())


def _content_of(version: dict[str, Any]) -> tuple[str, str]:
    """Return what decides how a version is read: the digest of its bytes, and the suffix of its filename."""
    return version["digest"], PurePath(version["filename"]).suffix.casefold()


def _parse_document(title: str, row: Any) -> StoredLesson:
    """Return the lesson of a stored row; one with this title and no versions if the row is damaged."""
    try:
        return StoredLesson(str(row["title"]), tuple(map(_parse_version, row["versions"])))
    except (KeyError, TypeError, ValueError):
        return StoredLesson(title, ())


def _parse_version(row: dict[str, Any]) -> Version:
    added = datetime.fromisoformat(row["added"])
    return Version(int(row["number"]), str(row["filename"]), int(row["size"]), added, str(row["digest"]))

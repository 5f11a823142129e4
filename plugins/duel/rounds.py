"""The rounds that are stored: their sheets and truths, everybody's marks, and the score table of each server."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Self

from bot import DatabaseUnavailable, DuelSheet, Person, Place, Store, User, UserError, until_stored
from plugins.shared.keys import person_key

DAY_SECONDS = 86_400
SETTLING_SECONDS = 0.5
"""How long a mark that came in time may take until it is stored."""
ROUNDS, PLACES, ALONE, SERVERS, NAMED = "rounds", "places", "alone", "servers", "named"
"""Scopes: rounds by id; the round that goes on at a place; the last one of somebody alone; servers with scores; and for
each person the answers that name them, with the times of these."""
SHEET = "sheet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A round as it is stored.

    `answer` is the row of the answer that shows it, `place` the key of its place, and `server` that of the server
    whose scores it counts for; "" for none. `ends` is in seconds since the epoch; a round of somebody alone has no end,
    which is 0.
    """

    id: str
    answer: int
    place: str
    server: str
    locale: str
    ends: float
    real: tuple[bool, ...]
    verdicts: tuple[float, ...]
    model: str
    seed: int
    began: float = field(default_factory=time.time)
    told: bool = False
    """True once the truth has been told."""

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """Return the round that was stored as `stored`."""
        known = dict(stored)
        return cls(**known | {"real": tuple(known["real"]), "verdicts": tuple(known["verdicts"])})

    @property
    def is_over(self) -> bool:
        """True if no more marks count."""
        return self.told or bool(self.ends and time.time() >= self.ends)


@dataclass(frozen=True, slots=True)
class Marks:
    """What one person takes for forged, by the numbers of the faces; `began` is true for whoever began the round."""

    name: str
    forged: frozenset[int]
    began: bool = False

    def count_right(self, real: Sequence[bool]) -> int:
        """Return how many faces they judged rightly; what is not marked was taken for real."""
        return sum((number not in self.forged) == is_real for number, is_real in enumerate(real, 1))


@dataclass(frozen=True, slots=True)
class Score:
    """What one person, who has the key `key`, has reached in all rounds of a server that are kept."""

    key: str
    name: str
    rounds: int
    right: int
    faces: int
    best: int


class Rounds:
    """Reads and writes rounds. What is somebody's own stands under their id, so that they can export and delete it."""

    def __init__(self, store: Store, retention_days: float) -> None:
        self._store = store
        self._retention_days = retention_days

    async def claim(self, place: str, round_id: str, seconds: float) -> None:
        """Reserve a place for a new round for so many seconds. Raises UserError if a round is going on there."""

        def reserve(known: Mapping[str, Any] | None) -> dict[str, Any]:
            if known is not None and known["round"] != round_id and (left := known["until"] - time.time()) > 0:
                raise UserError(
                    "A round is going on here already, for a second at most. Join it, or wait for its end.",
                    "A round is going on here already, for {count} seconds at most. Join it, or wait for its end.",
                    count=math.ceil(left),
                )
            return {"round": round_id, "until": time.time() + seconds}

        await self._store.change(place, reserve, scope=PLACES)

    async def begin(self, begun: Round, sheet: DuelSheet, starter: User, platform: str) -> None:
        """Store a round with its sheet, and who began it."""
        await self._store.set_blobs({SHEET: sheet.png}, scope=scope_of(begun.id))
        own = {"name": starter.name, "forged": [], "began": True}
        await self._store.set(person_key(platform, starter.id), own, scope=scope_of(begun.id))
        await self._store.set(begun.id, asdict(begun), scope=ROUNDS)
        if not begun.ends:
            await self._store.set(person_key(platform, starter.id), begun.id, scope=ALONE)

    async def find(self, round_id: str) -> Round | None:
        """Return a round, or None if it is no longer stored."""
        stored = await self._store.get(round_id, scope=ROUNDS)
        return None if stored is None else Round.read(stored)

    async def find_alone(self, platform: str, user: User) -> Round | None:
        """Return the round that a user plays alone; None if there is none."""
        round_id = await self._store.get(person_key(platform, user.id), "", scope=ALONE)
        found = await self.find(round_id)
        return None if found is None or found.told else found

    async def find_of_answer(self, answer: int) -> Round | None:
        """Return the round of everybody that an answer shows; None if there is none."""
        known = [Round.read(stored) for stored in (await self._store.items(scope=ROUNDS)).values()]
        return next((one for one in known if one.answer == answer and one.ends), None)

    async def change(self, round_id: str, **values: Any) -> None:
        """Change fields of a stored round."""
        await self._store.change(round_id, lambda known: {**(known or {}), **values}, scope=ROUNDS)

    async def leave(self, place: str, round_id: str) -> None:
        """Make room for another round at a place, unless there is another one already.

        If the database is away, the place is free once the time of the round is over.
        """
        with suppress(DatabaseUnavailable):
            known = await self._store.get(place, scope=PLACES)
            if known is not None and known["round"] == round_id:
                await self._store.delete(place, scope=PLACES)

    async def sheet(self, round_id: str) -> bytes:
        """Return the sheet of a stored round."""
        return (await self._store.blobs([SHEET], scope=scope_of(round_id)))[SHEET]

    # Marks

    async def toggle(self, round_id: str, platform: str, user: User, number: int) -> Marks:
        """Mark a face as forged, or take the mark back; return all marks of the user."""

        def toggled(known: Mapping[str, Any] | None) -> dict[str, Any]:
            before = dict(known or {})
            return before | {"name": user.name, "forged": sorted({number} ^ set(before.get("forged", ())))}

        return _read_marks(await self._store.change(person_key(platform, user.id), toggled, scope=scope_of(round_id)))

    async def mark(self, round_id: str, platform: str, user: User, forged: Iterable[int]) -> None:
        """Set all marks of a user."""
        value = {"name": user.name, "forged": sorted(forged), "began": True}
        await self._store.set(person_key(platform, user.id), value, scope=scope_of(round_id))

    async def own(self, round_id: str, platform: str, user: User) -> Marks:
        """Return the marks of a user."""
        stored = await self._store.get(person_key(platform, user.id), {}, scope=scope_of(round_id))
        return _read_marks({"name": user.name} | stored)

    async def finish(self, played: Round) -> dict[str, Marks]:
        """Note that the truth of a round is told in its answer, and return the marks of all."""
        await self.change(played.id, told=True)
        marks = await self.all_marks(played.id)
        await self.note_names(marks, played.answer)
        return marks

    async def note_names(self, people: Iterable[str], answer: int) -> None:
        """Note that an answer names these people, who are given by their keys, and forget answers that are purged."""
        now = time.time()

        def noted(known: Mapping[str, float] | None) -> dict[str, float]:
            kept = {row: when for row, when in (known or {}).items() if when >= self._too_old(now)}
            return kept | {str(answer): now}

        for key in people:
            await self._store.change(key, noted, scope=NAMED)

    async def answers_naming(self, person: Person) -> list[int]:
        """Return the rows of the answers that name somebody."""
        return list(map(int, await self._store.get(person_key(person.platform, person.id), {}, scope=NAMED)))

    async def all_marks(self, round_id: str) -> dict[str, Marks]:
        """Return the marks of all who have marked something, by the keys of these people."""
        stored = await self._store.items(scope=scope_of(round_id))
        return {key: _read_marks(value) for key, value in stored.items() if value["forged"]}

    # Scores

    async def count_scores(self, server: str, marks: Mapping[str, Marks], real: Sequence[bool]) -> None:
        """Add a round to the score table of a server, unless nothing is kept here."""
        if not self._retention_days:
            return
        for key, own in marks.items():

            def counted(known: Mapping[str, Any] | None, own: Marks = own) -> dict[str, Any]:
                before = known or {"rounds": 0, "right": 0, "faces": 0, "best": 0}
                right = own.count_right(real)
                return {
                    "name": own.name,
                    "rounds": before["rounds"] + 1,
                    "right": before["right"] + right,
                    "faces": before["faces"] + len(real),
                    "best": max(before["best"], right),
                    "last": time.time(),
                }

            await until_stored(partial(self._store.change, key, counted, scope=scores_scope(server)))
        await until_stored(partial(self._store.set, server, True, scope=SERVERS))

    async def scores(self, server: str) -> list[Score]:
        """Return the score table of a server, the best first: by the share that was right, then by rounds."""
        stored = await self._store.items(scope=scores_scope(server))
        names = ("name", "rounds", "right", "faces", "best")
        table = [Score(key, *(one[name] for name in names)) for key, one in stored.items()]
        return sorted(table, key=lambda one: (-one.right / one.faces, -one.rounds, one.name))

    # Retention

    def _too_old(self, now: float) -> float:
        """Return the time before which no message is kept."""
        return now - self._retention_days * DAY_SECONDS

    async def purge(self, now: float | None = None) -> None:
        """Delete rounds after a day, and scores of people who have not played for as long as words are kept."""
        now = time.time() if now is None else now
        too_old = self._too_old(now)
        oldest = max(too_old, now - DAY_SECONDS)
        for round_id, stored in (await self._store.items(scope=ROUNDS)).items():
            if stored["began"] < oldest and (stored["told"] or now - stored["began"] > DAY_SECONDS):
                await self._store.delete(*await self._store.items(scope=scope_of(round_id)), scope=scope_of(round_id))
                await self._store.delete_blobs([SHEET], scope=scope_of(round_id))
                await self._store.delete(round_id, scope=ROUNDS)
        # A sheet that is still being drawn has a claim, but no round.
        claims = (await self._store.items(scope=PLACES)).items()
        await self._store.delete(*(place for place, claim in claims if claim["until"] < now), scope=PLACES)
        alone = (await self._store.items(scope=ALONE)).items()
        gone = [key for key, round_id in alone if await self.find(round_id) is None]
        await self._store.delete(*gone, scope=ALONE)
        for key, answers in (await self._store.items(scope=NAMED)).items():
            if max(answers.values()) < too_old:
                await self._store.delete(key, scope=NAMED)
        for server in await self._store.items(scope=SERVERS):
            table = await self._store.items(scope=scores_scope(server))
            old = [key for key, one in table.items() if one["last"] < too_old]
            await self._store.delete(*old, scope=scores_scope(server))
            if len(old) == len(table):
                await self._store.delete(server, scope=SERVERS)


def server_key(place: Place) -> str:
    """Return the key of the server of a place."""
    return f"{place.platform}/{place.server}"


def scope_of(round_id: str) -> str:
    """Return the scope of what belongs to a round."""
    return f"round:{round_id}"


def scores_scope(server: str) -> str:
    """Return the scope of the score table of a server."""
    return f"scores:{server}"


def _read_marks(stored: Mapping[str, Any]) -> Marks:
    return Marks(stored["name"], frozenset(stored.get("forged", ())), bool(stored.get("began")))

"""Keeps what was learnt of the models of upstreams, so that a start of the bot does not have to learn it again."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from bot.core.errors import DatabaseUnavailable
from bot.inference.upstreams.abilities import Abilities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bot.inference.upstreams.upstream import Upstream

log = logging.getLogger(__name__)


class Values(Protocol):
    """JSON values by key, which several processes may share."""

    async def items(self) -> dict[str, Any]:
        """Return all of them."""

    async def change(self, key: str, new: Callable[[Any], Any]) -> Any:
        """Replace one, or None, by `new` of it."""

    async def delete(self, *keys: str) -> None:
        """Delete some."""


class Memory:
    """What is kept of upstreams: a value for each model of each address, until it is outdated."""

    def __init__(self, upstreams: Sequence[Upstream], values: Values) -> None:
        self._upstreams = upstreams
        self._values = values
        self._saved: dict[str, Mapping[str, Any]] = {}

    async def load(self) -> None:
        """Give each upstream what was learnt of it, and delete what is outdated."""
        kept = await self._values.items()
        if outdated := [key for key, value in kept.items() if Abilities.from_json(value).is_outdated]:
            await self._values.delete(*outdated)
        for upstream in self._upstreams:
            for key, value in kept.items():
                base, _, model = key.partition(" ")
                if base == upstream.address.base:
                    upstream.keep(model, value)
                    self._saved[key] = value

    async def save(self) -> None:
        """Keep what was learnt since the last time; if nothing was, the database is left alone."""
        for upstream in self._upstreams:
            for model, learnt in upstream.learnt().items():
                key = f"{upstream.address.base} {model}"
                if self._saved.get(key) == learnt:
                    continue
                try:
                    await self._values.change(key, partial(_merge, learnt))
                except DatabaseUnavailable as error:
                    log.debug("What “%s” refuses is kept later: %s", model, error)
                    return
                self._saved[key] = learnt


def _merge(learnt: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what was learnt of a model together with what another process learnt of the same one."""
    if kept is None or kept["listed"] != learnt["listed"] or Abilities.from_json(kept).is_outdated:
        return learnt
    return {
        **learnt,
        "refused": sorted({*learnt["refused"], *kept["refused"]}),
        "most_likely": min(learnt["most_likely"], kept["most_likely"]),
        "most_tokens": learnt["most_tokens"] or kept.get("most_tokens", 0),
        "learnt_at": min(learnt["learnt_at"], kept["learnt_at"]),
    }

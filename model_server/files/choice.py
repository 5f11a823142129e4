"""The choice between alternative models, such as a large and a small language model: made once, at set-up, and kept.

The catalogue says which models are alternatives (`instead_of`). What was chosen is in <cache>/choice.json, keyed by the
smallest of them. It is chosen by the memory and the cores of the machine, and by whether the Hugging Face hub answers,
or by the operator; except that a model that was fetched before there was a choice is kept until the operator agrees to
a larger download, and that what the catalogue marks as not `automatic` is only chosen by the operator.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from model_server.catalogue import find_alternatives
from model_server.engines.language.runners import native
from model_server.errors import OperatorError
from model_server.files.cache import format_size, shorten
from model_server.files.download import read_json, write_json
from model_server.files.hub import is_on_hub
from model_server.files.limits import read_card_bytes, read_memory_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from model_server.catalogue import CatalogueEntry
    from model_server.files.cache import ModelCache

FILE_NAME = "choice.json"
GB = 10**9

Reason = Literal["memory", "operator", "earlier", "default"]
"""Chosen by what the machine has, by the operator, because it was there before there was a choice, or by nobody."""
REASONS: Mapping[Reason, str] = {
    "memory": "was chosen at set-up, as the best that this machine can fetch and serve",
    "operator": "was chosen by the operator",
    "default": "is served as long as nobody chooses another one",
}


@dataclass(frozen=True, slots=True)
class Lack:
    """What this machine has too little of for a model: memory, or that of a graphics card; in GB (10⁹ bytes)."""

    part: Literal["memory", "card"]
    needed_gb: int
    present_gb: int

    def describe(self, name: str) -> str:
        """Return a sentence for the operator about the model called `name`."""
        if self.part == "memory":
            return f"{name} needs {self.needed_gb} GB of memory, and this machine has {self.present_gb} GB."
        present = f"that of this machine has {self.present_gb} GB" if self.present_gb else "this machine has none"
        return f"{name} needs a graphics card with {self.needed_gb} GB, and {present}."


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that was `chosen` out of `alternatives`, the smallest first; `fitting` is the one for this memory."""

    chosen: CatalogueEntry
    alternatives: tuple[CatalogueEntry, ...]
    fitting: CatalogueEntry
    reason: Reason

    def describe(self) -> str:
        """Return a sentence or two for the operator: what is served, why, and how to change that."""
        name, others = self.chosen.name, [entry.name for entry in self.alternatives if entry != self.chosen]
        if self.reason == "earlier":
            download = format_size(self.fitting.size or 0)
            return (
                f"The model {name} is kept, because it was here already. For the better {self.fitting.name}, which "
                f"takes {download} more, run tempera-models choose {self.fitting.name} and start again."
            )
        return (
            f"The model {name} {REASONS[self.reason]}. To choose another one, run tempera-models choose "
            f"{' or '.join(others)} and start again."
        )

    def find_stand_in(self, model_cache: ModelCache) -> CatalogueEntry | None:
        """Return the best smaller model that is in place and can answer while the chosen one is being fetched.

        None if there is no such model, or if the chosen one is in place.
        """
        if model_cache.find_ready_folder(self.chosen) is not None:
            return None
        smaller = self.alternatives[: self.alternatives.index(self.chosen)]
        return next((entry for entry in reversed(smaller) if _is_there(entry, model_cache)), None)


class Choices:
    """The choices of an installation. Nothing is stored before `make`."""

    def __init__(
        self,
        catalogue: Mapping[str, CatalogueEntry],
        model_cache: ModelCache,
        memory: int | None = None,
        card: int | None = None,
        cores: int | None = None,
        *,
        hub: bool | None = None,
    ) -> None:
        """`memory` and `card` are the bytes of memory of the machine and of its graphics card, 0 if it has none.

        `hub` is whether the Hugging Face hub answers. What is None is read from this machine, or found out.
        """
        self._catalogue = catalogue
        self._model_cache = model_cache
        self._memory = read_memory_bytes() if memory is None else memory
        self._card, self._cores, self._hub = card, cores, hub
        self._path = model_cache.folder / FILE_NAME

    def find_lack(self, entry: CatalogueEntry) -> Lack | None:
        """Return what this machine has too little of for a model, the graphics card first; None if the model fits."""
        if entry.card_gb:
            card = self._read_card()
            if card // GB < entry.card_gb:
                return Lack("card", entry.card_gb, card // GB)
        # Without the C++ runner, torch computes a language model with weights of 32 bits.
        is_doubled = entry.engine == "language" and not native.is_supported()
        needed, present = (entry.memory_gb or 0) * (2 if is_doubled else 1), self._memory // GB
        return Lack("memory", needed, present) if present < needed else None

    def find(self, smallest: CatalogueEntry, *, asks_hub: bool = False) -> Choice | None:
        """Return what is chosen among the alternatives to `smallest`, or would be; None if there are none.

        Unless it `asks_hub`, what only the hub has is not chosen; that takes up to three seconds.
        """
        alternatives = tuple(find_alternatives(self._catalogue, smallest))
        if len(alternatives) == 1:
            return None
        candidates = [entry for entry in alternatives if entry == smallest or entry.automatic]
        stored = read_json(self._path).get(smallest.name, {})
        chosen = next((entry for entry in alternatives if entry.name == stored.get("model")), None)
        fitting = [one for one in candidates if one in (smallest, chosen) or self._suits(one, asks_hub)][-1]
        if chosen is not None:
            return Choice(chosen, alternatives, fitting, stored.get("by", "operator"))
        smaller = candidates[: candidates.index(fitting)]
        kept = [] if _is_there(fitting, self._model_cache) else [e for e in smaller if _is_there(e, self._model_cache)]
        if kept:
            return Choice(kept[-1], alternatives, fitting, "earlier")
        return Choice(fitting, alternatives, fitting, "memory" if len(candidates) > 1 else "default")

    def _suits(self, entry: CatalogueEntry, asks_hub: bool) -> bool:
        """Return whether this machine can serve a model fast enough, and fetch it."""
        if self.find_lack(entry) is not None:
            return False
        cores = (os.cpu_count() or 1) if self._cores is None else self._cores
        if cores < entry.cores and self._read_card() // GB < (entry.memory_gb or 0):
            return False
        if not entry.only_repository or _is_there(entry, self._model_cache):
            return True
        if self._hub is None and asks_hub:
            self._hub = is_on_hub(entry.only_repository)
        return bool(self._hub)

    def _read_card(self) -> int:
        if self._card is None:
            self._card = read_card_bytes()
        return self._card

    def make(self, entries: Iterable[CatalogueEntry]) -> list[Choice]:
        """Return the choices for those of `entries` that have alternatives; store those that are new."""
        made = []
        for entry in entries:
            known = entry.name in read_json(self._path)
            if (choice := self.find(entry, asks_hub=not known)) is not None:
                made.append(choice)
                if not known:
                    # Where the folder cannot be written, the next start chooses again, and the same.
                    with contextlib.suppress(OSError):
                        self._store(choice)
        return made

    def choose(self, name: str) -> Choice:
        """Choose the model called `name`, as the operator wishes.

        Raises OperatorError if it is no alternative, or if it needs a graphics card that is not there.
        """
        offered = {
            entry.name: alternatives[0]
            for smallest in self._catalogue.values()
            if smallest.serve and len(alternatives := find_alternatives(self._catalogue, smallest)) > 1
            for entry in alternatives
        }
        if name not in offered:
            raise OperatorError(
                f"{name!r} is none of the models to choose between: {', '.join(offered)}. Other models are served with "
                "tempera-models serve --model NAME, or by a catalogue of yours."
            )
        lack = self.find_lack(self._catalogue[name])
        if lack is not None and lack.part == "card":
            raise OperatorError(f"{lack.describe(name)} It was not chosen, and what was served before stays.")
        present = self.find(offered[name])
        assert present is not None  # noqa: S101 - it has alternatives
        choice = Choice(self._catalogue[name], present.alternatives, present.fitting, "operator")
        try:
            self._store(choice)
        except OSError as error:
            raise OperatorError(
                f"The choice cannot be kept in {shorten(self._path)}: {error.strerror}. Make that folder writable, or "
                "set TEMPERA_CACHE to another one."
            ) from error
        return choice

    def describe_alternatives(self, made: Iterable[Choice]) -> list[dict[str, object]]:
        """Return for each model of these choices whether it is chosen, and what is lacking, as /health/ready has it."""
        return [
            {
                "model": entry.name,
                "chosen": entry == choice.chosen,
                **({"lacks": asdict(lack)} if (lack := self.find_lack(entry)) else {}),
            }
            for choice in made
            for entry in choice.alternatives
        ]

    def _store(self, choice: Choice) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        stored = {"model": choice.chosen.name, "by": choice.reason}
        write_json(self._path, read_json(self._path) | {choice.alternatives[0].name: stored})


def replace_by_chosen(entries: Iterable[CatalogueEntry], choices: Iterable[Choice]) -> list[CatalogueEntry]:
    """Return `entries` with the chosen model in the place of the smallest of its alternatives."""
    chosen = {choice.alternatives[0].name: choice.chosen for choice in choices}
    return [chosen.get(entry.name, entry) for entry in entries]


def _is_there(entry: CatalogueEntry, model_cache: ModelCache) -> bool:
    return model_cache.find_ready_folder(entry) is not None or model_cache.has_files(entry)

"""The models of the gateway by name, and those that stand in for a larger one until it is loaded."""

from __future__ import annotations

import asyncio
import difflib
import logging
from typing import TYPE_CHECKING

from model_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from model_server.workers.served_model import ServedModel

log = logging.getLogger(__name__)

MAX_SHOWN_NAME_LENGTH = 80


class ServedModels:
    """All models. Until a model that has a stand-in is loaded, its stand-in answers under both names; then it does.

    Jobs that the stand-in has at that time are finished by it, and then its worker ends.
    """

    def __init__(self, models: Iterable[ServedModel], stand_ins: Mapping[str, ServedModel] | None = None) -> None:
        """`stand_ins` are keyed by the names of the models that they stand in for."""
        self._models = {model.name: model for model in models}
        self._stand_ins = dict(stand_ins or {})
        self._successors: dict[str, ServedModel] = {}
        """The models that took over, keyed by the names of their stand-ins."""
        self._ending: list[ServedModel] = []
        """The stand-ins that finish their jobs."""

    def listed(self) -> Sequence[ServedModel]:
        """Return the models that are served now, those that stand in after the others."""
        return [*self._models.values(), *self._stand_ins.values()]

    def at_work(self) -> Sequence[ServedModel]:
        """Return the models that may have jobs: those that are served, and those that finish what they have."""
        return [*self.listed(), *self._ending]

    def stand_in(self, model: ServedModel) -> ServedModel | None:
        """Return the model that answers in the place of `model`, or None."""
        return self._stand_ins.get(model.name)

    def find(self, name: str) -> ServedModel:
        """Return the model that answers under this name. Raises ApiError (404) that suggests the nearest name."""
        known = self._successors | {model.name: self.stand_in(model) or model for model in self.listed()}
        if name in known:
            return known[name]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"the nearest is {close[0]}" if close else f"there is {', '.join(known) or 'none'}"
        shown = name if len(name) <= MAX_SHOWN_NAME_LENGTH else f"{name[:MAX_SHOWN_NAME_LENGTH]}…"
        raise ApiError(404, f"There is no model {shown} here; {hint}.", code="model_not_found", param="model")

    async def run(self) -> None:
        """Fetch, load and serve all models until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for model in self._models.values():
                tasks.create_task(model.run())
            for name, stand_in in tuple(self._stand_ins.items()):
                task = tasks.create_task(stand_in.run())
                tasks.create_task(self._hand_over(stand_in, self._models[name], task))
            # A server without models serves as well.
            await asyncio.Event().wait()

    async def _hand_over(self, stand_in: ServedModel, model: ServedModel, task: asyncio.Task[None]) -> None:
        """Let `model` take over once it is loaded, and end the `task` of its stand-in once that has no jobs."""
        await model.queue.wait_until_open()
        del self._stand_ins[model.name]
        self._successors[stand_in.name] = model
        self._ending.append(stand_in)
        log.info("%s takes over from %s.", model.name, stand_in.name)
        await stand_in.queue.wait_until_idle()
        self._ending.remove(stand_in)
        task.cancel()

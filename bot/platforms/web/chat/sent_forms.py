"""The forms that pages sent lately, so that one which is sent twice is carried out once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from bot.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bot.core.messages import User

ResultT = TypeVar("ResultT")

MAX_REMEMBERED_FORMS = 1000
"""How many forms of all visitors are remembered."""


class SentForms:
    """The outcomes of forms, by their visitors and the marks that pages gave them."""

    def __init__(self) -> None:
        self._forms: dict[tuple[str, str], asyncio.Future[Any]] = {}

    async def run_once(self, user: User, client_ref: str, act: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Call `act` once, however often this is called with the same `client_ref`; every caller gets its outcome."""
        key = user.id, client_ref
        while (first := self._forms.get(key)) is not None:
            await asyncio.wait([first])
            # A first call that was cancelled has no outcome, so this one takes its place.
            if not first.cancelled():
                result: ResultT = first.result()
                return result
        outcome: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._forms[key] = outcome
        if len(self._forms) > MAX_REMEMBERED_FORMS:
            # Of whoever sent the most, so that nobody pushes out those of others.
            ((sender, _),) = Counter(user_id for user_id, _ in self._forms).most_common(1)
            del self._forms[next(key for key in self._forms if key[0] == sender)]
        try:
            outcome.set_result(await act())
        except BaseException as error:
            # A form that was refused may be sent again.
            self._forms.pop(key, None)
            if not isinstance(error, UserError):
                outcome.cancel()
                raise
            outcome.set_exception(error)
        return outcome.result()

    def forget(self, user_id: str) -> None:
        """Forget which forms a visitor sent."""
        self._forms = {key: outcome for key, outcome in self._forms.items() if key[0] != user_id}

import asyncio
from types import SimpleNamespace

import pytest

from bot.core.latest import Latest, Stream
from bot.core.messages import Reply
from bot.core.running import ActiveRuns
from bot.core.throttle import Throttle
from bot.platforms.answer_tasks import AnswerTasks


class View:
    """The messages of one answer, which the platform refuses."""

    row = 1
    final = False

    async def show(self, reply: Reply) -> None:
        raise RuntimeError("refused")


class Tasks(AnswerTasks[View]):
    """Tasks of a platform that notes what it does."""

    refusals = ()

    def __init__(self) -> None:
        async def get(row: int) -> str:
            return f"row {row}"

        super().__init__(SimpleNamespace(messages=SimpleNamespace(get=get), runs=ActiveRuns()), "test")
        self.ended: list[str] = []
        self.stored: list[str] = []

    def _throttle(self, view: View) -> Throttle:
        return Throttle(0)

    async def _show_once(self, view: View, reply: Reply) -> None:
        await view.show(reply)

    def _is_temporary(self, error: Exception) -> bool:
        return False

    async def _end_after(self, view: View, error: Exception) -> None:
        self.ended.append(str(error))

    async def _find_view(self, row: object) -> None:
        return None

    async def _show_stored(self, view: View, row: str) -> None:
        self.stored.append(row)


async def test_a_message_that_is_being_sent_at_the_end_is_known_before_the_answer_is_cut_short() -> None:
    sending, ids = asyncio.Event(), list[str]()

    class Posting(View):
        async def show(self, reply: Reply) -> None:
            sending.set()
            await asyncio.sleep(0.05)
            ids.append("1")

    class Ending(Tasks):
        async def _show_stored(self, view: View, row: str) -> None:
            self.stored += ids

    async def begin(latest: Latest[Reply]) -> None:
        latest.put(Reply(text="Hel"))
        await asyncio.Event().wait()

    tasks = Ending()
    tasks.start(tasks.follow(Posting(), Stream[Reply](begin)), "answer")
    await sending.wait()
    await tasks.close()
    assert tasks.stored == ["1"]


async def test_an_answer_that_failed_is_not_shown_again_at_the_end() -> None:
    tasks = Tasks()
    await tasks.follow(View(), Stream.of(Reply(text="Hello.", final=True)))
    await tasks.close()
    assert (tasks.ended, tasks.stored) == (["refused"], [])


@pytest.mark.parametrize("is_closed", [False, True])
async def test_work_begins_only_before_the_end(is_closed: bool) -> None:
    tasks, begun = Tasks(), asyncio.Event()

    async def work() -> None:
        begun.set()

    if is_closed:
        await tasks.close()
    tasks.start(work(), "work")
    await asyncio.sleep(0.01)
    assert begun.is_set() is not is_closed
    await tasks.close()

"""The terminal as a platform: one command and out, or a conversation with completion."""

from __future__ import annotations

import asyncio
import getpass
import locale
import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.history import FileHistory, InMemoryHistory

from bot.errors import BotError
from bot.message import Place, Reply, Request, User

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import History

    from bot.app import Bot
    from bot.message import Attachment

CLEAR_LINE = "\r\x1b[K"
WELCOME = "Tempera. Type a question, or / for the commands; Ctrl-C stops an answer, Ctrl-D ends."


def operator() -> User:
    """Whoever sits at the terminal runs this deployment, and so may do everything."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "operator"
    language = locale.getlocale()[0] or "en"
    return User("operator", name, is_moderator=True, is_operator=True, locale=language.replace("_", "-"))


class Terminal:
    """Shows replies as growing text. Answers go to stdout; status, card and errors to stderr."""

    def __init__(self, bot: Bot, out: Path) -> None:
        self._bot = bot
        self._out = out
        self._user = operator()

    async def once(self, line: str) -> int:
        """Run one command; 0 if it was answered, 1 if it failed, 130 if it was stopped with Ctrl-C."""
        async with self._bot:
            return await self._stoppable(self._answer(line))

    async def talk(self) -> int:
        """Read lines until end of file."""
        async with self._bot:
            session = PromptSession[str]("> ", completer=_Completer(self), history=_history())
            print(WELCOME, file=sys.stderr)
            while True:
                try:
                    line = await session.prompt_async()
                except KeyboardInterrupt:
                    continue
                except EOFError:
                    return 0
                if line.strip():
                    await self._stoppable(self._answer(line))

    async def _stoppable(self, work: Coroutine[Any, Any, int]) -> int:
        """Run `work` so that Ctrl-C stops it, and only it."""
        task: asyncio.Task[int] = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            print("\nStopped.", file=sys.stderr)
            return 130
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _answer(self, line: str) -> int:
        request = Request(user=self._user, place=Place("terminal", "terminal"), text=line)
        replies = self._bot.dispatch(request).replies
        async with aclosing(replies):
            last = await _show(replies)
        if last.error:
            return 1
        for attachment in last.attachments:
            print(await asyncio.to_thread(self._save, attachment))
        if last.card:
            print(" · ".join(f"{name} {value}" for name, value in last.card.items()), file=sys.stderr)
        return 0

    def _save(self, attachment: Attachment) -> Path:
        """Write the file under its own name; a different file of that name is kept, and this one numbered."""
        name = Path(attachment.filename)
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                suffix = "" if number == 1 else f"-{number}"
                path = self._out / f"{name.stem}{suffix}{name.suffix}"
                if not path.exists():
                    path.write_bytes(attachment.data)
                    return path
                if path.read_bytes() == attachment.data:
                    return path
                number += 1
        except OSError as error:
            reason = error.strerror or "it cannot be written"
            raise BotError(
                f"The picture cannot be saved in {self._out}: {reason}. Choose a folder with --out."
            ) from None


async def _show(replies: AsyncIterator[Reply]) -> Reply:
    """Print the snapshots as they grow, and give back the last."""
    shown, last, status = "", Reply(), ""
    on_screen = sys.stderr.isatty()
    async for last in replies:
        if status:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
            status = ""
        if not last.text.startswith(shown):
            print()
            shown = ""
        new = last.text[len(shown) :]
        if new:
            print(new, end="", flush=True, file=sys.stderr if last.error else sys.stdout)
            shown = last.text
        if last.status and on_screen and not shown:
            status = last.status
            print(status, end="", file=sys.stderr, flush=True)
    if shown:
        print(file=sys.stderr if last.error else sys.stdout)
    return last


def _history() -> History:
    folder = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "tempera"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileHistory(str(folder / "terminal-history"))
    except OSError:
        return InMemoryHistory()


class _Completer(Completer):
    """Completes command names, then option names, then what an option offers."""

    def __init__(self, terminal: Terminal) -> None:
        self._bot = terminal._bot
        self._user = terminal._user

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        raise NotImplementedError("prompt_toolkit calls the asynchronous method below")

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        text = document.text_before_cursor
        if not text.startswith("/"):
            return
        commands = self._bot.commands_for(self._user)
        word = text.rsplit(" ", 1)[-1]
        command = next((known for known in commands if text.startswith(f"/{known.name} ")), None)
        if command is None:
            for known in commands:
                if f"/{known.name}".startswith(text):
                    yield Completion(f"/{known.name} ", -len(text), display_meta=known.description)
            return
        name, colon, typed = word.partition(":")
        if colon:
            request = Request(user=self._user, place=Place("terminal", "terminal"), command=command.name)
            for value in await self._bot.complete(request, name, typed):
                quoted = f'"{value}"' if " " in value else value
                yield Completion(quoted, -len(typed), display=value)
            return
        for option in command.options:
            if option.name.startswith(word) and f" {option.name}:" not in text and not option.free_text:
                yield Completion(f"{option.name}:", -len(word), display_meta=option.description)

"""The terminal as a platform: runs one command, or holds a conversation with completion."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.history import FileHistory, InMemoryHistory

from bot.answers.decision import OpenForm
from bot.answers.greeting import welcome
from bot.commands import grammar
from bot.core.errors import UserError
from bot.core.files import MAX_FILE_BYTES, require_size
from bot.core.i18n import translate
from bot.core.messages import Action, Attachment, Place, Reply, Request, User
from bot.core.splitting import card_line
from bot.provenance.metadata import without_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import History

    from bot.app import Bot
    from bot.core.messages import Button, Form

PLACE = Place("terminal", "terminal")
CLEAR_LINE = "\r\x1b[K"
CONTROL_CHARACTERS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""A translation table that deletes control characters. With them a model could move the cursor or hide text."""
WELCOME = "Type a question, or / for the commands; Ctrl-C stops an answer, Ctrl-D ends."


def operator() -> User:
    """Return the user at the terminal. They run this deployment, so they may do everything."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "operator"
    # Not from the locale module: a machine may lack the locale whose language its user reads.
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "en")
    language = locale.split(".")[0].replace("_", "-")
    return User("operator", name, is_moderator=True, is_operator=True, locale=language)


class Terminal:
    """Prints replies while they grow. Answers go to stdout; the status, the card, buttons and errors go to stderr."""

    def __init__(self, bot: Bot, out: Path) -> None:
        self.bot = bot
        self.user = operator()
        self._out = out
        self._last_reply = Reply()
        self._was_stopped = False
        self._session: PromptSession[str] | None = None

    async def run_line(self, line: str) -> int:
        """Run one command. Returns 0 if it was answered, 1 if it failed, 130 if it was stopped with Ctrl-C."""
        async with self.bot:
            return await self._answer_interruptibly(line)

    async def converse(self) -> int:
        """Answer lines until the end of input. Returns 0."""
        async with self.bot:
            self._session = PromptSession("> ", completer=_Completer(self), history=_open_history())
            _print_note(f"{welcome(self.bot, self.user.locale).text}\n\n{translate(WELCOME, self.user.locale)}")
            for row in await self.bot.stored.mark_interrupted(["terminal"]):
                status = translate("Interrupted: the bot was restarted.", self.user.locale)
                _print_note(f"{status} /{row.command} {row.options.get('prompt', '')}  (!again {row.id})")
            while True:
                try:
                    line = await self._session.prompt_async()
                except KeyboardInterrupt:
                    continue
                except EOFError:
                    return 0
                if line.strip():
                    await self._answer_interruptibly(line.strip())

    async def _answer_interruptibly(self, line: str) -> int:
        """Answer a line so that Ctrl-C stops the answer and not the program. Returns the exit status."""
        task = asyncio.create_task(self._answer(line))

        def interrupt() -> None:
            # Before the answer has a row, and after it has ended in the bot, only the task can be stopped.
            if self.bot.runs.stop(self._last_reply.row):
                self._was_stopped = True
            else:
                task.cancel()

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            return 130
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def _parse_line(self, line: str) -> Request:
        """Return the request for a line: a question, a command, or a button of the last answer, such as “!again”."""
        if not line.startswith("!"):
            return Request(user=self.user, place=PLACE, text=line, alone=True)
        action, _, row = line[1:].partition(" ")
        offered = {button.id.split(":")[1]: button.id for button in self._last_reply.buttons}
        if row.strip():
            return self._action_request(f"t:{action}:{row.strip()}")
        if action in offered:
            return self._action_request(offered[action])
        if offered:
            names = "  ".join(f"!{name}" for name in offered)
            raise UserError("There is no !{action} for the last answer; there are {names}.", action=action, names=names)
        raise UserError("There is no answer here that !{action} could be for. Ask something first.", action=action)

    async def _attach_files(self, request: Request) -> Request:
        """Return `request` with the files whose paths its options name: a terminal has no other way to attach one.

        Raises UserError for a file that cannot be read.
        """
        if not request.text.startswith("/"):
            return request
        try:
            command, rest = self.bot.registry.split_line(request.text)
            options = command.parse(rest)
        except UserError:
            # `Bot.prepare` refuses the line, and also records that.
            return request
        paths = {
            option.name: options[option.name]
            for option in command.options
            if option.type is Attachment and options.get(option.name)
        }
        if not paths:
            return request
        files = {name: await asyncio.to_thread(_read_file, path) for name, path in paths.items()}
        return replace(request, text="", command=command.name, options={**options, **files})

    def _action_request(self, button_id: str, fields: dict[str, str] | None = None) -> Request:
        return Request(user=self.user, place=PLACE, action=Action(button_id, fields), alone=True)

    async def _answer(self, line: str) -> int:
        try:
            return await self._run_request(await self._attach_files(self._parse_line(line)))
        except UserError as error:
            _print_note(error.sentence.in_language(self.user.locale))
            return 1

    async def _run_request(self, request: Request) -> int:
        decision = self.bot.prepare(request)
        if isinstance(decision, OpenForm):
            filled_in = await self._fill_in(await decision.make())
            if filled_in is None:
                return 130
            decision = self.bot.prepare(filled_in)
        self._last_reply, self._was_stopped = Reply(), False
        async with aclosing(decision.start()) as replies:
            await self._print_replies(replies)
        last = self._last_reply
        if last.error:
            return 1
        for attachment in last.attachments:
            print(await asyncio.to_thread(self._save, attachment))
            if attachment.alt:
                _print_note(attachment.alt)
        if last.deleted:
            _print_note(translate("Deleted.", self.user.locale))
        if last.status:
            _print_note(last.status)
        if last.card:
            _print_note(card_line(last.card, self.user.locale))
        if self._session is not None and last.buttons:
            _print_note("  ".join(map(_format_button, last.buttons)))
        return 130 if self._was_stopped else 0

    async def _fill_in(self, form: Form) -> Request | None:
        """Ask for each field of a form, offering its value. Returns None if the form is left with Ctrl-C or Ctrl-D."""
        if self._session is None:
            raise UserError("This opens a form; start “tempera chat” without a command to fill it in.")
        fields = {}
        try:
            for field in form.fields:
                fields[field.name] = await self._session.prompt_async(f"{field.label}: ", default=field.value)
        except (KeyboardInterrupt, EOFError):
            return None
        finally:
            self._session.message = "> "
        return self._action_request(form.id, fields)

    def _save(self, attachment: Attachment) -> Path:
        """Write the file under its own name and return the path. If another file has the name, a number is added."""
        name = Path(_without_controls(attachment.filename).replace("\n", " "))
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            number = 1
            while True:
                suffix = "" if number == 1 else f"-{number}"
                path = self._out / f"{name.stem}{suffix}{name.suffix}"
                if not path.exists():
                    # Others on this computer may read pictures, but not what is stored about somebody.
                    path.touch(0o600 if attachment.confidential else 0o666)
                    path.write_bytes(attachment.data)
                    return path
                # Two signatures of one picture differ.
                if without_metadata(path.read_bytes()) == without_metadata(attachment.data):
                    return path
                number += 1
        except OSError as error:
            raise UserError(
                "The file cannot be saved in {folder} ({reason}). Choose another folder with --out.",
                folder=self._out,
                reason=error.strerror,
            ) from None

    async def _print_replies(self, replies: AsyncIterator[Reply]) -> None:
        """Print the snapshots of an answer as it grows."""
        shown, status = "", ""
        on_screen = sys.stderr.isatty()
        async for reply in replies:
            if reply.cause is not None and self._last_reply.cause is None:
                _print_note(reply.cause.sentence.in_language(self.user.locale))
            self._last_reply = reply
            if status:
                print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
                status = ""
            if not reply.text.startswith(shown):
                print()
                shown = ""
            if new := reply.text[len(shown) :]:
                print(_without_controls(new), end="", flush=True, file=sys.stderr if reply.error else sys.stdout)
                shown = reply.text
            if reply.status and on_screen and not shown and not reply.final:
                status = _without_controls(reply.status)
                print(status, end="", file=sys.stderr, flush=True)
        if shown:
            print(file=sys.stderr if self._last_reply.error else sys.stdout)


def _format_button(button: Button) -> str:
    """Return what to type for a button. The name of a plugin's button is a number, so its label is added."""
    name = f"!{button.id.split(':')[1]}"
    return f"{name} ({button.label})" if button.command else name


def _read_file(typed: str) -> Attachment:
    """Return the file at a path, in which “~” is the home folder. Raises UserError if it cannot be read."""
    path = Path(typed)
    # If there is no such user, or no home folder, “~” is part of a name like any other character.
    with suppress(RuntimeError):
        path = path.expanduser()
    try:
        if path.is_dir():
            raise UserError("{path} is a folder; name a file in it.", path=typed)
        if not path.is_file():
            raise UserError("There is no file {path}.", path=typed)
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError("{path} cannot be read ({reason}).", path=typed, reason=error.strerror) from None
    require_size(path.name, len(data))
    return Attachment(path.name, data)


def _without_controls(text: str) -> str:
    """Return `text` without characters that command a terminal; most of what is printed was written by others."""
    return text.translate(CONTROL_CHARACTERS)


def _print_note(text: str) -> None:
    print(_without_controls(text), file=sys.stderr)


def _open_history() -> History:
    folder = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "tempera"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileHistory(str(folder / "terminal-history"))
    except OSError:
        return InMemoryHistory()


class _Completer(Completer):
    """Completes the names of commands, then of options, then the values that an option offers."""

    def __init__(self, terminal: Terminal) -> None:
        self._bot = terminal.bot
        self._user = terminal.user

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        raise NotImplementedError("prompt_toolkit calls the asynchronous method below")

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        text = document.text_before_cursor
        if not text.startswith("/"):
            return
        commands = self._bot.admission.commands_for(self._user, PLACE)
        word = text.rsplit(" ", 1)[-1]
        command = next((known for known in commands if text.startswith(f"/{known.name} ")), None)
        if command is None:
            for known in commands:
                if f"/{known.name}".startswith(text):
                    yield Completion(f"/{known.name} ", -len(text), display_meta=known.description)
            return
        name, colon, typed = word.partition(":")
        if colon:
            earlier = text.removesuffix(word)
            request = Request(user=self._user, place=PLACE, command=command.name, text=earlier)
            for value in await self._bot.complete(request, name, typed):
                yield Completion(grammar.quote(value), -len(typed), display=value)
            return
        for option in command.options:
            if option.name.startswith(word) and f" {option.name}:" not in text and not option.free_text:
                yield Completion(f"{option.name}:", -len(word), display_meta=option.description)
        if (free := command.free_text) is not None and free.complete is not None:
            rest = text.removeprefix(f"/{command.name} ")
            typed = rest[grammar.leading_pairs_end(rest) :]
            request = Request(user=self._user, place=PLACE, command=command.name)
            for value in await self._bot.complete(request, free.name, typed):
                yield Completion(value, -len(typed))

"""The bot: a registry of commands, and the one way from a request to its replies."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

from bot import policy
from bot.context import Context
from bot.errors import PluginError, UnknownCommand, UserError
from bot.language import Sentence
from bot.message import Reply
from bot.text import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from bot.command import Command
    from bot.message import Form, Request, User
    from bot.model_client import ModelClient
    from bot.plugin import Plugin

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One request under way: how to acknowledge it is known at once, the replies come as they are made.

    `refused` requests yield one private error; `private` ones are for the asker's eyes; where `form` is set, it
    is shown and there are no replies. Close `replies` to cancel.
    """

    replies: AsyncGenerator[Reply, None]
    private: bool
    refused: bool = False
    form: Form | None = None


class Bot:
    """The core that all platforms share. Use it as an async context manager: it starts and stops the plugins."""

    def __init__(self, models: ModelClient, plugins: Sequence[Plugin], *, default_command: str = "ask") -> None:
        self.models = models
        self._default = default_command
        self._plugins = list(plugins)
        self._commands: dict[str, Command] = {}
        self._lifetime = AsyncExitStack()
        for plugin in plugins:
            self._register(plugin)
        default = self._commands.get(default_command)
        if default is not None and default.free_text is None:
            raise PluginError(f"The default command “{default_command}” takes no free text.")

    def _register(self, plugin: Plugin) -> None:
        for command in plugin.commands():
            taken = self._commands.get(command.name)
            if taken is not None:
                raise PluginError(
                    f"Plugin “{plugin.name}” and plugin “{taken.plugin}” both have a command “{command.name}”."
                )
            self._commands[command.name] = command
        for name in self._commands:
            if " " in name and name.split(" ")[0] in self._commands:
                raise PluginError(f"Command “{name.split(' ')[0]}” has subcommands, so it cannot be one itself.")

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.models)
            for plugin in self._plugins:
                stack.push_async_callback(plugin.close)
                await plugin.start()
            self._lifetime = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lifetime.aclose()

    @property
    def commands(self) -> tuple[Command, ...]:
        """Every command, in the order of loading."""
        return tuple(self._commands.values())

    def commands_for(self, user: User) -> tuple[Command, ...]:
        """The commands that `user` may use."""
        return tuple(command for command in self.commands if policy.allows(user, command))

    def dispatch(self, request: Request) -> Dispatch:
        """Decide at once, from memory alone, how `request` is acknowledged; hand out the replies to come."""
        try:
            command, given = self._resolve(request)
            policy.check(request.user, command)
            options = command.bind(given)
        except UserError as error:
            return Dispatch(self._refuse(request, error), private=True, refused=True)
        return Dispatch(self._run(request, command, options), private=command.private)

    async def complete(self, request: Request, option: str, typed: str) -> Sequence[str]:
        """Suggestions of the plugin for `option` of `request.command`; none where it offers none."""
        command = self._commands.get(request.command)
        known = command.option(option) if command is not None else None
        if known is None:
            return ()
        if known.complete is None:
            return tuple(str(choice) for choice in known.choices if str(choice).startswith(typed))
        return await known.complete(self._context(request), typed)

    def _resolve(self, request: Request) -> tuple[Command, Mapping[str, Any]]:
        if request.command:
            return self._find(request.command), request.options
        text = request.text.strip()
        if not text.startswith("/"):
            command = self._find(self._default)
            return command, {option.name: text for option in command.options if option.free_text}
        name, _, rest = text[1:].partition(" ")
        second, _, after = rest.strip().partition(" ")
        if f"{name} {second}".lower() in self._commands:
            name, rest = f"{name} {second}", after
        command = self._find(name.lower())
        return command, command.parse(rest)

    def _find(self, name: str) -> Command:
        if (command := self._commands.get(name)) is not None:
            return command
        if below := [known for known in self._commands if known.startswith(f"{name} ")]:
            sentence = "/{name} needs one more word: {choices}."
            raise UnknownCommand(sentence, name=name, choices=", ".join(f"/{known}" for known in below))
        if close := nearest(name, self._commands):
            raise UnknownCommand("There is no command /{name}. Did you mean /{close}?", name=name, close=close)
        raise UnknownCommand("There is no command /{name}. /help lists what there is.", name=name)

    def _context(self, request: Request) -> Context:
        return Context(request=request, models=self.models, commands=self.commands_for(request.user))

    async def _refuse(self, request: Request, error: UserError) -> AsyncGenerator[Reply, None]:
        yield _failed(Reply(), error.sentence, request)

    async def _run(self, request: Request, command: Command, options: Mapping[str, Any]) -> AsyncGenerator[Reply, None]:
        last = Reply()
        try:
            # Loading made sure that the handler is an async generator function.
            handler = cast(AsyncGenerator[Reply, None], command.handler(self._context(request), **options))
            async with aclosing(handler) as replies:
                async for reply in replies:
                    last = replace(reply, private=reply.private or command.private)
                    yield last
        except UserError as error:
            yield _failed(last, error.sentence, request)
        except Exception:
            number = secrets.token_hex(4)
            log.exception("Error %s in /%s", number, command.name)
            sentence = "Something went wrong inside the bot (error {id}); its log says more."
            yield _failed(last, Sentence(sentence, {"id": number}), request)
        else:
            if not last.final:
                yield replace(last, final=True, status="")


def _failed(last: Reply, sentence: Sentence, request: Request) -> Reply:
    """The last reply with the error under it: what was already said stays; where nothing was, it is private."""
    text = sentence.in_language(request.user.locale)
    if last.text:
        text = f"{last.text}\n\n{text}"
    return replace(last, text=text, status="", final=True, error=True, private=last.private or not last.text)

"""A handler's signature becomes its command: the schema, the types, the limits and the help text."""

from __future__ import annotations

import inspect
import re
import types
import typing
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from bot.commands.command import Command, Traits
from bot.commands.option import KINDS, Bounds, Option
from bot.core.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bot.commands.command import Handler
    from bot.commands.option import Autocomplete

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration(Traits):
    """What `@command` notes on a handler until its plugin is loaded."""

    form: tuple[str, ...] = ()


def command(
    name: str = "",
    *,
    form: Sequence[str] = (),
    moderator: bool = False,
    private: bool = False,
    threads: bool = False,
    hidden: bool = False,
    draws: bool = False,
    free: bool = False,
    kept: bool = True,
) -> Callable[[Handler], Handler]:
    """Make a method of a plugin a command.

    The docstring's first line is the description; its lines of the form `option: text` describe the options.
    `name` is the method's own unless given; "lesson list" is a subcommand. `form` names the options (five at
    most) that a form shows, `moderator` keeps everybody else out, `private` shows the answer to the asker alone,
    `threads` lets its answers open a thread where the platform has them, `hidden` leaves it to buttons alone, what
    `draws` shows what was written in a picture, and what is `free` counts under no limit of how often one may ask.
    What is not `kept` is forgotten once it is answered, and so are its buttons.
    """

    def note(handler: Handler) -> Handler:
        declared = Declaration(
            name=name or handler.__name__.replace("_", " "),
            form=tuple(form),
            moderator=moderator,
            private=private,
            threads=threads,
            hidden=hidden,
            draws=draws,
            free=free,
            kept=kept,
        )
        handler.__tempera_command__ = declared  # type: ignore[attr-defined]
        return handler

    return note


def message_command(label: str, text: str = "{text}") -> Callable[[Handler], Handler]:
    """Offer a command on any message too, called `label` there; stands above `@command`.

    Its free text becomes `text`, with the message's own in the place of {text}, or a link to it in that of {link}.
    """

    def note(handler: Handler) -> Handler:
        declared: Declaration = handler.__tempera_command__  # type: ignore[attr-defined]
        declared = replace(declared, in_messages=label, message_text=text)
        handler.__tempera_command__ = declared  # type: ignore[attr-defined]
        return handler

    return note


def autocomplete(command_name: str, option: str) -> Callable[[Autocomplete], Autocomplete]:
    """Make a method (ctx, typed so far -> suggestions) complete `option` of the plugin's `command_name`."""

    def note(completer: Autocomplete) -> Autocomplete:
        completer.__tempera_completes__ = (command_name, option)  # type: ignore[attr-defined]
        return completer

    return note


def parse_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The first line of a docstring, and its `option: text` lines."""
    lines = [line.strip() for line in inspect.cleandoc(docstring or "").splitlines()]
    options = {}
    for line in lines[1:]:
        name, colon, text = line.partition(": ")
        if colon and name.isidentifier():
            options[name] = text
    return (lines[0] if lines else ""), options


def build_command(handler: Handler, plugin: str, completers: Mapping[tuple[str, str], Autocomplete]) -> Command:
    """The command that a decorated, bound handler declares. Raises PluginError for what cannot be a command."""
    declared: Declaration = handler.__tempera_command__  # type: ignore[attr-defined]
    where = f"Command “{declared.name}” of plugin “{plugin}”"
    words = declared.name.split(" ")
    if len(words) > 2 or not all(NAME.fullmatch(word) for word in words):
        raise PluginError(f"{where}: a name is one or two words of small letters, digits, - and _.")
    if not inspect.isasyncgenfunction(handler):
        raise PluginError(f"{where}: the handler must be an async generator (async def … yield Reply(…)).")
    description, texts = parse_docstring(handler.__doc__)
    if not description:
        raise PluginError(f"{where}: the docstring's first line must say what the command does.")
    options = _cached_options(handler, where, texts, declared)
    for (command_name, option), completer in completers.items():
        if command_name == declared.name:
            options = [replace(known, complete=completer) if known.name == option else known for known in options]
    traits = {field.name: getattr(declared, field.name) for field in fields(Traits)}
    return Command(**traits, description=description, options=tuple(options), handler=handler, plugin=plugin)


def _cached_options(handler: Handler, where: str, texts: Mapping[str, str], declared: Declaration) -> Sequence[Option]:
    """What is read from a signature once for each function; plugins are asked for their commands more than once."""
    function: Any = getattr(handler, "__func__", handler)
    if not hasattr(function, "__tempera_options__"):
        function.__tempera_options__ = tuple(_read_options(handler, where, texts, declared))
    known: Sequence[Option] = function.__tempera_options__
    return known


def _read_options(handler: Handler, where: str, texts: Mapping[str, str], declared: Declaration) -> list[Option]:
    parameters = list(inspect.signature(handler).parameters.values())[1:]
    function = getattr(handler, "__func__", handler)
    named = {parameter.name for parameter in parameters}
    wanted = types.SimpleNamespace(
        __annotations__={key: value for key, value in function.__annotations__.items() if key in named}
    )
    try:
        hints = typing.get_type_hints(wanted, function.__globals__, include_extras=True)
    except NameError as error:
        raise PluginError(f"{where}: the type {error.name!r} is not imported where it runs.") from error
    options = [_read_option(parameter, hints.get(parameter.name), where, texts, declared) for parameter in parameters]
    unknown = set(declared.form) - {option.name for option in options}
    if unknown:
        raise PluginError(f"{where}: `form` may name its own options alone; it has {declared.form}.")
    plain = [option for option in options if option.type is str and not option.choices]
    first = next((option for option in options if option.choices or option in plain), None)
    text = next((option for option in plain if option.required), first if first in plain else None)
    return [replace(option, free_text=True) if option is text else option for option in options]


def _read_option(
    parameter: inspect.Parameter, hint: Any, where: str, texts: Mapping[str, str], declared: Declaration
) -> Option:
    if typing.get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    bounds = Bounds(None, None)
    choices: tuple[Any, ...] = ()
    if typing.get_origin(hint) is Annotated:
        bounds = next((part for part in hint.__metadata__ if isinstance(part, Bounds)), bounds)
        hint = hint.__origin__
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        hint = type(choices[0])
    if hint not in KINDS:
        allowed = ", ".join(kind.__name__ for kind in KINDS)
        raise PluginError(f"{where}: option “{parameter.name}” must be one of {allowed}, Choice or Range.")
    required = parameter.default is inspect.Parameter.empty
    return Option(
        name=parameter.name,
        type=hint,
        description=texts.get(parameter.name, ""),
        required=required,
        default=None if required else parameter.default,
        minimum=bounds.minimum,
        maximum=bounds.maximum,
        choices=choices,
        form=parameter.name in declared.form,
    )

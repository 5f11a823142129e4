"""Makes a command of a handler: its signature and docstring give the options, types, limits and help text."""

from __future__ import annotations

import inspect
import re
import types
import typing
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from bot.commands.command import Command, Traits, option_name
from bot.commands.option import KINDS, Bounds, Numbers, Option
from bot.commands.source import describe_handler
from bot.core.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bot.commands.command import Handler
    from bot.commands.option import Autocomplete

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration(Traits):
    """The arguments of `@command`, stored on the handler until its plugin is loaded."""

    form: tuple[str, ...] = ()


def command(
    name: str = "",
    *,
    form: Sequence[str] = (),
    moderator: bool = False,
    private: bool = False,
    private_options: Sequence[str] = (),
    threads: bool = False,
    reads_history: bool = False,
    hidden: bool = False,
    draws: bool = False,
    free: bool = False,
    kept: bool = True,
    written_if: Mapping[str, object] | None = None,
) -> Callable[[Handler], Handler]:
    """Make a method of a plugin a command.

    The first line of the docstring is the description; its lines of the form `option: text` describe the options.
    `name` is the name of the method by default; "lesson list" is a subcommand. `form` names the options that a form
    shows (five at most). With `moderator`, only moderators may use the command; with `private`, only the asker sees the
    answer, as with one of the `private_options` in a place of several people; with `threads`, its answers may open a
    thread on platforms that have them; with `reads_history`, a button below an answer asks the next question about it;
    with `hidden`, only buttons run it. `draws` says that a picture shows what is written to it, and `free` that no rate
    limit applies to it. Without `kept`, the request and its buttons are forgotten once it is answered. With the values
    of `written_if` (in any case if it is empty), people have written the answers, so that they are given without a
    classifier, too.
    """

    def declare(handler: Handler) -> Handler:
        declared = Declaration(
            name=name or handler.__name__.replace("_", " "),
            form=tuple(form),
            moderator=moderator,
            private=private,
            private_options=tuple(private_options),
            threads=threads,
            reads_history=reads_history,
            hidden=hidden,
            draws=draws,
            free=free,
            kept=kept,
            written_if=written_if,
        )
        handler.__tempera_command__ = declared  # type: ignore[attr-defined]
        return handler

    return declare


def message_command(label: str, text: str = "{text}") -> Callable[[Handler], Handler]:
    """Offer a command in the menu of a message, too, under this `label`; stands above `@command`.

    Its free text becomes `text`, in which {text} is replaced by the text of the message, and {link} by a link to it.
    """

    def declare(handler: Handler) -> Handler:
        declared: Declaration = handler.__tempera_command__  # type: ignore[attr-defined]
        declared = replace(declared, in_messages=label, message_text=text)
        handler.__tempera_command__ = declared  # type: ignore[attr-defined]
        return handler

    return declare


def autocomplete(command_name: str, option: str) -> Callable[[Autocomplete], Autocomplete]:
    """Make a method (ctx, typed so far -> suggestions) complete an option of a command of the same plugin."""

    def declare(completer: Autocomplete) -> Autocomplete:
        completer.__tempera_completes__ = (command_name, option)  # type: ignore[attr-defined]
        return completer

    return declare


def parse_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Return the first line of a docstring, and its `option: text` lines as texts by option."""
    lines = [line.strip() for line in inspect.cleandoc(docstring or "").splitlines()]
    options = {}
    for line in lines[1:]:
        name, colon, text = line.partition(": ")
        if colon and name.isidentifier():
            options[name] = text
    return (lines[0] if lines else ""), options


def build_command(handler: Handler, plugin: str, completers: Mapping[tuple[str, str], Autocomplete]) -> Command:
    """Return the command that a decorated, bound handler declares. Raises PluginError if it cannot be a command."""
    declared: Declaration = handler.__tempera_command__  # type: ignore[attr-defined]
    where = f"Command “{declared.name}” of plugin “{plugin}” ({describe_handler(handler)})"
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
    """Return the options of a handler; they are read once for each function, as commands are built several times."""
    function: Any = getattr(handler, "__func__", handler)
    if not hasattr(function, "__tempera_options__"):
        function.__tempera_options__ = tuple(_read_options(handler, where, texts, declared))
    known: Sequence[Option] = function.__tempera_options__
    return known


def _read_options(handler: Handler, where: str, texts: Mapping[str, str], declared: Declaration) -> list[Option]:
    parameters = list(inspect.signature(handler).parameters.values())[1:]
    function = getattr(handler, "__func__", handler)
    named = {parameter.name for parameter in parameters}
    annotated = types.SimpleNamespace(
        __annotations__={key: value for key, value in function.__annotations__.items() if key in named}
    )
    try:
        hints = typing.get_type_hints(annotated, function.__globals__, include_extras=True)
    except NameError as error:
        raise PluginError(f"{where}: the type {error.name!r} is not imported where it runs.") from error
    options = [_read_option(parameter, hints.get(parameter.name), where, texts, declared) for parameter in parameters]
    unknown = set(declared.form) - {option.name for option in options}
    if unknown:
        raise PluginError(f"{where}: `form` may name only options of the command; it has {declared.form}.")
    plain = [option for option in options if option.type is str and not option.choices]
    first = next((option for option in options if option.choices or option in plain), None)
    text = next((option for option in plain if option.required), first if first in plain else None)
    return [replace(option, free_text=True) if option is text else option for option in options]


def _read_option(
    parameter: inspect.Parameter, hint: Any, where: str, texts: Mapping[str, str], declared: Declaration
) -> Option:
    if typing.get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    bounds, numbers = Bounds(None, None), None
    choices: tuple[Any, ...] = ()
    if typing.get_origin(hint) is Annotated:
        bounds = next((part for part in hint.__metadata__ if isinstance(part, Bounds)), bounds)
        numbers = next((part for part in hint.__metadata__ if isinstance(part, Numbers)), None)
        hint = hint.__origin__
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        hint = type(choices[0])
    if hint not in KINDS:
        allowed = ", ".join(kind.__name__ for kind in KINDS)
        raise PluginError(f"{where}: option “{parameter.name}” must be one of {allowed}, Choice or Range.")
    name = option_name(parameter.name)
    required = parameter.default is inspect.Parameter.empty
    return Option(
        name=name,
        type=hint,
        description=texts.get(name, ""),
        required=required,
        default=None if required else parameter.default,
        minimum=bounds.minimum,
        maximum=bounds.maximum,
        choices=choices,
        numbers=numbers,
        form=name in declared.form,
    )

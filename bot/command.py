"""A handler's signature becomes its options: the schema, the parser, the validation and the help text."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from bot.errors import OptionError, PluginError
from bot.option import KINDS, Bounds, Option
from bot.text import nearest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from bot.message import Reply
    from bot.option import Autocomplete

    Handler = Callable[..., AsyncIterator[Reply]]

FORM_FIELDS = 5
"""Discord's limit for a modal, and so the number of options that a command may mark with `form`."""

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


PAIR = re.compile(r"\s*(?P<name>[A-Za-z_][\w-]*):(?P<value>\"[^\"]*\"|“[^”]*”|'[^']*'(?=\s|$)|\S*)")
TAIL = re.compile(r"(?:^|\s)(?P<name>[A-Za-z_][\w-]*):(?P<value>\"[^\"]*\"|“[^”]*”|[^\s\"]+)\s*$")
QUOTES = {'"': '"', "“": "”", "'": "'"}


def unquote(value: str) -> str:
    """The value without the pair of quotation marks around it, if it has one."""
    if len(value) >= 2 and QUOTES.get(value[0]) == value[-1]:
        return value[1:-1]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A name with its options and the handler behind them. A name of two words is a subcommand."""

    name: str
    description: str
    options: tuple[Option, ...]
    handler: Handler
    plugin: str = ""
    moderator: bool = False
    private: bool = False
    threads: bool = False
    """Its answers may open a thread of their own, where the platform has threads."""
    hidden: bool = False
    """Only buttons run it: nobody can type it, and no list or menu has it."""
    in_messages: str = ""
    """What it is called on a message ("Explain this"), whose text fills the free-text option; "" if not offered."""
    message_text: str = "{text}"
    """What the free-text option becomes then; "{link}" is a link to the message."""
    draws: bool = False
    """A picture shows what is written to it, so no real people may be named there."""
    free: bool = False
    """It costs next to nothing, and so counts under no limit."""
    kept: bool = True
    """Whether it is stored beyond its answer that it was used."""

    @property
    def counts(self) -> bool:
        """Whether a use of it counts under the limits."""
        return not self.free and not self.moderator

    def option(self, name: str) -> Option | None:
        """The option called `name`, if there is one."""
        return next((option for option in self.options if option.name == name), None)

    @property
    def free_text(self) -> Option | None:
        """The option that takes the words after the pairs, if the command has one."""
        return next((option for option in self.options if option.free_text), None)

    @property
    def opens_form(self) -> bool:
        """Whether the bare command is better answered with its form than with what is missing."""
        return any(option.required for option in self.options) and any(option.form for option in self.options)

    def wants_form(self, given: Mapping[str, Any]) -> bool:
        """Whether something required is missing from `given`, and a form could ask for it without losing the rest."""
        missing = any(option.required and not str(given.get(option.name) or "").strip() for option in self.options)
        known = {option.name for option in self.options if option.form}
        return self.opens_form and missing and set(given) <= known

    def from_message(self, text: str, link: str = "") -> dict[str, str]:
        """The options for a message with this text, shortened to what fits, and with a `link` to it."""
        frame = self.message_text.replace("{link}", link)
        if (option := self.free_text) is None or not (text if "{text}" in frame else frame).strip():
            return {}
        room = len(text) if option.maximum is None else int(option.maximum) - len(frame.replace("{text}", ""))
        return {option.name: frame.replace("{text}", text.strip()[:room])}

    def usage(self) -> str:
        """One line in the shape that people type: "/ask [temperature:…] prompt"."""
        parts = [f"/{self.name}"]
        ordered = sorted(self.options, key=lambda option: option.free_text)
        for option in ordered:
            text = option.name if option.free_text else f"{option.name}:…"
            parts.append(text if option.required else f"[{text}]")
        return " ".join(parts)

    def parse(self, text: str) -> dict[str, str]:
        """Split "name:value name:"two words" and the free text" into options, as typed.

        Pairs stand before the free text; those with a known name may also follow it.
        """
        found: dict[str, str] = {}
        rest = self._leading(text, found).strip()
        if rest and unquote(rest) == rest:
            rest = self._trailing(rest, found)
        rest = unquote(rest)
        if not rest:
            return found
        if (option := self.free_text) is None:
            sentence = "/{command} takes no text; “{text}” is too much."
            if names := ", ".join(option.name for option in self.options):
                sentence = "/{command} takes no text beside its options ({options}); “{text}” is too much."
            raise OptionError("", sentence, command=self.name, options=names, text=rest[:60])
        found[option.name] = f"{found[option.name]} {rest}" if option.name in found else rest
        return found

    def _leading(self, text: str, found: dict[str, str]) -> str:
        while match := PAIR.match(text):
            name, value = match["name"].casefold().replace("-", "_"), match["value"]
            option = self.option(name)
            if option is None:
                if match["name"] != name or len(name) < 2 or not value or value.startswith("//"):
                    break
                raise self._unknown(name)
            text = text[match.end() :]
            if option.free_text and unquote(value) == value:
                return f"{value}{text}"
            if not value:
                value, _, text = text.strip().partition(" ")
            self._note(found, name, value)
        return text

    def _trailing(self, rest: str, found: dict[str, str]) -> str:
        while match := TAIL.search(rest):
            name = match["name"].casefold().replace("-", "_")
            option = self.option(name)
            if option is None or option.free_text:
                break
            self._note(found, name, match["value"])
            rest = rest[: match.start()].rstrip()
        return rest

    def _note(self, found: dict[str, str], name: str, value: str) -> None:
        if name in found:
            raise OptionError(name, "{name} is given twice; give it once.", name=name)
        found[name] = unquote(value)

    def _unknown(self, name: str) -> OptionError:
        names = [option.name for option in self.options]
        if not names:
            return OptionError(name, "/{command} has no options.", command=self.name)
        if close := nearest(name, names):
            sentence = "/{command} has no option “{name}”. Did you mean “{close}”?"
            return OptionError(name, sentence, command=self.name, name=name, close=close)
        sentence = "/{command} has no option “{name}”; it has {options}."
        return OptionError(name, sentence, command=self.name, name=name, options=", ".join(names))

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Every option with its value: converted, checked, defaults filled in. Raises OptionError."""
        for name in given:
            if self.option(name) is None:
                raise self._unknown(name)
        bound = {}
        for option in self.options:
            raw = given.get(option.name)
            if raw is None or (isinstance(raw, str) and not raw.strip()):
                if option.required:
                    sentence = "/{command} needs “{name}”: {expected}. Like this: {usage}"
                    raise OptionError(
                        option.name,
                        sentence,
                        command=self.name,
                        name=option.name,
                        expected=option.expects(),
                        usage=self.usage(),
                    )
                bound[option.name] = option.default
            else:
                bound[option.name] = option.convert(raw)
        return bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What `@command` notes on a handler until its plugin is loaded."""

    name: str
    form: tuple[str, ...] = ()
    moderator: bool = False
    private: bool = False
    threads: bool = False
    hidden: bool = False
    in_messages: str = ""
    message_text: str = "{text}"
    draws: bool = False
    free: bool = False
    kept: bool = True


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


def describe(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The first line of a docstring, and its `option: text` lines."""
    lines = [line.strip() for line in inspect.cleandoc(docstring or "").splitlines()]
    options = {}
    for line in lines[1:]:
        name, colon, text = line.partition(": ")
        if colon and name.isidentifier():
            options[name] = text
    return (lines[0] if lines else ""), options


def build(handler: Handler, plugin: str, completers: Mapping[tuple[str, str], Autocomplete]) -> Command:
    """The command that a decorated, bound handler declares. Raises PluginError for what cannot be a command."""
    declared: Declaration = handler.__tempera_command__  # type: ignore[attr-defined]
    where = f"Command “{declared.name}” of plugin “{plugin}”"
    words = declared.name.split(" ")
    if len(words) > 2 or not all(NAME.fullmatch(word) for word in words):
        raise PluginError(f"{where}: a name is one or two words of small letters, digits, - and _.")
    if not inspect.isasyncgenfunction(handler):
        raise PluginError(f"{where}: the handler must be an async generator (async def … yield Reply(…)).")
    description, texts = describe(handler.__doc__)
    if not description:
        raise PluginError(f"{where}: the docstring's first line must say what the command does.")
    options = _options(handler, where, texts, declared)
    for (command_name, option), completer in completers.items():
        if command_name == declared.name:
            options = [replace(known, complete=completer) if known.name == option else known for known in options]
    return Command(
        name=declared.name,
        description=description,
        options=tuple(options),
        handler=handler,
        plugin=plugin,
        moderator=declared.moderator,
        private=declared.private,
        threads=declared.threads,
        hidden=declared.hidden,
        in_messages=declared.in_messages,
        message_text=declared.message_text,
        draws=declared.draws,
        free=declared.free,
        kept=declared.kept,
    )


def _options(handler: Handler, where: str, texts: Mapping[str, str], declared: Declaration) -> list[Option]:
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
    options = [_option(parameter, hints.get(parameter.name), where, texts, declared) for parameter in parameters]
    unknown = set(declared.form) - {option.name for option in options}
    if unknown or len(declared.form) > FORM_FIELDS:
        raise PluginError(f"{where}: `form` may name up to {FORM_FIELDS} of its options; it has {declared.form}.")
    plain = [option for option in options if option.type is str and not option.choices]
    text = next((option for option in plain if option.required), plain[0] if plain else None)
    return [replace(option, free_text=True) if option is text else option for option in options]


def _option(
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


def as_json(commands: Sequence[Command]) -> str:
    """The commands with their options as a JSON list, for tools and for comparing versions."""
    return json.dumps([_plain(command) for command in commands], indent=2, ensure_ascii=False)


def _plain(command: Command) -> dict[str, Any]:
    return {
        "name": command.name,
        "description": command.description,
        "plugin": command.plugin,
        "moderator": command.moderator,
        "private": command.private,
        "threads": command.threads,
        "in_messages": command.in_messages,
        "usage": command.usage(),
        "options": [
            {
                "name": option.name,
                "type": option.kind,
                "description": option.description,
                "required": option.required,
                "default": option.default,
                "minimum": option.minimum,
                "maximum": option.maximum,
                "choices": list(option.choices),
                "form": option.form,
                "free_text": option.free_text,
            }
            for option in command.options
        ],
    }

"""A command: its options, how typed text is parsed and checked, and how it is explained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from bot.commands.grammar import first_pair, last_pair, unquote
from bot.core.errors import OptionError
from bot.core.messages import Attachment
from bot.core.text import cut, nearest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from bot.commands.option import Option
    from bot.core.messages import Reply

    Handler = Callable[..., AsyncIterator[Reply]]

FORM_FIELDS = 5
"""The largest number of options in a form: the limit of a modal on Discord."""
MAX_SHOWN_CHARACTERS = 60
"""How much of a wrong name or text an error repeats."""


def argument_name(option: str) -> str:
    """Return the name of the parameter for an option: `from_` for “from”, a word that Python keeps to itself."""
    return f"{option}_" if iskeyword(option) else option


def option_name(parameter: str) -> str:
    """Return the name of the option for a parameter: `from_` is the option “from”, which Python keeps to itself."""
    word = parameter.removesuffix("_")
    return word if iskeyword(word) else parameter


def visible_name(name: str) -> str:
    """Return the name of the visible command that a hidden one belongs to: “count” for “count-on”."""
    return name.partition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The properties of a command beside its options. A name of two words is a subcommand."""

    name: str
    moderator: bool = False
    private: bool = False
    private_options: tuple[str, ...] = ()
    """Options that only the asker and the bot should see: where others read along, answers to these are private."""
    threads: bool = False
    """True if its answers may open a thread of their own, on platforms that have threads."""
    reads_history: bool = False
    """True if it reads earlier turns, so that a question can continue one of its answers."""
    hidden: bool = False
    """True if only buttons run it: nobody can type it, and no list or menu has it."""
    in_messages: str = ""
    """Its label in the menu of a message ("Explain this"), whose text fills the free-text option; "" for no label."""
    message_text: str = "{text}"
    """The value of the free-text option then; "{link}" is replaced by a link to the message."""
    draws: bool = False
    """True if a picture shows what is written to it, so that no real people may be named."""
    free: bool = False
    """True if it costs almost nothing, so that no rate limit applies to it."""
    kept: bool = True
    """False if the request is forgotten as soon as it is answered."""
    written_if: Mapping[str, object] | None = None
    """With these values of options, people have written what it answers, so it needs no classifier to be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Traits):
    """A command with its options and its handler."""

    description: str
    options: tuple[Option, ...]
    handler: Handler
    plugin: str = ""

    @property
    def known_as(self) -> str:
        """The name that users know: a hidden command has that of the visible command that it belongs to."""
        return visible_name(self.name) if self.hidden else self.name

    def is_written(self, options: Mapping[str, Any]) -> bool:
        """Return whether people, and no model, have written what it answers with these options."""
        return self.written_if is not None and self.written_if.items() <= options.items()

    @property
    def is_limited(self) -> bool:
        """True if the rate limits apply to it."""
        return not self.free and not self.moderator

    def option(self, name: str) -> Option | None:
        """Return the option called `name`; None if there is none."""
        return next((option for option in self.options if option.name == name), None)

    @property
    def free_text(self) -> Option | None:
        """The option that takes the words after the pairs; None if the command has none."""
        return next((option for option in self.options if option.free_text), None)

    @property
    def _first_choice(self) -> Option | None:
        """The option that takes these words if no text option does: "/stats 30"."""
        return next((option for option in self.options if option.choices), None)

    @property
    def opens_form(self) -> bool:
        """True if the command without options opens a form rather than an error that names the missing option."""
        return any(option.required for option in self.options) and any(option.form for option in self.options)

    def wants_form(self, given: Mapping[str, Any]) -> bool:
        """Return whether `given` lacks something that a form can ask for without losing the other values.

        That is a required option, or a file that was only named, as in “/inspect file:”.
        """
        needed = {option.name for option in self.options if option.required}
        missing = {name for name in needed if not str(given.get(name) or "").strip()}
        known = {option.name: option for option in self.options if option.form}
        if not set(given) <= set(known) or len(needed | set(given)) > FORM_FIELDS:
            return False
        names_file = any(known[name].type is Attachment and isinstance(given[name], str) for name in given)
        return names_file or (self.opens_form and bool(missing))

    def form_options(self, values: Mapping[str, Any]) -> list[Option]:
        """Return the options of the form, in order. If there are too many, those without a value are left out first."""
        known = [option for option in self.options if option.form]
        ranked = sorted(known, key=lambda option: not option.required and values.get(option.name) in (None, ""))
        return [option for option in known if option in ranked[:FORM_FIELDS]]

    def call(self, context: Any, options: Mapping[str, Any]) -> AsyncIterator[Reply]:
        """Call the handler with these options."""
        return self.handler(context, **{argument_name(name): value for name, value in options.items()})

    def options_from_message(self, text: str, link: str = "") -> dict[str, str]:
        """Return the options for a message with this text, which is shortened to fit, and with this `link` to it."""
        frame = self.message_text.replace("{link}", link)
        if (option := self.free_text) is None or not (text if "{text}" in frame else frame).strip():
            return {}
        room = len(text) if option.maximum is None else int(option.maximum) - len(frame.replace("{text}", ""))
        return {option.name: frame.replace("{text}", text.strip()[:room])}

    def usage(self) -> str:
        """Return one line that shows how to type the command: "/ask [temperature:…] prompt"."""
        parts = [f"/{self.name}"]
        ordered = sorted(self.options, key=lambda option: option.free_text)
        for option in ordered:
            text = option.name if option.free_text else f"{option.name}:…"
            parts.append(text if option.required else f"[{text}]")
        return " ".join(parts)

    @property
    def max_characters(self) -> float:
        """The length of the longest line that can be right: one with all options, each as long as it may be."""
        return sum(len(f'{option.name}:"" ') + option.max_characters for option in self.options)

    def parse(self, text: str) -> dict[str, str]:
        """Split `name:value name:"two words" and the free text` into options, with their values as typed.

        Pairs come before the free text; those with a known name may also follow it. Raises OptionError, at once for a
        line that is too long to be right.
        """
        text = text.strip()
        if self.options and len(text) > self.max_characters:
            sentence = "What follows /{command} may have at most {most} characters; yours has {count}."
            raise OptionError("", sentence, command=self.name, most=f"{self.max_characters:.0f}", count=len(text))
        values: dict[str, str] = {}
        rest = self._parse_leading_pairs(text, values).strip()
        if rest and unquote(rest) == rest:
            rest = self._parse_trailing_pairs(rest, values)
        rest = unquote(rest)
        if not rest:
            return values
        if (option := self.free_text or self._first_choice) is None:
            sentence = "/{command} takes no text; “{text}” is too much."
            if names := ", ".join(option.name for option in self.options):
                sentence = "/{command} takes no text beside its options ({options}); “{text}” is too much."
            raise OptionError("", sentence, command=self.name, options=names, text=rest[:MAX_SHOWN_CHARACTERS])
        values[option.name] = f"{values[option.name]} {rest}" if option.name in values else rest
        return values

    def _parse_leading_pairs(self, text: str, values: dict[str, str]) -> str:
        """Move the pairs at the start of `text` into `values`, and return the rest."""
        while pair := first_pair(text):
            name, value = pair.option, pair.value
            option = self.option(name)
            if option is None:
                if pair.name != name or len(name) < 2 or not value or value.startswith("//"):
                    break
                raise self._unknown_option(name)
            text = text[pair.end :]
            # If words follow a quotation, it is a part of the free text, as it is without the name of the option.
            is_begun = bool(text.strip()) and first_pair(text) is None
            if option.free_text and (is_begun or unquote(value) == value):
                return f"{value}{text}"
            if not value:
                value, _, text = text.strip().partition(" ")
            self._set_once(values, name, value)
        return text

    def _parse_trailing_pairs(self, rest: str, values: dict[str, str]) -> str:
        """Move the pairs with a known name at the end of `rest` into `values`, and return the text before them."""
        while pair := last_pair(rest):
            option = self.option(pair.option)
            if option is None or option.free_text:
                break
            self._set_once(values, option.name, pair.value)
            rest = rest[: pair.start].rstrip()
        return rest

    def _set_once(self, values: dict[str, str], name: str, value: str) -> None:
        if name in values:
            raise OptionError(name, "{name} is given twice; give it once.", name=name)
        values[name] = unquote(value)

    def _unknown_option(self, name: str) -> OptionError:
        name = cut(name, MAX_SHOWN_CHARACTERS)
        names = [option.name for option in self.options]
        if not names:
            return OptionError(name, "/{command} has no options.", command=self.name)
        if close := nearest(name, names):
            sentence = "/{command} has no option “{name}”. Did you mean “{close}”?"
            return OptionError(name, sentence, command=self.name, name=name, close=close)
        sentence = "/{command} has no option “{name}”; it has {options}."
        return OptionError(name, sentence, command=self.name, name=name, options=", ".join(names))

    def bind(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value of every option: converted and checked, or its default. Raises OptionError."""
        for name in given:
            if self.option(name) is None:
                raise self._unknown_option(name)
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


def as_json(commands: Sequence[Command]) -> str:
    """Return the commands with their options as a JSON list, for tools and for comparing versions."""
    return json.dumps([_as_json(command) for command in commands], indent=2, ensure_ascii=False)


def _as_json(command: Command) -> dict[str, Any]:
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

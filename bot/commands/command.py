"""A command: what people type, read into its options, checked, and explained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.commands.grammar import first_pair, last_pair, unquote
from bot.core.errors import OptionError
from bot.core.text import nearest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from bot.commands.option import Option
    from bot.core.messages import Reply

    Handler = Callable[..., AsyncIterator[Reply]]

FORM_FIELDS = 5
"""Discord's limit for a modal, and so how many options a form shows."""


def visible_name(name: str) -> str:
    """The command that people type where a hidden one belongs to it: “count” of “count-on”."""
    return name.partition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is said of a command beside its options. A name of two words is a subcommand."""

    name: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Traits):
    """A name with its options and the handler behind them."""

    description: str
    options: tuple[Option, ...]
    handler: Handler
    plugin: str = ""

    @property
    def known_as(self) -> str:
        """What people call it: a hidden one cannot be typed, and goes by the name of the one that it belongs to."""
        return visible_name(self.name) if self.hidden else self.name

    @property
    def is_limited(self) -> bool:
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
    def _first_choice(self) -> Option | None:
        """What takes them where no text does: "/stats 30"."""
        return next((option for option in self.options if option.choices), None)

    @property
    def opens_form(self) -> bool:
        """Whether the bare command is better answered with its form than with what is missing."""
        return any(option.required for option in self.options) and any(option.form for option in self.options)

    def wants_form(self, given: Mapping[str, Any]) -> bool:
        """Whether something required is missing from `given`, and a form could ask for it without losing the rest."""
        needed = {option.name for option in self.options if option.required}
        missing = {name for name in needed if not str(given.get(name) or "").strip()}
        known = {option.name for option in self.options if option.form}
        return self.opens_form and bool(missing) and set(given) <= known and len(needed | set(given)) <= FORM_FIELDS

    def form_options(self, values: Mapping[str, Any]) -> list[Option]:
        """Those that a form has, in their order. Where it has no room for all, those without a value in `values` go."""
        known = [option for option in self.options if option.form]
        wanted = sorted(known, key=lambda option: not option.required and values.get(option.name) in (None, ""))
        return [option for option in known if option in wanted[:FORM_FIELDS]]

    def options_from_message(self, text: str, link: str = "") -> dict[str, str]:
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
        rest = self._parse_leading_pairs(text, found).strip()
        if rest and unquote(rest) == rest:
            rest = self._parse_trailing_pairs(rest, found)
        rest = unquote(rest)
        if not rest:
            return found
        if (option := self.free_text or self._first_choice) is None:
            sentence = "/{command} takes no text; “{text}” is too much."
            if names := ", ".join(option.name for option in self.options):
                sentence = "/{command} takes no text beside its options ({options}); “{text}” is too much."
            raise OptionError("", sentence, command=self.name, options=names, text=rest[:60])
        found[option.name] = f"{found[option.name]} {rest}" if option.name in found else rest
        return found

    def _parse_leading_pairs(self, text: str, found: dict[str, str]) -> str:
        while pair := first_pair(text):
            name, value = pair.option, pair.value
            option = self.option(name)
            if option is None:
                if pair.name != name or len(name) < 2 or not value or value.startswith("//"):
                    break
                raise self._unknown_option(name)
            text = text[pair.end :]
            # A quotation that words follow is a part of the text, as it is where nobody names the option.
            is_begun = bool(text.strip()) and first_pair(text) is None
            if option.free_text and (is_begun or unquote(value) == value):
                return f"{value}{text}"
            if not value:
                value, _, text = text.strip().partition(" ")
            self._set_once(found, name, value)
        return text

    def _parse_trailing_pairs(self, rest: str, found: dict[str, str]) -> str:
        while pair := last_pair(rest):
            option = self.option(pair.option)
            if option is None or option.free_text:
                break
            self._set_once(found, option.name, pair.value)
            rest = rest[: pair.start].rstrip()
        return rest

    def _set_once(self, found: dict[str, str], name: str, value: str) -> None:
        if name in found:
            raise OptionError(name, "{name} is given twice; give it once.", name=name)
        found[name] = unquote(value)

    def _unknown_option(self, name: str) -> OptionError:
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
    """The commands with their options as a JSON list, for tools and for comparing versions."""
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

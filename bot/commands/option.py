"""An option of a command: its type, its limits, and how typed text is converted to its value."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from bot.core.errors import OptionError
from bot.core.i18n import Sentence, shown_name, shown_value, translate
from bot.core.messages import Attachment, Channel, Role, User
from bot.core.text import format_number

__all__ = ["KINDS", "Autocomplete", "Bounds", "Choice", "Numbers", "Option", "Range"]

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    Autocomplete = Callable[..., Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Inclusive limits of a number's value, or of a text's length in characters."""

    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """Makes an option a text of numbers, such as "0, 0.7, 1.5": `Annotated[str, Numbers(0, 2, most=5)]`.

    `minimum` and `maximum` are inclusive limits of each number, and `most` is how many there may be.
    """

    minimum: float
    maximum: float
    most: int

    def parse(self, text: str) -> list[float]:
        """Return the numbers in a text, each once; between semicolons, a comma is a decimal comma.

        Raises ValueError if something is no number, if one is beyond the limits, or if there are none or too many.
        """
        values = read_numbers(text)
        if not 1 <= len(values) <= self.most or not all(self.minimum <= value <= self.maximum for value in values):
            raise ValueError(text)
        return values

    def clamp(self, text: str) -> str:
        """Return a text of numbers with each moved into the limits. Raises ValueError if something is no number."""
        moved = (min(max(value, self.minimum), self.maximum) for value in read_numbers(text))
        return ", ".join(dict.fromkeys(map(format_number, moved)))


def read_numbers(text: str) -> list[float]:
    """Return the numbers in a text, each once. Raises ValueError if something is no number."""
    words = text.replace(",", ".").split(";") if ";" in text else re.split(r"[,\s]+", text)
    # Rounded to what is shown, so that no two look alike; and -0 becomes 0.
    return list(dict.fromkeys(float(f"{float(word):g}") or 0.0 for word in words if word.strip()))


if TYPE_CHECKING:
    from typing import Annotated as Range
    from typing import Literal as Choice
else:
    Choice = Literal

    class Range:
        """`Range[float, 0, 2]`: a number from 0 to 2; `Range[str, 1, 200]`: a text of that many characters.

        None means no limit on that side. A type checker sees only the first parameter.
        """

        def __class_getitem__(cls, parameters: tuple[type, float | None, float | None]) -> Any:
            kind, minimum, maximum = parameters
            return Annotated[kind, Bounds(minimum, maximum)]


KINDS: Mapping[type, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    Attachment: "attachment",
    User: "user",
    Channel: "channel",
    Role: "role",
}
TRUE_WORDS = frozenset({"true", "yes", "on", "1", "ja", "sí", "si"})
FALSE_WORDS = frozenset({"false", "no", "off", "0", "nein"})
"""The words for yes and no in all languages of the bot."""
MAX_TYPED_CHARACTERS = 120
"""The longest typed value of an option that is no text: a mention on Slack with the name of its channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of a command, with its type, limits and default."""

    name: str
    type: type = str
    description: str = ""
    required: bool = True
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    form: bool = False
    free_text: bool = False
    """True if it takes the words that follow the `name:value` pairs."""
    complete: Autocomplete | None = None
    numbers: Numbers | None = None
    """For a text of numbers: the limits of each of them; `minimum` and `maximum` are those of its length."""
    minimum_by: str = ""
    maximum_by: str = ""
    """The settings by which moderators have narrowed the limits of the number or numbers."""

    @property
    def kind(self) -> str:
        """The type in one word, in the words of `Field.kind`; "choice" if it has choices."""
        return "choice" if self.choices else KINDS[self.type]

    @property
    def max_characters(self) -> float:
        """The most characters that a value has when it is typed; infinite for a text without a limit."""
        if self.choices:
            return max(len(str(choice)) for choice in self.choices)
        if self.type is not str:
            return MAX_TYPED_CHARACTERS
        return math.inf if self.maximum is None else self.maximum

    def clamp(self, value: Any) -> Any:
        """Return the value of a number or numbers that is nearest and within the limits; other values as they are."""
        if self.numbers is not None and isinstance(value, str):
            try:
                return self.numbers.clamp(value)
            except ValueError:
                return value
        if self.type not in (int, float) or not isinstance(value, (int, float)):
            return value
        value = value if self.minimum is None else max(value, self.minimum)
        return self.type(value if self.maximum is None else min(value, self.maximum))

    def expects(self) -> Sentence:
        """Return a description of the allowed values, as a part of a sentence."""
        if (numbers := self.numbers) is not None:
            limits = {"low": float(numbers.minimum), "high": float(numbers.maximum)}
            return Sentence("one to {most} different numbers from {low} to {high}", {"most": numbers.most, **limits})
        if self.choices:
            return Sentence("one of {choices}", {"choices": ", ".join(map(str, self.choices))})
        noun = {
            "integer": "a whole number",
            "number": "a number",
            "boolean": "yes or no",
            "text": "a text",
            "attachment": "a file attached to the message",
            "user": "a member, such as @name",
            "channel": "a channel, such as #name",
            "role": "a role, such as @name",
        }[self.kind]
        if self.minimum is None and self.maximum is None:
            return Sentence(noun)
        low = None if self.minimum is None else float(self.minimum)
        high = None if self.maximum is None else float(self.maximum)
        unit = Sentence(" characters" if self.type is str else "")
        if high is None:
            return Sentence("{noun} of at least {low}{unit}", {"noun": Sentence(noun), "low": low, "unit": unit})
        if low is None:
            return Sentence("{noun} of at most {high}{unit}", {"noun": Sentence(noun), "high": high, "unit": unit})
        values = {"noun": Sentence(noun), "low": low, "high": high, "unit": unit}
        return Sentence("{noun} from {low} to {high}{unit}", values)

    def explain(self, locale: str) -> str:
        """Return a line about it: what is typed, with what people read elsewhere in brackets, and what it takes."""
        expected, default = self.expects().in_language(locale), ""
        if self.choices:
            choices = (_beside_title(str(choice), str(choice), shown_value(choice, locale)) for choice in self.choices)
            expected = translate("one of {choices}", locale, choices=", ".join(choices))
        if self.default is not None:
            value = self.default if self.choices else shown_value(self.default, locale)
            default = f" ({translate('default', locale)}: {value})"
        about = f"{translate(self.description, locale)}; " if self.description else ""
        name = _beside_title(f"`{self.name}`", shown_name(self.name, "en"), shown_name(self.name, locale))
        return f"{name} – {about}{expected}{default}"

    def convert(self, raw: Any) -> Any:
        """Convert `raw` (typed text, or a value that a platform has converted already) to the type of this option.

        Raises OptionError with a sentence that says which value was given and which are allowed.
        """
        try:
            value = self._convert_type(raw.strip() if isinstance(raw, str) else raw)
        except (ValueError, TypeError, OverflowError):
            value = None
        if value is None:
            raise self._error_for(raw)
        if self.choices:
            chosen = {str(choice).casefold(): choice for choice in self.choices}
            if str(value).casefold() not in chosen:
                raise self._error_for(raw)
            return chosen[str(value).casefold()]
        size = len(value) if isinstance(value, str) else value
        if isinstance(size, (int, float)) and (
            (self.minimum is not None and size < self.minimum) or (self.maximum is not None and size > self.maximum)
        ):
            raise self._error_for(raw)
        if self.numbers is not None:
            try:
                self.numbers.parse(value)
            except ValueError:
                raise self._error_for(raw) from None
        return value

    def _error_for(self, raw: Any) -> OptionError:
        shown = str(raw)
        given = Sentence("“{text}”", {"text": shown})
        if len(shown) > 60:
            given = Sentence("1 character", {"count": len(shown)}, "{count} characters")
        settings = " ".join(f"`{name}`" for name in self._settings_against(raw))
        values = {"name": self.name, "expected": self.expects(), "given": given}
        if not settings:
            return OptionError(self.name, "{name} must be {expected}; you gave {given}.", **values)
        sentence = "{name} must be {expected}, as moderators have set it here with {settings}; you gave {given}."
        return OptionError(self.name, sentence, settings=settings, **values)

    def _settings_against(self, raw: Any) -> list[str]:
        """Return the settings that exclude a refused value; all that limit this option if none of them alone does."""
        try:
            values = read_numbers(raw) if isinstance(raw, str) and self.numbers else [float(self._convert_type(raw))]
        except (ValueError, TypeError, OverflowError):
            values = []
        limits = self.numbers or self
        low, high = limits.minimum, limits.maximum
        exceeded = [
            name
            for name, is_beyond in (
                (self.minimum_by, low is not None and any(value < low for value in values)),
                (self.maximum_by, high is not None and any(value > high for value in values)),
            )
            if name and is_beyond
        ]
        return exceeded or [name for name in dict.fromkeys((self.minimum_by, self.maximum_by)) if name]

    def _convert_type(self, raw: Any) -> Any:
        if self.type is bool:
            word = str(raw).casefold()
            return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None
        if self.type is int:
            return None if isinstance(raw, bool) or float(raw) != int(float(raw)) else int(raw)
        if self.type is float:
            value = float(raw.replace(",", ".") if isinstance(raw, str) else raw)
            return value if math.isfinite(value) and not isinstance(raw, bool) else None
        if self.type is str:
            return str(raw)
        if isinstance(raw, self.type):
            return raw
        if self.type is Attachment or not isinstance(raw, str) or not raw.strip("@#<>&!"):
            return None
        # Slack writes <#C123|lessons>.
        identifier, _, name = raw.strip("@#<>&!").partition("|")
        if self.type is User:
            return User(identifier, name or identifier, roles=None)
        return self.type(identifier, name or identifier)


def _beside_title(typed: str, english: str, title: str) -> str:
    return typed if title.casefold() == english.casefold() else f"{typed} ({title})"

"""The bot's own sentences in the reader's language.

The code has the English sentences, and `languages/<code>.toml` maps each of them to its translation. A sentence without
a translation stays English, so a plugin need not translate anything.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bot.core.text import format_number

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent / "languages"
DECIMAL_COMMA = frozenset({"de", "es"})
"""Languages that write 0.7 as “0,7”."""


@cache
def load_translations(code: str) -> Mapping[str, str]:
    """Return the translations into `code` ("de", "es") by English sentence; empty for a language without a file."""
    path = FOLDER / f"{code}.toml"
    if not code.isalpha() or not path.is_file():
        return {}
    return {entry["en"]: entry[code] for entry in tomllib.loads(path.read_text("utf-8"))["sentence"]}


@cache
def list_languages() -> tuple[str, ...]:
    """Return the codes of all languages, English first."""
    return ("en", *sorted(path.stem for path in FOLDER.glob("*.toml")))


def language_code(locale: str) -> str:
    """Return the code of the language of a locale: "de" for "de-AT" and "de_AT"."""
    return locale.replace("_", "-").split("-")[0].lower()


def translate(sentence: str, locale: str, /, **values: object) -> str:
    """Return `sentence` in the language of `locale` ("de", "de-AT"), with its `{name}` fields filled in."""
    text = load_translations(language_code(locale)).get(sentence, sentence)
    if not values:
        return text
    return text.format(**{name: _translate_value(value, locale) for name, value in values.items()})


def shown_name(name: str, locale: str) -> str:
    """Return the name of an option, or of a fact about an answer, as people read it. What is typed stays English."""
    return translate(name.replace("_", " "), locale)


def shown_value(value: object, locale: str) -> str:
    """Return the value of an option as people read it: a choice in words, a number with its decimal sign."""
    if isinstance(value, bool):
        return translate("yes" if value else "no", locale)
    if isinstance(value, float):
        return format_number(value).replace(".", "," if language_code(locale) in DECIMAL_COMMA else ".")
    return translate(str(value), locale)


def _translate_value(value: object, locale: str) -> object:
    """Return a sentence, a number and yes or no as people read them, a tuple as a list's lines, others unchanged."""
    if isinstance(value, tuple):
        return "".join(f"\n- {_translate_value(one, locale)}" for one in value)
    if isinstance(value, bool | float):
        return shown_value(value, locale)
    return value.in_language(locale) if isinstance(value, Sentence) else value


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and the values of its fields, kept apart until the reader's language is known."""

    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    def in_language(self, locale: str) -> str:
        """Return the text in the language of `locale`, with its fields filled in."""
        return translate(self.text, locale, **self.values)

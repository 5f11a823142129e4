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

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent / "languages"


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


def _translate_value(value: object, locale: str) -> object:
    """Translate a value that is a Sentence; return a tuple of values as the lines of a list, and others unchanged."""
    if isinstance(value, tuple):
        return "".join(f"\n- {_translate_value(one, locale)}" for one in value)
    return value.in_language(locale) if isinstance(value, Sentence) else value


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and the values of its fields, kept apart until the reader's language is known."""

    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    def in_language(self, locale: str) -> str:
        """Return the text in the language of `locale`, with its fields filled in."""
        return translate(self.text, locale, **self.values)

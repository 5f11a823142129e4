"""The bot's own sentences in the reader's language, from catalogues of gettext.

The code has the English sentences, which `languages/<code>.po` translates. A plugin may have such a folder, too.
A sentence without a translation stays English.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bot.core.text import format_number

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent / "languages"
_folders = {FOLDER: None}


@cache
def list_languages() -> tuple[str, ...]:
    """Return the codes of all languages, English first."""
    return ("en", *sorted({path.stem for path in FOLDER.glob("*.[mp]o")}))


@cache
def load_catalogue(code: str) -> NullTranslations:
    """Return the translations into the language `code`, one of `list_languages`."""
    catalogue = NullTranslations()
    for folder in _folders:
        if any(folder.glob(f"{code}.[mp]o")):
            catalogue.add_fallback(GNUTranslations(BytesIO(read_compiled(code, folder))))
    return catalogue


def add_folder(folder: Path) -> None:
    """Let a plugin's own catalogues in `folder`, if there are any, translate what those of the bot do not."""
    if folder.is_dir():
        _folders[folder] = None
        load_catalogue.cache_clear()


def read_compiled(code: str, folder: Path = FOLDER) -> bytes:
    """Return the catalogue of a language as its `.mo` file has it; one that is older than its `.po` is made anew."""
    source, compiled = folder / f"{code}.po", folder / f"{code}.mo"
    # A wheel has no sources.
    if not source.exists() or (compiled.exists() and compiled.stat().st_mtime >= source.stat().st_mtime):
        return compiled.read_bytes()
    from babel.messages import mofile, pofile

    data = BytesIO()
    with source.open("rb") as file:
        mofile.write_mo(data, pofile.read_po(file))
    # Where it cannot be kept, each start makes it. Another process may read it at the same time.
    with suppress(OSError):
        compiled.with_suffix(f".{os.getpid()}").write_bytes(data.getvalue())
        compiled.with_suffix(f".{os.getpid()}").replace(compiled)
    return data.getvalue()


def known_language(locale: str) -> str:
    """Return the code of the language that a reader with this locale gets, one of `list_languages`."""
    code = language_code(locale)
    return code if code in list_languages() else "en"


def language_code(locale: str) -> str:
    """Return the code of the language of a locale: "de" for "de-AT" and "de_AT"."""
    return locale.replace("_", "-").split("-")[0].lower()


def translate(sentence: str, locale: str, plural: str = "", /, **values: object) -> str:
    """Return `sentence` in the language of `locale` ("de", "de-AT"), with its `{name}` fields filled in.

    If there is a `plural` sentence, the value `count` says which of them, or of a language's further forms, it is.
    """
    catalogue = load_catalogue(known_language(locale))
    if plural:
        text = catalogue.ngettext(sentence, plural, cast("int", values["count"]))
    else:
        # "" stands for the head of a catalogue.
        text = sentence and catalogue.gettext(sentence)
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
        from babel.numbers import get_decimal_symbol

        return format_number(value).replace(".", get_decimal_symbol(known_language(locale)))
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
    plural: str = ""
    """The sentence for another `count` than one."""

    def in_language(self, locale: str) -> str:
        """Return the text in the language of `locale`, with its fields filled in."""
        return translate(self.text, locale, self.plural, **self.values)

"""The bot's own sentences in the reader's language, from catalogues of gettext.

The code has the English sentences, which `languages/<code>.po` translates. A plugin may have such a folder, too.
A sentence without a translation stays English.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, cast

from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from babel.numbers import get_decimal_symbol

from bot.core.text import format_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from babel.messages.catalog import Catalog

FOLDER = Path(__file__).parent / "languages"
_folders: dict[Path, None] = {FOLDER: None}


@cache
def list_languages() -> tuple[str, ...]:
    """Return the codes of all languages, English first."""
    return ("en", *sorted(path.stem for path in FOLDER.glob("*.po")))


@cache
def load_catalogue(code: str) -> NullTranslations:
    """Return the translations into the language `code`, one of `list_languages`."""
    catalogue = NullTranslations()
    for folder in _folders:
        if (path := folder / f"{code}.po").is_file():
            catalogue.add_fallback(_compile(path))
    return catalogue


def add_folder(folder: Path) -> None:
    """Let a plugin's own catalogues in `folder`, if there are any, translate what those of the bot do not.

    Raises ValueError, which names the file, if one cannot be read.
    """
    for path in folder.glob("*.po"):
        try:
            _compile(path)
        except (ValueError, PoFileError) as error:
            raise ValueError(f"the translations in {path.name} cannot be read: {error}") from error
        _folders[folder] = None
        load_catalogue.cache_clear()


def read_catalogue(path: Path) -> Catalog:
    """Return the sentences and translations of a `.po` file, which is called by the code of its language."""
    with path.open("rb") as file:
        return read_po(file, locale=path.stem, abort_invalid=True)


def _compile(path: Path) -> GNUTranslations:
    compiled = BytesIO()
    write_mo(compiled, read_catalogue(path))
    compiled.seek(0)
    return GNUTranslations(compiled)


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

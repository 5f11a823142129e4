"""The HTML pages and the words of their scripts, in the reader's language."""

from __future__ import annotations

import asyncio
import hashlib
import json
import posixpath
import re
from functools import cache
from pathlib import Path

from aiohttp import web
from babel import Locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.core.i18n import FOLDER as CATALOGUES
from bot.core.i18n import list_languages, load_catalogue, read_catalogue, translate

STATIC = Path(__file__).parent / "static"
TEMPLATES = Environment(
    loader=FileSystemLoader(STATIC.parent / "html"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
IMPORT = re.compile(r'^(?:import|export)\b[^"();]*"(\.[^"]+)"', re.MULTILINE)
SOME_COUNTS = (*range(200), 1_000_000)
"""Among these is one for each form of a plural, in every language."""


async def render_page(request: web.Request, name: str, *, error: str = "", status: int = 200) -> web.Response:
    """Return the page of this name as a response; `error` says why the form on it was refused."""
    text = await asyncio.to_thread(page_text, name, language_of(request), error)
    return web.Response(text=text, status=status, content_type="text/html", headers={"Vary": "Accept-Language"})


def language_of(request: web.Request) -> str:
    """Return the first language in Accept-Language that the pages have, else English. Browsers sort by preference."""
    for accepted in request.headers.get("Accept-Language", "").split(","):
        language = accepted.strip()[:2].lower()
        if language in list_languages():
            return language
    return "en"


def page_text(name: str, language: str, error: str = "") -> str:
    """Return the HTML of a page, from its template in `html/`, in which `_` translates a sentence."""
    return TEMPLATES.get_template(f"{name}.html").render(
        _=lambda sentence: translate(sentence, language),
        language=language,
        error=error,
        static=static_url(),
        imported_modules=imported_modules,
    )


@cache
def page_words(language: str) -> str:
    """Return the translations of the sentences in scripts as a JSON object, by English sentence.

    A sentence with a plural has an object with a translation for each of CLDR's plural categories in this language.
    """
    scripts = "".join(path.read_text("utf-8") for path in (STATIC / "js").rglob("*.js"))
    category, translations = Locale.parse(language).plural_form, load_catalogue(language)
    words: dict[str, object] = {}
    for message in read_catalogue(CATALOGUES / f"{language}.po"):
        one, *several = [message.id] if isinstance(message.id, str) else message.id
        if one and json.dumps(one, ensure_ascii=False) in scripts:
            words[one] = {
                category(count): translations.ngettext(one, plural, count)
                for plural in several
                for count in SOME_COUNTS
            } or translations.gettext(one)
    return json.dumps(words, ensure_ascii=False)


@cache
def static_url() -> str:
    """Return the path of `static/`. It has a hash of all files and words, so that browsers can cache them for ever."""
    files = sorted(path for path in (*STATIC.rglob("*"), *CATALOGUES.glob("*.po")) if path.is_file())
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files))
    return f"/static/{digest.hexdigest()[:16]}"


def imported_modules(entry: str) -> tuple[str, ...]:
    """Return the modules that a module in `static/` imports, directly and through others, nearest first."""
    found = {entry: None}
    waiting = [entry]
    for module in waiting:
        folder = posixpath.dirname(module)
        imported = [
            posixpath.normpath(posixpath.join(folder, path))
            for path in IMPORT.findall((STATIC / module).read_text("utf-8"))
        ]
        waiting += [path for path in imported if path not in found]
        found |= dict.fromkeys(imported)
    return tuple(found)[1:]

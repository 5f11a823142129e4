"""The HTML pages: each is put together from its own part and the shared ones, in the reader's language."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import posixpath
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
HTML = FOLDER / "html"
WORDS = STATIC / "words"
LANGUAGES = frozenset(path.stem for path in WORDS.glob("*.json"))
"""Languages of the pages besides English. The bot's own sentences are translated by `bot.core.i18n`."""

TRANSLATED_TEXT = re.compile(r"(<[^<>]*\bdata-t\b[^<>]*>)([^<]+)")
LABELLED_TAG = re.compile(r"<[^<>]*\bdata-label\b[^<>]*>")
MODULE_SCRIPT = re.compile(r'( *)<script type="module" src="/static/([^"]+)"')
WORDS_MODULE = "js/shared/words.js"
IMPORT = re.compile(r'^(?:import|export)\b[^"();]*"(\.[^"]+)"', re.MULTILINE)
LABEL_ATTRIBUTE = re.compile(r'\b(aria-label|placeholder|title)="([^"]+)"')


async def render_page(request: web.Request, name: str, *, error: str = "", status: int = 200) -> web.Response:
    """Return the page of this name as a response; `error` says why the form on it was refused."""
    text = await asyncio.to_thread(page_text, name, language_of(request))
    return web.Response(
        text=text.replace("{error}", html.escape(error)),
        status=status,
        content_type="text/html",
        headers={"Vary": "Accept-Language"},
    )


def language_of(request: web.Request) -> str:
    """Return the first language in Accept-Language that the pages have, else English. Browsers sort by preference."""
    for accepted in request.headers.get("Accept-Language", "").split(","):
        language = accepted.strip()[:2].lower()
        if language == "en" or language in LANGUAGES:
            return language
    return "en"


def page_text(name: str, language: str) -> str:
    """Return the HTML of a page: the shared beginning of the head, the page's own part, and the shared top bar in it.

    In `html/`, `data-t` marks elements whose text is translated, and `data-label` those whose labels, placeholders and
    titles are.
    """
    beginning, top, own = (_read_html(part) for part in ("beginning", "top", name))
    own = MODULE_SCRIPT.sub(lambda script: _preload_links(script, language) + script[0], own)
    words = json.loads((WORDS / f"{language}.json").read_text("utf-8")) if language in LANGUAGES else {}
    whole = beginning.replace("{language}", language) + own.replace("{top}\n", top)
    return _translate(whole.replace('"/static/', f'"{static_url()}/'), words)


@cache
def static_url() -> str:
    """Return the path of `static/`. It has a hash of all files in it, so that browsers can cache them for ever."""
    files = sorted(path for path in STATIC.rglob("*") if path.is_file())
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


def _preload_links(script: re.Match[str], language: str) -> str:
    """Return links that preload everything a script imports, which the browser would else discover file by file."""
    indent, entry = script.groups()
    modules = imported_modules(entry)
    links = [f'<link rel="modulepreload" href="/static/{module}">' for module in modules]
    # The forms for codes need no words, and would be refused them before the code is given.
    if language in LANGUAGES and WORDS_MODULE in modules:
        links.append(f'<link rel="preload" as="fetch" crossorigin href="/static/words/{language}.json">')
    return "".join(f"{indent}{link}\n" for link in links)


def _read_html(name: str) -> str:
    return (HTML / f"{name}.html").read_text("utf-8")


def _translate(text: str, words: Mapping[str, str]) -> str:
    def translated(english: str) -> str:
        return html.escape(words.get(html.unescape(english), html.unescape(english)))

    def translate_labels(tag: re.Match[str]) -> str:
        return LABEL_ATTRIBUTE.sub(lambda label: f'{label[1]}="{translated(label[2])}"', tag[0])

    return LABELLED_TAG.sub(translate_labels, TRANSLATED_TEXT.sub(lambda match: match[1] + translated(match[2]), text))

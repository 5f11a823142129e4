"""The pages as they are sent: each with the beginning that all share, in the language of whoever reads it."""

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

HERE = Path(__file__).parent
STATIC = HERE / "static"
HTML = HERE / "html"
WORDS = STATIC / "words"
LANGUAGES = frozenset(path.stem for path in WORDS.glob("*.json"))
"""Those that the pages speak besides English; `language.py` has the bot's own sentences."""

SPOKEN = re.compile(r"(<[^<>]*\bdata-t\b[^<>]*>)([^<]+)")
NAMED = re.compile(r"<[^<>]*\bdata-label\b[^<>]*>")
SCRIPT = re.compile(r'( *)<script type="module" src="/static/([^"]+)"')
IMPORTED = re.compile(r'^(?:import|export)\b[^"();]*"(\.[^"]+)"', re.MULTILINE)
NAME = re.compile(r'\b(aria-label|placeholder|title)="([^"]+)"')


async def page(request: web.Request, name: str, *, error: str = "", status: int = 200) -> web.Response:
    """The page of this name; `error` is what a form on it was refused for."""
    text = await asyncio.to_thread(written, name, language_of(request))
    return web.Response(
        text=text.replace("{error}", html.escape(error)),
        status=status,
        content_type="text/html",
        headers={"Vary": "Accept-Language"},
    )


def language_of(request: web.Request) -> str:
    """The first of the reader's languages that the pages speak, else English. Browsers name the preferred first."""
    for accepted in request.headers.get("Accept-Language", "").split(","):
        language = accepted.strip()[:2].lower()
        if language == "en" or language in LANGUAGES:
            return language
    return "en"


def written(name: str, language: str) -> str:
    """The text of a page. Its title and what else only it has in its head come after what all have.

    In `html/`, [data-t] marks texts to translate, and [data-label] elements with labels, placeholders and titles.
    """
    beginning, top, own = (_read(part) for part in ("beginning", "top", name))
    own = SCRIPT.sub(lambda script: _ahead(script, language) + script[0], own)
    words = json.loads((WORDS / f"{language}.json").read_text("utf-8")) if language in LANGUAGES else {}
    whole = beginning.replace("{language}", language) + own.replace("{top}\n", top)
    return _translated(whole.replace('"/static/', f'"{static_url()}/'), words)


@cache
def static_url() -> str:
    """Where the files of `static/` are: another address whenever one of them is another, so that browsers keep them."""
    files = sorted(path for path in STATIC.rglob("*") if path.is_file())
    read = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files))
    return f"/static/{read.hexdigest()[:16]}"


def modules(entry: str) -> tuple[str, ...]:
    """What a module in `static/` imports, and what these import, nearest first."""
    found = {entry: None}
    waiting = [entry]
    for module in waiting:
        folder = posixpath.dirname(module)
        imported = [
            posixpath.normpath(posixpath.join(folder, path))
            for path in IMPORTED.findall((STATIC / module).read_text("utf-8"))
        ]
        waiting += [path for path in imported if path not in found]
        found |= dict.fromkeys(imported)
    return tuple(found)[1:]


def _ahead(script: re.Match[str], language: str) -> str:
    """Tells a browser of all that a script will ask for, which it would else find out file by file."""
    indent, entry = script.groups()
    ahead = [f'<link rel="modulepreload" href="/static/{module}">' for module in modules(entry)]
    if language in LANGUAGES:
        ahead.append(f'<link rel="preload" as="fetch" crossorigin href="/static/words/{language}.json">')
    return "".join(f"{indent}{link}\n" for link in ahead)


def _read(name: str) -> str:
    return (HTML / f"{name}.html").read_text("utf-8")


def _translated(text: str, words: Mapping[str, str]) -> str:
    def said(english: str) -> str:
        return html.escape(words.get(html.unescape(english), html.unescape(english)))

    def names(tag: re.Match[str]) -> str:
        return NAME.sub(lambda found: f'{found[1]}="{said(found[2])}"', tag[0])

    return NAMED.sub(names, SPOKEN.sub(lambda found: found[1] + said(found[2]), text))

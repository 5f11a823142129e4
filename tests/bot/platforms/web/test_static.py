"""Static files: every sentence is translated, the JavaScript stays small, and vendored libraries are listed."""

import gzip
import hashlib
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.platforms.web.templates import HTML, LABEL_ATTRIBUTE, LABELLED_TAG, STATIC, TRANSLATED_TEXT, WORDS

MAX_JAVASCRIPT_BYTES = 150_000
"""Compressed size of all modules, also of those that are only loaded when needed."""
TRANSLATED_IN_SCRIPTS = re.compile(r'\bt\(\s*"((?:[^"\\]|\\.)*)"')
VENDOR = STATIC / "vendor"


def sentences() -> set[str]:
    found: set[str] = set()
    for path in (STATIC / "js").rglob("*.js"):
        found |= {json.loads(f'"{text}"') for text in TRANSLATED_IN_SCRIPTS.findall(path.read_text("utf-8"))}
    for path in HTML.glob("*.html"):
        page = path.read_text("utf-8")
        found |= {html.unescape(text) for _, text in TRANSLATED_TEXT.findall(page)}
        found |= {html.unescape(text) for tag in LABELLED_TAG.findall(page) for _, text in LABEL_ATTRIBUTE.findall(tag)}
    return found


def translations(language: str) -> dict[str, str]:
    return json.loads((WORDS / f"{language}.json").read_text("utf-8"))


@pytest.mark.parametrize("language", ["de", "es"])
def test_every_sentence_of_the_page_is_translated_and_nothing_else(language: str) -> None:
    words = translations(language)
    assert set(words) == sentences()
    for english, other in words.items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", other)), english


def modules() -> Iterator[Path]:
    yield from STATIC.rglob("*.js")
    yield from STATIC.rglob("*.mjs")


def test_all_javascript_is_small() -> None:
    sizes = {path.name: len(gzip.compress(path.read_bytes(), 9)) for path in modules()}
    print(f"{len(sizes)} modules, {sum(sizes.values())} bytes compressed")
    assert len(sizes) > 20
    assert sum(sizes.values()) < MAX_JAVASCRIPT_BYTES


def test_every_vendored_library_is_listed_with_its_hash() -> None:
    table = (VENDOR / "README.md").read_text("utf-8")
    listed = dict(re.findall(r"\| ([\w./-]+) \| [\w./-]+ \| ([0-9a-f]{64}) \|", table))
    there = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.suffix in (".js", ".mjs")
    }
    assert listed == there
    for licence in re.findall(r"LICENSE[\w.-]*\w", table):
        assert (VENDOR / licence).stat().st_size > 500

"""Static files: every sentence is translated, and vendored libraries are listed."""

import hashlib
import html
import json
import re

import pytest

from bot.platforms.web.templates import HTML, LABEL_ATTRIBUTE, LABELLED_TAG, STATIC, TRANSLATED_TEXT, WORDS

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

"""The HTML pages: all share their beginning, and each is in the reader's language."""

import re
from typing import Any

import pytest
from fakes.platforms.browser import MARKS, opened
from fakes.platforms.web_page import Visitor, visitor
from pydantic import SecretStr
from quality.translations import collect

from bot.app import Bot
from bot.config.sections import WebSection
from bot.platforms.web import WebPlatform
from bot.platforms.web.templates import STATIC, page_text, static_url

OLD = "@supports not (color: light-dark(#000, #fff)) {"
VARIABLE = re.compile(r"^ +(--[\w-]+): (.+);$", re.MULTILINE)
COLOUR = r"((?:[^(),]|\([^)]*\))+)"
BOTH = re.compile(rf"light-dark\({COLOUR}, {COLOUR}\)")
SAY_SOMETHING = """async (path) => {
  const { t, tn } = await import(path);
  const counts = [1, 3];
  return [
    t("Thread in {room}", { room: "chat" }), t("1 hour"),
    ...counts.map((count) => tn("1 reply", "{count} replies", count)),
    ...counts.map((count) => tn("1 thing", "{count} things", count)), t("Not translated"),
  ];
}"""
PATHS = ("/", "/dial", "/settings", "/read/explain", "/teacher")


async def got(one: Visitor, path: str, accepted: str = "") -> str:
    async with one.session.get(one.url + path, headers={"Accept-Language": accepted}) as response:
        assert response.status == 200
        assert response.headers["Vary"] == "Accept-Language"
        return await response.text()


async def test_all_pages_begin_alike_and_have_a_title_of_their_own(ann: Visitor) -> None:
    pages = [await got(ann, path) for path in PATHS]
    assert len({page.partition("<title")[0] for page in pages}) == 1
    titles = {title for page in pages for title in re.findall("<title[^>]*>([^<]+)</title>", page)}
    assert len(titles) == len(PATHS)


@pytest.mark.parametrize(
    ("accepted", "language", "title"),
    [
        ("", "en", "Settings"),
        ("de-AT,en;q=0.5", "de", "Einstellungen"),
        ("en-GB,de;q=0.5", "en", "Settings"),
        ("fr, es-MX;q=0.8, de;q=0.5", "es", "Ajustes"),
        ("xx;../de", "en", "Settings"),
    ],
)
async def test_a_page_is_in_the_first_accepted_language_that_it_has(
    ann: Visitor, accepted: str, language: str, title: str
) -> None:
    page = await got(ann, "/settings", accepted)
    assert f'<html lang="{language}">' in page
    assert f"<h1>{title}</h1>" in page


def test_every_page_can_be_filled_and_what_fills_it_is_no_mark_up() -> None:
    pages = {path.stem for path in (STATIC.parent / "html").glob("*.html")} - {"layout", "top"}
    filled = {name: page_text(name, "de", "<script>") for name in pages}
    assert {name for name in pages if "{" in filled[name] or "<script>" in filled[name]} == set()
    assert "&lt;script&gt;" in filled["join"]


async def test_the_login_forms_are_in_the_readers_language(bot: Bot) -> None:
    section = WebSection(port=0, join_code=SecretStr("open sesame!"))
    async with WebPlatform(bot, section).serve() as url, visitor(url) as one:
        german = {"Accept-Language": "de", "Origin": url}
        async with one.session.post(f"{url}/join", data={"code": "guess"}, headers=german) as response:
            assert "Das ist nicht der Code." in await response.text()
        async with one.session.post(f"{url}/teacher", data={"code": "guess"}, headers=german) as response:
            assert "Dieser Link wurde schon benutzt" in await response.text()
        for _ in range(10):
            async with one.session.post(f"{url}/join", data={"code": "guess"}, headers=german) as response:
                last = await response.text()
        assert "Das waren zu viele Versuche." in last


@pytest.mark.parametrize("name", [path.name for path in (STATIC / "css").glob("*.css")])
def test_browsers_without_light_dark_get_the_light_colours(name: str) -> None:
    style = (STATIC / "css" / name).read_text("utf-8")
    before, old, after = style.partition(OLD)
    block, _, rest = after.partition("\n}\n")
    pairs = {variable: value for variable, value in VARIABLE.findall(before + rest) if "light-dark(" in value}
    assert (before + rest).count("light-dark(") == len(pairs)
    assert bool(old) is bool(pairs)
    assert dict(VARIABLE.findall(block)) == {variable: BOTH.sub(r"\1", value) for variable, value in pairs.items()}


@MARKS[0]
@MARKS[1]
async def test_scripts_speak_the_language_of_the_page(url: str, browser: Any) -> None:
    async with opened(browser, url, locale="de-AT") as page:
        said = await page.evaluate(SAY_SOMETHING, f"{static_url()}/js/shared/words.js")
        assert said[:4] == ["Thread in chat", "1 Stunde", "1 Antwort", "3 Antworten"]
        assert said[4:] == ["1 thing", "3 things", "Not translated"]


async def test_scripts_get_the_translations_of_all_their_sentences(ann: Visitor) -> None:
    async with ann.session.get(f"{ann.url}{static_url()}/words/de.json") as response:
        words = await response.json()
        assert "immutable" in response.headers["Cache-Control"]
    said = [sentence for sentence, paths in collect().items() if any(path.endswith(".js") for path in paths)]
    assert {sentence if isinstance(sentence, str) else sentence[0] for sentence in said} <= words.keys()
    assert words["New name"] == "Neuer Name"
    assert words["1 reply"] == {"one": "1 Antwort", "other": "{count} Antworten"}
    # What the bot alone says, and the head of the catalogue.
    assert not {"The chat is paused. Wait until it goes on.", ""} & words.keys()
    assert (await ann.get(f"{static_url()}/words/xx.json")).status == 404


async def test_a_page_preloads_every_module_that_it_imports_at_first(ann: Visitor) -> None:
    async with ann.session.get(f"{ann.url}/", headers={"Accept-Language": "de"}) as response:
        head = (await response.text()).split("</head>")[0]
    preloaded = re.findall(rf'<link rel="modulepreload" href="{static_url()}/([^"]+)">', head)
    assert len(preloaded) == len(set(preloaded))
    # Modules that are imported by others are among them, those that are only loaded when needed are not.
    assert {"js/chat/composer.js", "js/shared/heat.js", "vendor/purify.es.mjs"} <= set(preloaded)
    assert not {"js/chat/app.js", "js/chat/tokens.js", "js/shared/dialview.js", "vendor/highlight/core.min.js"} & set(
        preloaded
    )
    assert f'<link rel="preload" as="fetch" crossorigin href="{static_url()}/words/de.json">' in head
    for module in preloaded:
        assert (await ann.get(f"{static_url()}/{module}")).status == 200

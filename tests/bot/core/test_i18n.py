"""Every sentence for users has its translations, and every translation belongs to a sentence."""

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bot.answers.greeting import welcome
from bot.app import Bot
from bot.config.sections import PluginsSection
from bot.core import errors
from bot.core.i18n import FOLDER, Sentence, list_languages, load_translations, shown_value, translate
from bot.platforms.discord.incoming.command_limits import THREAD
from bot.plugin_host import plugin
from bot.safety.settings import SETTINGS
from bot.settings.builtin import CORE_SETTINGS, GROUP_TITLES

ROOT = Path(__file__).parents[3]
SOURCES = sorted([*(ROOT / "bot").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
LANGUAGES = ("de", "es")
FACTS = {"model", "models", "tokens", "seconds", "size", "strength", "lesson"}
"""What the cards of answers name beside options."""
PASSED_ON = re.compile(r"\{\w+\}|")
"""A sentence that is only a field, which another sentence fills."""

POSITIONS = {
    name: int(issubclass(kind, errors.OptionError))
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.UserError)
} | {"translate": 0, "Sentence": 0, "require_moderator": 0}


class Collector(ast.NodeVisitor):
    """Finds the sentences of a module, also those in variables of a function or the module."""

    def __init__(self, module: ast.Module) -> None:
        self.found: set[str] = set()
        self._scopes = [self._assigned(module.body)]
        self.visit(module)

    def _assigned(self, body: list[ast.stmt]) -> dict[str, list[ast.expr]]:
        assigned: dict[str, list[ast.expr]] = {}
        for statement in body:
            for node in ast.walk(statement):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    assigned.setdefault(node.targets[0].id, []).append(node.value)
        return assigned

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scopes.append(self._assigned(node.body))
        self.generic_visit(node)
        self._scopes.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = _visit_function  # noqa: N815 - names that ast calls

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in POSITIONS and len(node.args) > POSITIONS[name]:
            self.found |= set(self._texts(node.args[POSITIONS[name]]))
        self.generic_visit(node)

    def _texts(self, node: ast.expr) -> Iterator[str]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.IfExp(body=body, orelse=other):
                yield from self._texts(body)
                yield from self._texts(other)
            case ast.Subscript(value=ast.Dict(values=values)):
                for value in values:
                    yield from self._texts(value)
            case ast.Name(id=name):
                for value in next((scope[name] for scope in reversed(self._scopes) if name in scope), []):
                    yield from self._texts(value)
            case ast.JoinedStr() | ast.BinOp():
                raise AssertionError(f"A sentence that is put together cannot be translated: {ast.unparse(node)}")


@cache
def sentences() -> frozenset[str]:
    """Return all sentences of the code; collected at first use, so that collecting tests does not wait for it."""
    found = set()
    for path in SOURCES:
        found |= Collector(ast.parse(path.read_text("utf-8"))).found
    files = {path.stem for path in (ROOT / "plugins").glob("*.py") if path.stem != "__init__"}
    names = {*PluginsSection().enabled, *files}
    plugins = plugin.load(PluginsSection(enabled=tuple(sorted(names)), entry_points=False))
    settings = [*CORE_SETTINGS, *SETTINGS, *(setting for one in plugins for setting in one.settings)]
    found |= {setting.description for setting in settings} | set(GROUP_TITLES.values()) | FACTS | {THREAD}
    for one in plugins:
        found |= {one.title} - {""}
        for command in one.commands():
            found |= {command.in_messages} - {""}
            found |= {command.description, *(option.description for option in command.options)}
            options = () if command.hidden else command.options
            found |= {option.name.replace("_", " ") for option in options}
            found |= {choice for option in options for choice in option.choices if isinstance(choice, str)}
    return frozenset(sentence for sentence in found if not PASSED_ON.fullmatch(sentence))


def fields(sentence: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None)


def entries(code: str) -> list[dict[str, str]]:
    return list(tomllib.loads((FOLDER / f"{code}.toml").read_text("utf-8"))["sentence"])


def test_the_collector_finds_sentences_of_every_kind() -> None:
    assert {
        "/{command} is for moderators.",
        "{name} must be {expected}; you gave {given}.",
        "This button has expired.",
        "Number {place} in the queue …",
        "a whole number",
        " characters",
        "Ask the language model a question.",
        "What you want to know",
    } <= sentences()
    assert len(sentences()) > 60


def test_the_collector_refuses_a_concatenated_sentence() -> None:
    with pytest.raises(AssertionError, match="put together"):
        Collector(ast.parse('raise UserError(f"No {thing}.")'))


def test_plugins_put_these_facts_on_cards() -> None:
    plugins = "".join(path.read_text("utf-8") for path in SOURCES if ROOT / "plugins" in path.parents)
    assert {fact for fact in FACTS if f'"{fact}"' not in plugins} == set()


def test_the_languages_are_english_german_and_spanish() -> None:
    assert list_languages() == ("en", *LANGUAGES)


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_sentence_has_a_translation_and_every_translation_a_sentence(code: str) -> None:
    english = [entry["en"] for entry in entries(code)]
    assert sorted(sentences() - set(english)) == []
    assert sorted(set(english) - sentences()) == []
    assert len(english) == len(set(english))


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_translation_has_the_fields_and_the_outer_characters_of_its_sentence(code: str) -> None:
    for entry in entries(code):
        text = entry[code]
        assert fields(text) == fields(entry["en"]), entry
        assert (text[:1] == " ", text[-1:] == " ") == (entry["en"][:1] == " ", entry["en"][-1:] == " "), entry
        assert (text[-1] in ".:?") == (entry["en"][-1] in ".:?"), entry
        assert text.count("`") == entry["en"].count("`"), entry


def test_quotation_marks_are_those_of_the_language() -> None:
    for entry in entries("de"):
        assert not re.search('["”«»]|(?<!„)“(?!“)', re.sub("„[^“]*“", "", entry["de"])), entry
    for entry in entries("es"):
        assert not set('"“”„') & set(entry["es"]), entry


@pytest.mark.parametrize("locale", ["de", "de-DE", "de_AT", "DE"])
def test_a_locale_leads_to_its_language(locale: str) -> None:
    assert translate("Stop", locale) == load_translations("de")["Stop"] != "Stop"


@pytest.mark.parametrize("locale", ["", "C", "xx", "../de", "en-GB"])
def test_an_unknown_locale_leads_to_english(locale: str) -> None:
    assert translate("Stop", locale) == "Stop"


def test_a_sentence_in_a_sentence_is_translated_too() -> None:
    sentence = Sentence("{name} must be {expected}; you gave {given}.", {
        "name": "seed", "expected": Sentence("a whole number"), "given": "{x}",
    })  # fmt: skip
    assert sentence.in_language("en") == "seed must be a whole number; you gave {x}."
    assert load_translations("de")["a whole number"] in sentence.in_language("de")
    assert sentence.in_language("de").endswith("{x} eingegeben.")


@pytest.mark.parametrize(
    ("value", "locale", "shown"),
    [
        (0.7, "de-AT", "0,7"),
        (0.7, "en", "0.7"),
        (2.0, "es", "2"),
        (7, "de", "7"),
        (False, "es", "no"),
        ("quote", "de", "Zitat"),
    ],
)
def test_a_value_is_shown_as_people_read_it(value: object, locale: str, shown: str) -> None:
    assert shown_value(value, locale) == shown
    assert translate("{value}", locale, value=value) == (shown if isinstance(value, bool | float) else str(value))


@pytest.mark.parametrize("code", LANGUAGES)
async def test_the_welcome_is_in_one_language(bot: Bot, code: str) -> None:
    text = welcome(bot, code).text
    lines = [line for line in text.splitlines() if line]
    assert len(lines) == 6
    english = welcome(bot, "en").text.splitlines()
    assert [line for line in lines if line in english] == ["- `/imagine a red apple`", "- `/face count:4`"]
    assert "- `/imagine prompt:a red apple`" in welcome(bot, code, names_all=True).text

"""Brings the catalogues of translations in step with the code: `python -m quality.translations`."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import write_po

from bot.config.sections import PluginsSection
from bot.core import errors
from bot.core.i18n import FOLDER, list_languages, read_catalogue
from bot.platforms.discord.incoming import command_limits
from bot.platforms.web.templates import STATIC
from bot.plugin_host import plugin
from bot.safety import settings as safety
from bot.settings import builtin

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "bot").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
PAGES = sorted((STATIC.parent / "html").glob("*.html"))
FACTS = {"best of", "model", "models", "tokens", "seconds", "size", "strength", "lesson"}
"""What the cards of answers name beside options."""

POSITIONS = {
    name: int(issubclass(kind, errors.OptionError))
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.UserError)
} | {"translate": 0, "Sentence": 0, "require_moderator": 0}

KEYWORDS = {"_": None, "t": None, "tn": (1, 2)}
OPTIONS = {"parse_template_string": True}

Id = str | tuple[str, str]
"""A sentence, or one with its plural."""


class Collector(ast.NodeVisitor):
    """Finds the sentences of a module, also those in variables of a function or the module."""

    def __init__(self, module: ast.Module) -> None:
        self.found: dict[Id, None] = {}
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
            texts = list(self._texts(node.args[POSITIONS[name]]))
            # `translate` gets the locale before the plural; `ctx.translate` knows it.
            skipped = POSITIONS[name] + 1 + (name == "translate" and isinstance(node.func, ast.Name))
            plurals = [text for argument in node.args[skipped:] for text in self._texts(argument)]
            self.found |= dict.fromkeys(zip(texts, plurals, strict=True) if plurals else texts)
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


def declared() -> Iterator[tuple[str, str]]:
    """Yield what plugins and settings say of themselves, each with the module that says it."""
    files = {path.stem for path in (ROOT / "plugins").glob("*.py") if path.stem != "__init__"}
    names = {*PluginsSection().enabled, *files}
    plugins = plugin.load(PluginsSection(enabled=tuple(sorted(names)), entry_points=False))
    for module, settings in ((builtin, builtin.CORE_SETTINGS), (safety, safety.SETTINGS)):
        yield from ((module.__name__, setting.description) for setting in settings)
    yield from ((builtin.__name__, title) for title in builtin.GROUP_TITLES.values())
    yield command_limits.__name__, command_limits.THREAD
    yield from (("plugins", fact) for fact in sorted(FACTS))
    for one in plugins:
        commands = one.commands()
        shown = [option for command in commands if not command.hidden for option in command.options]
        said = [one.title, *(setting.description for setting in one.settings)]
        said += [text for command in commands for text in (command.in_messages, command.description)]
        said += [option.description for command in commands for option in command.options]
        said += [option.name.replace("_", " ") for option in shown]
        said += [choice for option in shown for choice in option.choices if isinstance(choice, str)]
        yield from ((type(one).__module__, text) for text in said)


@cache
def collect() -> dict[Id, list[str]]:
    """Return all sentences for users, each with the files that have it."""
    found: dict[Id, list[str]] = {}

    def note(sentence: Id, path: Path) -> None:
        # A sentence that is only a field is filled by another one.
        if not re.fullmatch(r"(\{\w+\})?", sentence if isinstance(sentence, str) else sentence[0]):
            found.setdefault(sentence, []).append(path.relative_to(ROOT).as_posix())

    for path in SOURCES:
        for sentence in Collector(ast.parse(path.read_text("utf-8"))).found:
            note(sentence, path)
    for module, sentence in declared():
        note(sentence, Path(sys.modules[module].__file__ or ""))
    for paths, method in ((PAGES, "jinja2.ext:babel_extract"), (SCRIPTS, "javascript")):
        for path in paths:
            for _, sentence, _, _ in extract_from_file(method, path, KEYWORDS, options=OPTIONS):
                note(sentence, path)
    # What is also said of one thing alone is one entry with what is said of several.
    for one, several in [sentence for sentence in found if isinstance(sentence, tuple)]:
        found[one, several] += found.pop(one, [])
    return found


def update_catalogue(code: str) -> None:
    """Put the sentences of the code into the catalogue of a language, and take out those that the code has no more."""
    catalogue = read_catalogue(FOLDER / f"{code}.po")
    template = Catalog(creation_date=catalogue.creation_date)
    for sentence, paths in collect().items():
        template.add(sentence, locations=[(path, 0) for path in dict.fromkeys(paths)])
    catalogue.update(template)
    for message in catalogue:
        # Babel takes “40 % sure” for a format of Python.
        message.flags.discard("python-format")
    with (FOLDER / f"{code}.po").open("wb") as file:
        write_po(file, catalogue, ignore_obsolete=True, include_lineno=False)


def find_untranslated(code: str) -> list[str]:
    """Return the sentences of a catalogue that have no translation, or one that nobody has checked."""
    return [
        str(message.id)
        for message in read_catalogue(FOLDER / f"{code}.po")
        if message.id
        and (message.fuzzy or not all(message.string if isinstance(message.string, tuple) else [message.string]))
    ]


def main() -> int:
    """Update all catalogues; return 1 if a sentence has no translation."""
    languages = list_languages()[1:]
    for code in languages:
        update_catalogue(code)
    missing = [
        f"{code}.po has no translation, or one marked fuzzy, of: {sentence}"
        for code in languages
        for sentence in find_untranslated(code)
    ]
    print("\n".join(missing) or f"All {len(collect())} sentences have their translations.")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

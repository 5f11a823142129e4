"""The links of the documents lead somewhere, and the commands and names in them exist."""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import bot
from bot import Attachment
from bot.app import Bot
from bot.config.loading import Config
from bot.config.sections import PluginsSection
from bot.inference.client import ModelClient
from bot.platforms.capabilities import DISCORD, PLATFORMS
from bot.plugin_host import plugin
from bot.storage.database import Database

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
USER, OPERATE, INTERNALS = (sorted((ROOT / "docs" / name).glob("*.md")) for name in ("user", "operate", "internals"))
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
OTHERS = [ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "PRIVACY", "SECURITY")]
LINKED = [
    README,
    *OTHERS,
    *(path for folder in ("docs", "model_server", "research") for path in sorted((ROOT / folder).rglob("*.md"))),
]
GUIDES = [README, *USER, *OPERATE]
INSIDE = [ARCHITECTURE, *INTERNALS]
"""The pages for people who change the code: they name files, folders and classes."""
PROGRAMS = ("bot", "plugins", "model_server", "http_server")
FOLDERS = ("bot", "plugins", "model_server", "http_server", "research", "tests", "config", "docs")

FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
INDENTED = re.compile(r"^ {4,}(/[a-z].*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
VARIABLE = re.compile(r"\bTEMPERA_([A-Z]+(?:_[A-Z]+)*)__([A-Z]+(?:_[A-Z]+)*)\b")
SETTING = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")
FOREIGN = {"/invite", "/health"}
"""A command of Slack's own, and an address."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = HEADING.findall(FENCED.sub("", path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", LINK.sub("]", title).casefold()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", LINKED, ids=named)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    text = INLINE.sub("", FENCED.sub("", path.read_text("utf-8")))
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.fixture(scope="module")
def repository() -> tuple[str, ...]:
    """The paths of all files and folders of the repository, each with a slash before it."""
    paths = [path for folder in FOLDERS for path in [ROOT / folder, *(ROOT / folder).rglob("*")]]
    return (*(f"/{named(path)}" for path in paths), "/pyproject.toml", "/discord.py", "/openapi.json")


@pytest.mark.parametrize("path", INSIDE, ids=named)
def test_files_that_a_page_about_the_inside_names_exist(path: Path, repository: tuple[str, ...]) -> None:
    text = LINK.sub("]", path.read_text("utf-8"))
    files = set(re.findall(r"(?<![\w/])[\w./-]*\w\.(?:py|toml|js|json|jsonl|css|html)\b", text))
    folders = set(re.findall(r"`([\w./-]+)/`", text))
    assert [name for name in sorted(files | folders) if not any(one.endswith(f"/{name}") for one in repository)] == []


@pytest.fixture(scope="module")
def classes() -> dict[str, str]:
    """The classes of the programs: their names, and the text of all classes of that name."""
    found: dict[str, str] = {}
    for folder in PROGRAMS:
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            lines = text.splitlines()
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef):
                    found[node.name] = found.get(node.name, "") + "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return found


@pytest.mark.parametrize("path", INSIDE, ids=named)
def test_classes_and_members_that_a_page_about_the_inside_names_exist(path: Path, classes: dict[str, str]) -> None:
    names = set(re.findall(r"`([A-Z][a-z]\w*)(?:\.(\w+))?(?:\([^`\n]*)?`", path.read_text("utf-8")))
    assert [name for name, member in sorted(names) if not re.search(rf"\b{member}\b", classes.get(name, ""))] == []


@pytest.mark.parametrize("path", INSIDE, ids=named)
def test_constants_and_methods_of_attributes_that_a_page_about_the_inside_names_exist(path: Path) -> None:
    code = "\n".join(file.read_text("utf-8") for folder in PROGRAMS for file in (ROOT / folder).rglob("*.py"))
    text = path.read_text("utf-8")
    constants = {
        name for name in re.findall(r"`([A-Z][A-Z_]{3,})`", text) if not re.search(rf"^{name}\b", code, re.MULTILINE)
    }
    methods = {name for name in re.findall(r"`[A-Z]\w+\.\w+\.(\w+)", text) if f"def {name}(" not in code}
    assert constants | methods == set()


@pytest.mark.parametrize("path", LINKED, ids=named)
def test_modules_that_a_page_runs_exist(path: Path) -> None:
    for module in re.findall(r"python -m (\w+(?:\.\w+)*)", path.read_text("utf-8")):
        assert find_spec(module) is not None, module


def test_the_architecture_leads_to_every_page_about_the_inside() -> None:
    links = LINK.findall(ARCHITECTURE.read_text("utf-8"))
    assert len(INTERNALS) > 5
    assert {named(path) for path in INTERNALS} <= set(links)


def test_the_readme_leads_to_every_page() -> None:
    links = LINK.findall(README.read_text("utf-8"))
    assert {named(path) for path in (*USER, *OPERATE, *OTHERS)} <= set(links)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bot:
    """The bot with its own plugins, not started."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('documents')}/tempera.db")
    return Bot(
        ModelClient("http://127.0.0.1:1"),
        plugin.load(PluginsSection(entry_points=False)),
        database,
        platforms=PLATFORMS,
    )


def spoken(path: Path) -> Iterator[str]:
    """Every command in a page's code, as it is typed where no platform adds anything."""
    text = FENCED.sub("", path.read_text("utf-8"))
    for code in (*INDENTED.findall(text), *INLINE.findall(text)):
        # What stands in the same line after two spaces says what the command does.
        line = re.split(r" {2,}", code.removeprefix("@Tempera "))[0].strip()
        line = f"/{line.removeprefix('/tempera ')}" if line.startswith("/tempera ") else line
        if re.match(r"/[a-z-]+(?: |$)", line) and line.split()[0] not in {*FOREIGN, "/tempera"}:
            yield line


def check(made: Bot, line: str) -> None:
    """Parse and bind a command. One that is only mentioned, such as /ask or /privacy, has to exist."""
    names = {command.name for command in made.registry.commands}
    if line[1:] in names | {name.partition(" ")[0] for name in names}:
        return
    command, rest = made.registry.split_line(line)
    if command.threads:
        # An option of Discord's own, which nothing else needs to go with.
        rest = rest.replace("thread:True", "")
    given = command.parse(rest)
    # A file is named at a terminal, and attached elsewhere.
    files = {option.name for option in command.options if option.type is Attachment}
    values = {name: value for name, value in given.items() if name not in files}
    if values:
        bound = command.bind(values)
        if command.name in {"config set", "config show", "config reset"} and bound["setting"]:
            name, _, value = str(bound["setting"]).partition(" ")
            setting = made.settings.find(name)
            assert setting.name == name
            if value:
                setting.convert(value, DISCORD.ids)


@pytest.mark.parametrize("path", [*GUIDES, ROOT / "PRIVACY.md"], ids=named)
def test_its_commands_are_those_of_the_bot(made: Bot, path: Path) -> None:
    for line in spoken(path):
        try:
            check(made, line)
        except bot.UserError as error:
            pytest.fail(f"{line}: {error}")


def test_commands_are_found_and_mistakes_noticed(made: Bot) -> None:
    assert len(list(spoken(README))) >= 10
    assert "/imagine sweep:guidance=0,4,20 a red apple" in list(spoken(ROOT / "docs/user/commands.md"))
    for wrong in ("/ask tempreature:1 hello", "/face count:17", "/askk hello", "/config set ask.temperature.most 1"):
        with pytest.raises(bot.UserError):
            check(made, wrong)


def test_every_command_is_told(made: Bot) -> None:
    told = "\n".join(path.read_text("utf-8") for path in GUIDES)
    assert [
        command.name for command in made.registry.commands if not re.search(rf"/{command.name}(?![\w-])", told)
    ] == []


@pytest.mark.parametrize("path", [*USER, *OPERATE], ids=named)
def test_its_variables_are_those_of_the_configuration(path: Path) -> None:
    for section, key in VARIABLE.findall(path.read_text("utf-8")):
        annotation = Config.model_fields[section.lower()].annotation
        assert key.lower() in getattr(annotation, "model_fields", {}), f"{section}__{key}"


def test_every_variable_is_told() -> None:
    told = set(VARIABLE.findall((ROOT / "docs/operate/configuration.md").read_text("utf-8")))
    there = {
        (section.upper(), key.upper())
        for section, field in Config.model_fields.items()
        for key in getattr(field.annotation, "model_fields", {})
    }
    assert there == told


def test_the_settings_of_the_moderators_are_those_of_the_bot(made: Bot) -> None:
    codes = INLINE.findall((ROOT / "docs/user/moderators.md").read_text("utf-8"))
    settings = [code for code in codes if SETTING.fullmatch(code)]
    assert len(settings) > 20
    assert [name for name in settings if not made.settings.knows(name)] == []

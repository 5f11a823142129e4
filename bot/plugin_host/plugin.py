"""The base class of plugins, and how plugins are found and loaded: built-in ones in the same way as anybody's."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bot.commands.decorators import build_command
from bot.commands.source import describe_error
from bot.core.errors import ConfigError, PluginError
from bot.core.i18n import add_folder
from bot.core.text import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Coroutine, Iterator, Sequence
    from types import CodeType, ModuleType

    from bot.commands.command import Command
    from bot.config.sections import PluginsSection
    from bot.core.caller import Caller
    from bot.core.i18n import Sentence
    from bot.core.messages import Page, Person, Place, Reference, Reply, Shelf, User
    from bot.inference.client import ModelClient
    from bot.settings.setting import Setting
    from bot.storage.key_value import Store

ENTRY_POINT_GROUP = "tempera.plugins"
MODULE_PREFIX = "tempera_plugin_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The services that a plugin has from its start on, also outside requests."""

    models: ModelClient
    store: Store
    """The plugin's own values."""
    config: Any = None
    """The table of the deployment's configuration that has the plugin's name, if there is one."""
    retention_days: float = 30
    """How long the plugin may keep what people wrote."""


class Plugin:
    """A set of commands. Subclass it in a module of its own; one instance serves every request.

    `name` is the module's name unless given; `title` is the title above its settings, the name unless given.
    """

    name: str = ""
    title: ClassVar[str] = ""
    settings: ClassVar[Sequence[Setting]] = ()
    examples: ClassVar[Sequence[tuple[str, str | Sentence]]] = ()
    """Lines that the greeting suggests: each an own command with its options, and the words for its free text, or "".

    Without a command, the words are a sentence below them.
    """
    host: Host
    """Set before `start` is called."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Called before the first request."""

    async def stop(self) -> None:
        """Called after the last request, or when the plugin is reloaded; its background tasks are already cancelled.

        After a reload, answers that are being made still use this instance.
        """

    async def pages(self, place: Place) -> Sequence[Page]:
        """Return the pages that people can read in `place`, for platforms that show pages."""
        return ()

    async def shelf(self, caller: Caller) -> Shelf | None:
        """Return what moderators keep with this plugin where `caller` is, or None. Others get PermissionDenied."""
        return None

    async def knows(self, place: Place, question: str, user: User) -> Reference | None:
        """Return what this plugin knows about `question` for certain, or None; other plugins ask on behalf of `user`.

        It must not take long.
        """
        return None

    async def conclude(self, answer: int) -> Reply | None:
        """Return the last reply of an answer that was interrupted, or None to leave it as it is.

        `answer` is its row, as in `Context.answer`. The process that made it has ended, or is about to.
        """
        return None

    async def stored(self, person: Person) -> Any:
        """Return what this plugin keeps about somebody beside values under their id, as JSON; None for nothing."""
        return None

    async def forget(self, person: Person) -> Collection[int] | None:
        """Delete what this plugin keeps about somebody, and of what they wrote, beside values under their id.

        May return the rows of other people's answers that name them, which are deleted as well.
        """
        return None

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` in the background for as long as the plugin is loaded."""
        task = asyncio.create_task(work, name=f"plugin {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the background tasks, then call `stop`."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.stop()

    def commands(self) -> list[Command]:
        """Return the commands that the decorated methods declare, in the order in which they are written."""
        methods = list(self._methods())
        completers = {
            method.__tempera_completes__: method for method in methods if hasattr(method, "__tempera_completes__")
        }
        return [
            build_command(method, self.name, completers) for method in methods if hasattr(method, "__tempera_command__")
        ]

    def _methods(self) -> Iterator[Any]:
        for base in reversed(type(self).__mro__):
            for name, value in vars(base).items():
                if inspect.isfunction(value):
                    yield getattr(self, name)


def load(section: PluginsSection, left_out: Container[str] = ()) -> list[Plugin]:
    """Return the plugins that the configuration leads to, in order, without those whose module is `left_out`.

    Raises PluginError that names the first broken one.
    """
    loaded: dict[str, Plugin] = {}
    for name, module, path in _find_modules(section):
        if module in left_out:
            continue
        with errors_name(name, module):
            plugin = make_plugin(name, _import(name, module, path, known=type(section)().enabled))
            if plugin.name in loaded:
                raise PluginError(f"Two plugins are called “{plugin.name}”; rename one of them.")
        loaded[plugin.name] = plugin
    return list(loaded.values())


def builtin_module(name: str) -> str:
    """Return the module of the built-in plugin of this name."""
    return f"plugins.{name}"


def _find_modules(section: PluginsSection) -> Iterator[tuple[str, str, Path | None]]:
    """Yield the name of each plugin, its module, and its file if the module is not found by its name."""
    for name in section.enabled:
        yield name, builtin_module(name), None
    if section.folder is not None:
        if not section.folder.is_dir():
            raise PluginError(
                f"The folder of plugins, {section.folder}, does not exist. Make it, or name another in "
                "TEMPERA_PLUGINS__FOLDER."
            )
        for path in sorted(section.folder.glob("*.py")):
            if not path.name.startswith("_"):
                yield path.stem, f"{MODULE_PREFIX}{path.stem}", path
    if section.entry_points:
        for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
            yield point.name, point.module, None


def _import(name: str, module: str, path: Path | None, known: Sequence[str]) -> ModuleType:
    """Return a plugin's module. `known` are the built-in plugins, which a wrong name is compared with."""
    if path is not None:
        return import_file(path, module)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name == module == builtin_module(name):
            close = nearest(name, known)
            hint = f" Did you mean “{close}”?" if close else ""
            raise PluginError(f"There is no built-in plugin “{name}”.{hint} There are {', '.join(known)}.") from None
        raise


@contextlib.contextmanager
def errors_name(name: str, module: str, what: str = "cannot be loaded") -> Iterator[None]:
    """Turn what goes wrong with a plugin into a PluginError that names it; `what` it cannot do."""
    try:
        yield
    except PluginError as error:
        error.plugin, error.module = error.plugin or name, error.module or module
        raise
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        named = PluginError(f"Plugin “{name}” {what}: {describe_error(error, module)}.")
        named.plugin, named.module = name, module
        raise named from error


class _UncachedLoader(SourceFileLoader):
    """Compiles the file anew: Python takes cached bytecode for current if the file changed within the same second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def import_file(path: Path, module_name: str) -> ModuleType:
    """Return the module in a file, read anew at each call, with the modules of its package if it is an `__init__.py`.

    If it raises an error, the modules that were imported before stay in place.
    """
    loader = _UncachedLoader(module_name, str(path.absolute()))
    spec = importlib.util.spec_from_loader(module_name, loader)
    if spec is None:
        raise ImportError(f"{path.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    before = _remove_modules(module_name)
    sys.modules[module_name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        _remove_modules(module_name)
        sys.modules.update(before)
        raise
    return module


def _remove_modules(module_name: str) -> dict[str, ModuleType]:
    """Remove this module and those below it from `sys.modules`, and return them."""
    names = [name for name in list(sys.modules) if f"{name}.".startswith(f"{module_name}.")]
    return {name: sys.modules.pop(name) for name in names}


def reload_plugin(plugin: Plugin) -> Plugin:
    """Return a new instance of `plugin` from its file as it is now. Raises PluginError if the file is broken."""
    module = type(plugin).__module__
    with errors_name(plugin.name, module):
        new = make_plugin(plugin.name, import_file(Path(str(sys.modules[module].__file__)), module))
        if new.name != plugin.name:
            raise PluginError(
                f"Plugin “{plugin.name}” is called “{new.name}” in its file now; restart the bot for that."
            )
    return new


def make_plugin(name: str, module: ModuleType) -> Plugin:
    """Return an instance of the one plugin that a module defines. Raises PluginError, or any error of the plugin."""
    classes: Sequence[type[Plugin]] = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Plugin) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise PluginError(f"Plugin “{name}” must define one subclass of Plugin; it defines {len(classes)}.")
    add_folder(Path(str(module.__file__)).parent / "languages")
    plugin = classes[0]()
    plugin.name = plugin.name or name
    plugin.commands()
    return plugin

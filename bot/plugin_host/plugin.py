"""Plugins: what one is, and how they are found and loaded, built-in ones and anybody's through the same door."""

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
from bot.core.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence
    from types import CodeType, ModuleType

    from bot.commands.command import Command
    from bot.config import PluginsSection
    from bot.core.messages import Page, Person, Place, Reference, User
    from bot.inference.client import ModelClient
    from bot.settings.setting import Setting
    from bot.storage.key_value import Store

GROUP = "tempera.plugins"
FOLDER_PREFIX = "tempera_plugin_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What a plugin has at hand from its start on, in the background, too."""

    models: ModelClient
    store: Store
    """The plugin's own values."""
    config: Any = None
    """The table of the deployment's configuration that is called like the plugin, if there is one."""
    retention_days: float = 30
    """For how long what people wrote may be kept."""


class Plugin:
    """A set of commands. Subclass it in a module of its own; one instance serves every request.

    `name` is the module's name unless given; `title` is what its settings are called for people, the name unless given.
    """

    name: str = ""
    title: ClassVar[str] = ""
    settings: ClassVar[Sequence[Setting]] = ()
    host: Host
    """There from `start` on."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Called before the first request."""

    async def stop(self) -> None:
        """Called after the last request, or when the plugin is reloaded, where answers under way go on with this
        instance; the plugin's background tasks are already cancelled."""

    async def pages(self, place: Place) -> Sequence[Page]:
        """What there is to read at `place`, for platforms that show pages."""
        return ()

    async def knows(self, place: Place, question: str, user: User) -> Reference | None:
        """What this plugin knows about `question` for sure; others ask, for `user`. It must not take long."""
        return None

    async def stored(self, person: Person) -> Any:
        """What this plugin keeps about somebody beside values under their id, as JSON; None for nothing."""
        return None

    async def forget(self, person: Person) -> None:
        """Delete what this plugin keeps about somebody, or of what they wrote, beside values under their id."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` in the background for as long as the plugin is loaded."""
        task = asyncio.create_task(work, name=f"plugin {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the background tasks, then `stop`."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.stop()

    def commands(self) -> list[Command]:
        """The commands that the decorated methods declare, in the order they are written."""
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


def load(section: PluginsSection) -> list[Plugin]:
    """The plugins that the configuration names, in order. Raises PluginError that names the first broken one."""
    loaded: dict[str, Plugin] = {}
    for name, module in _modules(section):
        plugin = make(name, module)
        if plugin.name in loaded:
            raise PluginError(f"Two plugins are called “{plugin.name}”; rename one of them.")
        loaded[plugin.name] = plugin
    return list(loaded.values())


def _modules(section: PluginsSection) -> Iterator[tuple[str, ModuleType]]:
    for name in section.enabled:
        yield name, _import(name, f"plugins.{name}")
    if section.folder is not None:
        if not section.folder.is_dir():
            raise PluginError(f"The folder of plugins, {section.folder}, does not exist.")
        for path in sorted(section.folder.glob("*.py")):
            if not path.name.startswith("_"):
                yield path.stem, import_file(path)
    if section.entry_points:
        for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
            yield point.name, _import(point.name, point.module)


def _import(name: str, module: str) -> ModuleType:
    with _naming(name):
        return importlib.import_module(module)


class _Fresh(SourceFileLoader):
    """Compiles the file as it is now: cached bytecode is not told from a file changed within the same second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def import_file(path: Path, module_name: str = "") -> ModuleType:
    """The module in a file, read anew at each call, and those of its package where it opens one.

    If it is broken, what was read before stays in place.
    """
    name = path.parent.name if path.stem == "__init__" else path.stem
    module_name = module_name or f"{FOLDER_PREFIX}{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_Fresh(module_name, str(path)))
    if spec is None or spec.loader is None:
        raise PluginError(f"Plugin “{name}” cannot be loaded: {path.name} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    before = _taken_out(module_name)
    sys.modules[module_name] = module
    try:
        with _naming(name):
            spec.loader.exec_module(module)
    except PluginError:
        _taken_out(module_name)
        sys.modules.update(before)
        raise
    return module


def _taken_out(module_name: str) -> dict[str, ModuleType]:
    """What is known as this module or below it, which from now on is not."""
    names = [name for name in sys.modules if f"{name}.".startswith(f"{module_name}.")]
    return {name: sys.modules.pop(name) for name in names}


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    # A plugin's module can raise anything at all; whatever it is, start-up must stop and name the plugin.
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"Plugin “{name}” cannot be loaded: {type(error).__name__}: {error}.") from error


def again(plugin: Plugin) -> Plugin:
    """A new instance of `plugin` from its file as it is now. Raises PluginError if that is broken."""
    name = type(plugin).__module__
    return make(plugin.name, import_file(Path(str(sys.modules[name].__file__)), name))


def make(name: str, module: ModuleType) -> Plugin:
    """The one plugin that a module defines."""
    classes: Sequence[type[Plugin]] = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Plugin) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise PluginError(f"Plugin “{name}” must define one subclass of Plugin; it defines {len(classes)}.")
    with _naming(name):
        plugin = classes[0]()
        plugin.name = plugin.name or name
        plugin.commands()
    return plugin

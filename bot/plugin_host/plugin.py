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
from bot.core.errors import PluginError
from bot.core.text import nearest

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence
    from types import CodeType, ModuleType

    from bot.commands.command import Command
    from bot.config.sections import PluginsSection
    from bot.core.messages import Page, Person, Place, Reference, User
    from bot.inference.client import ModelClient
    from bot.settings.setting import Setting
    from bot.storage.key_value import Store

BUILT_IN_PACKAGE = "plugins"
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

    async def knows(self, place: Place, question: str, user: User) -> Reference | None:
        """Return what this plugin knows about `question` for certain, or None; other plugins ask on behalf of `user`.

        It must not take long.
        """
        return None

    async def stored(self, person: Person) -> Any:
        """Return what this plugin keeps about somebody beside values under their id, as JSON; None for nothing."""
        return None

    async def forget(self, person: Person) -> None:
        """Delete what this plugin keeps about somebody, and of what they wrote, beside values under their id."""

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


def load(section: PluginsSection) -> list[Plugin]:
    """Return the plugins that the configuration names, in order. Raises PluginError that names the first broken one."""
    loaded: dict[str, Plugin] = {}
    for name, module in _import_modules(section):
        plugin = make_plugin(name, module)
        if plugin.name in loaded:
            raise PluginError(f"Two plugins are called “{plugin.name}”; rename one of them.")
        loaded[plugin.name] = plugin
    return list(loaded.values())


def _import_modules(section: PluginsSection) -> Iterator[tuple[str, ModuleType]]:
    for name in section.enabled:
        yield name, _import_built_in(name, known=type(section)().enabled)
    if section.folder is not None:
        if not section.folder.is_dir():
            raise PluginError(
                f"The folder of plugins, {section.folder}, does not exist. Make it, or name another in "
                "TEMPERA_PLUGINS__FOLDER."
            )
        for path in sorted(section.folder.glob("*.py")):
            if not path.name.startswith("_"):
                yield path.stem, import_file(path)
    if section.entry_points:
        for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
            yield point.name, _import_module(point.name, point.module)


def _import_built_in(name: str, known: Sequence[str]) -> ModuleType:
    module = f"{BUILT_IN_PACKAGE}.{name}"
    try:
        return _import_module(name, module)
    except PluginError as error:
        if isinstance(error.__cause__, ModuleNotFoundError) and error.__cause__.name == module:
            close = nearest(name, known)
            hint = f" Did you mean “{close}”?" if close else ""
            raise PluginError(f"There is no built-in plugin “{name}”.{hint} There are {', '.join(known)}.") from None
        raise


def _import_module(name: str, module: str) -> ModuleType:
    with _errors_name(name):
        return importlib.import_module(module)


class _UncachedLoader(SourceFileLoader):
    """Compiles the file anew: Python takes cached bytecode for current if the file changed within the same second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def import_file(path: Path, module_name: str = "") -> ModuleType:
    """Return the module in a file, read anew at each call, with the modules of its package if it is an `__init__.py`.

    Raises PluginError if it is broken; the modules that were imported before stay in place then.
    """
    name = path.parent.name if path.stem == "__init__" else path.stem
    module_name = module_name or f"{MODULE_PREFIX}{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_UncachedLoader(module_name, str(path)))
    if spec is None or spec.loader is None:
        raise PluginError(f"Plugin “{name}” cannot be loaded: {path.name} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    before = _remove_modules(module_name)
    sys.modules[module_name] = module
    try:
        with _errors_name(name):
            spec.loader.exec_module(module)
    except PluginError:
        _remove_modules(module_name)
        sys.modules.update(before)
        raise
    return module


def _remove_modules(module_name: str) -> dict[str, ModuleType]:
    """Remove this module and those below it from `sys.modules`, and return them."""
    names = [name for name in sys.modules if f"{name}.".startswith(f"{module_name}.")]
    return {name: sys.modules.pop(name) for name in names}


@contextlib.contextmanager
def _errors_name(name: str) -> Iterator[None]:
    """Turn every exception into a PluginError that names the plugin, which stops the start."""
    try:
        yield
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"Plugin “{name}” cannot be loaded: {type(error).__name__}: {error}.") from error


def reload_plugin(plugin: Plugin) -> Plugin:
    """Return a new instance of `plugin` from its file as it is now. Raises PluginError if the file is broken."""
    name = type(plugin).__module__
    return make_plugin(plugin.name, import_file(Path(str(sys.modules[name].__file__)), name))


def make_plugin(name: str, module: ModuleType) -> Plugin:
    """Return an instance of the one plugin that a module defines. Raises PluginError."""
    classes: Sequence[type[Plugin]] = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Plugin) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise PluginError(f"Plugin “{name}” must define one subclass of Plugin; it defines {len(classes)}.")
    with _errors_name(name):
        plugin = classes[0]()
        plugin.name = plugin.name or name
        plugin.commands()
    return plugin

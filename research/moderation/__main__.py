"""`python -m research.moderation FOLDER PACKAGES`: writes the weights of classroom-moderation to FOLDER."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

import torch

from model_server.catalogue import load_catalogue
from model_server.engines.contract import EngineSpec
from model_server.engines.moderation.engine import ModerationEngine
from model_server.files.cache import ModelCache
from research import DATA, ROOT
from research.moderation import head, profanity, texts
from research.packages import CLDR, fetch

ENCODER = "all-minilm-l6-v2"
PACKAGE = "profanity_check"
MEASURED_FILES = [DATA / "safety" / f"{name}.jsonl" for name in ("development", "held_out", "held_out_2")]
QUESTION_FILES = [DATA / "explain" / f"{name}.jsonl" for name in ("development", "held_out")]
MEASURED_REPEATS = 2
"""Measured prompts are repeated, because they show how people really ask, which the written sentences only imitate."""


def main() -> int:
    """Export the model of single words if its package is installed, and train the head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder",
        type=Path,
        help="where to write the weights; without alt-profanity-check, the weights of single words must be there",
    )
    parser.add_argument("packages", type=Path, help="where the package with the names of things is kept, once fetched")
    options = parser.parse_args()
    folder, packages = options.folder, options.packages
    folder.mkdir(parents=True, exist_ok=True)
    fetch([CLDR], packages, print)
    if importlib.util.find_spec(PACKAGE):
        profanity.export(folder)
    encoder = ModelCache().ensure(load_catalogue(ROOT / "config" / "models.toml")[ENCODER])
    engine = ModerationEngine(EngineSpec(name=ENCODER, engine="moderation", folder=encoder))
    engine.load_features(encoder, folder)
    examples = texts.add_pieces(
        texts.read_written()
        + texts.read_questions(QUESTION_FILES)
        + texts.read_measured_prompts(MEASURED_FILES) * MEASURED_REPEATS
        + texts.read_things(packages)
    )
    features = torch.from_numpy(engine.features([example.text for example in examples]))
    head.save(folder, features, examples)
    sys.stdout.write(f"{len(examples)} examples; the head is in {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

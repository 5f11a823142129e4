"""Exports the model of alt-profanity-check to safetensors. Its package has pickles, which are opened only here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file

from model_server.engines.moderation.profanity import VOCABULARY, WEIGHTS

if TYPE_CHECKING:
    from pathlib import Path


def export(folder: Path) -> None:
    """Write the model of the installed alt-profanity-check to `folder`, in the format that `Profanity.load` reads."""
    from profanity_check.profanity_check import model, vectorizer

    calibrated = model.calibrated_classifiers_
    columns = vectorizer.vocabulary_
    (folder / VOCABULARY).write_text("\n".join(sorted(columns, key=columns.get)), "utf-8")
    tensors = {
        "idf": vectorizer.idf_.astype(np.float32),
        "coefficients": np.vstack([one.estimator.coef_[0] for one in calibrated]).astype(np.float32),
        "intercepts": np.array([one.estimator.intercept_[0] for one in calibrated]),
        "slopes": np.array([one.calibrators[0].a_ for one in calibrated]),
        "offsets": np.array([one.calibrators[0].b_ for one in calibrated]),
    }
    save_file(tensors, folder / WEIGHTS)

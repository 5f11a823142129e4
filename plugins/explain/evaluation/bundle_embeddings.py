"""Embeds the lesson that comes with Tempera anew: `python -m plugins.explain.evaluation.bundle_embeddings`.

Run it after a change to the lesson or to its wordings.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np

from plugins.explain.evaluation.measure import embedded, served
from plugins.explain.lessons.parse import read
from plugins.explain.lessons.passages import passages
from plugins.explain.search.bundled_embeddings import FILE, MODEL, write
from plugins.explain.search.embedded_texts import key_of, texts_of
from plugins.explain.search.reference_lesson import DEFAULT_LESSON


async def main() -> int:
    """Embed the lesson anew, with a model server of its own."""
    data = await asyncio.to_thread(DEFAULT_LESSON.read_bytes)
    texts = list(dict.fromkeys(texts_of(passages(read(data, DEFAULT_LESSON.name)))))
    async with served("") as models:
        if models is None:
            sys.stderr.write(f"There is no {MODEL} to embed the lesson with: `tempera-models pull {MODEL}`.\n")
            return 1
        rows = np.asarray(await embedded(models, texts), np.float32)
    write({key_of(MODEL, text): row for text, row in zip(texts, rows, strict=True)}, FILE)
    sys.stdout.write(f"{len(texts)} texts, {FILE.stat().st_size:,} bytes: {FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

"""Embeds the lesson that comes with Tempera: `python -m research.explain.bundle_embeddings`.

Run it after a change to the lesson or to its further wordings.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np

from bot.documents.parse import parse_document
from plugins.explain.lessons.passages import split_passages
from plugins.explain.search.embedding.bundled_embeddings import FILE, MODEL, write_bundled
from plugins.explain.search.embedding.embedded_texts import key_of, texts_of
from plugins.explain.search.reference_lesson import DEFAULT_LESSON
from research.explain.measure import embed_texts, open_model_server


async def main() -> int:
    """Embed the lesson with a new model server, and write the file of bundled embeddings."""
    data = await asyncio.to_thread(DEFAULT_LESSON.read_bytes)
    texts = list(dict.fromkeys(texts_of(split_passages(parse_document(data, DEFAULT_LESSON.name)))))
    async with open_model_server("") as models:
        if models is None:
            sys.stderr.write(f"There is no {MODEL} to embed the lesson with: `tempera-models pull {MODEL}`.\n")
            return 1
        rows = np.asarray(await embed_texts(models, texts), np.float32)
    write_bundled({key_of(MODEL, text): row for text, row in zip(texts, rows, strict=True)}, FILE)
    sys.stdout.write(f"{len(texts)} texts, {FILE.stat().st_size:,} bytes: {FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

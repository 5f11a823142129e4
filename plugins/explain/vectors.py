"""The embeddings of passages, kept in the database: what was embedded once is not embedded again.

Each text is kept under a hash of the model's name and the text itself, so an edited lesson needs only what the edit
changed, lessons that say the same share it, and another model starts from nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from plugins.explain.prepared import prepared
from plugins.explain.search import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bot import ModelClient, Store
    from plugins.explain.passages import Passage
    from plugins.explain.search import Floats

SCOPE = "vectors"
BATCH = 16
"""Texts of one request: so few that a bot which ends with its answer has kept what was made until then."""
LONGEST = 4000
"""Characters of a text that are embedded, more than models read: a list may be any length, a request may not."""


async def vectors(store: Store, models: ModelClient, passages: Sequence[Passage], model: str = "") -> Floats:
    """A row for each text of the passages' `units`, in their order, as `Index.attach` takes them.

    `model` makes them; "" stands for the first that the model server offers.

    What is not kept yet and did not come with Tempera is embedded and kept, batch by batch, so that an interruption
    loses at most one. Raises what `ModelClient.embed` raises, also where everything is kept: without the model server
    no question can be embedded.
    """
    model = model or await models.first("embeddings")
    keys = {text: key_of(model, text) for text in texts_of(passages)}
    kept = await store.blobs(keys.values(), scope=SCOPE)
    ready = await asyncio.to_thread(prepared, model, keys.values() - kept.keys())
    kept |= {key: row.astype(np.float16).tobytes() for key, row in ready.items()}
    missing = iter([text for text, key in keys.items() if key not in kept])
    while batch := list(islice(missing, BATCH)):
        made = await models.embed([text[:LONGEST] for text in batch], model=model)
        new = {keys[text]: np.asarray(row, np.float16).tobytes() for text, row in zip(batch, made, strict=True)}
        await store.set_blobs(new, scope=SCOPE)
        kept |= new
    if not keys:
        return np.zeros((0, 0), np.float32)
    return np.array([np.frombuffer(kept[keys[text]], np.float16) for text in texts_of(passages)], np.float32)


async def forget_others(store: Store, models: ModelClient, passages: Iterable[Passage], model: str = "") -> None:
    """Drop the embeddings of all but these passages: call it with those of every lesson that anybody has."""
    model = model or await models.first("embeddings")
    used = {key_of(model, text) for text in texts_of(passages)}
    await store.delete_blobs(await store.blob_keys(scope=SCOPE) - used, scope=SCOPE)


def texts_of(passages: Iterable[Passage]) -> Iterator[str]:
    """The texts whose embeddings stand for the passages, in order."""
    return (text for passage in passages for part in units(passage) for text in part)


def key_of(model: str, text: str) -> str:
    """Under what the embedding of a text is kept: a hash in hexadecimal digits."""
    return hashlib.sha256(f"{model}\0{text}".encode()).hexdigest()

"""The embeddings of passages, kept in the database: what was embedded once is not embedded again.

Each text is kept under a hash of the model's name and the text itself, so an edited lesson needs only what the edit
changed, lessons that say the same share it, and another model starts from nothing.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from plugins.explain.search.bundled_embeddings import prepared
from plugins.explain.search.embedded_texts import key_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bot import ModelClient, Store
    from plugins.explain.lessons.passages import Passage
    from plugins.explain.search.types import Floats

SCOPE = "vectors"
BATCH = 16
"""Texts of one request: so few that a bot which ends with its answer has kept what was made until then."""
LONGEST = 4000
"""Characters of a text that are embedded, more than models read: a heading may be any length, a request may not."""
ALIKE = 0.95
"""The cosine of two embeddings of a text by one model is above this, however they are computed and rounded."""

log = logging.getLogger(__name__)


async def vectors(
    store: Store,
    models: ModelClient,
    passages: Sequence[Passage],
    model: str = "",
    known: dict[str, bytes] | None = None,
) -> Floats:
    """A row for each text of the passages' `units`, in their order, as `Index.attach` takes them.

    `model` makes them; "" stands for the first that the model server offers. `known` is what `kept` says of these
    passages, where that is known already; what is made is added to it.

    What is not kept yet is embedded and kept, batch by batch, so that an interruption loses at most one. Raises what
    `ModelClient.embed` raises.
    """
    model = model or await models.first("embeddings")
    keys = {text: key_of(model, text) for text in texts_of(passages)}
    known = await kept(store, models, passages, model) if known is None else known
    missing = iter([text for text, key in keys.items() if key not in known])
    while batch := list(islice(missing, BATCH)):
        made = await models.embed([text[:LONGEST] for text in batch], model=model)
        new = {keys[text]: np.asarray(row, np.float16).tobytes() for text, row in zip(batch, made, strict=True)}
        await store.set_blobs(new, scope=SCOPE)
        known |= new
    if not keys:
        return np.zeros((0, 0), np.float32)
    return np.array([np.frombuffer(known[keys[text]], np.float16) for text in texts_of(passages)], np.float32)


async def kept(store: Store, models: ModelClient, passages: Iterable[Passage], model: str) -> dict[str, bytes]:
    """The embeddings, by key, of what need not be embedded: those in the database, and those that came with Tempera.

    The model may have been replaced by another one of its name. So a text of either is embedded once more, and if that
    gives something else, none of them counts. Raises what `ModelClient.embed` raises, also where everything is kept:
    without the model server no question can be embedded.
    """
    texts = {key_of(model, text): text for text in texts_of(passages)}
    stored = await store.blobs(texts, scope=SCOPE)
    if not await _is_current(models, model, texts, stored):
        log.warning("The model %s is another one than it was, so the lessons are embedded anew.", model)
        await store.delete_blobs(await store.blob_keys(scope=SCOPE), scope=SCOPE)
        stored = {}
    rows = await asyncio.to_thread(prepared, model, texts.keys() - stored.keys())
    came = {key: row.astype(np.float16).tobytes() for key, row in rows.items()}
    return stored | came if await _is_current(models, model, texts, came) else stored


async def _is_current(models: ModelClient, model: str, texts: Mapping[str, str], known: Mapping[str, bytes]) -> bool:
    """Whether the model still makes of a text what is known of it."""
    if not known:
        return True
    key, data = next(iter(known.items()))
    before = np.frombuffer(data, np.float16).astype(np.float32)
    now = np.asarray((await models.embed([texts[key][:LONGEST]], model=model))[0], np.float32)
    if len(before) != len(now):
        return False
    return float(before @ now) > ALIKE * float(np.linalg.norm(before) * np.linalg.norm(now))


async def forget_others(store: Store, models: ModelClient, passages: Iterable[Passage], model: str = "") -> None:
    """Drop the embeddings of all but these passages: call it with those of every lesson that anybody has."""
    model = model or await models.first("embeddings")
    used = await asyncio.to_thread(lambda: {key_of(model, text) for text in texts_of(passages)})
    await store.delete_blobs(await store.blob_keys(scope=SCOPE) - used, scope=SCOPE)

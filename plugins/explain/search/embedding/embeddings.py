"""Embeds passages, and stores the embeddings in the database so that no text is embedded twice.

The sentences that show the scale of a model are stored in the same way.

Each embedding is stored under a hash of the model's name and the text. So after an edit only the changed texts are
embedded, equal texts of several lessons share one embedding, and another model starts without any.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice

import numpy as np

from bot import ModelClient, Store
from plugins.explain.lessons.passages import Passage
from plugins.explain.search.embedding.bundled_embeddings import MODEL, load_bundled
from plugins.explain.search.embedding.embedded_texts import key_of, texts_of
from plugins.explain.search.embedding.scale import REFERENCE_SCALE, UNRELATED_SENTENCES, SimilarityScale, measure_scale
from plugins.explain.search.types import Floats

SCOPE = "vectors"
TEXTS_PER_REQUEST = 16
"""The texts of one request: few, so that a bot that ends after one answer loses little unfinished work."""
MAX_CHARACTERS = 4000
"""The characters of a text that are sent. Models read fewer, and a heading of any length must fit a request."""
MIN_SAME_MODEL_COSINE = 0.95
"""Two embeddings of a text by one model have a larger cosine than this, however they are computed and rounded."""

log = logging.getLogger(__name__)


async def embed_passages(
    store: Store,
    models: ModelClient,
    passages: Sequence[Passage],
    model: str = "",
    known: dict[str, bytes] | None = None,
) -> Floats:
    """Return a row for each text of the passages' `text_groups`, in their order, as `Index.attach` takes them.

    `model` "" stands for the first embedding model of the model server. `known` is the result of `load_embeddings` for
    their texts, if the caller has it; new embeddings are added to it.

    Texts without a stored embedding are embedded and stored batch by batch, so that an interruption loses at most one
    batch. Raises what `ModelClient.embed` raises.
    """
    model = model or await models.first("embeddings")
    return await _embed_texts(store, models, list(texts_of(passages)), model, known)


async def model_scale(store: Store, models: ModelClient, model: str) -> SimilarityScale:
    """Return the scale of the similarities of a model. Raises what `ModelClient.embed` raises."""
    if model == MODEL:
        return REFERENCE_SCALE
    rows = await _embed_texts(store, models, UNRELATED_SENTENCES, model)
    return await asyncio.to_thread(measure_scale, rows)


async def _embed_texts(
    store: Store, models: ModelClient, texts: Sequence[str], model: str, known: dict[str, bytes] | None = None
) -> Floats:
    keys = {text: key_of(model, text) for text in texts}
    known = await load_embeddings(store, models, texts, model) if known is None else known
    missing = iter([text for text, key in keys.items() if key not in known])
    while batch := list(islice(missing, TEXTS_PER_REQUEST)):
        rows = await models.embed([text[:MAX_CHARACTERS] for text in batch], model=model)
        new = {keys[text]: np.asarray(row, np.float16).tobytes() for text, row in zip(batch, rows, strict=True)}
        await store.set_blobs(new, scope=SCOPE)
        known |= new
    if not keys:
        return np.zeros((0, 0), np.float32)
    return np.array([np.frombuffer(known[keys[text]], np.float16) for text in texts], np.float32)


async def load_embeddings(
    store: Store, models: ModelClient, texts_to_embed: Iterable[str], model: str
) -> dict[str, bytes]:
    """Return the embeddings of texts that exist already, by key, from the database and from what comes with Tempera.

    The model may have been replaced by another one of the same name. So one text of each source is embedded again; if
    the result differs, that source is not used. Raises what `ModelClient.embed` raises, even if all embeddings exist,
    because without the model server no question can be embedded either.
    """
    texts = {key_of(model, text): text for text in texts_to_embed}
    stored = await store.blobs(texts, scope=SCOPE)
    if not await _is_current(models, model, texts, stored):
        log.warning("The model %s was replaced by another one of its name: all lessons are embedded again.", model)
        await store.delete_blobs(await store.blob_keys(scope=SCOPE), scope=SCOPE)
        stored = {}
    rows = await asyncio.to_thread(load_bundled, model, texts.keys() - stored.keys())
    bundled = {key: row.astype(np.float16).tobytes() for key, row in rows.items()}
    return stored | bundled if await _is_current(models, model, texts, bundled) else stored


async def _is_current(models: ModelClient, model: str, texts: Mapping[str, str], known: Mapping[str, bytes]) -> bool:
    """Return True if the model still makes the `known` embeddings, as far as the first one shows."""
    if not known:
        return True
    key, data = next(iter(known.items()))
    before = np.frombuffer(data, np.float16).astype(np.float32)
    now = np.asarray((await models.embed([texts[key][:MAX_CHARACTERS]], model=model))[0], np.float32)
    if len(before) != len(now):
        return False
    return float(before @ now) > MIN_SAME_MODEL_COSINE * float(np.linalg.norm(before) * np.linalg.norm(now))


async def delete_unused(store: Store, models: ModelClient, passages: Iterable[Passage], model: str = "") -> None:
    """Delete all embeddings except those of `passages`, which must be the passages of all lessons of all servers."""
    model = model or await models.first("embeddings")
    texts = chain(texts_of(passages), UNRELATED_SENTENCES)
    used = await asyncio.to_thread(lambda: {key_of(model, text) for text in texts})
    await store.delete_blobs(await store.blob_keys(scope=SCOPE) - used, scope=SCOPE)


async def delete_passages(
    store: Store, models: ModelClient, passages: Iterable[Passage], kept: Iterable[Passage], model: str = ""
) -> None:
    """Delete the embeddings of `passages`, except those of texts that passages to be `kept` have, too."""
    model = model or await models.first("embeddings")
    keys = await asyncio.to_thread(
        lambda: {
            key_of(model, text) for text in set(texts_of(passages)) - set(chain(texts_of(kept), UNRELATED_SENTENCES))
        }
    )
    await store.delete_blobs(keys, scope=SCOPE)

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.model_server.model_api import FakeModels

from bot import ModelClient, Store
from bot.documents.parse import parse_document
from bot.storage.database import Database
from plugins.explain.lessons.passages import Passage, split_passages
from plugins.explain.search.embedding import bundled_embeddings
from plugins.explain.search.embedding.bundled_embeddings import MODEL, write_bundled
from plugins.explain.search.embedding.embedded_texts import key_of, texts_of
from plugins.explain.search.embedding.embeddings import embed_passages
from plugins.explain.search.reference_lesson import DEFAULT_LESSON


def lesson() -> list[Passage]:
    return split_passages(parse_document(DEFAULT_LESSON.read_bytes(), DEFAULT_LESSON.name))


def test_all_embeddings_of_the_default_lesson_are_bundled() -> None:
    """After a change to the lesson, `python -m research.explain.bundle_embeddings` makes this pass again."""
    keys = {key_of(MODEL, text): text for text in texts_of(lesson())}
    known = bundled_embeddings.load_bundled(MODEL, keys)
    assert [text for key, text in keys.items() if key not in known] == []
    assert np.allclose([np.linalg.norm(row) for row in known.values()], 1, atol=1e-3)


async def test_bundled_texts_are_not_embedded(
    models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = split_passages(parse_document(b"# Pets\n\n## Cats\n\nThey purr.\n", "pets.md"))
    really, compared = ModelClient.embed, list[str]()

    async def embed(self: ModelClient, texts: Sequence[str], *, model: str, **more: Any) -> Any:
        """Return the bundled embedding of a text, as the model that made it would."""
        known = bundled_embeddings.load_bundled(MODEL, [key_of(model, text) for text in texts])
        compared.extend(texts if known else ())
        return list(known.values()) or await really(self, texts, model=model, **more)

    monkeypatch.setattr(ModelClient, "embed", embed)
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database, ModelClient(models.url) as client:
        store = Store(database, "explain")
        models.listed |= {MODEL: "embeddings", "other-embeddings": "embeddings"}
        rows = await embed_passages(store, client, lesson()[:3], MODEL)
        assert (models.requests, len(compared)) == ([], 1)
        await embed_passages(store, client, own, MODEL)
        assert {text for request in models.requests for text in request["input"]} == set(texts_of(own))
        await embed_passages(store, client, lesson()[:3], "other-embeddings")
    assert rows.shape == (len(list(texts_of(lesson()[:3]))), 384)
    assert {text for request in models.requests[1:] for text in request["input"]} == set(texts_of(lesson()[:3]))


async def test_bundled_embeddings_are_not_used_for_another_model_of_the_same_name(
    models: FakeModels, tmp_path: Path
) -> None:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database, ModelClient(models.url) as client:
        models.listed |= {MODEL: "embeddings"}
        rows = await embed_passages(Store(database, "explain"), client, lesson()[:3], MODEL)
    assert rows.shape == (len(list(texts_of(lesson()[:3]))), 3)


def test_eight_bits_keep_the_direction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((20, 384)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    keys = [key_of(MODEL, str(number)) for number in range(20)]
    path = tmp_path / "rows.npz"
    write_bundled(dict(zip(keys, rows, strict=True)), path)
    monkeypatch.setattr(bundled_embeddings, "FILE", path)
    known = bundled_embeddings.load_bundled(MODEL, [*keys, key_of(MODEL, "unknown")])
    assert list(known) == keys
    assert min(float(known[key] @ row) for key, row in zip(keys, rows, strict=True)) > 0.9999


def test_without_the_file_nothing_is_bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled_embeddings, "FILE", tmp_path / "none.npz")
    assert bundled_embeddings.load_bundled(MODEL, [key_of(MODEL, "anything")]) == {}

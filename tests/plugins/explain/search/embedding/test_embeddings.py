from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.model_server.model_api import FakeModels

from bot import ModelClient, Store, UserError
from bot.documents.parse import parse_document
from bot.storage.database import Database
from plugins.explain.lessons.passages import Passage, split_passages
from plugins.explain.search.embedding.embedded_texts import texts_of
from plugins.explain.search.embedding.embeddings import (
    SCOPE,
    delete_unused,
    embed_passages,
    model_scale,
)
from plugins.explain.search.embedding.scale import UNRELATED_SENTENCES

LESSON = "# Pets\n\n## Cats\n\nThey purr. They sleep.\n\n## Dogs\n\nThey bark. They run.\n"


def pets_passages(text: str = LESSON) -> list[Passage]:
    return split_passages(parse_document(text.encode(), "pets.md"))


def texts(passages: list[Passage]) -> list[str]:
    return list(texts_of(passages))


def take_embedded_texts(models: FakeModels) -> list[str]:
    """Return the texts that the model server has embedded since the last call."""
    asked = [text for request in models.requests for text in request["input"]]
    models.requests.clear()
    return asked


@pytest.fixture
async def client(models: FakeModels) -> AsyncIterator[ModelClient]:
    async with ModelClient(models.url) as made:
        yield made


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        yield Store(database, "explain")


async def test_rows_are_in_the_order_of_the_text_groups(models: FakeModels, client: ModelClient, store: Store) -> None:
    found = await embed_passages(store, client, pets_passages())
    expected = [(len(text), text.count(" "), 1) for text in texts(pets_passages())]
    assert np.array_equal(found, np.array(expected, np.float32))
    assert sorted(take_embedded_texts(models)) == sorted(set(texts(pets_passages())))


async def test_a_restart_embeds_nothing_and_an_edit_only_the_changed_texts(
    models: FakeModels, client: ModelClient, tmp_path: Path
) -> None:
    edited = pets_passages(LESSON.replace("They bark.", "They howl."))
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        before = await embed_passages(Store(database, "explain"), client, pets_passages())
    take_embedded_texts(models)
    async with Database(f"sqlite:///{tmp_path}/tempera.db") as database:
        store = Store(database, "explain")
        assert np.array_equal(await embed_passages(store, client, pets_passages()), before)
        # One text shows that it still is the same model.
        (again,) = take_embedded_texts(models)
        await embed_passages(store, client, edited)
        asked = set(take_embedded_texts(models)) - {again}
    assert asked == {"Dogs. They howl. They run.", "Dogs: They howl.", "They howl."}


async def test_another_model_embeds_everything_again(models: FakeModels, client: ModelClient, store: Store) -> None:
    models.listed["other-embeddings"] = "embeddings"
    await embed_passages(store, client, pets_passages())
    take_embedded_texts(models)
    await embed_passages(store, client, pets_passages(), "other-embeddings")
    assert {request["model"] for request in models.requests} == {"other-embeddings"}
    assert sorted(take_embedded_texts(models)) == sorted(set(texts(pets_passages())))


@pytest.mark.parametrize(
    "other", [lambda row: [*row, 1.0], lambda row: [-row[0], row[1], -row[2]]], ids=["wider", "elsewhere"]
)
async def test_another_model_of_the_same_name_embeds_everything_again(
    models: FakeModels,
    client: ModelClient,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    other: Callable[[Sequence[float]], Sequence[float]],
) -> None:
    really = ModelClient.embed

    async def embed(self: ModelClient, asked: Sequence[str], **more: Any) -> Any:
        return [other(row) for row in await really(self, asked, **more)]

    before = await embed_passages(store, client, pets_passages())
    monkeypatch.setattr(ModelClient, "embed", embed)
    take_embedded_texts(models)
    after = await embed_passages(store, client, pets_passages())
    assert sorted(set(take_embedded_texts(models))) == sorted(set(texts(pets_passages())))
    assert np.array_equal(after, [other(row) for row in before.tolist()])
    assert np.array_equal(await embed_passages(store, client, pets_passages()), after)
    assert len(take_embedded_texts(models)) == 1


async def test_stored_embeddings_need_the_model_server(models: FakeModels, client: ModelClient, store: Store) -> None:
    await embed_passages(store, client, pets_passages(), "fake-embeddings")
    models.failure = (503, "It is loading.")
    with pytest.raises(UserError):
        await embed_passages(store, client, pets_passages(), "fake-embeddings")


async def test_unused_embeddings_are_deleted(models: FakeModels, client: ModelClient, store: Store) -> None:
    cats, dogs = pets_passages()
    await embed_passages(store, client, [cats, dogs])
    await delete_unused(store, client, [dogs])
    assert len(await store.blob_keys(scope=SCOPE)) == len(set(texts([dogs])))
    take_embedded_texts(models)
    await embed_passages(store, client, [cats, dogs])
    again, *asked = take_embedded_texts(models)
    assert sorted(asked) == sorted(set(texts([cats])))
    assert again in texts([dogs])


async def test_batches_finished_before_an_interruption_are_not_embedded_again(
    models: FakeModels, client: ModelClient, store: Store
) -> None:
    many = pets_passages("# Pets\n\n" + "".join(f"## Pet {number}\n\nIt is pet {number}.\n\n" for number in range(30)))
    models.failure, models.failing = (503, "Too busy."), lambda body: len(models.requests) > 2
    with pytest.raises(UserError):
        await embed_passages(store, client, many)
    models.failure = None
    before = take_embedded_texts(models)[:32]
    await embed_passages(store, client, many)
    again, *asked = take_embedded_texts(models)
    assert sorted(asked) == sorted(set(texts(many)) - set(before))
    assert again in before


async def test_no_passages_are_no_rows(client: ModelClient, store: Store) -> None:
    assert (await embed_passages(store, client, [])).shape == (0, 0)


async def test_long_texts_fit_a_request_in_any_script(client: ModelClient, store: Store) -> None:
    long = pets_passages(
        "# Pets\n\n## Cats\n\n" + "\n".join(f"- {number} {'🐈 кошка ' * 2000}" for number in range(10))
    )
    rows = await embed_passages(store, client, long)
    assert len(rows) == len(texts(long))


async def test_the_scale_of_a_model_is_measured_once_and_kept(
    models: FakeModels, client: ModelClient, store: Store
) -> None:
    models.listed["other-embeddings"] = "embeddings"
    before = await model_scale(store, client, "other-embeddings")
    assert take_embedded_texts(models) == list(UNRELATED_SENTENCES)
    await delete_unused(store, client, pets_passages(), "other-embeddings")
    again = await model_scale(store, client, "other-embeddings")
    # One sentence shows that it still is the same model.
    (embedded,) = take_embedded_texts(models)
    assert embedded in UNRELATED_SENTENCES
    rows = np.eye(3, dtype=np.float32)
    assert np.array_equal(before.apply(rows), again.apply(rows))
    assert not np.allclose(before.apply(rows), rows)

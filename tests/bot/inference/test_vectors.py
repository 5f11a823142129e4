import math

import pytest
from fakes.model_server.other_server import OtherServer

from bot.core.errors import ModelUnavailable
from bot.inference.client import ModelClient


def vectors(*values: object) -> dict[str, object]:
    data = [{"object": "embedding", "index": number, "embedding": value} for number, value in enumerate(values)]
    return {"object": "list", "data": data[::-1], "model": "embed"}


async def test_vectors_of_others_are_in_order_and_of_length_1() -> None:
    async with OtherServer(listed=[{"id": "embed"}]) as server, ModelClient(server.url) as client:
        server.shapes["embeddings"] = vectors([3, 4], [0.0, -2.0])
        assert await client.embed(["a", "b"]) == [[0.6, 0.8], [0.0, -1.0]]
    assert server.requests == [{"model": "embed", "input": ["a", "b"]}]


@pytest.mark.parametrize(
    "answer",
    [
        vectors([1.0]),
        vectors([1.0], [1.0, 2.0]),
        vectors([1.0], []),
        vectors([1.0], "AACAPw=="),
        vectors([1.0], ["x"]),
        vectors([1.0], [0.0]),
        vectors([1.0], [math.inf]),
        {"data": [{"embedding": [1.0]}, {"embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"error": "Unexpected endpoint or method."},
    ],
    ids=["one", "widths", "empty", "base64", "text", "zero", "infinite", "no index", "same index", "error"],
)
async def test_anything_else_is_told_in_a_sentence(answer: dict[str, object]) -> None:
    async with OtherServer(listed=[{"id": "embed"}]) as server, ModelClient(server.url) as client:
        server.shapes["embeddings"] = answer
        with pytest.raises(ModelUnavailable, match="came in a form that I do not know"):
            await client.embed(["a", "b"])

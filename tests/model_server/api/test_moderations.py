"""POST /v1/moderations over HTTP, in OpenAI's format."""

import aiohttp
from openai import AsyncOpenAI

from model_server.api.responses import CATEGORIES


async def moderate(http: aiohttp.ClientSession, **body: object) -> tuple[int, dict]:
    async with http.post("/v1/moderations", json=body) as response:
        return response.status, await response.json()


async def test_the_official_client_reads_moderations(server_url: str) -> None:
    async with AsyncOpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        answer = await client.moderations.create(input=["a nice day", "so much hate"], model="judge")
    fine, bad = answer.results
    assert not fine.flagged
    assert bad.flagged
    assert bad.categories.hate
    assert not bad.categories.violence
    assert bad.category_scores.hate == 1.0
    assert bad.category_scores.sexual_minors == 0.0
    assert answer.id.startswith("modr-")


async def test_without_a_model_the_first_one_answers(http: aiohttp.ClientSession) -> None:
    status, answer = await moderate(http, input="violence and hate")
    assert (status, answer["model"]) == (200, "judge")
    [result] = answer["results"]
    assert set(result["categories"]) == set(result["category_scores"]) == set(CATEGORIES)
    assert [name for name, there in result["categories"].items() if there] == ["hate", "violence"]


async def test_models_for_anything_else_are_refused(http: aiohttp.ClientSession) -> None:
    status, answer = await moderate(http, input="x", model="ruler")
    sentence = "ruler turns texts into vectors at /v1/embeddings, and does nothing else."
    assert (status, answer["error"]["message"]) == (400, sentence)
    assert (await moderate(http, input=[]))[0] == 400

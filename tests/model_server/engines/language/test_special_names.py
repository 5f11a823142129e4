"""The names of special tokens in what strangers send by HTTP to a server with a real tokenizer and a real worker."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fakes.model_server.gateway import eventually, is_ready, listening

from model_server.catalogue import CatalogueEntry
from model_server.files.cache import ModelCache

NAMES = ("<|text|>", "<|start|>", "<|end|>")
REPEATS = 20
PARTS = 3
"""The least number of tokens of a name that is text: two signs, a word, and two signs."""


@pytest.mark.processes
async def test_the_names_of_special_tokens_are_text_in_requests(qwen: Path, tmp_path: Path) -> None:
    entry = CatalogueEntry(
        name="tiny", engine="language", description="Tiny", licence="MIT", folder=qwen, device="cpu", dtype="float32"
    )
    async with listening(entries=[entry], model_cache=ModelCache(tmp_path)) as url, aiohttp.ClientSession(url) as http:
        await eventually(lambda: is_ready(url))

        async def count(path: str, **body: Any) -> int:
            """Return how many tokens the model read."""
            async with http.post(path, json={"model": "tiny", "max_tokens": 1, **body}) as response:
                assert response.status == 200, await response.text()
                return int((await response.json())["usage"]["prompt_tokens"])

        async def count_chat(text: str, role: str) -> int:
            begun = [{"role": "user", "content": "a"}] * (role == "assistant")
            return await count("/v1/chat/completions", messages=[*begun, {"role": role, "content": text}])

        for number, name in enumerate(NAMES):
            assert await count("/v1/completions", prompt=[number] * REPEATS) == REPEATS
            assert await count("/v1/completions", prompt=name * REPEATS) >= PARTS * REPEATS
            for role in ("system", "user", "assistant"):
                more = await count_chat(name * REPEATS, role) - await count_chat("a", role)
                assert more >= PARTS * REPEATS - 1

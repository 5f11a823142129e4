"""The fake of Discord is as strict as Discord, on which the other tests rely."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from fakes.discord import FakeDiscord, FakeInteraction
from fakes.discord.contract import contract

Answer = tuple[int, Any]
Call = Callable[..., Awaitable[Answer]]
DEFER = {"type": 5, "data": {"flags": 0}}
ASK = {
    "name": "ask",
    "description": "Ask.",
    "type": 1,
    "options": [
        {"name": "prompt", "description": "What.", "type": 3, "required": True},
        {"name": "temperature", "description": "How.", "type": 10, "min_value": 0, "max_value": 2},
    ],
    "integration_types": [0, 1],
    "contexts": [0, 1, 2],
}


@pytest.fixture
async def server() -> AsyncIterator[FakeDiscord]:
    async with FakeDiscord() as running:
        yield running


@pytest.fixture
async def call(server: FakeDiscord) -> AsyncIterator[Call]:
    """`call(method, path, body, files)` returns status and body of the response; {} for an empty one."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {server.token}"}) as session:

        async def request(method: str, path: str, body: Any = None, files: dict[str, bytes] | None = None) -> Answer:
            more: dict[str, Any] = {}
            if files:
                form = aiohttp.FormData(quote_fields=False)
                form.add_field("payload_json", json.dumps(body))
                for number, (name, data) in enumerate(files.items()):
                    form.add_field(f"files[{number}]", data, filename=name)
                more["data"] = form
            elif body is not None:
                more = {"data": json.dumps(body), "headers": {"Content-Type": "application/json"}}
            async with session.request(method, server.api_base + path, **more) as response:
                text = await response.text()
                return response.status, json.loads(text) if text else {}

        status, _ = await request("PUT", f"/applications/{server.application_id}/commands", [ASK])
        assert status == 200
        yield request


@pytest.fixture
async def asked(server: FakeDiscord, call: Call) -> FakeInteraction:
    return await server.slash(server.ann, server.channel, "ask", prompt="Why?")


def callback(asked: FakeInteraction) -> str:
    return f"/interactions/{asked.id}/{asked.token}/callback"


def is_refused(answer: Answer, status: int, code: int) -> bool:
    return answer[0] == status and answer[1]["code"] == code


async def test_an_interaction_must_be_acknowledged_within_three_seconds(asked: FakeInteraction, call: Call) -> None:
    asked.sent -= 3.1
    assert is_refused(await call("POST", callback(asked), DEFER), 404, 10062)
    with pytest.raises(AssertionError, match="did not respond"):
        await asked.acknowledged()


async def test_a_field_over_its_limit_is_named(server: FakeDiscord, call: Call) -> None:
    path = f"/channels/{server.channel.id}/messages"
    answer = await call("POST", path, {"content": "x" * 2001})
    assert is_refused(answer, 400, 50035)
    assert answer[1]["errors"]["content"]["_errors"][0]["message"] == "Must be 2000 or fewer in length."
    button = {"type": 2, "style": 1, "label": "Go", "custom_id": "same"}
    rows = [{"type": 1, "components": [button, button]}]
    answer = await call("POST", path, {"content": "x", "components": rows})
    assert "COMPONENT_CUSTOM_ID_DUPLICATED" in json.dumps(answer[1])
    assert is_refused(await call("POST", path, {"content": " "}), 400, 50006)
    server.attachment_size_limit = 10
    assert is_refused(await call("POST", path, {"content": "x"}, {"a.txt": b"x" * 11}), 413, 40005)
    assert server.messages(server.channel) == []


async def test_pings_follow_allowed_mentions(server: FakeDiscord, call: Call) -> None:
    said = await server.say(server.ann, server.channel, "Hello.")
    path = f"/channels/{server.channel.id}/messages"
    reference = {"message_id": said.id}
    text = f"{server.ben.mention} @everyone"
    await call("POST", path, {"content": text, "message_reference": reference})
    await call("POST", path, {"content": text, "message_reference": reference, "allowed_mentions": {"parse": []}})
    open_one, quiet = server.messages(server.channel)[1:]
    # @everyone pings only with the permission for it.
    assert open_one.pings == [server.ben.id, server.ann.id]
    assert quiet.pings == []


async def test_commands_keep_their_id_and_have_required_options_first(server: FakeDiscord, call: Call) -> None:
    path = f"/applications/{server.application_id}/commands"
    (before,) = server.commands()
    _, after = await call("PUT", path, [{**ASK, "description": "Ask anything."}])
    assert (after[0]["id"], after[0]["description"]) == (before["id"], "Ask anything.")
    turned = {**ASK, "options": ASK["options"][::-1]}
    assert "REQUIRED_INVALID" in json.dumps((await call("PUT", path, [turned]))[1])
    assert "DUPLICATE_NAME" in json.dumps((await call("PUT", path, [ASK, ASK]))[1])


@pytest.mark.skipif(contract() is None, reason="Discord's description of its API is not here")
async def test_a_breach_of_contract_fails_the_test() -> None:
    server = await FakeDiscord().__aenter__()
    headers = {"Content-Type": "application/json", "Authorization": f"Bot {server.token}"}
    address = f"{server.api_base}/channels/{server.channel.id}/messages"
    body = b'{"content": "x", "contend": "y"}'
    async with aiohttp.ClientSession(headers=headers) as session, session.post(address, data=body) as response:
        assert response.status == 200
    with pytest.raises(AssertionError, match="'contend' was unexpected"):
        await server.__aexit__(None)

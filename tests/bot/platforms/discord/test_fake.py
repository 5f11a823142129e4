"""The fake of Discord is as strict as Discord, on which the other tests rely."""

import json
import time
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


def webhook(asked: FakeInteraction, message: str = "") -> str:
    path = f"/webhooks/{asked.application_id}/{asked.token}"
    return f"{path}/messages/{message}" if message else path


def is_refused(answer: Answer, status: int, code: int) -> bool:
    return answer[0] == status and answer[1]["code"] == code


async def test_an_interaction_must_be_acknowledged_within_three_seconds(asked: FakeInteraction, call: Call) -> None:
    asked.sent -= 3.1
    assert is_refused(await call("POST", callback(asked), DEFER), 404, 10062)
    with pytest.raises(AssertionError, match="did not respond"):
        await asked.acknowledged()


async def test_an_interaction_is_acknowledged_only_once(asked: FakeInteraction, call: Call) -> None:
    assert (await call("POST", callback(asked), DEFER))[0] == 204
    assert is_refused(await call("POST", callback(asked), DEFER), 400, 40060)
    assert (await asked.acknowledged()).kind == "defer"
    assert asked.refused == [40060]


async def test_a_token_is_valid_for_fifteen_minutes_from_the_acknowledgement(
    server: FakeDiscord, asked: FakeInteraction, call: Call
) -> None:
    edit = ("PATCH", webhook(asked, "@original"), {"content": "Because."})
    assert is_refused(await call(*edit), 404, 10015)
    await call("POST", callback(asked), DEFER)
    message = await asked.message()
    assert message.loading
    assert (await call(*edit))[0] == 200
    assert (message.content, message.loading) == ("Because.", False)
    server.expire_tokens()
    assert is_refused(await call(*edit), 401, 50027)


async def test_the_first_follow_up_replaces_a_deferred_response(asked: FakeInteraction, call: Call) -> None:
    await call("POST", callback(asked), DEFER)
    await call("POST", webhook(asked), {"content": "one", "flags": 64})
    message = await asked.message()
    assert (message.content, message.ephemeral, asked.followups) == ("one", False, [])
    await call("POST", webhook(asked), {"content": "two", "flags": 64})
    assert [(one.content, one.ephemeral) for one in asked.followups] == [("two", True)]


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


async def test_permissions_are_those_of_the_channel(server: FakeDiscord, call: Call) -> None:
    path = f"/channels/{server.channel.id}/messages"
    server.guild.set_permissions(server.channel, deny=["send_messages"])
    assert is_refused(await call("POST", path, {"content": "x"}), 403, 50013)
    server.guild.set_permissions(server.channel, deny=["view_channel"])
    assert is_refused(await call("POST", path, {"content": "x"}), 403, 50001)
    server.guild.set_permissions(server.channel)
    assert (await call("POST", path, {"content": "x"}))[0] == 200
    said = await server.say(server.ann, server.channel, "Mine.")
    assert is_refused(await call("PATCH", f"{path}/{said.id}", {"content": "x"}), 403, 50005)
    assert is_refused(await call("DELETE", f"{path}/{said.id}"), 403, 50013)
    server.delete_message(said)
    assert is_refused(await call("DELETE", f"{path}/{said.id}"), 404, 10008)
    server.delete_channel(server.channel)
    assert is_refused(await call("POST", path, {"content": "x"}), 404, 10003)


async def test_the_creator_of_a_thread_renames_and_closes_it(server: FakeDiscord, call: Call) -> None:
    said = await server.say(server.ann, server.channel, "Let us talk.")
    _, made = await call("POST", f"/channels/{server.channel.id}/messages/{said.id}/threads", {"name": "Talk"})
    thread, theirs = server.guild.threads[made["id"]], server.add_thread(server.channel, "Hers", server.ann)
    status, changed = await call("PATCH", f"/channels/{thread.id}", {"name": "…", "archived": True})
    assert (status, changed["name"], thread.archived) == (200, "…", True)
    assert is_refused(await call("PATCH", f"/channels/{thread.id}", {"name": "Talk"}), 400, 50083)
    assert is_refused(await call("PATCH", f"/channels/{theirs.id}", {"name": "…"}), 403, 50013)


async def test_too_many_requests_are_a_429_with_the_time_to_wait(server: FakeDiscord, call: Call) -> None:
    server.limit("POST", "/channels/*/messages", 2, 0.3)
    path = f"/channels/{server.channel.id}/messages"
    assert [(await call("POST", path, {"content": "x"}))[0] for _ in range(2)] == [200, 200]
    status, body = await call("POST", path, {"content": "x"})
    assert status == 429
    assert 0 < body["retry_after"] <= 0.3
    again = time.monotonic() + body["retry_after"]
    await server.until(lambda: time.monotonic() > again)
    assert (await call("POST", path, {"content": "x"}))[0] == 200


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


async def test_a_client_sends_only_registered_commands(server: FakeDiscord, call: Call) -> None:
    for name, options in (("nothing", {}), ("ask", {"promt": "x"}), ("ask", {}), ("ask sub", {"prompt": "x"})):
        with pytest.raises(LookupError):
            await server.slash(server.ann, server.channel, name, **options)
    for wrong in (3, 2.5, "0.5", True):
        with pytest.raises(ValueError, match="temperature"):
            await server.slash(server.ann, server.channel, "ask", prompt="x", temperature=wrong)
    assert server.interactions == {}


async def test_commands_keep_their_id_and_have_required_options_first(server: FakeDiscord, call: Call) -> None:
    path = f"/applications/{server.application_id}/commands"
    (before,) = server.commands()
    _, after = await call("PUT", path, [{**ASK, "description": "Ask anything."}])
    assert (after[0]["id"], after[0]["description"]) == (before["id"], "Ask anything.")
    turned = {**ASK, "options": ASK["options"][::-1]}
    assert "REQUIRED_INVALID" in json.dumps((await call("PUT", path, [turned]))[1])
    assert "DUPLICATE_NAME" in json.dumps((await call("PUT", path, [ASK, ASK]))[1])


async def test_message_content_is_hidden_without_the_intent(server: FakeDiscord) -> None:
    own = await server.say(server.bot, server.channel, "An answer.")
    plain = await server.say(server.ann, server.channel, "Hello.")
    for shown in (
        await server.say(server.ann, server.channel, "you", mention=True),
        await server.say(server.ann, server.channel, "why?", reply_to=own),
        await server.say(server.ann, server.dm(server.ann), "hi"),
    ):
        assert shown.payload_for(server.bot, message_content=False)["content"] == shown.content
    quiet = await server.say(server.ann, server.channel, "why?", reply_to=own, ping=False)
    about_hers = await server.say(server.ann, server.channel, "see there", reply_to=plain, mention=True)
    hidden = quiet.payload_for(server.bot, message_content=False)
    assert (hidden["content"], hidden["referenced_message"]["content"]) == ("", "An answer.")
    assert about_hers.payload_for(server.bot, message_content=False)["referenced_message"]["content"] == ""
    assert plain.payload_for(server.bot, message_content=True)["content"] == "Hello."


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

import math

import pytest
from fakes.model_server.other_server import OtherServer

from bot.config.upstreams import UpstreamSection
from bot.core.errors import ModelError
from bot.inference.client import ModelClient
from bot.inference.partial_dial import build_dial, read_likely
from bot.inference.upstreams.upstream import Upstream

LIKELY = [(b" mat", math.log(0.5)), (b" floor", math.log(0.25)), (b"\xf0\x9f", math.log(0.125))]
OLD = {"tokens": [" mat"], "token_logprobs": [-0.7], "top_logprobs": [{" floor": -1.4, " mat": -0.7, "": -9.0}]}
NEW = {
    "content": [
        {"token": " mat", "logprob": -0.7, "top_logprobs": [{"token": " mat", "logprob": -0.7, "bytes": None}]},
        {"token": "!", "logprob": -0.1, "top_logprobs": []},
    ]
}


def test_both_formats_of_probabilities_are_read() -> None:
    assert read_likely(OLD) == [(b" mat", -0.7), (b" floor", -1.4)]
    assert read_likely(NEW) == [(b" mat", -0.7)]
    assert read_likely({}) == read_likely({"content": None, "top_logprobs": []}) == []


def test_the_odds_are_among_the_tokens_that_are_told() -> None:
    dial = build_dial("m", "The cat", LIKELY, temperature=1, top_p=1, seed=1)
    assert dial.is_partial
    assert [one.before for one in dial.candidates] == pytest.approx([0.5, 0.25, 0.125])
    assert [one.after for one in dial.candidates] == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    place = dial.temperatures.index(0.5)
    shares = [math.exp(one.logit / 0.5 - dial.log_sum_exp[place]) for one in dial.candidates]
    assert shares == pytest.approx([16 / 21, 4 / 21, 1 / 21])
    cold = build_dial("m", "The cat", LIKELY, temperature=0, top_p=1, seed=1)
    assert [one.after for one in cold.candidates] == [1, 0, 0]
    cut = build_dial("m", "The cat", LIKELY, temperature=1, top_p=0.6, seed=1)
    assert [one.after for one in cut.candidates] == pytest.approx([2 / 3, 1 / 3, 0])


def test_a_seed_draws_the_same_token_again() -> None:
    drawn = [build_dial("m", "a", LIKELY, temperature=1, top_p=1, seed=seed).drawn.id for seed in range(50)]
    assert drawn == [build_dial("m", "a", LIKELY, temperature=1, top_p=1, seed=seed).drawn.id for seed in range(50)]
    assert set(drawn) == {0, 1, 2}


async def test_a_text_is_continued_as_it_is_and_otherwise_in_a_chat() -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.completion = {"choices": [{"text": " mat", "logprobs": OLD}]}
        dial = await client.dial("The cat sat on the")
        assert [one.bytes for one in dial.candidates] == [b" mat", b" floor"]
        assert (dial.model, dial.prompt) == ("tiny", (b"The cat sat on the",))
        assert not server.requests
    # Ollama's makers document no completions with probabilities, so it is not asked for them.
    for listed, asked in (({"id": "tiny"}, 1), ({"id": "tiny", "owned_by": "library"}, 0)):
        async with OtherServer(listed=[listed]) as server, ModelClient(server.url) as client:
            server.shape = {"choices": [{"message": {"content": " mat"}, "logprobs": NEW}]}
            assert [one.bytes for one in (await client.dial("The cat sat on the")).candidates] == [b" mat"]
        assert [body["messages"][-1]["content"] for body in server.requests] == ["The cat sat on the"]
        assert server.completions == asked


async def test_a_server_that_refuses_twenty_tokens_is_asked_for_five() -> None:
    async with OtherServer() as server, ModelClient(server.url) as client:
        server.refuses = lambda body: {"error": {"message": "No."}} if body["top_logprobs"] > 5 else None
        server.shape = {"choices": [{"message": {"content": " mat"}, "logprobs": NEW}]}
        assert [one.bytes for one in (await client.dial("The cat")).candidates] == [b" mat"]
    assert [body["top_logprobs"] for body in server.requests] == [20, 5]


@pytest.mark.parametrize("leave_out", [(), ("logprobs",)])
async def test_a_model_without_probabilities_is_told_of(leave_out: tuple[str, ...]) -> None:
    async with OtherServer() as server:
        section = UpstreamSection(name="other", url=server.url, leave_out=leave_out)
        server.shape = {"choices": [{"message": {"content": " mat"}}]}
        async with ModelClient.over([Upstream(section)]) as client:
            with pytest.raises(ModelError, match="“tiny@other” does not tell how probable its tokens are"):
                await client.dial("The cat")

"""What a prompt denies is not drawn as if it were asked for."""

import pytest
from fakes.core.requests import ask, last, speaking
from fakes.model_server.model_api import FakeModels

from bot.app import Bot
from plugins.imagine.denial import leave_out_denied


@pytest.mark.parametrize(
    ("prompt", "kept", "things"),
    [
        ("no dog", "", ("dog",)),
        ("there are no dogs!", "", ("dogs",)),
        ("a man without a hat on the beach", "a man on the beach", ("hat",)),
        ("a house without windows or doors, at night", "a house, at night", ("windows or doors",)),
        ("a pizza with no cheese and no ham", "a pizza", ("cheese", "ham")),
        ("a cat, not a dog", "a cat", ("dog",)),
        ("a sign that says no entry", "a sign that says no entry", ()),
        ("face without mouth", "face without mouth", ()),
        ("no", "no", ()),
    ],
)
def test_what_is_denied_is_left_out(prompt: str, kept: str, things: tuple[str, ...]) -> None:
    assert leave_out_denied(prompt) == (kept, things)


@pytest.mark.parametrize(
    ("prompt", "code"),
    [("a forest without a dog", "en"), ("ein Wald ohne Hund", "de"), ("un bosque sin perro", "es")],
)
async def test_the_answer_says_what_it_left_out(bot: Bot, models: FakeModels, prompt: str, code: str) -> None:
    reply = await last(bot, ask(f"/imagine count:1 negative:cat {prompt}", speaking(code)))
    drawn = models.requests[-1]
    assert (drawn["prompt"], drawn["negative_prompt"]) == ("a forest", "cat, dog")
    assert "`dog`" in reply.status
    assert "a forest" in reply.card.values()


@pytest.mark.parametrize(("prompt", "code"), [("no dog", "en"), ("kein Hund", "de"), ("ningún perro", "es")])
async def test_a_prompt_that_only_denies_is_refused(bot: Bot, models: FakeModels, prompt: str, code: str) -> None:
    reply = await last(bot, ask(f"/imagine {prompt}", speaking(code)))
    assert "`negative`" in reply.text
    assert not models.requests

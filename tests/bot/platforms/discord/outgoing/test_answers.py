"""Commands on Discord: their acknowledgement, and the messages of their answers."""

from pathlib import Path

import pytest
from fakes.discord import FakeDiscord, FakeInteraction, FakeMessage
from fakes.model_server.model_api import FakeModels, png
from fakes.platforms.discord_bot import Toys, answered, begun, bot_with_toys, finished, on_discord, told_privately
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.schema import DropTable

from bot.app import Bot
from bot.core.errors import UserError
from bot.core.messages import Attachment, Button, Reply, User
from bot.platforms.discord.outgoing import render
from bot.settings.scopes import Scope
from bot.storage.audit import AuditFilter
from bot.storage.database import EventRow

QUESTION = "What is the capital of France?"


def parts(asked: FakeInteraction) -> list[FakeMessage]:
    """Return all messages that answer a command."""
    return [part for part in (asked.original, *asked.followups) if part is not None]


async def test_a_public_question_is_deferred_and_answered(discord: FakeDiscord) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "ask", prompt=QUESTION, temperature=0.2)
    ack = await asked.acknowledged()
    assert (ack.kind, ack.private) == ("defer", False)
    message = await finished(discord, await asked.message())
    quote, text, card = message.content.split("\n\n")
    assert (quote, text) == (f"> {QUESTION}", "Paris is the capital of France.")
    assert card.startswith("-# made by AI · model fake-chat · temperature 0.2 · seed ")
    assert list(message.buttons) == ["Again", "Cooler", "Warmer", "Edit", "Continue", "Delete", "👍", "👎"]
    assert message.embeds == []


async def test_a_private_answer_is_deferred_privately(discord: FakeDiscord) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "whisper", text="hello")
    ack = await asked.acknowledged()
    assert (ack.kind, ack.private) == ("defer", True)
    message = await finished(discord, await asked.message())
    assert (message.content, message.ephemeral) == ("psst, hello", True)


async def test_a_refusal_is_immediate_and_private(discord: FakeDiscord, toys: Toys, toy_bot: Bot) -> None:
    await toy_bot.registry.switch("toys", Scope("discord", discord.guild.id), User("M", "Mod"), on=False)
    asked = await discord.slash(discord.ann, discord.channel, "play")
    ack = await asked.acknowledged()
    assert (ack.kind, ack.private) == ("message", True)
    assert ack.data["content"] == "/play is switched off here."
    assert discord.messages(discord.channel) == []
    assert toys.played == 0


async def test_a_refusal_is_shown_if_the_database_fails(discord: FakeDiscord, toy_bot: Bot) -> None:
    await toy_bot.registry.switch("toys", Scope("discord", discord.guild.id), User("M", "Mod"), on=False)
    async with toy_bot.database.writing() as session:
        await session.execute(DropTable(EventRow.__table__))
    asked = await discord.slash(discord.ann, discord.channel, "play")
    assert (await asked.acknowledged()).data["content"] == "/play is switched off here."


@pytest.mark.parametrize("given", [{}, {"seed": 3}])
async def test_a_command_without_a_required_option_opens_its_form(discord: FakeDiscord, given: dict[str, int]) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "ask", **given)
    assert (await asked.acknowledged()).kind == "modal"


async def test_an_answer_grows_up_to_the_whole_text(discord: FakeDiscord, toys: Toys) -> None:
    message = await begun(discord, "play")
    assert message.loading
    toys.say(Reply(status="Number 3 in the queue …"))
    await discord.until(lambda: message.content == "-# Number 3 in the queue …")
    assert list(message.buttons) == ["Stop"]
    toys.say(Reply(text="One"))
    await discord.until(lambda: message.content == "One")
    toys.say(*(Reply(text="One" + " more" * number) for number in range(100)))
    toys.say(Reply(text="One and all", card={"seed": "7"}, final=True))
    await finished(discord, message)
    assert message.content == "One and all\n\n-# seed 7"
    assert len(message.edits) < 50


async def test_a_429_loses_nothing(discord: FakeDiscord, toys: Toys) -> None:
    message = await begun(discord, "play")
    discord.refuse("PATCH", "/webhooks/*", 429, retry_after=0.05, times=2)
    toys.say(Reply(text="done", final=True))
    await finished(discord, message)
    assert message.content == "done"


async def test_a_long_answer_comes_in_parts_with_the_buttons_under_the_last(discord: FakeDiscord) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "stretch", length=5000, seed=1)
    await asked.message()
    await discord.until(lambda: len(asked.followups) == 2 and "Delete" in asked.followups[-1].buttons)
    assert " ".join(part.content for part in parts(asked)).split() == ["word"] * 1000
    assert [bool(part.buttons) for part in parts(asked)] == [False, False, True]
    assert not any(part.ephemeral for part in parts(asked))


async def test_a_private_long_answer_stays_private(discord: FakeDiscord, toys: Toys) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "whisper", text="word " * 1100)
    await asked.message()
    await discord.until(lambda: len(asked.followups) == 2)
    assert discord.messages(discord.channel) == []
    assert len(discord.private(discord.ann)) == 3
    assert discord.private(discord.ben) == []


async def test_an_answer_that_is_too_long_for_messages_becomes_a_file(discord: FakeDiscord, toys: Toys) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "play")
    message = await asked.message()
    text = "word " * 3000
    toys.say(Reply(text=text[:9000]), Reply(text=text[:11000], status="Still writing …"))
    await discord.until(lambda: len(asked.followups) == 4)
    assert not any(part.attachments for part in parts(asked))
    toys.say(Reply(text=text, card={"seed": "7"}, final=True))
    await discord.until(lambda: message.attachments)
    await discord.until(lambda: all(part.deleted for part in asked.followups))
    note = "This answer is too long for messages, so all of it is in the file answer.md."
    assert message.content == f"{note}\n\n-# seed 7"
    assert [(file.filename, file.data.decode()) for file in message.attachments] == [("answer.md", text)]
    assert "Again" in message.buttons


async def test_a_file_is_fetched_after_the_acknowledgement(discord: FakeDiscord) -> None:
    files = {"file": ("notes.txt", b"twelve bytes")}
    asked = await discord.slash(discord.ann, discord.channel, "weigh", files=files)
    assert (await asked.acknowledged()).kind == "defer"
    message = await finished(discord, await asked.message())
    assert message.content == "notes.txt: 12 bytes of text/plain"


async def test_a_file_that_cannot_be_fetched_is_a_sentence(discord: FakeDiscord) -> None:
    discord.files.clear()
    files = {"file": ("notes.txt", b"twelve bytes")}
    asked = await discord.slash(discord.ann, discord.channel, "weigh", files=files)
    discord.files.clear()
    said = await told_privately(discord)
    assert said.content == "notes.txt could not be fetched from Discord; send it again."
    assert (await asked.message()).deleted


async def test_an_error_after_a_public_deferral_is_private(discord: FakeDiscord, models: FakeModels) -> None:
    models.failure = (503, "The model is loading.")
    message = await begun(discord, "ask", prompt=QUESTION)
    said = await told_privately(discord)
    assert "The model is loading." in said.content
    assert message.deleted
    assert discord.messages(discord.channel) == []
    assert discord.private(discord.ben) == []
    models.failure = None
    again = await discord.press(discord.ann, said, "Again")
    assert (await again.acknowledged()).private
    assert "Paris" in (await finished(discord, await again.message())).content


async def test_an_error_stays_under_the_text_that_was_shown(discord: FakeDiscord, toys: Toys) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "play")
    toys.say(Reply(text="So far"), UserError("Enough."))
    message = await finished(discord, await asked.message())
    assert message.content == "So far\n\nEnough."


async def test_the_text_of_a_model_never_pings(discord: FakeDiscord, toys: Toys) -> None:
    mention = f"@everyone @here {discord.ben.mention} <@&{discord.guild.id}>"
    asked = await discord.slash(discord.ann, discord.channel, "play", text=mention)
    toys.say(Reply(text=mention))
    message = await asked.message()
    await discord.until(lambda: message.content)
    toys.say(Reply(text=f"{mention} {'word ' * 800}", final=True))
    await discord.until(lambda: len(asked.followups) == 2)
    assert [part.pings for part in parts(asked)] == [[], [], []]
    assert message.allowed_mentions == {"parse": []}


async def test_somebody_elses_acknowledgement_is_left_alone(
    discord: FakeDiscord, toys: Toys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for code, status in ((40060, 400), (10062, 404)):
        discord.refuse("POST", "/interactions/*", status, code=code)
        await discord.slash(discord.ann, discord.channel, "play")
        await discord.until(lambda code=code: str(code) in caplog.text)
    assert toys.played == 0
    assert discord.messages(discord.channel) == []
    # No warning, since this happens whenever two processes share a token.
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


async def test_two_processes_note_a_refusal_once(models: FakeModels, toys: Toys, tmp_path: Path) -> None:
    limited = {"limits.user.hour": 1}
    async with bot_with_toys(models, tmp_path, toys, settings=limited) as bot, FakeDiscord() as discord:
        async with on_discord(bot, discord), on_discord(bot, discord):
            await discord.until(lambda: [name for name, _ in discord.gateway_log].count("identify") == 2)
            await discord.connected()
            answer = await answered(discord, "ask", prompt=QUESTION)
            await discord.slash(discord.ann, discord.channel, "ask", prompt=QUESTION)
            await discord.press(discord.ben, answer, "Edit")
            await discord.until(lambda: discord.private(discord.ann) and discord.private(discord.ben))
            # Both processes have handled this one, and so those before it.
            last = await discord.slash(discord.mod, discord.channel, "whisper", text="hello")
            await discord.until(lambda: last.refused)
        noted = await bot.audit.find("discord", discord.guild.id, AuditFilter(kind="refusal"))
    assert sorted((entry.what, entry.reason) for entry in noted) == [("ask", "user.hour"), ("edit", "owner")]
    assert [len(discord.private(user)) for user in (discord.ann, discord.ben)] == [1, 1]


async def test_the_answer_has_the_language_of_the_asker(discord: FakeDiscord) -> None:
    eva = discord.add_user("Eva", locale="de")
    asked = await discord.slash(eva, discord.channel, "ask", prompt=QUESTION)
    assert "Noch einmal" in (await finished(discord, await asked.message())).buttons


async def test_the_answer_has_the_language_of_the_server_if_that_is_set(discord: FakeDiscord, toy_bot: Bot) -> None:
    scope = Scope("discord", discord.guild.id)
    await toy_bot.settings.write([toy_bot.settings.make_change("answers.language", "de", scope)], User("M", "Mod"))
    opened = await discord.slash(discord.ann, discord.channel, "ask")
    assert (await opened.acknowledged()).data["components"][0]["label"] == "Was du wissen möchtest"
    sent = await discord.submit(discord.ann, opened, {"prompt": QUESTION, "temperature": "hot"})
    assert "Das hast du eingegeben:" in (await sent.acknowledged()).data["content"]
    said = await discord.say(discord.ann, discord.channel, "", mention=True)
    welcome = await discord.until(lambda: next((one for one in discord.messages(said.channel) if one.reference), None))
    assert welcome.content.startswith("Hallo! Ich zeige, wie generative KI funktioniert.")


# Discord's limits, for any reply of a plugin

TEXT = st.text(st.sampled_from("a \n`~#>*_-😀é@<"), max_size=300).map(lambda text: text * 40)
BUTTONS = st.lists(st.builds(Button, st.text(max_size=120), id=st.just("")), max_size=30)


@given(TEXT, st.text(max_size=3000), st.dictionaries(st.text(max_size=50), st.text(max_size=500), max_size=8), BUTTONS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_message_is_over_a_limit(text: str, status: str, card: dict[str, str], buttons: list[Button]) -> None:
    numbered = tuple(Button(button.label, id=f"t:b{number}:1") for number, button in enumerate(buttons))
    for final in (False, True):
        reply = Reply(text=text, status=status, card=card, buttons=numbered, quote=text, final=final)
        messages = render.messages(reply, locale="de", max_file_bytes=1000_000)
        assert 1 <= len(messages) <= 5
        assert all(message.content.strip() and len(message.content) <= 2000 for message in messages)
        assert len(messages[-1].buttons) <= 25
        assert sum(len(message.files) for message in messages) <= 10


async def test_discord_takes_the_longest_possible_message(
    discord: FakeDiscord, toys: Toys, caplog: pytest.LogCaptureFixture
) -> None:
    buttons = tuple(Button("x" * 200, "play") for _ in range(40))
    pieces = ["```python\n" + "x = 1\n" * 900, "😀" * 4000, "a" * 9990, "\n" * 3000, "> " * 4000, "x"]
    for piece in pieces:
        asked = await discord.slash(discord.ann, discord.channel, "play", text="q" * 3000)
        toys.say(
            Reply(text=piece, status="s" * 300),
            Reply(text=piece, card={"model": "m" * 900}, buttons=buttons, final=True),
        )
        await asked.message()
        await discord.until(lambda asked=asked: any("x" * 80 in part.buttons for part in parts(asked)))
    assert caplog.text == ""


LINKED = "See [your bank](https://evil.example/login), or https://evil.example."
SHOWN = "See your bank (https://evil.example/login), or https://evil.example."
SUPPRESS_EMBEDS = 1 << 2


@pytest.mark.parametrize("final", [False, True])
async def test_links_of_a_model_show_where_they_lead_and_have_no_previews(
    discord: FakeDiscord, toys: Toys, final: bool
) -> None:
    asked = await discord.slash(discord.ann, discord.channel, "play", text="[hi](https://evil.example)")
    picture = Attachment("picture.png", png(1), "image/png")
    toys.say(Reply(text=LINKED + " x" * 1000 + LINKED, attachments=(picture,), final=final))
    if not final:
        await discord.until(lambda: bool(asked.followups))
        toys.say(Reply(text=LINKED + " x" * 1000 + LINKED, attachments=(picture,), final=True))
    await discord.until(lambda: any(part.content.endswith(SHOWN) for part in asked.followups))
    first, last = parts(asked)
    assert first.content.startswith(f"> hi (https://evil.example)\n\n{SHOWN} x")
    assert last.content.endswith(SHOWN)
    assert [file.filename for file in last.attachments] == ["picture.png"]
    assert all(part.flags & SUPPRESS_EMBEDS for part in (first, last))


async def test_a_private_sentence_and_an_answer_in_a_channel_have_no_previews(discord: FakeDiscord, toys: Toys) -> None:
    message = await answered(discord, "whisper", text=LINKED)
    assert message.content == f"psst, {SHOWN}"
    assert message.ephemeral
    assert message.flags & SUPPRESS_EMBEDS

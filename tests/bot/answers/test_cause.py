"""What a button did is said with the answer that it led to, also after a restart and in the language of the place."""

from collections.abc import Callable

import pytest
from fakes.core.echo_plugin import Echo
from fakes.core.requests import ANN, BEN, MODERATOR, ask, last, press, pressed, speaking

from bot.answers.cause import describe_press, read_cause
from bot.app import Bot
from bot.core.button_ids import ButtonId, Kind
from bot.core.messages import Reply
from bot.core.model_events import LikelyToken, Token
from bot.core.splitting import compose
from bot.storage.database import MessageRow


def told(reply: Reply) -> str:
    """What an answer says of its cause, on a platform that shows it in the bot's words."""
    return "" if reply.cause is None else reply.cause.sentence.in_language("en")


async def test_what_a_button_did_is_said_and_stored(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Echo()) as bot:
        first = await last(bot, ask("/ask temperature:1 hi"))
        again = await last(bot, press("again", first.row, MODERATOR))
        warmer = await last(bot, press("warmer", first.row))
        edited = await last(bot, press("edit", first.row, prompt="hi", temperature="0.5"))
        anew = await last(bot, press("edit", first.row, prompt="bye", temperature="1"))
        plugins = await pressed(bot, await last(bot, ask("/stairs", BEN)), "Down")
    assert [told(one) for one in (first, again, warmer, edited, anew, plugins)] == [
        "",
        "Mod pressed Again",
        "Ann pressed Warmer → 1.3",
        "Ann pressed Edit → temperature 0.5",
        "Ann pressed Edit",
        "Ann pressed Down",
    ]
    assert [one.cause.asks for one in (edited, anew) if one.cause] == [False, True]
    assert warmer.cause is not None
    assert warmer.cause.source == first.row
    assert compose(warmer).startswith("> Ann pressed Warmer → 1.3 · hi\n\n<hi> done")
    async with make_bot(Echo()) as later:
        for reply, sentence in (
            (first, ""),
            (warmer, "Ann hat Wärmer gedrückt → 1,3"),
            (edited, "Ann hat Bearbeiten gedrückt → Temperatur 0,5"),
        ):
            row = await later.messages.get(reply.row)
            assert row is not None
            assert told(await later.stored.snapshot(row, "de")) == sentence


async def test_a_cause_is_in_the_language_of_its_answer(make_bot: Callable[..., Bot]) -> None:
    async with make_bot(Echo()) as bot:
        first = await last(bot, ask("/ask hi"))
        assert told(await last(bot, press("cooler", first.row, speaking("es", ANN)))) == "Ann pulsó Más frío → 0,4"


def test_words_that_an_earlier_version_stored_are_shown_as_they_are() -> None:
    cause = read_cause(MessageRow(author_name="Ann", source=5, resume={"cause": {"action": "warmer", "change": "1.3"}}))
    assert cause is not None
    assert cause.sentence.in_language("en") == "Ann pressed Warmer → 1.3"


LIKELY = (LikelyToken(" garden", 0.5), LikelyToken("\n", 0.1), LikelyToken(" bad", 0.1, hidden=True))
TOKENS = (Token("🥚 in the", 1.0), Token(" kitchen", 0.3, LIKELY))


@pytest.mark.parametrize(
    ("choice", "sentence", "mark"),
    [
        (0, "Ann chose “garden” instead of “kitchen”", "garden"),
        (1, "Ann chose “⏎” instead of “kitchen”", ""),
        # What no answer may contain is not said here either.
        (2, "Ann chose another token", ""),
        (3, "Ann chose another token", ""),
    ],
)
async def test_a_fork_names_both_tokens_and_marks_the_new_one(
    make_bot: Callable[..., Bot], choice: int, sentence: str, mark: str
) -> None:
    async with make_bot(Echo()) as bot:
        command = bot.registry.find("ask")
    stored = describe_press(
        ButtonId(Kind.FORK, 1), "", MessageRow(options={}), command, {"at": 1, "choice": choice}, TOKENS
    )
    cause = read_cause(MessageRow(author_name="Ann", source=5, resume={"cause": stored}))
    assert cause is not None
    assert (cause.sentence.in_language("en"), cause.mark) == (sentence, mark)
    if mark:
        # A page counts 🥚 as two.
        assert "🥚 in the garden".encode("utf-16-le")[2 * cause.at :].decode("utf-16-le") == "garden"

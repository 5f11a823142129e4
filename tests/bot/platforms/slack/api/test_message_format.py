"""Replies as Slack messages: they mention nobody, hide no address, and stay within the limits."""

import json
import random
from collections.abc import Callable

import pytest
from fakes.core.growth import growth
from fakes.slack import contract, limits

from bot.core.messages import Attachment, Button, Reply
from bot.platforms.slack.api import message_format
from bot.platforms.slack.api.message_format import LIMITS, SlackMessage, neutralise, render, settled_prefix, to_mrkdwn

PIECES = (
    "<!channel>", "<!here|x>", "<@U012AB>", "<#C012AB>", "@everyone", "@here", "a@channel.org", "`", "```", "\n", " ",
    "[a](https://b.org)", "![a](https://b.org/c.png)", "[a]: https://b.org", "<https://b.org|a>", "<mailto:a@b.org|c>",
    "[a", "](", ")", "<", ">", "|", "!", "word", "**", "(", '"', "https://b.org", "[https://b.org](https://b.org)",
)  # fmt: skip
MENTIONS = ("<!channel>", "<!here", "<@U012AB>", "<#C012AB>")


def texts() -> list[str]:
    """Return the same 1,500 random texts of difficult pieces each time."""
    dice = random.Random(6)
    return ["".join(dice.choices(PIECES, k=dice.randint(1, 12))) for _ in range(1500)]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[the bank](https://evil.org)", "the bank (https://evil.org)"),
        ('[the bank](https://evil.org "A bank")', "the bank (https://evil.org)"),
        ("![a cat](https://evil.org/1.png)", "a cat (https://evil.org/1.png)"),
        ("<https://evil.org|the bank>", "the bank (https://evil.org)"),
        ("[b.org](https://b.org/)", "https://b.org/"),
        ("[](https://b.org)", "https://b.org"),
        ("`[a](https://b.org)`", "`[a](https://b.org)`"),
        ("```\n[a](https://b.org)\n```", "```\n[a](https://b.org)\n```"),
        ("[the bank][1]\n\n[1]: https://evil.org", "[the bank][1]\n\n[1]\u200b: https://evil.org"),
        ("<!channel> @here", "<\u200b!channel> @\u200bhere"),
        ("<@U012AB> and <#C012AB>", "<\u200b@U012AB> and <\u200b#C012AB>"),
        ("`<!everyone>`", "`<\u200b!everyone>`"),
        ("a < b, c > d, me@example.org", "a < b, c > d, me@example.org"),
    ],
)
def test_neutralised_text_mentions_nobody_and_shows_every_address(written: str, shown: str) -> None:
    assert neutralise(written) == shown


def test_neutralise_is_idempotent_for_random_texts() -> None:
    for text in texts():
        once = neutralise(text)
        assert not any(call in once for call in MENTIONS), text
        assert neutralise(once) == once


def test_a_settled_prefix_stays_a_prefix() -> None:
    # What a fence or a definition does to the text before it shows only once it is there; the end is edited then.
    for text in (text for text in texts() if "```" not in text and "]:" not in text):
        whole = neutralise(text)
        for end in range(len(text)):
            assert whole.startswith(neutralise(settled_prefix(text[:end]))), (text, text[:end])


def test_markdown_becomes_mrkdwn() -> None:
    written = "# Title\n- **bold** & ~~gone~~ <b>\n> said\n`**code**`"
    assert to_mrkdwn(written) == "*Title*\n• *bold* &amp; ~gone~ &lt;b&gt;\n> said\n`**code**`"


def test_long_strong_text_and_headings_become_mrkdwn() -> None:
    assert to_mrkdwn("## Long  title \t\n\n \n  - item") == "*Long  title*\n\n \n  • item"
    assert to_mrkdwn(f"**{'x' * 300}**") == f"*{'x' * 300}*"


OPENINGS = ("[", "[[a", "![", "<", "<http://", "<http://a|", "[a](", "[a]((", "**a ", "~~a ", "\n", " \n", "# a  ", "`")


@pytest.mark.parametrize("piece", OPENINGS)
@pytest.mark.parametrize("convert", [neutralise, settled_prefix, to_mrkdwn])
def test_openings_that_are_never_closed_take_linear_time(convert: Callable[[str], str], piece: str) -> None:
    assert growth(convert, piece, 4000) < 8


DENSE_TEXT = '{"a": "b"}\n' * 4000
LONGEST = {
    "prose": "A sentence of some words. " * 1800,
    "lines": "x\n" * 12_000,
    "quotes": DENSE_TEXT[:25_000],
    "code": "```python\n" + 'print("hello")\n' * 1700 + "```",
    "one word": "x" * 49_000,
    "angles": "<" * 20_000,
}


@pytest.mark.parametrize("kind", LONGEST)
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("sections", [True, False])
def test_the_longest_answers_are_within_the_limits(kind: str, final: bool, sections: bool) -> None:
    buttons = tuple(Button(f"Button {number} " + "x" * 80, id=f"t:b{number}:1") for number in range(6))
    card = {"model": "m" * 90, "seed": "7"}
    reply = Reply(text=LONGEST[kind], card=card, buttons=buttons, quote="why " * 60, final=final)
    shown = render(reply, locale="de")
    assert 1 < len(shown.messages) <= LIMITS.messages
    for message in shown.messages:
        content = message.content(sections=sections)
        assert limits.block_errors(content["blocks"]) == []
        assert contract.block_problems(content["blocks"]) == []
        assert len(content["text"]) <= message_format.MAX_FALLBACK
        if not sections:
            assert not limits.are_too_long(content["blocks"])
    assert [bool(message.blocks) for message in shown.messages] == [False] * (len(shown.messages) - 1) + [True]


@pytest.mark.parametrize("text", [DENSE_TEXT, "x" * 60_000])
def test_a_longer_answer_becomes_a_complete_file(text: str) -> None:
    shown = render(Reply(text=text, final=True), locale="en")
    [file] = shown.files
    assert (file.filename, file.data.decode()) == ("answer.md", text)
    assert "answer.md" in shown.messages[0].markdown


def test_card_and_buttons_go_below_the_files() -> None:
    files = (Attachment("a.png", b"a", "image/png"),)
    reply = Reply(attachments=files, card={"seed": "7"}, buttons=(Button("Again", id="t:again:1"),), final=True)
    shown = render(reply, locale="en")
    assert (shown.messages, shown.files) == ((), files)
    assert shown.tail is not None
    assert json.dumps(shown.tail.content()).count("t:again:1") == 1


def test_a_message_is_never_empty() -> None:
    content = SlackMessage().content()
    assert content["text"]
    assert content["blocks"]


def test_a_question_is_quoted_line_by_line_and_pings_the_asker_alone() -> None:
    content = message_format.question_message("U1", "Who <b>\nis <@U012AB>?", locale="en").content()
    [block] = content["blocks"]
    assert block["text"]["text"] == "<@U1> asks:\n> Who &lt;b&gt;\n> is &lt;\u200b@U012AB&gt;?"
    assert block["text"]["verbatim"] is True
    assert len(message_format.question_message("U1", "&" * 5000, locale="en").fallback) <= message_format.MAX_SECTION

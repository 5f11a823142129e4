"""Small functions on strings."""

import re

import pytest
from fakes.core.growth import growth

from bot.core.text import strip_mentions

MENTION = re.compile(r"<@7(?:\|[^<>]*)?>")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("", ""),
        (" \n", ""),
        ("<@7>", ""),
        (" <@7> \n <@7|Tempera><@7> ", ""),
        ("<@7> hello <@7> you <@7>", "hello <@7> you"),
        ("<@7><@8> hello <@7", "<@8> hello <@7"),
        ("hello", "hello"),
        ("hello  <@7>\n<@7>", "hello"),
    ],
)
def test_mentions_are_removed_at_the_ends_alone(text: str, rest: str) -> None:
    assert strip_mentions(text, MENTION) == rest


@pytest.mark.parametrize("piece", ["<@7> ", "<@7>", " ", "<@7|"])
def test_long_texts_take_time_in_proportion(piece: str) -> None:
    # Few characters, because a pattern that tries all ways to share out spaces would never end with more.
    assert growth(lambda text: strip_mentions(f"x{text}x", MENTION), piece, 20) < 40
    assert growth(lambda text: strip_mentions(f"x{text}x", MENTION), piece, 4000) < 8

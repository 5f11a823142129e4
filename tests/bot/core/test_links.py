"""Links in Markdown that others wrote."""

import pytest
from fakes.core.growth import growth
from hypothesis import given
from hypothesis import strategies as st

from bot.core.links import show_addresses


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[your bank](https://evil.example/login)", "your bank (https://evil.example/login)"),
        ("![a cat](<https://evil.example/cat.png> 'title')", "a cat (https://evil.example/cat.png)"),
        ("[https://bank.example](https://evil.example)", "https://bank.example (https://evil.example)"),
        ("[example.org](https://example.org/)", "https://example.org/"),
        ("`[a](https://b.example)`", "`[a](https://b.example)`"),
        ("```\n[a](https://b.example)\n```", "```\n[a](https://b.example)\n```"),
        ("- ```\n[a](https://b.example)", "- ```\n[a](https://b.example)"),
        ("so ``` [a](https://b.example)", "so ``` a (https://b.example)"),
        ("\\`[a](https://b.example)`", "\\`a (https://b.example)`"),
        ("f[0](x) and [brackets]", "f0 (x) and [brackets]"),
    ],
)
def test_each_link_outside_code_shows_its_address(written: str, shown: str) -> None:
    assert show_addresses(written) == shown


@given(st.text("[]()<>!`\\ab:/ \n").map(lambda text: text.replace("ab", "https://a.example")))
def test_what_is_shown_has_no_more_links_to_show(text: str) -> None:
    once = show_addresses(text)
    assert show_addresses(once) == once


@pytest.mark.parametrize("piece", ["[", "[a](", "[a](https://a(", "`", "\n```", "- ", "[a](b "])
def test_links_that_are_never_finished_take_linear_time(piece: str) -> None:
    assert growth(show_addresses, piece, 4000) < 8

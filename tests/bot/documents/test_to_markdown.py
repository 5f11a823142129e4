import pytest
from markdown_it import MarkdownIt

from bot.documents.to_markdown import escape, fence, to_plain


@pytest.mark.parametrize(
    "text",
    [
        "__main__ and _this_ and *that* and **both",
        "a*b*c, 2 * 3, snake_case, x_",
        "# no title",
        "- no item",
        "* no item",
        "12. no item",
        "> no quote",
        "---",
        "===",
        "a \\* b \\d c:\\x",
        "[x](https://example.org) and [y]: z",
        "<b>x</b> & &amp; <https://example.org>",
        "a lone ` and ``two``",
        "~~gone~~",
        "-5 or 1.5 degrees, $5, #tag, 3 < 4",
    ],
)
def test_escaped_text_is_shown_unchanged_and_can_be_restored(text: str) -> None:
    (_, inline, _) = MarkdownIt("commonmark").enable("strikethrough").parse(escape(text))
    assert inline.type == "inline"
    assert {child.type for child in inline.children} <= {"text", "text_special"}
    assert "".join(child.content for child in inline.children) == text
    assert to_plain(escape(text)) == text


@pytest.mark.parametrize(
    "text", ["The cat's “knob” goes to 1.5 (or 2): it's 5 % of $3.", "see https://a.org/b_c?d=1#e"]
)
def test_text_without_markdown_is_not_escaped(text: str) -> None:
    assert escape(text) == text


def test_code_and_bold_are_not_escaped() -> None:
    assert escape("`a*b*c` and **very** bold, 2**3**4") == "`a*b*c` and **very** bold, 2\\*\\*3\\*\\*4"
    assert to_plain("`__main__` is") == "__main__ is"


def test_a_fence_is_longer_than_the_ticks_in_the_code() -> None:
    code = "# all\n  ```\nx"
    (token,) = MarkdownIt("commonmark").parse(fence(code))
    assert (token.type, token.content) == ("fence", f"{code}\n")


@pytest.mark.parametrize("sign", ["`", "*", "**a", "_", "`a\n", "](", "&a", "\\", "~", "1. "])
def test_any_text_takes_linear_time(sign: str) -> None:
    assert to_plain(escape(sign * 300_000))

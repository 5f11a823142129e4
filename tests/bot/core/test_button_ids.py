"""Ids of buttons and forms: what messages carry that were sent long ago."""

import pytest

from bot.core.button_ids import ButtonId, FormId, Kind


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("t:stop:5", ButtonId(Kind.STOP, 5)),
        ("t:delete:5", ButtonId(Kind.DELETE, 5)),
        ("t:down:5", ButtonId(Kind.DOWN, 5)),
        ("t:again:5", ButtonId(Kind.AGAIN, 5)),
        ("t:cooler:5", ButtonId(Kind.COOLER, 5)),
        ("t:warmer:5", ButtonId(Kind.WARMER, 5)),
        ("t:edit:5", ButtonId(Kind.EDIT, 5)),
        ("t:continue:5", ButtonId(Kind.CONTINUE, 5)),
        ("t:fork:5", ButtonId(Kind.FORK, 5)),
        ("t:appeal:5", ButtonId(Kind.APPEAL, 5)),
        ("t:b12:7", ButtonId(Kind.PLUGIN, 7, 12)),
        ("t:p0:7", ButtonId(Kind.PAGE, 7)),
        ("t:c3:7", ButtonId(Kind.CHOICE, 7, 3)),
        ("t:up:2147483647", ButtonId(Kind.UP, 2**31 - 1)),
    ],
)
def test_an_id_is_parsed_and_written(text: str, parsed: ButtonId) -> None:
    assert ButtonId.parse(text) == parsed
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t:again",
        "t:again:",
        "t::5",
        "t:again:5x",
        "x:again:5",
        "t:again:-1",
        "t:up:٥",
        "t:up:2147483648",
        "t:dance:5",
        "t:b:5",
        "t:again1:5",
        "c:ask",
    ],
)
def test_any_other_text_is_no_id(text: str) -> None:
    assert ButtonId.parse(text) is None


def test_the_form_of_a_command_has_an_id() -> None:
    assert FormId.parse("c:lesson list") == FormId("lesson list")
    assert str(FormId("ask")) == "c:ask"
    assert FormId.parse("c:") is FormId.parse("t:edit:5") is None

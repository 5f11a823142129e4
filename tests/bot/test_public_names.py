"""The names that plugins import from `bot`."""

import pytest

import bot


@pytest.mark.parametrize(("old", "new"), bot.RENAMED.items())
def test_a_renamed_name_still_works_and_warns(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"bot.{old} is called bot.{new} now"):
        assert getattr(bot, old) is getattr(bot, new)
    assert new in bot.__all__


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no “Unknown”"):
        bot.Unknown  # noqa: B018

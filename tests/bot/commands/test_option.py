import pytest

from bot.commands.option import Option
from bot.core.errors import OptionError
from bot.core.messages import Attachment, Channel, User


def temperature() -> Option:
    return Option(name="temperature", type=float, minimum=0, maximum=2)


@pytest.mark.parametrize(("typed", "value"), [("0.7", 0.7), ("0,7", 0.7), (" 2 ", 2.0), (1, 1.0), ("0", 0.0)])
def test_numbers_are_read_as_people_write_them(typed: object, value: float) -> None:
    assert temperature().convert(typed) == value


@pytest.mark.parametrize("typed", ["3", "-0.1", "hot", "nan", "inf", "", "1e999", True, None])
def test_a_wrong_number_is_refused_with_the_range(typed: object) -> None:
    with pytest.raises(OptionError, match="temperature must be a number from 0 to 2; you gave") as caught:
        temperature().convert(typed)
    assert caught.value.option == "temperature"


def test_a_long_wrong_value_is_not_repeated() -> None:
    with pytest.raises(OptionError, match="you gave 5000 characters"):
        temperature().convert("x" * 5000)


@pytest.mark.parametrize(
    ("typed", "value"), [("7", 7), (7, 7), ("1_000", 1000), (3.0, 3), ("9007199254740993", 2**53 + 1)]
)
def test_whole_numbers_are_accepted(typed: object, value: int) -> None:
    assert Option(name="seed", type=int).convert(typed) == value


@pytest.mark.parametrize(
    "typed",
    ["7.5", 7.5, "seven", True, "99999999999999999999999999x", "inf", "1e999", pytest.param(10**400, id="huge")],
)
def test_other_values_than_whole_numbers_are_refused(typed: object) -> None:
    with pytest.raises(OptionError, match="seed must be a whole number"):
        Option(name="seed", type=int).convert(typed)


@pytest.mark.parametrize(
    ("typed", "value"),
    [("yes", True), ("Off", False), (True, True), ("0", False), ("ja", True), ("Nein", False), ("sí", True)],
)
def test_yes_and_no_are_read_in_all_languages(typed: object, value: bool) -> None:
    assert Option(name="thread", type=bool).convert(typed) is value


def test_choices_ignore_case_and_keep_their_own_spelling() -> None:
    style = Option(name="style", choices=("Simple", "exact"))
    assert style.convert("simple") == "Simple"
    with pytest.raises(OptionError, match="style must be one of Simple, exact; you gave “fancy”"):
        style.convert("fancy")


def test_the_length_of_a_text_is_limited() -> None:
    prompt = Option(name="prompt", minimum=1, maximum=5)
    assert prompt.convert("hello") == "hello"
    with pytest.raises(OptionError, match="a text from 1 to 5 characters"):
        prompt.convert("hello!")


def test_members_channels_and_files_are_converted() -> None:
    assert Option(name="who", type=User).convert("@ann") == User("ann", "ann", roles=None)
    assert Option(name="who", type=User).convert("<@U1|ann>") == User("U1", "ann", roles=None)
    assert Option(name="where", type=Channel).convert(Channel("1", "general")) == Channel("1", "general")
    with pytest.raises(OptionError, match="a file attached to the message"):
        Option(name="file", type=Attachment).convert("notes.txt")


def test_the_expected_value_is_described_in_the_readers_language() -> None:
    assert temperature().expects().in_language("de") == "eine Zahl von 0 bis 2"

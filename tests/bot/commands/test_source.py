import traceback
import types

import pytest

from bot.commands.source import describe_error, describe_handler, find_place


def module(name: str, file: str, source: str, **names: object) -> types.ModuleType:
    """A module as if it had been imported from `file`."""
    made = types.ModuleType(name)
    made.__dict__.update(names)
    exec(compile(source, file, "exec"), made.__dict__)
    return made


LIBRARY = module("library", "/lib/library.py", "\n\ndef fail():\n    raise ValueError('no\\nluck')\n")
DICE = module("dice", "/mine/dice.py", "def roll():\n    fail()\n", fail=LIBRARY.fail)
GAMES = module("games", "/mine/games/__init__.py", "\ndef play():\n    roll()\n", roll=DICE.roll)
CHESS = module("games.chess", "/mine/games/chess.py", "def move():\n    play()\n", play=GAMES.play)


def caught(function: types.FunctionType) -> Exception:
    with pytest.raises(ValueError, match="luck") as error:
        function()
    return error.value


@pytest.mark.parametrize(
    ("function", "plugin", "place"),
    [
        (DICE.roll, "dice", " (dice.py, line 2)"),
        (CHESS.move, "dice", " (dice.py, line 2)"),
        (CHESS.move, "games", " (games/__init__.py, line 3)"),
        (CHESS.move, "games.chess", " (chess.py, line 2)"),
        (CHESS.move, "game", ""),
    ],
)
def test_an_error_names_the_innermost_place_in_the_plugin(
    function: types.FunctionType, plugin: str, place: str
) -> None:
    assert describe_error(caught(function), plugin) == f"ValueError: no luck{place}"


def test_an_error_without_a_text() -> None:
    assert describe_error(RuntimeError(), "dice") == "RuntimeError"


def test_a_syntax_error_names_its_file_once() -> None:
    with pytest.raises(SyntaxError) as error:
        compile("\nx = (", "/mine/dice.py", "exec")
    assert describe_error(error.value, "dice") == "SyntaxError: '(' was never closed (dice.py, line 2)"


def test_the_place_of_a_stack_is_the_first_of_the_plugin() -> None:
    frames = list(traceback.walk_tb(caught(CHESS.move).__traceback__))
    assert find_place(frames, "games") == "chess.py, line 2"
    assert find_place([], "games") == ""


def test_where_a_handler_is() -> None:
    assert describe_handler(LIBRARY.fail) == "library.py, line 3"

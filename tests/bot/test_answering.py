"""What stands under an answer that failed; the way through `dispatch` is in test_app.py."""

from bot.answering import failed
from bot.language import Sentence
from bot.message import Place, Reply, Request, User

ASKED = Request(user=User("1", "Ann"), place=Place("web", "web", "general"), text="/ask hello")


def test_an_error_is_no_part_of_the_code_before_it() -> None:
    last = Reply(text="Look:\n\n```python\nprint(1)")
    assert failed(last, Sentence("It broke."), ASKED).text == "Look:\n\n```python\nprint(1)\n```\n\nIt broke."


def test_an_error_alone_is_for_its_asker() -> None:
    told = failed(Reply(), Sentence("It broke."), ASKED)
    assert (told.text, told.private) == ("It broke.", True)

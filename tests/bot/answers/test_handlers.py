"""The error under an answer that failed."""

from fakes.model_server.model_api import png

from bot.answers.handlers import error_reply
from bot.core.i18n import Sentence
from bot.core.messages import Attachment, Place, Reply, Request, User

ASKED = Request(user=User("1", "Ann"), place=Place("web", "web", "general"), text="/ask hello")


def test_an_error_is_outside_a_code_block_before_it() -> None:
    last = Reply(text="Look:\n\n```python\nprint(1)")
    assert error_reply(last, Sentence("It broke."), ASKED).text == "Look:\n\n```python\nprint(1)\n```\n\nIt broke."


def test_an_error_alone_is_private_and_below_a_picture_that_was_shown_public() -> None:
    told = error_reply(Reply(), Sentence("It broke."), ASKED)
    assert (told.text, told.private) == ("It broke.", True)
    preview = Attachment("preview.png", png(7), "image/png")
    told = error_reply(Reply(status="Step 25 of 30 …", attachments=(preview,)), Sentence("It broke."), ASKED)
    assert (told.text, told.status, told.attachments, told.private) == ("It broke.", "", (preview,), False)
    assert error_reply(Reply(attachments=(preview,), private=True), Sentence("It broke."), ASKED).private

"""Requests and replies as columns and rows."""

from bot.core.messages import Attachment, Channel, User
from bot.storage.serialization import options_as_json


def test_options_are_converted_to_json() -> None:
    file = Attachment("a.png", b"png", "image/png")
    options = {"prompt": "hi", "n": 1, "t": 0.5, "on": True, "none": None, "file": file}
    assert options_as_json(options) == {"prompt": "hi", "n": 1, "t": 0.5, "on": True, "none": None}
    assert options_as_json({"who": User("u1", "Ann"), "where": Channel("c1", "room")}) == {"who": "u1", "where": "c1"}

"""What of a reply, and of what was asked, rows can hold."""

from bot.core.messages import Attachment, Channel, User
from bot.storage.serialization import options_as_json


def test_options_are_kept_as_json_can_hold_them() -> None:
    file = Attachment("a.png", b"png", "image/png")
    options = {"prompt": "hi", "n": 1, "t": 0.5, "on": True, "none": None, "file": file}
    assert options_as_json(options) == {"prompt": "hi", "n": 1, "t": 0.5, "on": True, "none": None}
    assert options_as_json({"who": User("u1", "Ann"), "where": Channel("c1", "room")}) == {"who": "u1", "where": "c1"}

"""A fake Slack server for tests: Web API, Socket Mode, signed HTTP, views, streams and files, over real sockets."""

from fakes.slack.delivery import Ack, Delivery, NotAcknowledgedError
from fakes.slack.driver import FakeSlack, Submission
from fakes.slack.workspace import FakeFile, FakeMessage, FakeView

__all__ = [
    "Ack",
    "Delivery",
    "FakeFile",
    "FakeMessage",
    "FakeSlack",
    "FakeView",
    "NotAcknowledgedError",
    "Submission",
]

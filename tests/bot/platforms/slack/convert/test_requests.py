"""Parts of a request from Slack payloads: places, rights, question texts and files."""

from typing import Any

import pytest

from bot.app import Bot
from bot.core.messages import Action, Attachment, Request, User
from bot.platforms.slack.convert.requests import AnswerPlace, question_text, team_of, with_empty_files

ADA = User("U1", "Ada", is_moderator=True)
HERE = AnswerPlace(channel="C1", user="U1", thread="7.1")
DIRECT = AnswerPlace(channel="D1", user="U1", thread="7.1")


def request(place: AnswerPlace = HERE, **what: Any) -> Request:
    return Request(user=ADA, place=place.to_place("T1"), **what)


def test_an_admin_of_the_workspace_is_a_moderator_in_its_channels_alone() -> None:
    assert HERE.limit_rights(ADA).is_moderator
    assert not DIRECT.limit_rights(ADA).is_moderator
    assert (HERE.to_place("T1").server, DIRECT.to_place("T1").server) == ("T1", "")
    assert HERE.to_place("T1").thread == "7.1"


@pytest.mark.parametrize(
    ("what", "quoted", "unquoted"),
    [
        ({"text": "/ask temperature:0.2 Why is it so?"}, "Why is it so?", "/ask"),
        ({"text": "/face count:4"}, "/face count:4", "/face"),
        ({"text": "/help command:ask"}, "ask", "/tempera help"),
        ({"text": "/new"}, "/tempera new", "/tempera new"),
        ({"command": "ask", "options": {"prompt": " Why? "}}, "Why?", "/ask"),
        ({"action": Action("c:face", {"count": "4", "seed": ""})}, "/face count:4", "/face"),
    ],
)
def test_the_question_text_is_free_text_or_the_command(
    bot: Bot, what: dict[str, Any], quoted: str, unquoted: str
) -> None:
    decision = bot.prepare(request(**what))
    assert question_text(decision, quoted=True) == quoted
    assert question_text(decision, quoted=False) == unquoted


def test_a_request_has_empty_files_before_they_are_fetched() -> None:
    file = {"id": "F1", "name": "a.png", "mimetype": "image/png", "size": 4, "alt_txt": "A dot"}
    action = with_empty_files(request(action=Action("c:ask", {"prompt": "Why?", "file": file}))).action
    assert action is not None
    assert action.fields == {"prompt": "Why?", "file": Attachment("a.png", b"", "image/png", "A dot")}


@pytest.mark.parametrize(
    ("named", "team"),
    [((None, "T1"), "T1"), (("T2", "T1"), "T2"), (("E1", "T1"), "T1"), (("E1", None), "E1"), ((None, ""), "")],
)
def test_the_workspace_of_a_user_is_not_their_organisation(named: tuple[str | None, ...], team: str) -> None:
    assert team_of(*named) == team

"""Previews of a picture in progress: one message after another, each deleted with its file."""

from dataclasses import replace

import pytest
from fakes.model_server.model_api import png
from fakes.platforms.discord_bot import Toys
from fakes.platforms.slack_bot import play, wait_for_answer, wait_for_thread
from fakes.slack import FakeMessage, FakeSlack

from bot.core.errors import UserError
from bot.core.messages import Attachment, Reply
from bot.platforms.slack.api import api, budgets
from bot.platforms.slack.outgoing import previews

UPLOAD = "files.getUploadURLExternal"
QUEUED = "Number 1 in the queue …"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "PREVIEW_SECONDS", 0.0)
    monkeypatch.setattr(api, "PROCESSING_POLL_SECONDS", (0.01, 0.1, 0.2, 0.4))


def make_picture(step: int) -> Attachment:
    return Attachment(f"fox-{step}.png", png(step), "image/png", "A fox.")


def progress_reply(number: int) -> Reply:
    return Reply(status=f"Step {number} of 3 …", attachments=(make_picture(number),))


def current_status(slack: FakeSlack, posted: FakeMessage) -> str:
    return slack.statuses.get((slack.channel, posted.ts), "")


async def wait_for_step(slack: FakeSlack, posted: FakeMessage, number: int) -> FakeMessage:
    """Wait until the only message below the question shows this step, and return it."""

    def shows() -> list[FakeMessage]:
        found = slack.thread(slack.channel, posted.ts)
        return found if [slack.pictures(one) for one in found] == [[png(number)]] else []

    [found] = await slack.until(shows)
    return found


async def finish_and_check(slack: FakeSlack, toys: Toys, posted: FakeMessage) -> None:
    """Finish the picture, and assert that only the picture and its card are left."""
    toys.say(Reply(attachments=(make_picture(3),), card={"seed": "7"}, final=True))
    card = await wait_for_answer(slack, "seed 7")
    shown, below_it = slack.thread(slack.channel, posted.ts)
    assert below_it is card
    assert [file["name"] for file in shown.files] == ["fox-3.png"]
    await slack.until(lambda: [file.name for file in slack.workspace.files.values()] == ["fox-3.png"])


async def test_each_preview_replaces_the_previous_one(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    toys.say(Reply(status=QUEUED))
    await slack.until(lambda: current_status(slack, posted) == QUEUED)
    toys.say(progress_reply(1))
    first = await wait_for_step(slack, posted, 1)
    assert (first.shown, list(first.buttons)) == ("Step 1 of 3 …", ["Stop"])
    assert [block["alt_text"] for block in first.blocks if block["type"] == "image"] == ["A fox."]
    toys.say(progress_reply(2))
    assert (await wait_for_step(slack, posted, 2)).shown == "Step 2 of 3 …"
    assert first.deleted
    await finish_and_check(slack, toys, posted)
    assert not slack.called("chat.update")


async def test_previews_keep_their_distance(slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "PREVIEW_SECONDS", 3600.0)
    posted = await play(slack)
    toys.say(progress_reply(1))
    first = await wait_for_step(slack, posted, 1)
    toys.say(progress_reply(2), progress_reply(2))
    await finish_and_check(slack, toys, posted)
    assert first.deleted
    assert [call["filename"] for call in slack.called(UPLOAD)] == ["fox-1.png", "fox-3.png"]


async def test_an_unchanged_picture_is_not_uploaded_again(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    toys.say(progress_reply(1))
    first = await wait_for_step(slack, posted, 1)
    toys.say(replace(progress_reply(1), status="Step 2 of 3 …"))
    await slack.until(lambda: current_status(slack, posted) == "Step 2 of 3 …")
    assert slack.thread(slack.channel, posted.ts) == [first]
    await finish_and_check(slack, toys, posted)
    assert len(slack.called(UPLOAD)) == 2


async def test_a_failed_deletion_is_repeated_with_the_next_preview(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    toys.say(progress_reply(1))
    first = await wait_for_step(slack, posted, 1)
    slack.refuse("chat.delete", "fatal_error")
    toys.say(progress_reply(2))
    await slack.until(lambda: len(slack.called("chat.delete")) == 1)
    assert not first.deleted
    await finish_and_check(slack, toys, posted)


async def test_other_files_are_shown_only_at_the_end(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    table = Attachment("foxes.csv", b"name,age", "text/csv")
    toys.say(Reply(status=QUEUED, attachments=(table,)))
    await slack.until(lambda: current_status(slack, posted) == QUEUED)
    assert not slack.called(UPLOAD)


async def test_finished_answers_have_priority_over_previews(
    slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half of them are for what is finished.
    monkeypatch.setitem(budgets.PER_MINUTE, budgets.DELETE_FILE, 2)
    posted = await play(slack)
    for number in (1, 2):
        toys.say(progress_reply(number))
        await wait_for_step(slack, posted, number)
    toys.say(progress_reply(3))
    await finish_and_check(slack, toys, posted)
    assert [call["filename"] for call in slack.called(UPLOAD)] == ["fox-1.png", "fox-2.png", "fox-3.png"]


@pytest.mark.parametrize("method", [UPLOAD, "files.info", "chat.postMessage"])
async def test_a_refused_preview_is_replaced_by_the_status(slack: FakeSlack, toys: Toys, method: str) -> None:
    posted = await play(slack)
    slack.refuse(method, "invalid_blocks")
    toys.say(progress_reply(1))
    await slack.until(lambda: current_status(slack, posted) == "Step 1 of 3 …")
    toys.say(progress_reply(2))
    await slack.until(lambda: current_status(slack, posted) == "Step 2 of 3 …")
    assert slack.thread(slack.channel, posted.ts) == []
    assert len(slack.called(UPLOAD)) == 1
    await finish_and_check(slack, toys, posted)


async def test_an_unprocessed_preview_is_skipped(slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PROCESSING_POLL_SECONDS", (0.01,))
    monkeypatch.setattr("fakes.slack.files.SHARE_DELAY_SECONDS", 0.3)
    posted = await play(slack)
    toys.say(progress_reply(1))
    await slack.until(lambda: current_status(slack, posted) == "Step 1 of 3 …")
    monkeypatch.setattr("fakes.slack.files.SHARE_DELAY_SECONDS", 0.0)
    toys.say(progress_reply(2))
    await wait_for_step(slack, posted, 2)
    await finish_and_check(slack, toys, posted)


async def test_a_preview_replaces_the_message_with_the_status(slack: FakeSlack, toys: Toys) -> None:
    slack.without_streaming()
    slack.refuse("assistant.threads.setStatus", "unknown_method", times=-1)
    posted = await play(slack)
    toys.say(Reply(status="Number 2 in the queue …"))
    [told] = await wait_for_thread(slack, posted)
    toys.say(Reply(status=QUEUED))
    await slack.until(lambda: told.shown == QUEUED)
    assert list(told.buttons) == ["Stop"]
    assert not slack.called(UPLOAD)
    toys.say(progress_reply(1))
    await wait_for_step(slack, posted, 1)
    assert told.deleted
    await finish_and_check(slack, toys, posted)


async def test_a_failed_picture_keeps_the_last_preview(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    toys.say(progress_reply(2))
    preview = await wait_for_step(slack, posted, 2)
    toys.say(UserError("No foxes today."))
    said, shown, below_it = await wait_for_thread(slack, posted, 3)
    assert (said.shown, posted.deleted) == ("No foxes today.", False)
    assert (said, slack.pictures(said)) == (preview, [])
    assert [file["name"] for file in shown.files] == ["fox-2.png"]
    assert "Again" in below_it.buttons
    assert len(slack.workspace.files) == 1
    assert "No foxes today." not in [one.shown for one in slack.ephemeral(slack.ann)]


async def test_text_replaces_the_preview(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    toys.say(progress_reply(1))
    shown = await wait_for_step(slack, posted, 1)
    toys.say(Reply(text="One"))
    await slack.until(lambda: shown.deleted)
    toys.say(Reply(text="One.", final=True))
    await wait_for_answer(slack, "One.")
    await slack.until(lambda: not slack.workspace.files)

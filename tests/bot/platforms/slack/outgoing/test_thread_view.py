"""Answers that grow in a thread: as a stream, as several streams, or as a message that is edited."""

import pytest
from fakes.model_server.model_api import png
from fakes.platforms.discord_bot import Toys
from fakes.platforms.slack_bot import (
    play,
    playing,
    run_command,
    wait_for_answer,
    wait_for_ephemeral,
    wait_for_question,
    wait_for_thread,
)
from fakes.slack import FakeSlack

from bot.core.messages import Attachment, Reply
from bot.platforms import answer_tasks
from bot.platforms.slack.api import budgets
from bot.platforms.slack.outgoing import stream, thread_view

PARIS = "Paris is the capital of France."
QUESTION = "What is the capital of France?"


async def test_a_stream_is_appended_to_and_never_repeats(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    toys.say(Reply(status="Number 3 in the queue …"))
    await slack.until(lambda: slack.statuses.get((slack.channel, posted.ts)) == "Number 3 in the queue …")
    assert slack.thread(slack.channel, posted.ts) == []
    said = "One"
    for number in range(5):
        toys.say(Reply(text=said))
        [answer] = await wait_for_thread(slack, posted)
        await slack.until(lambda answer=answer, said=said: answer.shown == said)
        said += f" and {number}"
    toys.say(Reply(text=said, card={"seed": "7"}, final=True))
    assert (await wait_for_answer(slack, said)).shown == f"{said}\nseed 7"
    assert [call["markdown_text"] for call in slack.called("chat.appendStream")] == [
        " and 0", " and 1", " and 2", " and 3"
    ]  # fmt: skip
    assert not slack.called("chat.update")


async def test_a_different_final_text_is_edited(slack: FakeSlack, toys: Toys) -> None:
    await run_command(slack, "/tempera", "play something")
    toys.say(Reply(text="First I said this"))
    [answer] = await wait_for_thread(slack, await wait_for_question(slack))
    toys.say(Reply(text="then that"), Reply(text="And now this.", final=True))
    await wait_for_answer(slack, "And now this.")
    assert answer.shown == "And now this."
    assert not answer.streaming


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_blocks_too_long"])
async def test_an_end_that_the_stream_does_not_take_is_added_by_an_edit(
    slack: FakeSlack, toys: Toys, error: str
) -> None:
    answer = await playing(slack, toys)
    slack.refuse("chat.stopStream", error)
    toys.say(Reply(text="One two.", final=True))
    assert await wait_for_answer(slack, "One two.") is answer
    assert (len(slack.called("chat.stopStream")), len(slack.called("chat.update"))) == (2, 1)


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
async def test_a_piece_with_a_lost_response_is_not_repeated(
    slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(answer_tasks, "RETRY_SECONDS", (0.01,))
    answer = await playing(slack, toys)
    slack.lost_answers.add(method)
    toys.say(Reply(text="One two"))
    await slack.until(lambda: answer.shown == "One two")
    toys.say(Reply(text="One two three.", final=True))
    await slack.until(lambda: "Delete" in answer.buttons and not slack.lost_answers)
    assert await wait_for_answer(slack, "three.") is answer
    assert answer.shown == "One two three."


async def test_a_stream_that_slack_ends_is_followed_by_another(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    toys.say(Reply(text="One"))
    [first] = await wait_for_thread(slack, posted)
    slack.expire_streams()
    toys.say(Reply(text="One two"))
    await slack.until(lambda: any(call.error for call in slack.calls if call.method == "chat.appendStream"))
    toys.say(Reply(text="One two three"))
    _, second = await wait_for_thread(slack, posted, 2)
    assert (first.shown, second.shown) == ("One", " two three".strip())
    toys.say(Reply(text="One two three four.", final=True))
    await slack.until(lambda: second.deleted)
    assert first.shown == "One two three four."


async def test_a_stream_is_closed_before_slack_closes_it(
    slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stream.MAX_STREAM_SECONDS < 240
    monkeypatch.setattr(stream, "MAX_STREAM_SECONDS", 0.0)
    posted = await play(slack)
    toys.say(Reply(text="```python\nprint(1)"))
    await wait_for_thread(slack, posted)
    toys.say(Reply(text="```python\nprint(1)\nprint(2)"))
    await slack.until(lambda: slack.called("chat.stopStream"))
    toys.say(Reply(text="```python\nprint(1)\nprint(2)\nprint(3)"))
    first, second = await wait_for_thread(slack, posted, 2)
    assert first.shown == "```python\nprint(1)\nprint(2)\n```"
    assert second.shown == "```python\n\nprint(3)"
    toys.say(Reply(text="```python\nprint(1)\nprint(2)\nprint(3)\n```", final=True))
    await slack.until(lambda: second.deleted)
    assert first.shown == "```python\nprint(1)\nprint(2)\nprint(3)\n```"


async def test_without_streaming_messages_are_edited(slack: FakeSlack, toys: Toys) -> None:
    slack.without_streaming()
    for number in range(2):
        await run_command(slack, "/tempera", f"play {number}")
        toys.say(Reply(text="One"))
        await slack.until(lambda number=number: len(slack.messages(slack.channel)) > number)
        [answer] = await wait_for_thread(slack, slack.messages(slack.channel)[-1])
        await slack.until(lambda answer=answer: answer.shown == "One")
        assert list(answer.buttons) == ["Stop"]
        toys.say(Reply(text="One two"))
        await slack.until(lambda answer=answer: answer.shown == "One two")
        toys.say(Reply(text=f"One two three {number}", final=True))
        assert await wait_for_answer(slack, f"three {number}") is answer
    assert len(slack.called("chat.startStream")) == 1
    # Else Slack would make mentions of names in what the model wrote.
    assert all(call["parse"] == "none" for call in slack.called("chat.update"))


async def test_a_stream_that_slack_refuses_in_one_place_does_not_switch_off_the_next(
    slack: FakeSlack, toys: Toys
) -> None:
    for number, error in enumerate(("access_denied", "no_permission", "not_allowed", "team_access_not_granted", "")):
        if error:
            slack.refuse("chat.startStream", error)
        await run_command(slack, "/tempera", f"play {number}")
        await slack.until(lambda number=number: len(slack.messages(slack.channel)) > number)
        toys.say(Reply(text="One"))
        [answer] = await wait_for_thread(slack, slack.messages(slack.channel)[-1])
        assert answer.streaming == (not error)
        toys.say(Reply(text=f"One, number {number}.", final=True))
        assert await wait_for_answer(slack, f"number {number}.") is answer


async def test_a_server_without_markdown_blocks_gets_sections(slack: FakeSlack) -> None:
    slack.without_streaming()
    slack.refuse("chat.postMessage", "invalid_blocks", times=1)
    await slack.say(slack.ann, slack.channel, QUESTION, mention=True)
    answer = await wait_for_answer(slack, PARIS)
    assert [block["type"] for block in answer.blocks] == ["section", "context", "actions"]


async def test_a_long_stream_goes_on_in_the_next_message(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    line = "A line of a long answer, with some more words in it.\n"
    for count in range(20, 440, 20):
        toys.say(Reply(text=line * count))
        await slack.until(
            lambda count=count: (
                sum(one.shown.count("A line") for one in slack.thread(slack.channel, posted.ts)) >= count
            )
        )
    toys.say(Reply(text=line * 450, final=True))
    await slack.until(lambda: slack.thread(slack.channel, posted.ts)[-1].buttons)
    parts = slack.thread(slack.channel, posted.ts)
    assert sum(part.shown.count("A line") for part in parts) == 450
    assert not any(part.streaming for part in parts)
    assert len(parts) == 3


# What is told before there are words


QUEUED = "Number 1 in the queue …"


@pytest.mark.parametrize("error", ["missing_scope", "access_denied"])
async def test_a_stream_replaces_the_message_with_the_status(slack: FakeSlack, toys: Toys, error: str) -> None:
    slack.refuse("assistant.threads.setStatus", error, times=-1)
    posted = await play(slack)
    toys.say(Reply(status=QUEUED))
    [status] = await wait_for_thread(slack, posted)
    toys.say(Reply(text="One"))
    await slack.until(lambda: status.deleted)
    [words] = await wait_for_thread(slack, posted)
    assert words.streaming
    toys.say(Reply(text="One.", final=True))
    assert await wait_for_answer(slack, "One.") is words


async def test_text_grows_beside_a_picture(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    fox = Attachment("fox.png", png(1), "image/png", "A fox.")
    toys.say(Reply(text="A fox:", attachments=(fox,)))
    [words] = await wait_for_thread(slack, posted)
    assert words.streaming
    toys.say(Reply(text="A fox: it is red.", attachments=(fox,), card={"seed": "7"}, final=True))
    card = await wait_for_answer(slack, "seed 7")
    text, shown, below_it = slack.thread(slack.channel, posted.ts)
    assert (text, below_it) == (words, card)
    assert (text.shown, text.streaming, text.buttons) == ("A fox: it is red.", False, {})
    assert [file["name"] for file in shown.files] == ["fox.png"]
    assert len(slack.workspace.files) == 1


async def test_a_slow_answer_offers_stop(slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_view, "STOP_OFFER_SECONDS", 0.0)
    await run_command(slack, "/tempera", "play something")
    toys.say(Reply(status=QUEUED))
    offer = await wait_for_ephemeral(slack)
    # Beside the question: its thread shows nothing to one alone before something is said there.
    assert (list(offer.buttons), offer.thread_ts) == (["Stop"], "")
    await slack.press(slack.ann, offer, "Stop")
    assert (await wait_for_answer(slack, "Stopped.")).files == []
    await slack.until(lambda: offer.deleted)


async def test_an_answer_does_not_wait_for_the_offer_to_stop(
    slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread_view, "STOP_OFFER_SECONDS", 0.0)
    monkeypatch.setitem(budgets.PER_MINUTE, budgets.POST_EPHEMERAL, 2)
    for number in range(4):
        await run_command(slack, "/tempera", f"play {number}")
        toys.say(Reply(text="One"))
        await slack.until(lambda number=number: len(slack.called("chat.startStream")) > number)
        toys.say(Reply(text=f"One {number}.", final=True))
        await wait_for_answer(slack, f"One {number}.")
    assert len(slack.called("chat.postEphemeral")) == 1

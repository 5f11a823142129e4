"""Buttons under answers: what they change, who may press them, and that they survive a restart."""

import pytest
from fakes.model_server.model_api import FakeModels, png
from fakes.platforms.discord_bot import Toys
from fakes.platforms.slack_bot import find_answers, wait_for_answer, wait_for_question, wait_for_thread
from fakes.slack import FakeMessage, FakeSlack, FakeView

from bot.app import Bot
from bot.core.messages import Attachment, Button, Reply

PARIS = "Paris is the capital of France."
QUESTION = "What is the capital of France?"


async def ask(slack: FakeSlack, command: str = "/ask", text: str = QUESTION, *, channel: str = "") -> None:
    asked = await slack.command(slack.ann, channel or slack.channel, command, text)
    await asked.acknowledged()


async def press(slack: FakeSlack, user: str, on: FakeMessage, label: str) -> None:
    assert (await (await slack.press(user, on, label)).acknowledged()).payload == {}


async def last_ephemeral(slack: FakeSlack, user: str) -> FakeMessage:
    return (await slack.until(lambda: slack.ephemeral(user)))[-1]


async def open_view(slack: FakeSlack, user: str = "") -> FakeView:
    return await slack.view(user or slack.ann)


async def test_buttons_of_the_asker_are_refused_to_others(slack: FakeSlack) -> None:
    await ask(slack)
    answer = await wait_for_answer(slack, PARIS)
    await press(slack, slack.ben, answer, "Delete")
    message = await last_ephemeral(slack, slack.ben)
    assert message.shown == "Only Ann, who asked, and moderators can do that."
    assert message.thread_ts == answer.thread_ts
    assert not answer.deleted


async def test_another_page_with_a_file_comes_as_a_new_message(slack: FakeSlack, toys: Toys) -> None:
    pages = [
        Reply(
            text=f"Page {number}",
            attachments=(Attachment(f"{number}.png", png(number), "image/png"),),
            buttons=(Button("▶", "play", turns=True),),
            final=True,
        )
        for number in (1, 2)
    ]
    toys.say(*pages)
    await ask(slack, "/tempera", "play a book")
    asked = await wait_for_question(slack)
    first = await wait_for_thread(slack, asked, 3)
    await press(slack, slack.ben, first[-1], "▶")
    both = await wait_for_thread(slack, asked, 6)
    assert [(text.shown, [file["name"] for file in files.files]) for text, files in (both[:2], both[3:5])] == [
        ("Page 1", ["1.png"]),
        ("> Ben pressed ▶\n\nPage 2", ["2.png"]),
    ]
    assert both[:3] == first


async def test_thumbs_are_counted_under_the_answer(slack: FakeSlack) -> None:
    berta = slack.add_user("Berta", locale="de-DE")
    await ask(slack)
    answer = await wait_for_answer(slack, PARIS)
    before = answer.shown
    await press(slack, berta, answer, "👍")
    await slack.until(lambda: "👍 1" in answer.buttons)
    await press(slack, slack.ann, answer, "👎")
    await slack.until(lambda: "👎 1" in answer.buttons)
    # In the language of the asker, whoever votes.
    assert list(answer.buttons) == ["Again", "Cooler", "Warmer", "Edit", "Delete", "👍 1", "👎 1"]
    assert answer.shown == before


async def test_delete_removes_the_answer_and_the_question(slack: FakeSlack) -> None:
    await ask(slack, "/face", "seed:7")
    card = await wait_for_answer(slack, "fake-faces")
    await press(slack, slack.ann, card, "Delete")
    await slack.until(lambda: all(one.deleted for one in slack.workspace.messages))
    assert slack.workspace.files == {}


async def test_message_ids_are_stored_before_delete_can_be_pressed(
    slack: FakeSlack, toy_bot: Bot, models: FakeModels
) -> None:
    models.gate.clear()
    await ask(slack, "/face", "seed:7")
    [posted] = await slack.until(lambda: slack.messages(slack.channel))
    slack.refuse("chat.postMessage", retry_after=1)
    models.gate.set()
    await slack.until(lambda: [call for call in slack.calls if call.error == "ratelimited"])
    [pictures] = slack.thread(slack.channel, posted.ts)
    assert await toy_bot.messages.find_answers("slack", [pictures.ts])
    assert (await wait_for_answer(slack, "fake-faces")).thread_ts == posted.ts


async def test_delete_keeps_a_question_with_other_answers(slack: FakeSlack) -> None:
    await ask(slack, "/tempera", "stretch length:15000")
    first = await wait_for_answer(slack, "word")
    await press(slack, slack.ann, first, "Again")
    await slack.until(lambda: len(find_answers(slack, "word")) == 2)
    await press(slack, slack.admin, first, "Delete")
    await slack.until(lambda: len(slack.thread(slack.channel, first.thread_ts)) == 2)
    assert [one.ts for one in slack.messages(slack.channel)] == [first.thread_ts]


async def test_the_question_is_deleted_with_its_last_answer(slack: FakeSlack) -> None:
    await ask(slack)
    first = await wait_for_answer(slack, PARIS)
    await press(slack, slack.ann, first, "Again")
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
    _, second = find_answers(slack, PARIS)
    await press(slack, slack.ann, first, "Delete")
    await slack.until(lambda: first.deleted)
    assert [one.ts for one in slack.messages(slack.channel)] == [first.thread_ts]
    await press(slack, slack.ann, second, "Delete")
    await slack.until(lambda: all(one.deleted for one in slack.workspace.messages))


async def test_delete_keeps_a_message_of_the_asker(slack: FakeSlack) -> None:
    said = await slack.say(slack.ann, slack.dm(slack.ann), QUESTION)
    first = await wait_for_answer(slack, PARIS)
    await press(slack, slack.ann, first, "Again")
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
    for answer in find_answers(slack, PARIS):
        await press(slack, slack.ann, answer, "Delete")
        await slack.until(lambda answer=answer: answer.deleted)
    assert not said.deleted
    assert not [call.error for call in slack.calls if call.method == "chat.delete" and call.error]


async def test_buttons_work_in_a_channel_without_the_bot(slack: FakeSlack) -> None:
    room = slack.add_channel("elsewhere", member=False)
    await ask(slack, channel=room)
    [answer] = await slack.until(lambda: slack.messages(room))
    await press(slack, slack.ben, answer, "👍")
    await slack.until(lambda: "👍 1" in answer.buttons)
    await press(slack, slack.ann, answer, "Again")
    _, second = await slack.until(lambda: found if len(found := slack.messages(room)) == 2 else [])
    assert PARIS in second.shown
    await press(slack, slack.ann, answer, "Delete")
    await slack.until(lambda: answer.deleted)


@pytest.mark.parametrize("settings", [{"answers.private": True}])
async def test_buttons_under_private_answers_answer_privately(slack: FakeSlack) -> None:
    await ask(slack)
    answer = await last_ephemeral(slack, slack.ann)
    assert list(answer.buttons) == ["Again", "Cooler", "Warmer", "Edit", "Continue"]
    await press(slack, slack.ann, answer, "Again")
    await slack.until(lambda: len(slack.ephemeral(slack.ann)) == 2)
    await press(slack, slack.ann, answer, "Edit")
    assert (await slack.submit(slack.ann, await open_view(slack), {"prompt": "And of Spain?"})).closed
    await slack.until(lambda: len(slack.ephemeral(slack.ann)) == 3)
    assert all(PARIS in message.shown for message in slack.ephemeral(slack.ann))
    assert slack.messages(slack.channel) == []

"""Buttons under answers: what they change, who may press them, and that they survive a restart."""

import pytest
from fakes.model_server.model_api import FakeModels, png
from fakes.platforms.discord_bot import Toys
from fakes.platforms.slack_bot import (
    find_answers,
    press,
    run_command,
    wait_for_answer,
    wait_for_ephemeral,
    wait_for_question,
    wait_for_thread,
)
from fakes.slack import FakeSlack

from bot.app import Bot
from bot.core.messages import Attachment, Button, Reply

PARIS = "Paris is the capital of France."
QUESTION = "What is the capital of France?"


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
    await run_command(slack, "/tempera", "play a book")
    asked = await wait_for_question(slack)
    first = await wait_for_thread(slack, asked, 3)
    await press(slack, slack.ben, first[-1], "▶")
    both = await wait_for_thread(slack, asked, 6)
    assert [(text.shown, [file["name"] for file in files.files]) for text, files in (both[:2], both[3:5])] == [
        ("Page 1", ["1.png"]),
        ("> Ben pressed ▶\n\nPage 2", ["2.png"]),
    ]
    assert both[:3] == first


async def test_thumbs_are_counted_under_the_answer_in_the_language_of_the_asker(slack: FakeSlack) -> None:
    berta = slack.add_user("Berta", locale="de-DE")
    await run_command(slack, "/ask", QUESTION)
    answer = await wait_for_answer(slack, PARIS)
    before = answer.shown
    await press(slack, berta, answer, "👍")
    await slack.until(lambda: "👍 1" in answer.buttons)
    await press(slack, slack.ann, answer, "👎")
    await slack.until(lambda: "👎 1" in answer.buttons)
    assert list(answer.buttons) == ["Again", "Cooler", "Warmer", "Edit", "Delete", "👍 1", "👎 1"]
    assert answer.shown == before


async def test_thumbs_are_counted_under_pictures(slack: FakeSlack) -> None:
    await run_command(slack, "/face", "seed:7")
    card = await wait_for_answer(slack, "fake-faces")
    await press(slack, slack.ben, card, "👍")
    await slack.until(lambda: "👍 1" in card.buttons)
    assert card.shown.startswith("made by AI · model fake-faces")


async def test_delete_removes_the_answer_and_the_question(slack: FakeSlack) -> None:
    await run_command(slack, "/face", "seed:7")
    card = await wait_for_answer(slack, "fake-faces")
    await press(slack, slack.ann, card, "Delete")
    await slack.until(lambda: all(one.deleted for one in slack.workspace.messages))
    assert slack.workspace.files == {}


async def test_message_ids_are_stored_before_delete_can_be_pressed(
    slack: FakeSlack, toy_bot: Bot, models: FakeModels
) -> None:
    models.gate.clear()
    await run_command(slack, "/face", "seed:7")
    [posted] = await slack.until(lambda: slack.messages(slack.channel))
    slack.refuse("chat.postMessage", retry_after=1)
    models.gate.set()
    await slack.until(lambda: [call for call in slack.calls if call.error == "ratelimited"])
    [pictures] = slack.thread(slack.channel, posted.ts)
    assert await toy_bot.messages.find_answers("slack", [pictures.ts])
    assert (await wait_for_answer(slack, "fake-faces")).thread_ts == posted.ts


async def test_the_question_is_deleted_with_its_last_answer(slack: FakeSlack) -> None:
    await run_command(slack, "/ask", QUESTION)
    first = await wait_for_answer(slack, PARIS)
    await press(slack, slack.ann, first, "Again")
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
    _, second = find_answers(slack, PARIS)
    await press(slack, slack.ann, first, "Delete")
    await slack.until(lambda: first.deleted)
    # What follows a deletion is over by then.
    await press(slack, slack.ann, second, "👍")
    await slack.until(lambda: "👍 1" in second.buttons)
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


async def test_a_thumb_keeps_the_note_that_an_answer_was_stopped(slack: FakeSlack, models: FakeModels) -> None:
    slack.without_streaming()
    models.gate.clear()
    await run_command(slack, "/ask", QUESTION)
    [posted] = await slack.until(lambda: slack.messages(slack.channel))
    [answer] = await slack.until(lambda: slack.thread(slack.channel, posted.ts))
    await slack.until(lambda: "Paris" in answer.shown)
    await press(slack, slack.ann, answer, "Stop")
    await slack.until(lambda: "Stopped." in answer.shown and "👍" in answer.buttons)
    assert next(iter(answer.buttons)) == "Again"
    await models.until(dropped=1)
    await press(slack, slack.ben, answer, "👍")
    await slack.until(lambda: "👍 1" in answer.buttons)
    assert answer.shown.endswith("Stopped.")


async def test_a_button_of_a_purged_answer_has_expired(slack: FakeSlack, toy_bot: Bot) -> None:
    await run_command(slack, "/ask", QUESTION)
    answer = await wait_for_answer(slack, PARIS)
    await toy_bot.database.purge(0)
    await press(slack, slack.ann, answer, "Again")
    assert (await wait_for_ephemeral(slack, slack.ann)).shown.startswith("This has expired")


async def test_buttons_work_in_a_channel_without_the_bot(slack: FakeSlack) -> None:
    room = slack.add_channel("elsewhere", member=False)
    await run_command(slack, "/ask", QUESTION, channel=room)
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
    await run_command(slack, "/ask", QUESTION)
    answer = await wait_for_ephemeral(slack, slack.ann)
    assert list(answer.buttons) == ["Again", "Cooler", "Warmer", "Edit", "Continue"]
    await press(slack, slack.ann, answer, "Again")
    await slack.until(lambda: len(slack.ephemeral(slack.ann)) == 2)
    await press(slack, slack.ann, answer, "Edit")
    assert (await slack.submit(slack.ann, await slack.view(slack.ann), {"prompt": "And of Spain?"})).closed
    await slack.until(lambda: len(slack.ephemeral(slack.ann)) == 3)
    assert all(PARIS in message.shown for message in slack.ephemeral(slack.ann))
    assert slack.messages(slack.channel) == []

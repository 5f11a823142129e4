"""Answers to slash commands: where they appear, how they grow, and that they always end."""

import pytest
from fakes.core.clock import returning_late
from fakes.model_server.gateway import eventually
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys
from fakes.platforms.slack_bot import (
    find_answers,
    on_slack,
    play,
    playing,
    run_command,
    wait_for_answer,
    wait_for_ephemeral,
    wait_for_question,
    wait_for_thread,
)
from fakes.slack import FakeSlack

from bot.app import Bot
from bot.core.messages import Reply
from bot.platforms.slack.api import message_format
from bot.platforms.slack.api.api import SlackApi

PARIS = "Paris is the capital of France."
QUESTION = "What is the capital of France?"
BUTTONS = ["Again", "Cooler", "Warmer", "Edit", "Delete", "👍", "👎"]


async def test_a_question_is_quoted_and_answered_in_its_thread(slack: FakeSlack, models: FakeModels) -> None:
    models.gate.clear()
    await run_command(slack, "/ask", f"temperature:0.2 {QUESTION}")
    posted = await wait_for_question(slack)
    assert posted.shown == f"<@{slack.ann}> asks:\n> {QUESTION}"
    [answer] = await wait_for_thread(slack, posted)
    assert answer.streaming
    models.gate.set()
    assert await wait_for_answer(slack, PARIS) is answer
    text, card = answer.shown.split("\n")
    assert text == PARIS
    assert card.startswith("made by AI · model fake-chat · temperature 0.2 · seed ")
    assert list(answer.buttons) == BUTTONS
    assert not slack.called("chat.update")
    assert slack.messages(slack.channel) == [posted]


async def test_a_command_without_a_question_is_quoted_as_it_was_asked(slack: FakeSlack) -> None:
    await run_command(slack, "/face", "count:4 seed:7")
    posted = await wait_for_question(slack)
    assert posted.shown == f"<@{slack.ann}> asks:\n> /face count:4 seed:7"
    pictures, card = await wait_for_thread(slack, posted, 2)
    [file] = pictures.files
    assert (file["name"], file["alt_txt"]) == (
        "face-7.png",
        "4 computer-made faces, seed 7: people who do not exist.",
    )
    assert card.shown.startswith("made by AI · model fake-faces · seed 7 · count 4")
    assert list(card.buttons) == ["Emoji faces", "Again", "Edit", "Delete", "👍", "👎"]


async def test_options_are_read_as_pairs(slack: FakeSlack, toys: Toys) -> None:
    await run_command(slack, "/tempera", 'play seed:"7" two words &lt;3')
    assert (await wait_for_question(slack)).shown == f"<@{slack.ann}> asks:\n> two words &lt;3"
    toys.say(Reply(text="Done.", card={"model": "toy"}, final=True))
    await wait_for_answer(slack, "Done.")
    await run_command(slack, "/tempera", "inspect")
    assert "- `seed`: 7" in (await wait_for_ephemeral(slack)).shown


@pytest.mark.parametrize("settings", [{"answers.quote": False}])
async def test_without_quotes_only_the_command_is_named(slack: FakeSlack) -> None:
    await run_command(slack, "/ask", QUESTION)
    assert (await wait_for_question(slack)).shown == f"<@{slack.ann}> asks:\n> /ask"
    assert (await wait_for_answer(slack, PARIS)).shown.startswith(PARIS)
    await run_command(slack, "/tempera", "draw count:2")
    await slack.until(lambda: len(slack.messages(slack.channel)) == 2)
    assert slack.messages(slack.channel)[-1].shown.endswith("> /tempera draw")


async def test_everything_is_in_the_language_of_the_asker(slack: FakeSlack) -> None:
    berta = slack.add_user("Berta", locale="de-DE")
    await run_command(slack, "/ask", QUESTION, user=berta)
    assert (await wait_for_question(slack)).shown.startswith(f"<@{berta}> fragt:")
    assert "Wärmer" in (await wait_for_answer(slack, PARIS)).buttons


@pytest.mark.parametrize("settings", [{"answers.language": "de"}])
async def test_everything_is_in_the_language_that_is_set(slack: FakeSlack) -> None:
    await run_command(slack, "/ask", QUESTION)
    assert (await wait_for_question(slack)).shown.startswith(f"<@{slack.ann}> fragt:")
    assert "Wärmer" in (await wait_for_answer(slack, PARIS)).buttons
    said = await slack.say(slack.ann, slack.channel, "", mention=True)
    [welcome] = await slack.until(lambda: slack.thread(slack.channel, said.ts))
    assert welcome.shown.startswith("Hallo! Ich zeige, wie generative KI funktioniert.")
    await run_command(slack, "/ask")
    [first, *_] = (await slack.view(slack.ann)).content["blocks"]
    assert first["label"]["text"] == "Was du wissen möchtest"
    await run_command(slack, "/tempera", "weigh", user=slack.ben)
    view = await slack.view(slack.ben)
    file = slack.add_file(slack.ben, "note.txt", b"four")
    slack.scopes.remove("files:read")
    assert (await slack.submit(slack.ben, view, {"file": file, "note": "fragile"})).closed
    assert "Das hast du eingegeben:" in (await wait_for_ephemeral(slack, slack.ben)).shown


async def test_an_unknown_asker_is_answered(slack: FakeSlack) -> None:
    slack.refuse("users.info", "user_not_found", times=-1)
    await run_command(slack, "/ask", QUESTION)
    assert await wait_for_answer(slack, PARIS)


async def test_an_answer_has_text_and_pictures(slack: FakeSlack, toys: Toys) -> None:
    await run_command(slack, "/tempera", "draw count:2")
    text, pictures, tail = await wait_for_thread(slack, await wait_for_question(slack), 3)
    assert text.shown == "Look:"
    assert [file["name"] for file in pictures.files] == ["0.png", "1.png"]
    assert all(len(file["alt_txt"]) <= 1000 for file in pictures.files)
    assert "Delete" in tail.buttons
    assert text.buttons == {}


async def test_a_refused_picture_is_reported(slack: FakeSlack, toys: Toys) -> None:
    slack.refuse("files.getUploadURLExternal", "storage_limit_reached", times=-1)
    await run_command(slack, "/tempera", "draw")
    _, tail = await wait_for_thread(slack, await wait_for_question(slack), 2)
    assert tail.shown == "Slack did not take the file."
    assert "Delete" in tail.buttons


async def test_a_failed_upload_is_tried_again(slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.platforms.slack.api.api.UPLOAD_RETRY_SECONDS", (0.01, 0.01))
    slack.refuse("files.getUploadURLExternal", "internal_error", status=500, times=2)
    await run_command(slack, "/tempera", "draw")
    _, picture, tail = await wait_for_thread(slack, await wait_for_question(slack), 3)
    assert [file["name"] for file in picture.files] == ["0.png"]
    assert "Delete" in tail.buttons


async def test_an_answer_mentions_nobody_and_unfurls_no_link(slack: FakeSlack, toys: Toys) -> None:
    said = f"<!channel> <@{slack.ben}> @here [click](https://evil.example/) <https://evil.example|home>"
    await run_command(slack, "/ask", f"{said} <!here>")
    posted = await wait_for_question(slack)
    assert set(posted.pings) == {f"@{slack.ann}"}
    await run_command(slack, "/tempera", "play something")
    await slack.until(lambda: len(slack.messages(slack.channel)) == 2)
    for number in range(0, len(said), 7):
        toys.say(Reply(text=said[:number]))
    toys.say(Reply(text=said, final=True))
    answer = await wait_for_answer(slack, "evil")
    assert answer.pings == []
    assert "click (https://evil.example/)" in answer.shown
    assert "home (https://evil.example)" in answer.shown
    assert posted.unfurls == []


async def test_all_streams_end_with_the_bot(slack: FakeSlack, toy_bot: Bot, models: FakeModels) -> None:
    async with FakeSlack() as other:
        async with on_slack(toy_bot, other):
            models.gate.clear()
            await run_command(other, "/ask", QUESTION, channel=other.channel, user=other.ann)
            [answer] = await wait_for_thread(other, await wait_for_question(other))
            assert answer.streaming
        assert not answer.streaming
        assert "Interrupted: the bot was restarted." in answer.shown
        assert "Again" in answer.buttons


async def test_a_picture_is_shared_once_when_the_bot_stops(
    toy_bot: Bot, toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakes.slack.files.SHARE_DELAY_SECONDS", 1.0)
    async with FakeSlack() as other:
        async with on_slack(toy_bot, other):
            await run_command(other, "/tempera", "draw", channel=other.channel, user=other.ann)
            await other.until(lambda: other.called("files.info"))
        assert len(other.called("files.completeUploadExternal")) == 1
        [*_, tail] = other.thread(other.channel, (await wait_for_question(other)).ts)
        assert "Delete" in tail.buttons


async def test_a_long_answer_fills_several_messages_and_a_longer_one_a_file(slack: FakeSlack, toys: Toys) -> None:
    await run_command(slack, "/tempera", "stretch length:30000")
    posted = await wait_for_question(slack)
    parts = await wait_for_thread(slack, posted, 3)
    await slack.until(lambda: parts[-1].buttons)
    assert [len(part.shown) <= message_format.LIMITS.characters for part in parts] == [True] * 3
    assert "".join(part.shown for part in parts).count("word") == 6000
    assert [list(part.buttons)[-2:] for part in parts] == [[], [], ["👍", "👎"]]

    await run_command(slack, "/tempera", "stretch length:60000")
    await slack.until(lambda: len(slack.messages(slack.channel)) == 2)
    note, file, tail = await wait_for_thread(slack, slack.messages(slack.channel)[-1], 3)
    assert "answer.md" in note.shown
    assert [(one["name"], one["size"]) for one in file.files] == [("answer.md", 60000)]
    assert "Delete" in tail.buttons


# When Slack has enough of it


async def test_without_budget_for_streams_messages_are_edited_then_only_finished(
    slack: FakeSlack, models: FakeModels
) -> None:
    models.gate.clear()
    channels = [slack.add_channel(f"room-{number}") for number in range(30)]
    for channel in channels:
        await run_command(slack, "/ask", QUESTION, channel=channel)
    await models.until(running=30)
    for channel in channels:
        await wait_for_question(slack, channel)
    models.gate.set()
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 30)
    assert slack.rate_limited_calls == []
    started = [call.at for call in slack.calls if call.method == "chat.startStream"]
    assert started
    # Within any minute, since a slow machine may need more than one for all of it.
    assert all(sum(0 <= other - at < 60 for other in started) < 20 for at in started)
    for channel in channels:
        assert len(slack.thread(channel, (await wait_for_question(slack, channel)).ts)) == 1


async def test_the_final_snapshot_is_tried_again_after_a_failure(
    slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.platforms.answer_tasks.RETRY_SECONDS", (0.01, 0.01, 0.01))
    await play(slack)
    slack.refuse("chat.postMessage", "internal_error", status=500, times=3)
    toys.say(Reply(text="One two.", final=True))
    assert (await wait_for_answer(slack, "One two.")).shown == "One two."


@pytest.mark.parametrize("times", [1, 2])
async def test_a_final_snapshot_that_slack_refuses_is_not_tried_again(
    slack: FakeSlack, toys: Toys, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr("bot.platforms.answer_tasks.RETRY_SECONDS", (0.01, 0.01, 0.01))
    answer = await playing(slack, toys)
    slack.refuse("chat.stopStream", "msg_blocks_too_long", times=times)
    slack.refuse("chat.update", "msg_blocks_too_long", times=-1)
    toys.say(Reply(text="One two.", final=True))
    assert (await wait_for_ephemeral(slack)).shown == "Something went wrong inside the bot; its log says more."
    assert not answer.streaming
    assert len(slack.called("chat.stopStream")) == times + 1
    assert len(slack.called("chat.update")) == 2 - times


async def test_an_answer_that_grows_outlives_a_refused_snapshot(slack: FakeSlack, toys: Toys) -> None:
    answer = await playing(slack, toys)
    slack.refuse("chat.appendStream", "no_text")
    toys.say(Reply(text="One two"))
    await slack.until(lambda: slack.called("chat.appendStream"))
    toys.say(Reply(text="One two three.", final=True))
    assert await wait_for_answer(slack, "One two three.") is answer


async def test_the_asker_is_notified_of_an_archived_channel(slack: FakeSlack, toys: Toys) -> None:
    await run_command(slack, "/tempera", "play something")
    toys.say(Reply(text="One"))
    await wait_for_thread(slack, await wait_for_question(slack))
    slack.archive(slack.channel)
    toys.say(Reply(text="One two.", final=True))
    message = await wait_for_ephemeral(slack)
    assert message.shown == "I may not write where you asked any more, so your answer ends here."


async def test_a_deleted_answer_is_cancelled(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    toys.say(Reply(text="One"))
    [answer] = await wait_for_thread(slack, posted)
    slack.delete(answer)
    toys.say(Reply(text="One two"), Reply(text="One two three."))
    await run_command(slack, "/ask", QUESTION)
    await wait_for_answer(slack, PARIS)
    assert slack.thread(slack.channel, posted.ts) == []


async def eventually_gone(bot: Bot, row: int) -> None:
    """Wait until an answer is no longer stored."""

    async def is_gone() -> bool:
        return await bot.messages.get(row) is None

    await eventually(is_gone)


async def test_an_answer_deleted_before_its_id_is_known_is_cancelled(
    slack: FakeSlack, toys: Toys, toy_bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SlackApi, "start_stream", returning_late(SlackApi.start_stream))
    posted = await play(slack)
    toys.say(Reply(text="One"))
    [answer] = await wait_for_thread(slack, posted)
    (row,) = toy_bot.runs.ids
    slack.delete(answer)
    await eventually_gone(toy_bot, row)
    assert slack.thread(slack.channel, posted.ts) == []


async def test_a_finished_answer_whose_message_somebody_deletes_is_not_kept(slack: FakeSlack, toy_bot: Bot) -> None:
    await run_command(slack, "/ask", QUESTION)
    answer = await wait_for_answer(slack, PARIS)
    (row,) = await eventually(lambda: toy_bot.messages.find_answers("slack", [answer.ts]))
    slack.delete(answer)
    await eventually_gone(toy_bot, row.id)


@pytest.mark.parametrize(
    ("kind", "told"), [("hate", "Reason: "), ("self-harm", "Please talk to somebody you trust today")]
)
@pytest.mark.parametrize("settings", [{"safety.level": "classroom"}])
async def test_a_question_that_the_classifier_refuses_is_never_shown(
    slack: FakeSlack, models: FakeModels, kind: str, told: str
) -> None:
    models.scores = {"aubergine": {kind: 0.99}}
    await run_command(slack, "/ask", "aubergine")
    assert told in (await wait_for_ephemeral(slack)).shown
    [posted] = slack.workspace.messages[:1]
    await slack.until(lambda: posted.deleted)
    shown = [text for message in slack.workspace.messages for _, text in message.edits]
    assert not any("aubergine" in text for text in shown)
    assert f"<@{slack.ann}> asks:\n> /ask" in shown
    await run_command(slack, "/ask", "courgette")
    await slack.until(
        lambda: [one.shown for one in slack.messages(slack.channel)] == [f"<@{slack.ann}> asks:\n> courgette"]
    )
    await wait_for_answer(slack, PARIS)

"""Mentions, direct messages, threads and shortcuts: which are answered, and with which context."""

import logging
from pathlib import Path

import pytest
from fakes.core.pictures import examine_here, make_picture
from fakes.core.requests import wait_until_delivered
from fakes.core.settings import put
from fakes.model_server.model_api import FakeModels
from fakes.platforms.discord_bot import Toys, bot_with_toys
from fakes.platforms.slack_bot import find_answers, on_slack, wait_for_answer
from fakes.slack import FakeMessage, FakeSlack
from fakes.storage.statements import counted_statements
from fakes.storage.trouble import locked, wait_briefly

from bot.answers import examiner
from bot.app import Bot
from bot.settings.setting import Scope

PARIS = "Paris is the capital of France."
NO_LESSONS = "That is not in the lessons. There are none here yet."


@pytest.fixture(params=[False, True], ids=["socket", "http"])
def http(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def wait_for_count(slack: FakeSlack, count: int) -> FakeMessage:
    """Wait for `count` answers, and return the last."""
    await slack.until(lambda: len(find_answers(slack, PARIS)) >= count)
    assert len(find_answers(slack, PARIS)) == count
    return find_answers(slack, PARIS)[-1]


def prompts_of(models: FakeModels) -> list[list[str]]:
    """Return the turns of each prompt, without the instructions."""
    return [[turn["content"] for turn in body["messages"][1:]] for body in models.requests]


async def assert_unanswered(slack: FakeSlack, models: FakeModels) -> None:
    """Assert that nothing before was answered: a new question is the only one."""
    before = len(models.requests)
    said = await slack.say(slack.ben, slack.dm(slack.ben), "A question after all that")
    await slack.until(lambda: [one for one in find_answers(slack, PARIS) if one.thread_ts == said.ts])
    assert len(models.requests) == before + 1


async def test_messages_for_others_are_not_answered(slack: FakeSlack, models: FakeModels) -> None:
    said = await slack.say(slack.ann, slack.channel, "Good morning, everybody")
    await slack.say(slack.ben, slack.channel, "Good morning, Ann", thread_ts=said.ts)
    own = await slack.say(slack.ann, slack.channel, "A question", mention=True)
    await wait_for_count(slack, 1)
    await slack.say(slack.ben, slack.channel, f"<@{slack.ann}> do you believe that?", thread_ts=own.ts)
    slack.edit(own, "Another question")
    for event in ({"subtype": "channel_join"}, {"subtype": "bot_message", "bot_id": "B1"}, {"bot_id": "B1"}):
        about = {"type": "message", "channel": slack.channel, "user": slack.ben, "text": "hello", "ts": "1.000001"}
        await slack.send_event(about | event | {"thread_ts": own.ts}).acknowledged()
    await assert_unanswered(slack, models)
    assert len(models.requests) == 2


async def test_a_file_without_words_costs_no_look_into_the_database(slack: FakeSlack, models: FakeModels) -> None:
    own = await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
    await wait_for_count(slack, 1)
    with counted_statements() as statements:
        await slack.say(slack.ben, slack.channel, "", thread_ts=own.ts, files=[("cat.png", make_picture())])
        await assert_unanswered(slack, models)
        assert [one for one in statements if "messages.private = 0" in one] == []
        await slack.say(slack.ben, slack.channel, "Are you sure?", thread_ts=own.ts)
        await wait_for_count(slack, 3)
        assert len([one for one in statements if "messages.private = 0" in one]) == 1


async def test_a_private_answer_does_not_make_a_thread_the_bots(
    slack: FakeSlack, models: FakeModels, toy_bot: Bot
) -> None:
    await put(toy_bot.settings, "answers.threads", True, Scope("slack", slack.team))
    said = await slack.say(slack.ann, slack.channel, "Good morning, everybody")
    theirs = await slack.say(slack.ben, slack.channel, "Good morning, Ann", thread_ts=said.ts)
    await (await slack.shortcut(slack.ben, theirs, "m:inspect")).acknowledged()
    await slack.until(lambda: slack.ephemeral(slack.ben))
    await slack.say(slack.ann, slack.channel, "/whisper hello", thread_ts=said.ts, mention=True)
    await slack.until(lambda: slack.ephemeral(slack.ann))
    await slack.say(slack.ben, slack.channel, "Where were we?", thread_ts=said.ts)
    await assert_unanswered(slack, models)
    assert all(one.user != slack.bot_user for one in slack.thread(slack.channel, said.ts))
    await slack.say(slack.ann, slack.channel, "Which capital?", thread_ts=said.ts, mention=True)
    await wait_for_count(slack, 2)
    await slack.say(slack.ben, slack.channel, "Are you sure?", thread_ts=said.ts)
    await wait_for_count(slack, 3)


async def test_in_a_thread_that_people_began_only_mentions_are_answered(slack: FakeSlack, models: FakeModels) -> None:
    """After one mention, people could not talk among themselves there any more."""
    said = await slack.say(slack.ann, slack.channel, "Good morning, everybody")
    await slack.say(slack.ben, slack.channel, "Which capital?", thread_ts=said.ts, mention=True)
    await wait_for_count(slack, 1)
    await slack.say(slack.ann, slack.channel, "I knew that.", thread_ts=said.ts)
    await assert_unanswered(slack, models)
    await slack.say(slack.ann, slack.channel, "And of Spain?", thread_ts=said.ts, mention=True)
    await wait_for_count(slack, 3)
    assert not [turns for turns in prompts_of(models) if "I knew that." in turns]


async def test_names_and_links_are_read_as_people_write_them(slack: FakeSlack, models: FakeModels) -> None:
    text = f"Does <@{slack.ben}> like <https://example.org|this page> in <#C1|general>? <!here> &lt;b&gt; &amp;amp;"
    text += " <mailto:a@b.de|a@b.de>"
    await slack.say(slack.ann, slack.channel, text, mention=True)
    await wait_for_count(slack, 1)
    assert prompts_of(models) == [
        ["Does @Ben like this page (https://example.org) in #general? @here <b> &amp; mailto:a@b.de"]
    ]


async def test_a_mention_may_be_a_command(slack: FakeSlack, models: FakeModels) -> None:
    said = await slack.say(slack.ann, slack.channel, "/ask temperature:0.2 Which capital?", mention=True)
    answer = await wait_for_count(slack, 1)
    assert "temperature 0.2" in answer.shown
    await slack.say(slack.ann, slack.channel, "/whisper hello", thread_ts=said.ts, mention=True)
    [message] = await slack.until(lambda: slack.ephemeral(slack.ann))
    assert (message.shown, message.thread_ts) == ("psst, hello", said.ts)
    await slack.say(slack.ann, slack.channel, "/tempera whisper good night", thread_ts=said.ts, mention=True)
    _, message = await slack.until(lambda: found if len(found := slack.ephemeral(slack.ann)) == 2 else [])
    assert message.shown == "psst, good night"


async def test_a_refused_mention_is_answered_ephemerally(slack: FakeSlack) -> None:
    await slack.say(slack.ann, slack.channel, "/ask temperature:9 Why?", mention=True)
    [message] = await slack.until(lambda: slack.ephemeral(slack.ann))
    assert message.shown.startswith("temperature must be")
    # A thread that nobody has begun shows nothing to one alone.
    assert message.thread_ts == ""


async def test_private_answers_in_a_direct_message_stay_there(slack: FakeSlack) -> None:
    said = await slack.say(slack.ann, slack.dm(slack.ann), "/whisper hello")
    [message] = await slack.until(lambda: slack.thread(slack.dm(slack.ann), said.ts))
    assert message.shown == "psst, hello"


async def test_an_empty_mention_is_welcomed(slack: FakeSlack) -> None:
    said = await slack.say(slack.ann, slack.channel, "", mention=True)
    [message] = await slack.until(lambda: slack.thread(slack.channel, said.ts))
    assert message.shown.startswith("Hello! I show how generative AI works.")
    assert "`/face count:4`" in message.shown
    assert "`/tempera help` lists everything I can do." in message.shown


async def test_a_failing_model_is_reported_to_the_asker(slack: FakeSlack, models: FakeModels) -> None:
    models.failure = (503, "The model is still loading.")
    said = await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
    [message] = await slack.until(lambda: slack.ephemeral(slack.ann))
    assert "The model is still loading." in message.shown
    told = [call["status"] for call in slack.called("assistant.threads.setStatus") if call["thread_ts"] == said.ts]
    # What was being done there is not told for ever, if there was time to tell it.
    assert told[-1:] in ([], [""])
    direct = await slack.say(slack.ann, slack.dm(slack.ann), "Which capital?")
    [message] = await slack.until(lambda: slack.thread(slack.dm(slack.ann), direct.ts))
    assert "The model is still loading." in message.shown


async def test_a_bot_removed_from_the_channel_notifies_the_asker(slack: FakeSlack, models: FakeModels) -> None:
    models.gate.clear()
    await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
    await models.until(requests=1)
    slack.kick(slack.channel)
    models.gate.set()
    [message] = await slack.until(lambda: slack.messages(slack.dm(slack.ann)))
    assert message.shown == "I may not write where you asked any more, so your answer ends here."


# Shortcuts


async def test_explain_this_answers_below_the_message(slack: FakeSlack, models: FakeModels) -> None:
    said = await slack.say(slack.ben, slack.channel, "Entropy &gt; 0")
    await (await slack.shortcut(slack.ann, said, "m:explain")).acknowledged()
    [answer] = await slack.until(lambda: find_answers(slack, NO_LESSONS))
    assert answer.thread_ts == said.ts
    assert answer.shown.startswith("> Entropy")
    await (await slack.press(slack.ben, answer, "Ask the language model")).acknowledged()
    assert (await wait_for_count(slack, 1)).thread_ts == said.ts
    assert [turns[-1] for turns in prompts_of(models)] == ["Entropy > 0"]


async def test_a_message_without_words_opens_the_form(slack: FakeSlack) -> None:
    said = await slack.say(slack.ben, slack.channel, "", files=[("note.txt", b"four")])
    await (await slack.shortcut(slack.ann, said, "m:explain")).acknowledged()
    view = await slack.view(slack.ann)
    assert (await slack.submit(slack.ann, view, {"question": "Which capital?"})).closed
    [answer] = await slack.until(lambda: find_answers(slack, NO_LESSONS))
    assert answer.thread_ts == said.ts


async def test_inspect_is_shown_to_one_user_only(slack: FakeSlack, toy_bot: Bot) -> None:
    await slack.say(slack.ann, slack.channel, "Which capital?", mention=True)
    answer = await wait_for_count(slack, 1)
    await wait_until_delivered(toy_bot, "slack", answer.ts)
    await (await slack.shortcut(slack.ben, answer, "m:inspect")).acknowledged()
    [message] = await slack.until(lambda: slack.ephemeral(slack.ben))
    assert message.shown.startswith("**/ask** – asked by Ann")
    assert message.thread_ts == answer.thread_ts


async def test_a_picture_of_anybody_is_inspected(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examiner, "examine_in_child", examine_here)
    pictures = [("a.png", make_picture()), ("b.png", b"no picture")]
    said = await slack.say(slack.ben, slack.channel, "Look!", files=pictures)
    await (await slack.shortcut(slack.ann, said, "m:inspect")).acknowledged()
    message = (await slack.until(lambda: [one for one in slack.ephemeral(slack.ann) if "Hash" in one.shown]))[-1]
    assert "Nothing found. That proves nothing" in message.shown
    assert "This is no picture that I can read" in message.shown
    typed = await slack.say(slack.ben, slack.channel, "/tempera inspect", mention=True, files=pictures[:1])
    await slack.until(lambda: [one for one in slack.ephemeral(slack.ben) if "Nothing found." in one.shown])
    assert all(one.user != slack.bot_user for one in slack.thread(slack.channel, typed.ts))


async def test_a_file_of_another_workspace_is_looked_up(
    slack: FakeSlack, models: FakeModels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(examiner, "examine_in_child", examine_here)
    slack.workspace.users[slack.ben].team = "T0ELSEWHERE"
    said = await slack.say(slack.ben, slack.channel, "Look!", files=[("a.png", make_picture())])
    await (await slack.shortcut(slack.ann, said, "m:inspect")).acknowledged()
    await slack.until(lambda: [one for one in slack.ephemeral(slack.ann) if "Nothing found." in one.shown])
    await slack.say(slack.ben, slack.channel, "What is in it?", mention=True, files=[("note.txt", b"forty-two")])
    await wait_for_count(slack, 1)
    assert "forty-two" in str(models.requests[-1]["messages"])
    # If Slack does not describe it at once, it is still a file.
    slack.refuse("files.info", "internal_error")
    await (await slack.shortcut(slack.ann, said, "m:inspect")).acknowledged()
    await slack.until(lambda: "could not be looked up: files.info: internal_error" in caplog.text)
    await slack.until(lambda: "has no picture that I can examine" in slack.ephemeral(slack.ann)[-1].shown)


async def test_a_removed_shortcut_is_refused(slack: FakeSlack) -> None:
    said = await slack.say(slack.ben, slack.channel, "Entropy")
    await (await slack.shortcut(slack.ann, said, "m:gone")).acknowledged()
    [message] = await slack.until(lambda: slack.ephemeral(slack.ann))
    assert message.shown.startswith("There is no command /tempera gone")


async def test_everything_else_is_acknowledged_and_ignored(
    slack: FakeSlack, models: FakeModels, caplog: pytest.LogCaptureFixture
) -> None:
    said = await slack.say(slack.ann, slack.channel, "Good morning")
    await (await slack.shortcut(slack.ann, said, "somebody_elses")).acknowledged()
    await slack.send_event({"type": "team_join", "user": {"id": slack.ann}}).acknowledged()
    await assert_unanswered(slack, models)
    assert [record.message for record in caplog.records if record.levelname != "INFO" and "sdk" in record.name] == []
    assert await wait_for_answer(slack, PARIS)


async def test_who_asks_while_the_database_is_away_is_told_once(
    models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_briefly(monkeypatch)
    async with (
        bot_with_toys(models, tmp_path, Toys()) as bot,
        FakeSlack() as slack,
        on_slack(bot, slack),
    ):
        async with locked(tmp_path / "tempera.db"):
            await (await slack.command(slack.ann, slack.channel, "/ask", "Why?")).acknowledged()
            # A mention comes as two events.
            said = await slack.say(slack.ben, slack.channel, "Why?", mention=True)
            for delivery in said.events:
                await delivery.acknowledged()
            await slack.until(lambda: slack.ephemeral(slack.ann) and slack.ephemeral(slack.ben))
        # Whoever was told to ask again gets no answer to an event that comes once more.
        for delivery in said.events:
            await slack.redeliver(delivery).acknowledged()
        await slack.say(slack.admin, slack.channel, "What is the capital of France?", mention=True)
        await wait_for_answer(slack, PARIS)
        for person in (slack.ann, slack.ben):
            [told] = slack.ephemeral(person)
            assert told.shown.startswith("My database cannot be used at the moment")
    assert len(models.requests) == 1

"""Answers for the asker only, and answers in channels that the bot is not in."""

from pathlib import Path

import pytest
from fakes.core.requests import wait_until_delivered
from fakes.model_server.model_api import FakeModels, png
from fakes.platforms.discord_bot import Toys, bot_with_toys
from fakes.platforms.slack_bot import (
    find_answers,
    on_slack,
    play,
    run_command,
    speed_up,
    wait_for_ephemeral,
)
from fakes.slack import FakeSlack
from fakes.storage.trouble import locked, wait_briefly

from bot.app import Bot
from bot.core.errors import UserError
from bot.core.messages import Attachment, Reply

PARIS = "Paris is the capital of France."
QUESTION = "What is the capital of France?"
SECRET = "Write to ann@example.org"


async def test_a_private_answer_is_complete_and_for_the_asker_only(slack: FakeSlack) -> None:
    await run_command(slack, "/tempera", "whisper hello")
    message = await wait_for_ephemeral(slack)
    assert (message.shown, message.via) == ("psst, hello", "api")
    assert slack.messages(slack.channel) == []


async def test_an_answer_that_turns_out_private_removes_the_question(slack: FakeSlack, toys: Toys) -> None:
    posted = await play(slack)
    toys.say(UserError("That does not work today."))
    message = await wait_for_ephemeral(slack)
    # In a thread of a message that is gone, nobody would see it.
    assert (message.shown, message.via, message.thread_ts) == ("That does not work today.", "api", "")
    assert posted.deleted
    assert slack.messages(slack.channel) == []


async def test_an_answer_that_fails_with_the_database_leaves_nothing_behind_for_others(
    models: FakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_briefly(monkeypatch)
    toys = Toys()
    async with bot_with_toys(models, tmp_path, toys) as bot, FakeSlack() as slack, on_slack(bot, slack):
        speed_up(slack, monkeypatch)
        question = await play(slack)
        toys.say(Reply(text="One"))
        [shown] = await slack.until(lambda: slack.thread(slack.channel, question.ts))
        await wait_until_delivered(bot, "slack", shown.ts)
        async with locked(tmp_path / "tempera.db"):
            toys.say(Reply(text="One and all", private=True, final=True))
            message = await wait_for_ephemeral(slack)
        assert "My database cannot be used at the moment" in message.shown
        assert slack.messages(slack.channel) == slack.thread(slack.channel, question.ts) == []


async def test_a_refusal_is_for_the_asker_only(slack: FakeSlack) -> None:
    await run_command(slack, "/ask", "temperature:9 Why?")
    message = await wait_for_ephemeral(slack)
    assert message.shown == "temperature must be a number from 0 to 2; you gave “9”."
    await run_command(slack, "/tempera", "nothing at all")
    await slack.until(lambda: len(slack.ephemeral(slack.ann)) == 2)
    assert slack.ephemeral(slack.ann)[-1].shown.startswith("There is no command /tempera nothing.")
    assert slack.messages(slack.channel) == []


async def test_private_pictures_go_to_the_direct_messages(slack: FakeSlack, toy_bot: Bot, toys: Toys) -> None:
    await play(slack)
    picture = Attachment("secret.png", png(1), "image/png", "A picture.")
    toys.say(Reply(text="For you alone.", attachments=(picture,), private=True, final=True))
    message = await wait_for_ephemeral(slack)
    await slack.until(lambda: "direct messages" in slack.ephemeral(slack.ann)[-1].shown)
    assert message.shown.startswith("For you alone.")
    [sent] = slack.messages(slack.dm(slack.ann))
    assert [file["name"] for file in sent.files] == ["secret.png"]
    assert slack.messages(slack.channel) == []


async def test_replies_name_slacks_commands(slack: FakeSlack) -> None:
    await run_command(slack, "/tempera", "")
    lines = (await wait_for_ephemeral(slack)).shown.splitlines()
    assert "- `/ask` – Ask the language model a question." in lines
    assert "- `/tempera whisper` – Repeat a text to the asker alone." in lines
    assert "`/tempera help ask` shows the options of a command." in lines


# Where the bot is not


async def test_in_a_foreign_channel_the_answer_says_how_to_invite_the_bot(slack: FakeSlack) -> None:
    room = slack.add_channel("elsewhere", member=False)
    await run_command(slack, "/ask", QUESTION, channel=room)
    [answer] = await slack.until(lambda: slack.messages(room))
    assert answer.via == "response_url"
    assert answer.shown.startswith(f"> {QUESTION}\n\n{PARIS}")
    assert "/invite @tempera" in answer.shown
    assert [message.shown for message in slack.ephemeral(slack.ann)] in ([], ["Working on it …"])


# Questions with personal data are answered privately then.
@pytest.mark.parametrize("settings", [{"safety.level": "standard"}])
async def test_in_direct_messages_private_questions_are_context(slack: FakeSlack, models: FakeModels) -> None:
    direct = slack.dm(slack.ann)
    said = await slack.say(slack.ann, direct, SECRET)
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 1)
    await slack.say(slack.ann, direct, QUESTION, thread_ts=said.ts)
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
    answer = find_answers(slack, PARIS)[-1]
    slack.refuse("conversations.open", "missing_scope")
    for count in (3, 4):
        await slack.press(slack.ann, answer, "Again")
        await slack.until(lambda count=count: len(find_answers(slack, PARIS)) == count)
    await slack.press(slack.ann, answer, "Edit")
    await slack.submit(slack.ann, await slack.view(slack.ann), {"prompt": "And of Spain?"})
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 5)
    # Where Slack does not tell whose direct messages these are, others may read them.
    whole = [SECRET, PARIS, QUESTION]
    prompts = [[turn["content"] for turn in body["messages"][1:]] for body in models.requests]
    assert prompts == [[SECRET], whole, [QUESTION], whole, [SECRET, PARIS, "And of Spain?"]]


async def test_in_a_foreign_channel_errors_and_private_answers_are_private(slack: FakeSlack, toys: Toys) -> None:
    room = slack.add_channel("elsewhere", member=False, private=True)
    await run_command(slack, "/tempera", "whisper hello", channel=room)
    message = await wait_for_ephemeral(slack)
    assert (message.shown, message.via) == ("psst, hello", "response_url")
    await run_command(slack, "/tempera", "play something", channel=room)
    toys.say(UserError("That does not work today."))
    await slack.until(lambda: "That does not work today." in slack.ephemeral(slack.ann)[-1].shown)
    assert slack.messages(room) == []


@pytest.mark.parametrize("failing", [1, 2])
async def test_a_retry_does_not_repeat_sent_messages(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    monkeypatch.setattr("bot.platforms.answer_tasks.RETRY_SECONDS", (0.01, 0.01))
    room = slack.add_channel("elsewhere", member=False)
    slack.response_urls.failing = {failing}
    await run_command(slack, "/tempera", "stretch length:15000", channel=room)
    await slack.until(lambda: slack.messages(room) and "Delete" in slack.messages(room)[-1].buttons)
    assert slack.response_urls.public == len(slack.messages(room)) + 1 >= 3
    assert "".join(message.shown for message in slack.messages(room)).count("word") == 3000


async def test_a_retry_does_not_repeat_sent_pictures(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.platforms.answer_tasks.RETRY_SECONDS", (0.01, 0.01))
    room = slack.add_channel("elsewhere", member=False)
    slack.response_urls.failing = {1}
    await run_command(slack, "/face", "seed:7", channel=room)
    [answer] = await slack.until(lambda: slack.messages(room))
    assert "The pictures are in your direct messages." in answer.shown
    [sent] = slack.messages(slack.dm(slack.ann))
    assert [file["name"] for file in sent.files] == ["face-7.png"]


async def test_in_a_foreign_channel_the_longest_answer_becomes_a_file(slack: FakeSlack) -> None:
    room = slack.add_channel("elsewhere", member=False)
    await run_command(slack, "/tempera", "stretch length:70000", channel=room)
    await slack.until(lambda: slack.messages(room) and "Delete" in slack.messages(room)[-1].buttons)
    assert "The whole answer is in your direct messages." in slack.messages(room)[-1].shown
    [sent] = slack.messages(slack.dm(slack.ann))
    assert [(file["name"], file["size"]) for file in sent.files] == [("answer.md", 70000)]

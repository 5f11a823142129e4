"""Buttons under answers, and forms: what they change, who may press them, and that they outlive the process."""

from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels, png
from fakes.platforms.discord_bot import Toys, bot_with_toys
from fakes.platforms.slack_bot import answered, answers, below, on_slack, question
from fakes.slack import FakeMessage, FakeSlack, FakeView

from bot.app import Bot
from bot.core.messages import Attachment, Button, Reply
from bot.platforms.slack.incoming import interactions
from bot.storage.audit import AuditFilter

PARIS = "Paris is the capital of France."
QUESTION = "What is the capital of France?"


async def ask(slack: FakeSlack, command: str = "/ask", text: str = QUESTION, *, channel: str = "") -> None:
    asked = await slack.command(slack.ann, channel or slack.channel, command, text)
    await asked.acknowledged()


async def press(slack: FakeSlack, user: str, on: FakeMessage, label: str) -> None:
    assert (await (await slack.press(user, on, label)).acknowledged()).payload == {}


async def whispered(slack: FakeSlack, user: str) -> FakeMessage:
    return (await slack.until(lambda: slack.ephemeral(user)))[-1]


async def form(slack: FakeSlack, user: str = "") -> FakeView:
    return await slack.view(user or slack.ann)


async def test_again_answers_once_more_in_the_same_thread(slack: FakeSlack, models: FakeModels) -> None:
    await ask(slack)
    first = await answered(slack, PARIS)
    await press(slack, slack.ann, first, "Again")
    await slack.until(lambda: len(answers(slack, PARIS)) == 2)
    _, second = answers(slack, PARIS)
    assert second.thread_ts == first.thread_ts
    assert second.shown.startswith(f"> {QUESTION}\n\n{PARIS}")
    assert models.requests[0]["seed"] != models.requests[1]["seed"]
    await press(slack, slack.admin, second, "Warmer")
    await slack.until(lambda: len(answers(slack, PARIS)) == 3)
    assert models.requests[2]["temperature"] == 1.0


async def test_what_is_only_the_askers_is_refused_to_others(slack: FakeSlack) -> None:
    await ask(slack)
    answer = await answered(slack, PARIS)
    await press(slack, slack.ben, answer, "Delete")
    message = await whispered(slack, slack.ben)
    assert message.shown == "Only Ann, who asked, and moderators can do that."
    assert message.thread_ts == answer.thread_ts
    assert not answer.deleted


async def test_a_page_is_turned_in_a_new_message_as_no_file_takes_the_place_of_another(
    slack: FakeSlack, toys: Toys
) -> None:
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
    asked = await question(slack)
    first = await below(slack, asked, 3)
    await press(slack, slack.ben, first[-1], "▶")
    both = await below(slack, asked, 6)
    assert [(text.shown, [file["name"] for file in files.files]) for text, files in (both[:2], both[3:5])] == [
        ("Page 1", ["1.png"]),
        ("Page 2", ["2.png"]),
    ]
    assert both[:3] == first


async def test_thumbs_are_counted_under_the_answer(slack: FakeSlack) -> None:
    await ask(slack)
    answer = await answered(slack, PARIS)
    before = answer.shown
    await press(slack, slack.ben, answer, "👍")
    await slack.until(lambda: "👍 1" in answer.buttons)
    await press(slack, slack.ann, answer, "👎")
    await slack.until(lambda: "👎 1" in answer.buttons)
    assert list(answer.buttons)[-3:] == ["Delete", "👍 1", "👎 1"]
    assert answer.shown == before


async def test_somebody_elses_thumb_leaves_an_answer_in_the_language_of_the_asker(slack: FakeSlack) -> None:
    berta = slack.add_user("Berta", locale="de-DE")
    await ask(slack)
    answer = await answered(slack, PARIS)
    await press(slack, berta, answer, "👍")
    await slack.until(lambda: "👍 1" in answer.buttons)
    assert list(answer.buttons) == ["Again", "Cooler", "Warmer", "Edit", "Delete", "👍 1", "👎"]


async def test_thumbs_under_pictures_are_counted_too(slack: FakeSlack) -> None:
    await ask(slack, "/face", "seed:7")
    card = await answered(slack, "fake-faces")
    await press(slack, slack.ben, card, "👍")
    await slack.until(lambda: "👍 1" in card.buttons)
    assert card.shown.startswith("model fake-faces")


async def test_delete_takes_everything_away_with_the_question(slack: FakeSlack) -> None:
    await ask(slack, "/face", "seed:7")
    card = await answered(slack, "fake-faces")
    await press(slack, slack.ann, card, "Delete")
    await slack.until(lambda: all(one.deleted for one in slack.workspace.messages))
    assert slack.workspace.files == {}


async def test_what_delete_must_find_is_known_before_it_can_be_pressed(
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
    assert (await answered(slack, "fake-faces")).thread_ts == posted.ts


async def test_delete_leaves_the_question_to_other_answers(slack: FakeSlack) -> None:
    await ask(slack, "/tempera", "stretch length:20000")
    first = await answered(slack, "word")
    await press(slack, slack.ann, first, "Again")
    await slack.until(lambda: len(answers(slack, "word")) == 2)
    await press(slack, slack.admin, first, "Delete")
    await slack.until(lambda: len(slack.thread(slack.channel, first.thread_ts)) == 2)
    assert [one.ts for one in slack.messages(slack.channel)] == [first.thread_ts]


@pytest.mark.parametrize("label", ["Again", "Warmer"])
async def test_the_question_goes_with_its_last_answer_whichever_that_is(slack: FakeSlack, label: str) -> None:
    await ask(slack)
    first = await answered(slack, PARIS)
    await press(slack, slack.ann, first, label)
    await slack.until(lambda: len(answers(slack, PARIS)) == 2)
    _, second = answers(slack, PARIS)
    await press(slack, slack.ann, first, "Delete")
    await slack.until(lambda: first.deleted)
    assert [one.ts for one in slack.messages(slack.channel)] == [first.thread_ts]
    await press(slack, slack.ann, second, "Delete")
    await slack.until(lambda: all(one.deleted for one in slack.workspace.messages))


async def test_what_somebody_asked_themselves_is_left_to_them(slack: FakeSlack) -> None:
    said = await slack.say(slack.ann, slack.dm(slack.ann), QUESTION)
    first = await answered(slack, PARIS)
    await press(slack, slack.ann, first, "Again")
    await slack.until(lambda: len(answers(slack, PARIS)) == 2)
    for answer in answers(slack, PARIS):
        await press(slack, slack.ann, answer, "Delete")
        await slack.until(lambda answer=answer: answer.deleted)
    assert not said.deleted
    assert not [call.error for call in slack.calls if call.method == "chat.delete" and call.error]


async def stopped(slack: FakeSlack, models: FakeModels) -> FakeMessage:
    """An edited answer on whose way Ann pressed Stop."""
    slack.without_streaming()
    models.gate.clear()
    await ask(slack)
    [posted] = await slack.until(lambda: slack.messages(slack.channel))
    [answer] = await slack.until(lambda: slack.thread(slack.channel, posted.ts))
    await slack.until(lambda: "Paris" in answer.shown)
    await press(slack, slack.ann, answer, "Stop")
    return answer


async def test_stop_ends_an_answer_that_is_edited(slack: FakeSlack, models: FakeModels) -> None:
    answer = await stopped(slack, models)
    await slack.until(lambda: "Stopped." in answer.shown)
    assert next(iter(answer.buttons)) == "Again"
    await models.until(dropped=1)


async def test_a_thumb_leaves_the_note_that_an_answer_was_stopped(slack: FakeSlack, models: FakeModels) -> None:
    answer = await stopped(slack, models)
    await slack.until(lambda: "👍" in answer.buttons)
    await press(slack, slack.ben, answer, "👍")
    await slack.until(lambda: "👍 1" in answer.buttons)
    assert answer.shown.endswith("Stopped.")
    await models.until(dropped=1)


async def test_a_bare_command_opens_its_form_and_the_answer_comes_in_a_thread(slack: FakeSlack) -> None:
    await ask(slack, "/ask", "")
    view = await form(slack)
    assert view.title == "/ask"
    wrong = await slack.submit(slack.ann, view, {"prompt": "Why?", "temperature": "9"}, checked=False)
    assert wrong.errors == {"temperature": "temperature must be a number from 0 to 2; you gave “9”."}
    sent = await slack.submit(slack.ann, view, {"prompt": QUESTION, "temperature": "0.2"})
    assert sent.closed
    answer = await answered(slack, PARIS)
    [posted] = slack.messages(slack.channel)
    assert posted.shown == f"<@{slack.ann}> asks:\n> {QUESTION}"
    assert answer.thread_ts == posted.ts
    assert "temperature 0.2" in answer.shown


@pytest.mark.parametrize(("name", "kind"), [("note.txt", "text/plain"), ("note.html", "text/html")])
async def test_a_form_with_a_file(slack: FakeSlack, name: str, kind: str) -> None:
    await ask(slack, "/tempera", "weigh")
    view = await form(slack)
    assert view.title == "/tempera weigh"
    file = slack.add_file(slack.ann, name, b"four")
    assert (await slack.submit(slack.ann, view, {"file": file})).closed
    answer = await answered(slack, name)
    assert answer.shown == f"{name}: 4 bytes of {kind}"
    assert slack.messages(slack.channel)[0].shown.endswith(f"> /tempera weigh file:{name}")


async def test_a_file_that_cannot_be_had(slack: FakeSlack) -> None:
    await ask(slack, "/tempera", "weigh")
    view = await form(slack)
    file = slack.add_file(slack.ann, "note.txt", b"four")
    slack.scopes.remove("files:read")
    assert (await slack.submit(slack.ann, view, {"file": file, "note": "fragile"})).closed
    message = await whispered(slack, slack.ann)
    refused, typed = message.shown.split("\n\nThis is what you typed:\n")
    assert refused == "note.txt could not be fetched from Slack; send it again."
    assert typed == "note:\n```\nfragile\n```"


async def test_a_form_that_is_refused_once_it_is_closed_loses_nothing(
    models: FakeModels, toys: Toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.scores = {"aubergine": {"hate": 0.99}}
    settings = {"safety.level": "classroom"}
    async with (
        FakeSlack() as slack,
        bot_with_toys(models, tmp_path, toys, settings=settings) as bot,
        on_slack(bot, slack),
    ):
        monkeypatch.setattr(interactions, "FIRST_SECONDS", 0.0)
        await ask(slack)
        answer = await answered(slack, PARIS)
        for count, (name, on) in enumerate((("Edit", answer), ("/ask", None)), 1):
            await (press(slack, slack.ann, on, name) if on else ask(slack, name, ""))
            assert (await slack.submit(slack.ann, await form(slack), {"prompt": "aubergine"})).closed
            await slack.until(lambda count=count: len(slack.ephemeral(slack.ann)) == count)
            refused, typed = (await whispered(slack, slack.ann)).shown.split("This is what you typed:\n")
            assert refused.startswith("I do not help with")
            assert typed.startswith("prompt:\n```\naubergine\n```\ntemperature:\n```\n0.7\n```")


async def test_edit_asks_a_new_question(slack: FakeSlack, models: FakeModels) -> None:
    await ask(slack)
    first = await answered(slack, PARIS)
    await press(slack, slack.ann, first, "Edit")
    view = await form(slack)
    wrong = await slack.submit(slack.ann, view, {"prompt": "Why?", "seed": "-1"}, checked=False)
    assert list(wrong.errors) == ["seed"]
    assert (await slack.submit(slack.ann, view, {"prompt": "And of Spain?"})).closed
    await slack.until(lambda: len(answers(slack, PARIS)) == 2)
    second = answers(slack, PARIS)[-1]
    assert second.thread_ts == first.thread_ts
    assert second.shown.startswith("> And of Spain?")


async def test_the_form_of_somebody_else_does_not_open(slack: FakeSlack, toy_bot: Bot) -> None:
    await ask(slack)
    await press(slack, slack.ben, await answered(slack, PARIS), "Edit")
    assert (await whispered(slack, slack.ben)).shown.startswith("Only Ann")
    assert slack.modal(slack.ben) is None
    (noted,) = await toy_bot.audit.find("slack", slack.team, AuditFilter(kind="refusal"))
    assert (noted.what, noted.actor, noted.reason) == ("edit", slack.ben, "owner")


async def test_a_form_that_comes_too_late_says_what_to_do(slack: FakeSlack) -> None:
    slack.trigger_seconds = 0.0
    await ask(slack, "/ask", "")
    message = await whispered(slack, slack.ann)
    assert message.shown.startswith("Slack did not open the form in time.")


async def test_a_form_that_the_database_keeps_waiting_closes_in_time(
    slack: FakeSlack, toy_bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactions, "FIRST_SECONDS", 0.05)
    await ask(slack)
    await press(slack, slack.ann, await answered(slack, PARIS), "Edit")
    view = await form(slack)
    async with toy_bot.database.writing() as session:
        # Not before this is the lock taken.
        await session.connection()
        assert (await slack.submit(slack.ann, view, {"prompt": "And of Spain?"})).closed
    await slack.until(lambda: len(answers(slack, PARIS)) == 2)


async def test_a_button_of_a_purged_answer_has_expired(slack: FakeSlack, toy_bot: Bot) -> None:
    await ask(slack)
    answer = await answered(slack, PARIS)
    await toy_bot.database.purge(0)
    await press(slack, slack.ann, answer, "Again")
    assert (await whispered(slack, slack.ann)).shown.startswith("This has expired")


async def test_buttons_where_the_bot_is_not(slack: FakeSlack) -> None:
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


async def test_buttons_under_private_answers_answer_privately(models: FakeModels, toys: Toys, tmp_path: Path) -> None:
    private = {"answers.private": True}
    async with (
        FakeSlack() as slack,
        bot_with_toys(models, tmp_path, toys, settings=private) as bot,
        on_slack(bot, slack),
    ):
        await ask(slack)
        answer = await whispered(slack, slack.ann)
        assert list(answer.buttons) == ["Again", "Cooler", "Warmer", "Edit"]
        await press(slack, slack.ann, answer, "Again")
        await slack.until(lambda: len(slack.ephemeral(slack.ann)) == 2)
        await press(slack, slack.ann, answer, "Edit")
        assert (await slack.submit(slack.ann, await form(slack), {"prompt": "And of Spain?"})).closed
        await slack.until(lambda: len(slack.ephemeral(slack.ann)) == 3)
        assert all(PARIS in message.shown for message in slack.ephemeral(slack.ann))
        assert slack.messages(slack.channel) == []


async def test_yesterdays_buttons_work_in_another_process(
    models: FakeModels, toys: Toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeSlack() as slack:
        async with bot_with_toys(models, tmp_path, toys) as bot, on_slack(bot, slack):
            await ask(slack)
            answer = await answered(slack, PARIS)
        async with bot_with_toys(models, tmp_path, Toys()) as bot, on_slack(bot, slack):
            await press(slack, slack.ann, answer, "Again")
            await slack.until(lambda: len(answers(slack, PARIS)) == 2)
            await press(slack, slack.ann, answer, "Delete")
            await slack.until(lambda: answer.deleted)


async def test_a_press_that_is_delivered_twice_counts_once(slack: FakeSlack) -> None:
    await ask(slack)
    answer = await answered(slack, PARIS)
    pressed = await slack.press(slack.ben, answer, "👍")
    await pressed.acknowledged()
    await slack.until(lambda: "👍 1" in answer.buttons)
    again = type(pressed)(pressed.kind, pressed.payload)
    await slack.courier.send(again).acknowledged()
    await press(slack, slack.ann, answer, "👎")
    await slack.until(lambda: "👎 1" in answer.buttons)
    assert "👍 1" in answer.buttons

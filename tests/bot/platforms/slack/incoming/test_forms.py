"""Forms of commands and of the button Edit: when they open, what they refuse, and when they close."""

import pytest
from fakes.model_server.model_api import FakeModels
from fakes.platforms.slack_bot import find_answers, press, run_command, wait_for_answer, wait_for_ephemeral
from fakes.slack import FakeSlack

from bot.app import Bot
from bot.core.messages import User
from bot.platforms.slack.incoming import forms
from bot.settings.setting import Scope
from bot.storage.audit import AuditFilter

PARIS = "Paris is the capital of France."
QUESTION = "What is the capital of France?"


async def test_a_bare_command_opens_its_form(slack: FakeSlack) -> None:
    await run_command(slack, "/ask")
    view = await slack.view(slack.ann)
    assert view.title == "/ask"
    wrong = await slack.submit(slack.ann, view, {"prompt": "Why?", "temperature": "9"}, checked=False)
    assert wrong.errors == {"temperature": "temperature must be a number from 0 to 2; you gave “9”."}
    sent = await slack.submit(slack.ann, view, {"prompt": QUESTION, "temperature": "0.2"})
    assert sent.closed
    answer = await wait_for_answer(slack, PARIS)
    [posted] = slack.messages(slack.channel)
    assert posted.shown == f"<@{slack.ann}> asks:\n> {QUESTION}"
    assert answer.thread_ts == posted.ts
    assert "temperature 0.2" in answer.shown


@pytest.mark.parametrize(("name", "kind"), [("note.txt", "text/plain"), ("note.html", "text/html")])
async def test_a_form_takes_a_file(slack: FakeSlack, name: str, kind: str) -> None:
    await run_command(slack, "/tempera", "weigh")
    view = await slack.view(slack.ann)
    assert view.title == "/tempera weigh"
    file = slack.add_file(slack.ann, name, b"four")
    assert (await slack.submit(slack.ann, view, {"file": file})).closed
    answer = await wait_for_answer(slack, name)
    assert answer.shown == f"{name}: 4 bytes of {kind}"
    assert slack.messages(slack.channel)[0].shown.endswith(f"> /tempera weigh file:{name}")


async def test_a_file_that_cannot_be_fetched_is_reported(slack: FakeSlack) -> None:
    await run_command(slack, "/tempera", "weigh")
    view = await slack.view(slack.ann)
    file = slack.add_file(slack.ann, "note.txt", b"four")
    slack.scopes.remove("files:read")
    assert (await slack.submit(slack.ann, view, {"file": file, "note": "fragile"})).closed
    message = await wait_for_ephemeral(slack, slack.ann)
    refused, typed = message.shown.split("\n\nThis is what you typed:\n")
    assert refused == "note.txt could not be fetched from Slack; send it again."
    assert typed == "note:\n```\nfragile\n```"


@pytest.mark.parametrize("settings", [{"safety.level": "classroom"}])
async def test_a_closed_form_that_is_refused_returns_its_input(
    slack: FakeSlack, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.scores = {"aubergine": {"hate": 0.99}}
    monkeypatch.setattr(forms, "FORM_OPEN_SECONDS", 0.0)
    await run_command(slack, "/ask", QUESTION)
    answer = await wait_for_answer(slack, PARIS)
    for count, (name, on) in enumerate((("Edit", answer), ("/ask", None)), 1):
        await (press(slack, slack.ann, on, name) if on else run_command(slack, name))
        assert (await slack.submit(slack.ann, await slack.view(slack.ann), {"prompt": "aubergine"})).closed
        await slack.until(lambda count=count: len(slack.ephemeral(slack.ann)) == count)
        refused, typed = (await wait_for_ephemeral(slack, slack.ann)).shown.split("This is what you typed:\n")
        assert refused.startswith("I do not help with")
        assert typed.startswith("prompt:\n```\naubergine\n```\ntemperature:\n```\n0.7\n```")


async def test_edit_asks_a_new_question(slack: FakeSlack) -> None:
    await run_command(slack, "/ask", QUESTION)
    first = await wait_for_answer(slack, PARIS)
    await press(slack, slack.ann, first, "Edit")
    view = await slack.view(slack.ann)
    wrong = await slack.submit(slack.ann, view, {"prompt": "Why?", "seed": "-1"}, checked=False)
    assert list(wrong.errors) == ["seed"]
    assert (await slack.submit(slack.ann, view, {"prompt": "And of Spain?"})).closed
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)
    second = find_answers(slack, PARIS)[-1]
    assert second.thread_ts == first.thread_ts
    assert second.shown.startswith("> Ann pressed Edit · And of Spain?")


async def test_buttons_of_the_asker_are_refused_to_others(slack: FakeSlack, toy_bot: Bot) -> None:
    await run_command(slack, "/ask", QUESTION)
    answer = await wait_for_answer(slack, PARIS)
    for count, label in enumerate(("Delete", "Edit"), 1):
        await press(slack, slack.ben, answer, label)
        await slack.until(lambda count=count: len(slack.ephemeral(slack.ben)) == count)
        told = await wait_for_ephemeral(slack, slack.ben)
        assert (told.shown, told.thread_ts) == ("Only Ann, who asked, and moderators can do that.", answer.thread_ts)
    assert (slack.modal(slack.ben), answer.deleted) == (None, False)
    noted, _ = await toy_bot.audit.find("slack", slack.team, AuditFilter(kind="refusal"))
    assert (noted.what, noted.actor, noted.reason) == ("edit", slack.ben, "owner")


async def test_a_form_that_opens_too_late_says_what_to_do(slack: FakeSlack) -> None:
    slack.trigger_seconds = 0.0
    await run_command(slack, "/ask")
    message = await wait_for_ephemeral(slack, slack.ann)
    assert message.shown.startswith("Slack did not open the form in time.")


async def test_a_refused_form_closes_in_time_while_the_database_is_locked(
    slack: FakeSlack, toy_bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "FORM_OPEN_SECONDS", 0.05)
    await run_command(slack, "/ask")
    view = await slack.view(slack.ann)
    await toy_bot.registry.switch("ask", Scope("slack", slack.team), User("M", "Mod"), on=False)
    async with toy_bot.database.writing() as session:
        await session.connection()
        assert (await slack.submit(slack.ann, view, {"prompt": QUESTION})).closed
    assert f"This is what you typed:\nprompt:\n```\n{QUESTION}" in (await wait_for_ephemeral(slack, slack.ann)).shown


async def test_a_form_closes_in_time_while_the_database_is_locked(
    slack: FakeSlack, toy_bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "FORM_OPEN_SECONDS", 0.05)
    await run_command(slack, "/ask", QUESTION)
    await press(slack, slack.ann, await wait_for_answer(slack, PARIS), "Edit")
    view = await slack.view(slack.ann)
    async with toy_bot.database.writing() as session:
        # Not before this is the lock taken.
        await session.connection()
        assert (await slack.submit(slack.ann, view, {"prompt": "And of Spain?"})).closed
    await slack.until(lambda: len(find_answers(slack, PARIS)) == 2)

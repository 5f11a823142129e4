"""Bolt's app and its listeners. Each acknowledges at once and starts a task that SlackAnswers owns."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult

from bot.platforms.slack.api.client import connect, sdk_logger
from bot.platforms.slack.incoming import home
from bot.platforms.slack.incoming.buttons import Buttons
from bot.platforms.slack.incoming.commands import SHORTCUT, Commands
from bot.platforms.slack.incoming.forms import Forms
from bot.platforms.slack.incoming.messages import Messages
from bot.platforms.slack.incoming.payload_check import BUTTONS, FORMS, check_payload
from bot.platforms.slack.incoming.request_handler import RequestHandler
from bot.platforms.slack.incoming.workspace_check import WorkspaceCheck

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp import ClientSession
    from slack_bolt.async_app import AsyncAck

    from bot.config.sections import SlackSection
    from bot.platforms.slack.convert.people import UserDirectory
    from bot.platforms.slack.outgoing.answers import SlackAnswers

    Json = Mapping[str, Any]

EVERYTHING = re.compile("")


def build(answers: SlackAnswers, users: UserDirectory, section: SlackSection, session: ClientSession) -> AsyncApp:
    """Return the app. It knows the identity behind its token, so that Bolt does not look it up."""
    identity, token = answers.identity, section.bot_token.get_secret_value()
    client = connect(section, session)
    # With `authorize`, Bolt would warn of a token in the client.
    client.token = None

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None, team_id=identity.team, bot_user_id=identity.user, bot_id=identity.bot, bot_token=token
        )

    with _hide_slack_variables():
        app = AsyncApp(
            name="tempera",
            logger=sdk_logger(),
            client=client,
            authorize=authorize,
            signing_secret=section.signing_secret.get_secret_value(),
            attaching_conversation_kwargs_enabled=False,
        )
    app.middleware(WorkspaceCheck(identity).check)
    app.middleware(check_payload)
    home.register(app, answers, users.find)
    _listen(app, RequestHandler(answers, users))
    return app


@contextmanager
def _hide_slack_variables() -> Iterator[None]:
    """Hide the environment variables that Bolt would read: they belong to other apps, and some change its behaviour."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _listen(app: AsyncApp, handler: RequestHandler) -> None:
    answers = handler.answers
    commands, forms, buttons, messages = Commands(handler), Forms(handler), Buttons(handler), Messages(handler)

    @app.command(EVERYTHING)
    async def command(ack: AsyncAck, body: Json) -> None:
        await ack()
        answers.start(commands.run_command(body), "slack command")

    @app.action(BUTTONS)
    async def press(ack: AsyncAck, body: Json) -> None:
        await ack()
        answers.start(buttons.press(body), "slack button")

    @app.shortcut(re.compile(f"^{SHORTCUT}"))
    async def shortcut(ack: AsyncAck, body: Json) -> None:
        await ack()
        answers.start(commands.run_shortcut(body), "slack shortcut")

    @app.view(FORMS)
    async def submit(ack: AsyncAck, body: Json) -> None:
        await forms.submit(ack, body)

    @app.event("app_mention")
    @app.event("message")
    async def message(event: Json) -> None:
        answers.start(messages.handle(event), "slack message")

    # Bolt would log a warning with the whole payload for each unhandled one.
    @app.event(EVERYTHING)
    @app.action(EVERYTHING)
    @app.shortcut(EVERYTHING)
    @app.view(EVERYTHING)
    async def ignore(ack: AsyncAck) -> None:
        await ack()

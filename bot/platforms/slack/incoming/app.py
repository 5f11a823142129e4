"""Bolt's app and its listeners: each acknowledges at once, and hands over to a task that the answers own."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult

from bot.platforms.slack.api.client import connect, sdk_logger
from bot.platforms.slack.incoming import home
from bot.platforms.slack.incoming.interactions import SHORTCUT, Interactions
from bot.platforms.slack.incoming.messages import Messages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp import ClientSession
    from slack_bolt.async_app import AsyncAck

    from bot.config import SlackSection
    from bot.platforms.slack.convert.people import UserDirectory
    from bot.platforms.slack.outgoing.answers import SlackAnswers

    Json = Mapping[str, Any]

OURS = re.compile(r"^t:")
FORMS = re.compile(r"^[tc]:")
ALL = re.compile("")


def build(answers: SlackAnswers, users: UserDirectory, section: SlackSection, session: ClientSession) -> AsyncApp:
    """The app, which knows without asking Slack whose token it has."""
    identity, token = answers.identity, section.bot_token.get_secret_value()
    client = connect(section, session)
    # Bolt warns of a token that it need not ask for.
    client.token = None

    async def authorize() -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None, team_id=identity.team, bot_user_id=identity.user, bot_id=identity.bot, bot_token=token
        )

    with _without_bolts_environment():
        app = AsyncApp(
            name="tempera",
            logger=sdk_logger(),
            client=client,
            authorize=authorize,
            signing_secret=section.signing_secret.get_secret_value(),
            attaching_conversation_kwargs_enabled=False,
        )
    home.register(app, answers, users.find)
    _listen(app, answers, Interactions(answers, users), Messages(answers, users))
    return app


@contextmanager
def _without_bolts_environment() -> Iterator[None]:
    """Hide the variables that Bolt would read: they are of other apps, and some switch things on."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SLACK_")}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _listen(app: AsyncApp, answers: SlackAnswers, interactions: Interactions, messages: Messages) -> None:
    @app.command(ALL)
    async def command(ack: AsyncAck, body: Json) -> None:
        await ack()
        answers.start(interactions.command(body), "slack command")

    @app.action(OURS)
    async def press(ack: AsyncAck, body: Json) -> None:
        await ack()
        answers.start(interactions.press(body), "slack button")

    @app.shortcut(re.compile(f"^{SHORTCUT}"))
    async def shortcut(ack: AsyncAck, body: Json) -> None:
        await ack()
        answers.start(interactions.shortcut(body), "slack shortcut")

    @app.view(FORMS)
    async def submit(ack: AsyncAck, body: Json) -> None:
        await interactions.submit(ack, body)

    @app.event("app_mention")
    @app.event("message")
    async def said(event: Json) -> None:
        answers.start(messages.said(event), "slack message")

    # Bolt would warn of each of these, with all that is in it.
    @app.event(ALL)
    @app.action(ALL)
    @app.shortcut(ALL)
    @app.view(ALL)
    async def ignore(ack: AsyncAck) -> None:
        await ack()

"""Bolt's app and its listeners. Each acknowledges at once and starts a task that a workspace's SlackAnswers owns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from slack_bolt.async_app import AsyncApp

from bot.platforms.slack.api.client import connect, hide_slack_variables, sdk_logger
from bot.platforms.slack.incoming import home, home_settings
from bot.platforms.slack.incoming.commands import SHORTCUT
from bot.platforms.slack.incoming.workspaces import WORKSPACE, Authorize

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import ClientSession
    from slack_bolt.async_app import AsyncAck, AsyncBoltContext
    from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings

    from bot.config.sections import SlackSection
    from bot.platforms.slack.incoming.workspaces import Workspace, Workspaces

    Json = dict[str, Any]
    Left = Callable[[Json], Awaitable[None]]

EVERYTHING, BUTTONS, FORMS = re.compile(""), re.compile("^t:"), re.compile("^[tc]:")


def build(
    workspaces: Workspaces,
    section: SlackSection,
    session: ClientSession,
    settings: AsyncOAuthSettings | None = None,
    left: Left | None = None,
) -> AsyncApp:
    """Return the app for `workspaces`, whose identities are known, so that Bolt does not look them up.

    With `settings` of OAuth it can add the bot to a workspace, and `left` is called with the event of one that removed
    it.
    """
    client = connect(section, session)
    # With `authorize`, Bolt would warn of a token in the client.
    client.token = None
    with hide_slack_variables():
        app = AsyncApp(
            name="tempera",
            logger=sdk_logger(),
            client=client,
            before_authorize=workspaces.check,
            authorize=Authorize(),  # type: ignore[arg-type, no-untyped-call]
            installation_store=None if settings is None else settings.installation_store,
            oauth_settings=settings,
            signing_secret=section.signing_secret.get_secret_value(),
            attaching_conversation_kwargs_enabled=False,
            # Bolt takes the deletion of a message of the bot for something that the bot did, whoever deleted it.
            ignoring_self_events_enabled=False,
        )
    _listen(app)
    _listen_to_home(app)
    if left is not None:
        _listen_to_leaving(app, left)
    _ignore_the_rest(app)
    return app


def _workspace(context: AsyncBoltContext) -> Workspace:
    workspace: Workspace = context[WORKSPACE]
    return workspace


def _listen(app: AsyncApp) -> None:
    @app.command(EVERYTHING)
    async def command(ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await ack()
        workspace = _workspace(context)
        workspace.answers.start(workspace.commands.run_command(body), "slack command")

    @app.action(BUTTONS)
    async def press(ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await ack()
        workspace = _workspace(context)
        workspace.answers.start(workspace.buttons.press(body), "slack button")

    @app.shortcut(re.compile(f"^{SHORTCUT}"))
    async def shortcut(ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await ack()
        workspace = _workspace(context)
        workspace.answers.start(workspace.commands.run_shortcut(body), "slack shortcut")

    @app.view(FORMS)
    async def submit(ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await _workspace(context).forms.submit(ack, body)

    @app.event("app_mention")
    @app.event("message")
    async def message(context: AsyncBoltContext, event: Json) -> None:
        workspace = _workspace(context)
        workspace.answers.start(workspace.messages.handle(event), "slack message")


def _listen_to_home(app: AsyncApp) -> None:
    @app.event("app_home_opened")
    async def opened(ack: AsyncAck, context: AsyncBoltContext, event: Json) -> None:
        await _workspace(context).home.opened(ack, event)

    @app.action(re.compile(f"^{home.CHANGE}"))
    async def change(ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await _workspace(context).home.change(ack, body)

    @app.view(re.compile(f"^{home.SET}"))
    async def set_default(ack: AsyncAck, context: AsyncBoltContext, body: Json, view: Json) -> None:
        await _workspace(context).home.set(ack, body, view)

    @app.action(home.RESET)
    async def reset(ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await _workspace(context).home.reset(ack, body)

    @app.action(home_settings.PICK)
    @app.action(re.compile(f"^{home_settings.EDIT}"))
    async def edit_setting(ack: AsyncAck, context: AsyncBoltContext, body: Json) -> None:
        await _workspace(context).home.edit_setting(ack, body)

    @app.view(re.compile(f"^{home_settings.SAVE}"))
    async def save_setting(ack: AsyncAck, context: AsyncBoltContext, body: Json, view: Json) -> None:
        await _workspace(context).home.save_setting(ack, body, view)


def _listen_to_leaving(app: AsyncApp, left: Left) -> None:
    @app.event("app_uninstalled")
    @app.event("tokens_revoked")
    async def leave(body: Json) -> None:
        await left(body)


def _ignore_the_rest(app: AsyncApp) -> None:
    # Bolt would log a warning with the whole payload for each unhandled one.
    @app.event(EVERYTHING)
    @app.action(EVERYTHING)
    @app.shortcut(EVERYTHING)
    @app.view(EVERYTHING)
    async def ignore(ack: AsyncAck) -> None:
        await ack()

"""The workspaces that are served now, and the check that refuses what Slack sends for others."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.response import BoltResponse

from bot.platforms.slack.incoming.buttons import Buttons
from bot.platforms.slack.incoming.commands import Commands
from bot.platforms.slack.incoming.forms import Forms
from bot.platforms.slack.incoming.home import Home
from bot.platforms.slack.incoming.messages import Messages
from bot.platforms.slack.incoming.request_handler import RequestHandler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from slack_bolt.async_app import AsyncBoltContext

    from bot.platforms.slack.convert.people import UserDirectory
    from bot.platforms.slack.outgoing.answers import SlackAnswers

    Json = Mapping[str, Any]

log = logging.getLogger(__name__)

WORKSPACE = "tempera_workspace"
"""The key in Bolt's context for the `Workspace` that a payload is for."""
LEAVING = frozenset({"app_uninstalled", "tokens_revoked"})
"""Events that come when a workspace has removed the bot, also from one whose token is refused already."""


class Workspace:
    """One workspace, with the handlers of what Slack sends for it."""

    def __init__(self, answers: SlackAnswers, users: UserDirectory) -> None:
        handler = RequestHandler(answers, users)
        self.answers = answers
        self.identity = answers.identity
        self.commands, self.forms, self.buttons = Commands(handler), Forms(handler), Buttons(handler)
        self.messages, self.home = Messages(handler), Home(answers, users.find)


class Workspaces:
    """The workspaces that are served now, by their ids."""

    def __init__(self) -> None:
        self._by_id: dict[str, Workspace] = {}
        self._warned: set[str] = set()
        self.look_again: Callable[[], Awaitable[None]] | None = None
        """Called when something comes for an unknown workspace, which another process may have installed just now."""

    @contextmanager
    def serving(self, workspace: Workspace) -> Iterator[None]:
        """Serve a workspace for as long as the context lasts."""
        self._by_id[workspace.identity.team] = workspace
        try:
            yield
        finally:
            del self._by_id[workspace.identity.team]

    def serves(self, team: str) -> bool:
        """Return whether the workspace with this id is served."""
        return team in self._by_id

    def find(self, body: Json) -> Workspace | None:
        """Return the workspace that a payload is for.

        In a channel shared with another workspace, the author may be theirs; the bot's own workspace is named as well.
        """
        named = tuple(named_workspaces(body))
        if not named and len(self._by_id) == 1:
            return next(iter(self._by_id.values()))
        if found := next(filter(None, map(self._by_id.get, named)), None):
            return found
        # Somebody of another workspace of the organisation, if it is certain which one of these is the bot's.
        related = [workspace for workspace in self._by_id.values() if workspace.identity.enterprise in named]
        return related[0] if len(related) == 1 else None

    async def check(
        self, context: AsyncBoltContext, body: Json, next_: Callable[[], Awaitable[BoltResponse]]
    ) -> BoltResponse:
        """Go on with a payload for a workspace that is served. Acknowledge another one, so that it is not sent again.

        This is Bolt's middleware.
        """
        if body.get("type") == "url_verification":
            return await next_()
        workspace = self.find(body)
        if workspace is None and self.look_again is not None:
            await self.look_again()
            workspace = self.find(body)
        if workspace is not None:
            context[WORKSPACE] = workspace
        elif not is_leaving(body):
            self._warn(body)
            return BoltResponse(status=200, body="")
        return await next_()

    def _warn(self, body: Json) -> None:
        name = next(named_workspaces(body), "")[:20]
        if name not in self._warned and len(self._warned) < 100:
            self._warned.add(name)
            log.warning("Slack sent something for another workspace, which is ignored. Is the app installed twice?")


class Authorize(AsyncAuthorize):
    """Tells Bolt whose payload it has: the bot of the workspace that `Workspaces.check` has found."""

    async def __call__(self, *, context: AsyncBoltContext, **_: Any) -> AuthorizeResult | None:
        """Return the bot's ids and its token in the workspace."""
        workspace: Workspace | None = context.get(WORKSPACE)
        if workspace is None:
            return None
        identity = workspace.identity
        return AuthorizeResult(
            enterprise_id=None,
            team_id=identity.team,
            bot_user_id=identity.user,
            bot_id=identity.bot,
            bot_token=workspace.answers.api.client.token,
        )


def is_leaving(body: Json) -> bool:
    """Return whether a payload says that a workspace removed the bot."""
    event = body.get("event")
    return isinstance(event, dict) and body.get("type") == "event_callback" and event.get("type") in LEAVING


def named_workspaces(body: Json) -> Iterator[str]:
    """Yield the ids of all workspaces and organisations for which a payload was sent, the bot's own first."""
    view, installations = body.get("view"), body.get("authorizations")
    if isinstance(view, dict) and isinstance(view.get("app_installed_team_id"), str):
        yield view["app_installed_team_id"]
    for about in (*(installations if isinstance(installations, list) else ()), body):
        if isinstance(about, dict):
            yield from (about[name] for name in ("team_id", "enterprise_id") if isinstance(about.get(name), str))
    for name in ("team", "enterprise"):
        about = body.get(name)
        if isinstance(about, dict) and isinstance(about.get("id"), str):
            yield about["id"]

"""The app behind the workspaces: people add it by OAuth, its tokens are renewed, and workspaces remove it."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from fakes.slack.calls import ApiError, Call, Method

if TYPE_CHECKING:
    from fakes.slack.server import Server

Json = dict[str, Any]

METHOD = "oauth.v2.access"
AUTHORIZE_PATH = "/oauth/v2/authorize"


class OAuth:
    """The installations of one app. With `lifetime` its tokens end after so many seconds, and are renewed."""

    def __init__(self) -> None:
        self.client_id = f"{uuid.uuid4().int % 10**10}.{uuid.uuid4().int % 10**10}"
        self.client_secret = uuid.uuid4().hex
        self.lifetime = 0
        self.renews = True
        """Whether refresh tokens are taken."""
        self.tokens: dict[str, Server] = {}
        """The workspace of each bot token that was issued."""
        self._codes: dict[str, Server] = {}
        self._refresh_tokens: dict[str, Server] = {}

    def approve(self, address: str, workspace: Server) -> str:
        """Press "Allow" where the bot sent somebody to; return the query with which Slack sends them back."""
        parts = urlsplit(address)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert parts.path == AUTHORIZE_PATH, address
        assert asked["client_id"] == self.client_id
        workspace.scopes = set(asked["scope"].split(","))
        code = uuid.uuid4().hex
        self._codes[code] = workspace
        return urlencode({"code": code, "state": asked["state"]})

    def exchange(self, call: Call) -> Json:
        """Answer oauth.v2.access: a code or a refresh token, each of which works once, for a token."""
        if (call.text("client_id"), call.text("client_secret")) != (self.client_id, self.client_secret):
            raise ApiError("bad_client_secret")
        if call.text("grant_type") == "refresh_token":
            workspace = self._refresh_tokens.pop(call.text("refresh_token"), None)
            if workspace is None or not self.renews:
                raise ApiError("invalid_refresh_token")
        elif (workspace := self._codes.pop(call.text("code"), None)) is None:
            raise ApiError("invalid_code")
        return self._issue(workspace)

    def _issue(self, workspace: Server) -> Json:
        about: Json = {}
        if self.lifetime:
            workspace.bot_token = f"xoxe.xoxb-1-{uuid.uuid4().hex}"
            refresh = f"xoxe-1-{uuid.uuid4().hex}"
            self._refresh_tokens[refresh] = workspace
            about = {"refresh_token": refresh, "expires_in": self.lifetime}
        elif workspace.bot_token not in self.tokens:
            workspace.bot_token = f"xoxb-{uuid.uuid4().hex}"
        self.tokens[workspace.bot_token] = workspace
        return about | {
            "access_token": workspace.bot_token,
            "token_type": "bot",
            "scope": ",".join(sorted(workspace.scopes)),
            "bot_user_id": workspace.bot_user,
            "app_id": workspace.app_id,
            "team": {"id": workspace.team, "name": workspace.team_name},
            "enterprise": None,
            "authed_user": {"id": "U0INSTALLER"},
            "is_enterprise_install": False,
        }

    def remove(self, workspace: Server) -> list[Any]:
        """Remove the app from a workspace: its tokens end, and the bot gets two events, which are returned."""
        for token in [token for token, owner in self.tokens.items() if owner is workspace]:
            workspace.revoke_token(token, "account_inactive")
        workspace.bot_token = ""
        self._refresh_tokens = {key: owner for key, owner in self._refresh_tokens.items() if owner is not workspace}
        tokens = {"oauth": [], "bot": [workspace.bot_user]}
        at = {"event_ts": f"{time.time():.6f}"}
        events = ({"type": "tokens_revoked", "tokens": tokens} | at, {"type": "app_uninstalled"} | at)
        return [workspace.send_event(event) for event in events]


async def access(slack: Server, call: Call) -> Json:
    return slack.oauth.exchange(call)


METHODS = {METHOD: Method(access, 4)}

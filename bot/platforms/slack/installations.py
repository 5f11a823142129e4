"""Installations of the bot by OAuth: where slack_sdk and Bolt keep them, in our database and encrypted."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.oauth.installation_store import Bot as BotInstallation
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from sqlalchemy import select
from yarl import URL

from bot.platforms.slack.api.client import hide_slack_variables, sdk_logger
from bot.platforms.slack.convert.requests import PLATFORM
from bot.storage.installations import InstallationRow, consume_state, issue_state
from bot.storage.key_value import Store
from bot.storage.secret_key import load_secret_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bot.config.sections import SlackSection
    from bot.storage.database import Database

log = logging.getLogger(__name__)

INSTALL_PATH, REDIRECT_PATH = "/slack/install", "/slack/oauth_redirect"
STATE_SECONDS = 600
KEY_NAME = "slack"
"""The secret by which installations are encrypted: that of the platform, which backups have."""
FIRST_WORKSPACE = "slack workspace"
"""The key under which stands the first workspace of a configured token, which has the bare name of the platform."""
KEPT = (
    "app_id",
    "enterprise_id",
    "enterprise_name",
    "team_id",
    "team_name",
    "bot_token",
    "bot_id",
    "bot_user_id",
    "bot_refresh_token",
    "is_enterprise_install",
)
"""What is stored of an installation: nothing about who installed it."""


@dataclass(frozen=True, slots=True)
class StoredInstallation:
    """An installation as it is stored; `platform` is the name under which what is of the workspace is stored."""

    id: str
    platform: str
    version: int
    installation: Installation


class InstallationStore(AsyncInstallationStore):
    """The installations, one for each workspace or organisation: a new one takes the place of the old one."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._core = Store(database, "core")
        self._fernet: Fernet | None = None
        self.on_change: Callable[[], Awaitable[None]] | None = None
        """Called after an installation was saved, before its installer reads that all went well."""

    @cached_property
    def logger(self) -> logging.Logger:
        """The logger for Slack's libraries."""
        return sdk_logger()

    async def name_configured(self, team: str) -> str:
        """Return the name under which what is of the configured token's workspace is stored.

        That of the first such workspace is the bare name of the platform, also once it installs the bot.
        """
        async with self.database.reading() as session:
            installed = await session.get(InstallationRow, team)
        if installed is not None:
            return installed.platform
        return _name(team, await self._core.change(FIRST_WORKSPACE, lambda first: first or team))

    async def versions(self) -> dict[str, int]:
        """Return the ids of all installations, with their versions."""
        async with self.database.reading() as session:
            rows = await session.execute(select(InstallationRow.id, InstallationRow.version))
            return {row.id: row.version for row in rows}

    async def find_expiring(self, before: datetime) -> list[StoredInstallation]:
        """Return the installations whose tokens end before that time."""
        async with self.database.reading() as session:
            rows = list(await session.scalars(select(InstallationRow).where(InstallationRow.expires < before)))
        found = [await self._open(row) for row in rows]
        return [stored for stored in found if stored is not None]

    async def get(self, installation_id: str) -> StoredInstallation | None:
        """Return an installation by the id of its workspace or organisation."""
        async with self.database.reading() as session:
            row = await session.get(InstallationRow, installation_id)
        return None if row is None else await self._open(row)

    async def renew(self, stored: StoredInstallation, renewed: Installation) -> None:
        """Store renewed tokens, unless the workspace was uninstalled or installed anew meanwhile."""
        sealed = await self._seal(renewed)
        async with self.database.writing() as session:
            row = await session.get(InstallationRow, stored.id)
            if row is not None and row.version == stored.version:
                row.sealed, row.version, row.expires = sealed, row.version + 1, _expiry(renewed)

    # What slack_sdk and Bolt call

    async def async_save(self, installation: Installation) -> None:
        """Store an installation."""
        key = _id_of(installation.enterprise_id, installation.team_id, bool(installation.is_enterprise_install))
        sealed = await self._seal(installation)
        platform = _name(key, await self._core.get(FIRST_WORKSPACE))
        async with self.database.writing() as session:
            row = await session.get(InstallationRow, key)
            if row is None:
                row = InstallationRow(id=key, platform=platform, version=0)
                session.add(row)
            row.sealed, row.version, row.expires = sealed, row.version + 1, _expiry(installation)
        if self.on_change is not None:
            await self.on_change()

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """Return the installation of a workspace or organisation; users have none of their own."""
        stored = await self.get(_id_of(enterprise_id, team_id, bool(is_enterprise_install)))
        return None if stored is None else stored.installation

    async def async_find_bot(
        self, *, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool | None = False
    ) -> BotInstallation | None:
        """Return the bot of an installation."""
        found = await self.async_find_installation(
            enterprise_id=enterprise_id, team_id=team_id, is_enterprise_install=is_enterprise_install
        )
        return None if found is None else found.to_bot()

    # Encryption

    async def _cipher(self) -> Fernet:
        if self._fernet is None:
            key = await load_secret_text(self.database, KEY_NAME, lambda: Fernet.generate_key().decode())
            self._fernet = Fernet(key)
        return self._fernet

    async def _seal(self, installation: Installation) -> str:
        values = {name: getattr(installation, name) for name in KEPT}
        text = json.dumps(values | {"bot_token_expires_at": installation.bot_token_expires_at})
        return (await self._cipher()).encrypt(text.encode()).decode()

    async def _open(self, row: InstallationRow) -> StoredInstallation | None:
        try:
            values: dict[str, Any] = json.loads((await self._cipher()).decrypt(row.sealed))
        except InvalidToken:
            log.warning("The key of the installation %s was lost: the bot has to be added to Slack again there", row.id)
            return None
        installation = Installation(user_id="", **values)
        return StoredInstallation(row.id, row.platform, row.version, installation)


class StateStore(AsyncOAuthStateStore):
    """The states of installations that are under way: each can be used once, in time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def logger(self) -> logging.Logger:
        """The logger for Slack's libraries."""
        return sdk_logger()

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:
        """Return a new state."""
        return await issue_state(self._database, timedelta(seconds=STATE_SECONDS))

    async def async_consume(self, state: str) -> bool:
        """Return whether a state is valid, which it is once."""
        return await consume_state(self._database, state, timedelta(seconds=STATE_SECONDS))


def oauth_settings(section: SlackSection, store: InstallationStore, scopes: Sequence[str]) -> AsyncOAuthSettings:
    """Return the settings of Bolt's pages that add the bot to a workspace."""
    with hide_slack_variables():
        return AsyncOAuthSettings(
            client_id=section.client_id,
            client_secret=section.client_secret.get_secret_value(),
            scopes=list(scopes),
            user_scopes=[],
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            authorization_url=str(URL(section.api_base).origin() / "oauth/v2/authorize"),
            installation_store=store,
            state_store=StateStore(store.database),
            state_expiration_seconds=STATE_SECONDS,
            logger=sdk_logger(),
        )


def _id_of(enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool) -> str:
    """Return the id under which an installation is stored: of the organisation, if it is for all its workspaces."""
    return str((enterprise_id if is_enterprise_install else team_id) or "")


def _name(key: str, first: object) -> str:
    """Return the name under which what is of a workspace is stored."""
    return PLATFORM if first == key else f"{PLATFORM}/{key}"


def _expiry(installation: Installation) -> datetime | None:
    ends = installation.bot_token_expires_at
    return None if ends is None else datetime.fromtimestamp(ends, UTC)

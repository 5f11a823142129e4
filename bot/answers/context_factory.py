"""Makes what handlers are given: the core's parts, each as far as one request may use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bot.answers.context import Context
from bot.answers.history import History
from bot.config import LOOPBACK
from bot.moderation.actions import ModerationHere
from bot.moderation.audit_view import AuditHere
from bot.moderation.statistics import StatisticsHere
from bot.privacy.export import PrivacyHere
from bot.settings.editor import SettingsHere
from bot.settings.user_defaults import DefaultsHere
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from bot.access.admission import Admission
    from bot.commands.command import Command
    from bot.core.messages import Place, Request
    from bot.inference.client import ModelClient
    from bot.moderation.actions import Moderation
    from bot.plugin_host.registry import Registry
    from bot.privacy.export import PrivacyService
    from bot.safety.checks import Safety
    from bot.settings.resolver import Settings
    from bot.settings.user_defaults import Defaults
    from bot.storage.audit import Audit
    from bot.storage.database import Database, MessageRow

PAGES = "/read"
"""Where the web chat shows the pages of plugins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFactory:
    """The parts of the core that handlers see something of. `web_url` is where people reach the web chat, or ""."""

    models: ModelClient
    database: Database
    registry: Registry
    settings: Settings
    defaults: Defaults
    gate: Admission
    safety: Safety
    audit: Audit
    moderation: Moderation
    privacy: PrivacyService
    web_url: str

    def make(
        self, request: Request, command: Command, question: MessageRow | None = None, *, private: bool = False
    ) -> Context:
        """What a handler or a completer of `command` is given.

        `question` is the stored one that is answered, `private` whether that is done for whoever asks alone.
        """
        user, place = request.user, request.place
        commands = self.gate.commands_for(user, place)
        return Context(
            request=request,
            models=self.models,
            commands=commands,
            defaults=DefaultsHere(self.defaults, place.platform, user.id, commands),
            settings=SettingsHere(self.settings, place, user),
            store=Store(self.database, command.plugin),
            history=History(
                self.database,
                question,
                reader=user.id,
                private=private,
                alone=request.alone,
                is_reply=bool(request.reply_to),
            ),
            audit=AuditHere(self.audit, user, self.settings.adapters),
            statistics=StatisticsHere(self.database, user, {known.name for known in self.registry.commands}),
            moderation=ModerationHere(self.moderation, user, place),
            privacy=PrivacyHere(self.privacy, user, place, question.id if question else 0),
            plugins=self.registry,
            _gate=self.gate,
            _safety=self.safety,
            _adapters=self.settings.adapters,
            pages=self._pages(command.plugin, place),
        )

    def _pages(self, plugin: str, place: Place) -> str:
        path = f"{PAGES}/{plugin}"
        platform = self.settings.adapters.capabilities(place.platform)
        if platform.has_pages:
            return path
        # What only this machine can open is no link for people elsewhere.
        is_reachable = platform.is_local or urlsplit(self.web_url).hostname not in LOOPBACK
        return f"{self.web_url}{path}" if self.web_url and is_reachable else ""

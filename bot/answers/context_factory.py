"""Makes the contexts of handlers from the services."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bot.answers.context import Context
from bot.answers.history import History
from bot.answers.question_files import QuestionFiles
from bot.config.sections import LOOPBACK
from bot.core.caller import Caller
from bot.moderation.audit_view import AuditReader
from bot.moderation.statistics import Statistics
from bot.settings.editor import SettingsEditor, SettingsView
from bot.storage.key_value import Store

if TYPE_CHECKING:
    from bot.answers.services import Services
    from bot.commands.command import Command
    from bot.core.messages import Place, Request
    from bot.storage.database import MessageRow

PAGES_PATH = "/read"
"""The path under which the web chat shows the pages of plugins."""


class ContextFactory:
    """Makes contexts from the services. `web_url` is the address of the web chat, or ""."""

    def __init__(self, services: Services, web_url: str = "") -> None:
        self._services = services
        self._settings_editor = SettingsEditor(services.settings)
        self._audit = AuditReader(services.audit, services.adapters)
        self._statistics = Statistics(services.database, services.registry)
        self.web_url = web_url

    def make(
        self,
        request: Request,
        command: Command,
        question: MessageRow | None = None,
        *,
        answer: int = 0,
        private: bool = False,
    ) -> Context:
        """Return the context for a handler or a completer of `command`.

        `question` is the stored question that is answered, and `answer` the row of the answer; `private` says that only
        the asker sees that.
        """
        services, caller = self._services, Caller(request.user, request.place)
        return Context(
            request=request,
            caller=caller,
            models=services.settings.models_in(caller.place),
            settings=SettingsView(services.settings, caller),
            settings_editor=self._settings_editor,
            store=Store(services.database, command.plugin),
            history=History(
                services.database,
                question,
                reader=caller.user.id,
                private=private,
                alone=request.alone,
                is_reply=bool(request.reply_to),
            ),
            files=QuestionFiles(services.reader, services.database, services.safety, caller, question),
            defaults=services.defaults,
            audit=self._audit,
            statistics=self._statistics,
            moderation=services.moderation,
            privacy=services.privacy,
            question=question.id if question else 0,
            answer=answer,
            plugins=services.registry,
            _admission=services.admission,
            _safety=services.safety,
            _adapters=services.adapters,
            _examiner=services.examiner,
            pages=self._pages_address(command.plugin, request.place),
        )

    def _pages_address(self, plugin: str, place: Place) -> str:
        path = f"{PAGES_PATH}/{plugin}"
        platform = self._services.adapters.capabilities(place.platform)
        if platform.has_pages:
            return path
        # An address of this machine itself is useless to people on other machines.
        is_reachable = platform.is_local or urlsplit(self.web_url).hostname not in LOOPBACK
        return f"{self.web_url}{path}" if self.web_url and is_reachable else ""

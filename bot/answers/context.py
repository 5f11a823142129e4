"""What a handler is given besides its options."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from bot.core.i18n import translate

if TYPE_CHECKING:
    from bot.access.admission import Admission, Reason
    from bot.answers.history import History
    from bot.commands.command import Command
    from bot.core.adapters import Adapters, Capabilities
    from bot.core.caller import Caller
    from bot.core.messages import Place, Reference, Request, User
    from bot.core.model_events import Dial
    from bot.inference.client import ModelClient
    from bot.moderation.actions import Moderation
    from bot.moderation.audit_view import AuditReader
    from bot.moderation.statistics import Statistics
    from bot.plugin_host.registry import Registry
    from bot.privacy.export import PrivacyService
    from bot.safety.checks import Safety
    from bot.settings.editor import SettingsEditor, SettingsView
    from bot.settings.user_defaults import Defaults
    from bot.storage.key_value import Store

log = logging.getLogger(__name__)

KNOWN_SECONDS = 1.0
"""How long another plugin may look for what it knows; an answer that waits for it must not seem slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request, as a plugin sees it."""

    request: Request
    caller: Caller
    """Who asks, and where: the services below take it as their first argument."""
    models: ModelClient
    commands: tuple[Command, ...]
    """The commands that this user may use here."""
    settings: SettingsView
    """The settings as they are here: `ctx.settings["ask.system_prompt"]`."""
    settings_editor: SettingsEditor
    """Changes settings, for moderators."""
    store: Store
    """The plugin's own JSON values."""
    history: History
    """The conversation so far."""
    defaults: Defaults
    """What users set as their own defaults of options."""
    statistics: Statistics
    """How much this server uses the bot, and how; for moderators."""
    audit: AuditReader
    """What happened here that somebody may have to answer for; for moderators."""
    moderation: Moderation
    """What moderators do to messages, people and answers under way."""
    privacy: PrivacyService
    """Exports and deletes what is stored about whoever asks."""
    question: int
    """The row of the stored question that is answered; 0 for none."""
    plugins: Registry
    """The plugins that are loaded; for the plugin that manages them."""
    _admission: Admission
    _safety: Safety
    _adapters: Adapters
    pages: str
    """The address of the plugin's pages, for `link`; "" where nobody could open it."""

    @property
    def user(self) -> User:
        """Who asks."""
        return self.request.user

    @property
    def place(self) -> Place:
        """Where they ask."""
        return self.request.place

    def translate(self, sentence: str, /, **values: object) -> str:
        """`sentence` in the asker's language, if a translation exists, with its `{name}` fields filled in."""
        return translate(sentence, self.user.locale, **values)

    def capabilities(self, platform: str = "") -> Capabilities:
        """Return what a platform can do; the platform of this place, unless `platform` names another one."""
        return self._adapters.capabilities(platform or self.place.platform)

    def link(self, page: str, anchor: str = "") -> str:
        """The address of a page of this plugin's, for a link; "" where nobody here could open it."""
        # Beside the web chat, a page shows what there is in the room that it was opened from.
        query = f"?room={quote(self.place.channel)}" if self.capabilities().has_pages else ""
        return f"{self.pages}/{page}{query}{'#' if anchor else ''}{anchor}" if self.pages else ""

    async def screened(self, dial: Dial) -> Dial:
        """`dial` with those candidates hidden that no answer may hold here."""
        return await self._safety.filter_dial(dial, self.place)

    async def why(self, command: Command, user: User | None = None) -> list[Reason]:
        """Everything that keeps `command` from `user`, or whoever asks, here, in the order they would hear of it."""
        return await self._admission.why(user or self.user, command, self.place)

    async def known(self, question: str) -> Reference | None:
        """What a plugin knows about `question`. Whatever happens to it meanwhile, this ends soon and raises nothing."""
        for plugin in self.plugins.on(self.place):
            try:
                async with asyncio.timeout(KNOWN_SECONDS):
                    if (known := await plugin.knows(self.place, question, self.user)) is not None:
                        return known
            except TimeoutError:
                log.warning("Plugin “%s” takes too long to say what it knows", plugin.name)
            except Exception:
                # A plugin can raise anything at all, and the question is another one's.
                log.exception("Plugin “%s” could not say what it knows", plugin.name)
        return None

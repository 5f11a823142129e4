"""`Context`: the object that a handler gets besides its options."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from bot.core.errors import DatabaseUnavailable
from bot.core.i18n import translate

if TYPE_CHECKING:
    from bot.access.admission import Admission
    from bot.access.policy import Refusal
    from bot.answers.examiner import PictureExaminer
    from bot.answers.history import History
    from bot.answers.question_files import QuestionFiles
    from bot.commands.command import Command
    from bot.core.adapters import Adapters, Capabilities
    from bot.core.caller import Caller
    from bot.core.messages import Attachment, Place, Reference, Request, User
    from bot.core.model_events import Dial
    from bot.inference.client import ModelClient
    from bot.moderation.actions import Moderation
    from bot.moderation.audit_view import AuditReader
    from bot.moderation.statistics import Statistics
    from bot.plugin_host.registry import Registry
    from bot.privacy.export import PrivacyService
    from bot.provenance.findings import PictureFindings
    from bot.safety.checks import Safety
    from bot.settings.editor import SettingsEditor, SettingsView
    from bot.settings.user_defaults import Defaults
    from bot.storage.key_value import Store

log = logging.getLogger(__name__)

LOOKUP_SECONDS = 5.0
"""How long another plugin may take to look up what it knows; an answer that waits for it must not seem slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One request, as a plugin sees it."""

    request: Request
    caller: Caller
    """The user who asks, and the place: the services below take it as their first argument."""
    models: ModelClient
    settings: SettingsView
    """The settings that apply here: `ctx.settings["ask.system_prompt"]`."""
    settings_editor: SettingsEditor
    """Changes settings, for moderators."""
    store: Store
    """The plugin's own JSON values."""
    history: History
    """The conversation so far."""
    files: QuestionFiles
    """The files of the question."""
    defaults: Defaults
    """Users' own defaults of options."""
    statistics: Statistics
    """The statistics of this server's use; for moderators."""
    audit: AuditReader
    """The records of changes, moderation and refusals; for moderators."""
    moderation: Moderation
    """Actions on messages, people and running answers; for moderators."""
    privacy: PrivacyService
    """Exports and deletes everything that is stored about the asker."""
    question: int
    """The row of the stored question that is answered; 0 if none is stored."""
    answer: int
    """The row of the answer that is made; 0 if none is stored."""
    plugins: Registry
    """The plugins that are loaded; for the plugin that manages them."""
    _admission: Admission
    _safety: Safety
    _adapters: Adapters
    _examiner: PictureExaminer
    pages: str
    """The address of the plugin's pages, for `link`; "" if nobody here could open it."""

    @property
    def user(self) -> User:
        """The user who asks."""
        return self.request.user

    @property
    def place(self) -> Place:
        """The place where they ask."""
        return self.request.place

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands that this user may use here."""
        return self._admission.commands_for(self.caller.user, self.caller.place)

    def translate(self, sentence: str, plural: str = "", /, **values: object) -> str:
        """Return `sentence` in the asker's language, if a translation exists, with its `{name}` fields filled in.

        If there is a `plural` sentence, it is used for another value of `count` than one.
        """
        return translate(sentence, self.user.locale, plural, **values)

    def capabilities(self, platform: str = "") -> Capabilities:
        """Return what the platform of this place can do, or the one that `platform` names."""
        return self._adapters.capabilities(platform or self.place.platform)

    def link(self, page: str, anchor: str = "") -> str:
        """Return the address of a page of this plugin; "" if nobody here could open it."""
        # Opened from the web chat, a page shows what belongs to the room.
        query = f"?room={quote(self.place.channel)}" if self.capabilities().has_pages else ""
        return f"{self.pages}/{page}{query}{'#' if anchor else ''}{anchor}" if self.pages else ""

    async def screened(self, dial: Dial) -> Dial:
        """Return `dial` with the candidates hidden that no answer may contain here."""
        return await self._safety.filter_dial(dial, self.place)

    async def check_prompt(self, *texts: str, draws: bool = False) -> None:
        """Raise Unsafe for what may not be asked for here, for words that a plugin made of the asker's.

        The asker's own words are checked before a handler runs. `draws` says that a picture of the texts is asked for.
        """
        await self._safety.check_all_rules(texts, self.place, draws=draws)
        await self._safety.check_with_classifier(texts, self.place, user=self.user.id)

    async def examine(self, picture: Attachment) -> PictureFindings:
        """Return what is known of a picture that anybody may have made.

        Raises UserError for what is no picture, is damaged or takes too much.
        """
        return await self._examiner.examine(picture, self.caller)

    async def why(self, command: Command, user: User | None = None) -> list[Refusal]:
        """Return every reason why `user`, or else the asker, cannot use `command` here, in order of importance."""
        address = self.request.address if user is None else ""
        return await self._admission.find_reasons(user or self.user, command, self.place, address)

    async def known(self, question: str) -> Reference | None:
        """Return what another plugin knows about `question`, or None. A plugin that fails or is slow is passed over."""
        for plugin in self.plugins.enabled_plugins(self.place):
            try:
                async with asyncio.timeout(LOOKUP_SECONDS):
                    if (known := await plugin.knows(self.place, question, self.user)) is not None:
                        return known
            except TimeoutError:
                log.warning("Plugin “%s” took too long to look up a question", plugin.name)
            except DatabaseUnavailable:
                raise
            except Exception:
                # A plugin can raise any exception, and this request belongs to another one.
                log.exception("Plugin “%s” failed to look up a question", plugin.name)
        return None

"""The services of the core, wired once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.access.admission import Admission
from bot.access.policy import Policy
from bot.access.rate_limits import RateLimiter
from bot.access.timeouts import TimeOuts
from bot.answers.abandoned import AbandonedAnswers
from bot.answers.examiner import PictureExaminer
from bot.answers.question_files import FileReader
from bot.core.adapters import Adapters
from bot.core.running import ActiveRuns
from bot.moderation.actions import Moderation
from bot.moderation.log_channel import LogChannel
from bot.moderation.refusals import Refusals
from bot.plugin_host.registry import Registry
from bot.privacy.export import PrivacyService
from bot.provenance.stamping import Stamper
from bot.safety.checks import Safety
from bot.safety.settings import SETTINGS
from bot.settings.resolver import Settings
from bot.settings.user_defaults import Defaults
from bot.storage.audit import Audit
from bot.storage.instances import Instance
from bot.storage.messages import MessageStore
from bot.storage.pictures import PictureHashes
from bot.storage.process_events import MEMORY, ProcessEvents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.core.adapters import Capabilities
    from bot.inference.client import ModelClient
    from bot.plugin_host.plugin import Plugin
    from bot.storage.database import Database


class Services:
    """One instance of each service of the core, wired and not yet started."""

    def __init__(
        self,
        models: ModelClient,
        plugins: Sequence[Plugin],
        database: Database,
        *,
        settings: Mapping[str, Any] | None = None,
        limits: str = MEMORY,
        direct_messages: bool = True,
        keeps_answers: bool = True,
        platforms: Mapping[str, Capabilities] | None = None,
    ) -> None:
        """`limits` is where uses are counted: "memory", or the address of a Redis server.

        `direct_messages` says whether these are answered, and `keeps_answers` is False if answers are deleted once they
        are finished. `platforms` are the capabilities of all known platforms by name, including those that other
        processes run.
        """
        self.models = models
        self.database = database
        self.direct_messages = direct_messages
        self.keeps_answers = keeps_answers
        self.adapters = Adapters(platforms)
        self.settings = Settings(settings or {}, models, self.adapters)
        self.settings.declare("safety", SETTINGS)
        self.registry = Registry(plugins, self.settings)
        self.defaults = Defaults()
        self.audit = Audit(database)
        self.timeouts = TimeOuts(database)
        self.limits = RateLimiter(self.settings, limits)
        self.safety = Safety(self.settings, models)
        self.policy = Policy(self.settings, self.timeouts, direct_messages=direct_messages)
        self.admission = Admission(
            settings=self.settings,
            registry=self.registry,
            defaults=self.defaults,
            policy=self.policy,
            limits=self.limits,
            safety=self.safety,
            timeouts=self.timeouts,
        )
        self.log_channel = LogChannel(database, self.settings, self.audit, self.adapters)
        self.refusals = Refusals(self.audit, self.adapters, keeps_words=keeps_answers)
        self.instance = Instance(database)
        self.events = ProcessEvents(limits, self.instance.id)
        self.messages = MessageStore(database, self.instance, self.events)
        self.stamper = Stamper()
        self.examiner = PictureExaminer(self.stamper, PictureHashes(database), self.messages)
        self.reader = FileReader()
        self.runs = ActiveRuns()
        self.abandoned = AbandonedAnswers(self.messages)
        self.moderation = Moderation(
            audit=self.audit,
            messages=self.messages,
            runs=self.runs,
            timeouts=self.timeouts,
            policy=self.policy,
            adapters=self.adapters,
        )
        self.privacy = PrivacyService(
            database=database,
            registry=self.registry,
            settings=self.settings,
            defaults=self.defaults,
            timeouts=self.timeouts,
            limits=self.limits,
            moderation=self.moderation,
            adapters=self.adapters,
        )

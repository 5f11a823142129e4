"""The services of the core, wired once; answers and their buttons use them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

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
from bot.storage.process_events import ProcessEvents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot.core.adapters import Capabilities
    from bot.inference.client import ModelClient
    from bot.plugin_host.plugin import Plugin
    from bot.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """One instance of each service. `keeps_answers` is False if answers are deleted once they are finished."""

    models: ModelClient
    database: Database
    adapters: Adapters
    settings: Settings
    registry: Registry
    defaults: Defaults
    audit: Audit
    timeouts: TimeOuts
    limits: RateLimiter
    safety: Safety
    admission: Admission
    log_channel: LogChannel
    refusals: Refusals
    instance: Instance
    events: ProcessEvents
    messages: MessageStore
    stamper: Stamper
    pictures: PictureHashes
    examiner: PictureExaminer
    reader: FileReader
    runs: ActiveRuns
    abandoned: AbandonedAnswers
    moderation: Moderation
    privacy: PrivacyService
    keeps_answers: bool

    @classmethod
    def wire(
        cls,
        models: ModelClient,
        plugins: Sequence[Plugin],
        database: Database,
        *,
        settings: Mapping[str, Any],
        limits: str,
        direct_messages: bool,
        keeps_answers: bool,
        platforms: Mapping[str, Capabilities] | None = None,
    ) -> Self:
        """Make all services without starting them.

        `limits` is the address of the storage in which uses are counted, and `direct_messages` says whether these are
        answered.
        """
        adapters = Adapters(platforms)
        resolved = Settings(settings, models, adapters)
        resolved.declare("safety", SETTINGS)
        registry, defaults = Registry(plugins, resolved), Defaults()
        audit, timeouts = Audit(database), TimeOuts(database)
        limiter, safety = RateLimiter(resolved, limits), Safety(resolved, models)
        policy = Policy(resolved, timeouts, direct_messages=direct_messages)
        instance, runs = Instance(database), ActiveRuns()
        stamper, pictures = Stamper(), PictureHashes(database)
        events = ProcessEvents(limits, instance.id)
        messages = MessageStore(database, instance, events)
        moderation = Moderation(
            audit=audit, messages=messages, runs=runs, timeouts=timeouts, policy=policy, adapters=adapters
        )
        return cls(
            models=models,
            database=database,
            adapters=adapters,
            settings=resolved,
            registry=registry,
            defaults=defaults,
            audit=audit,
            timeouts=timeouts,
            limits=limiter,
            safety=safety,
            admission=Admission(
                settings=resolved,
                registry=registry,
                defaults=defaults,
                policy=policy,
                limits=limiter,
                safety=safety,
                timeouts=timeouts,
            ),
            log_channel=LogChannel(database, resolved, audit, adapters),
            refusals=Refusals(audit, adapters, keeps_words=keeps_answers),
            instance=instance,
            events=events,
            messages=messages,
            stamper=stamper,
            pictures=pictures,
            examiner=PictureExaminer(stamper, pictures, messages),
            reader=FileReader(),
            runs=runs,
            abandoned=AbandonedAnswers(messages),
            moderation=moderation,
            privacy=PrivacyService(
                database=database,
                registry=registry,
                settings=resolved,
                defaults=defaults,
                timeouts=timeouts,
                limits=limiter,
                moderation=moderation,
                adapters=adapters,
            ),
            keeps_answers=keeps_answers,
        )

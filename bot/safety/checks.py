"""The row of checkers that prompts and answers pass, at the level that the settings of their place say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.errors import Busy, ModelError
from bot.core.i18n import Sentence
from bot.safety import token_filter
from bot.safety.errors import (
    ANSWER_PREFIX,
    HELP,
    KINDS_OF_PERSONAL_DATA,
    PERSONAL_DATA_WARNING,
    SELF_HARM,
    WITHHELD,
    Unsafe,
    make_refusal,
)
from bot.safety.normalize import normalize, remove_disguises
from bot.safety.patterns import compile_lines
from bot.safety.people import famous_people
from bot.safety.personal_data import find_personal_data
from bot.safety.rules import built_in_rules, compile_word_list
from bot.safety.settings import CLASSROOM, OFF, STANDARD
from bot.safety.stream_filter import filter_replies

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from typing import Any

    from bot.commands.command import Command
    from bot.core.messages import Place, Reply
    from bot.core.model_events import Dial, Token
    from bot.inference.client import ModelClient
    from bot.settings.resolver import Settings

CATEGORIES = {
    OFF: frozenset[str](),
    STANDARD: frozenset({"hate", "sexual", "violence", "illicit", SELF_HARM}),
    CLASSROOM: frozenset({"hate", "sexual", "violence", "illicit", SELF_HARM, "profanity", "harassment"}),
}
"""What the built-in rules look for at each level."""
CATEGORY_ORDER = (SELF_HARM, "violence", "hate", "sexual", "illicit", "harassment", "profanity")
"""Which of several reasons is told."""
REAL_PERSON = "real_person"
"""The reason, and the rules for people who are told by what they are; only where something is drawn."""
PROMPT_THRESHOLDS = {STANDARD: 0.8, CLASSROOM: 0.5}
"""How sure the classifier has to be about a prompt; found by cross-validation (model_server/training/NOTES.md)."""
ANSWER_THRESHOLDS = {STANDARD: 0.97, CLASSROOM: 0.9}
"""And about an answer, which has many more sentences, and is about what somebody else wrote."""
CLASSIFIER_TIMEOUT_SECONDS = 5.0
"""How long the classifier may take; then it counts as out of reach."""
RETRY_SECONDS = 0.5
"""When to ask it again whose queue is full: what waits there is short, and soon gone."""


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """What the rules look for in a place."""

    level: str
    words: str
    patterns: str
    people: str

    @property
    def is_active(self) -> bool:
        """Whether there is something that an answer may not hold."""
        return self.level != OFF or bool(self.words or self.patterns)

    def forbids(self, text: str) -> bool:
        """Whether no answer may hold `text`. Words of help name what they are against."""
        return self.reason(text, draws=False) not in {"", SELF_HARM}

    def reason(self, text: str, *, draws: bool) -> str:
        """The code of what `text` holds of it; "" for nothing."""
        readings = built_in_rules().readings(text)
        kinds = built_in_rules().categories_of(readings)
        looked_for = CATEGORIES[self.level]
        if reason := next((kind for kind in CATEGORY_ORDER if kind in kinds & looked_for), ""):
            return reason
        if self.words or self.patterns:
            reading = normalize(text)
            if self.words and compile_word_list(self.words).find(reading):
                return "blocked_word"
            pattern = compile_lines(self.patterns)
            if pattern is not None and (pattern.search(text) or pattern.search(reading.plain)):
                return "blocked_pattern"
        if draws and self.level != OFF:
            # Both names of somebody may be in disguise, which single words do not show.
            theirs = compile_word_list(self.people) if self.people else None
            if REAL_PERSON in kinds or any(
                famous_people().find(one) or (theirs and theirs.find(one)) for one in readings
            ):
                return REAL_PERSON
        return ""


class Safety:
    """Everything but `ask`, `answer` and `filter_replies` decides from memory, within a millisecond for an ordinary prompt."""

    def __init__(self, settings: Settings, models: ModelClient) -> None:
        self._settings = settings
        self._models = models

    def free_texts(self, command: Command, options: Mapping[str, Any]) -> tuple[str, ...]:
        """What somebody wrote freely in `options`; nothing of it where the command is for moderators alone."""
        if command.moderator:
            return ()
        wanted = [one for one in command.options if one.type is str and not one.choices and (one.form or one.free_text)]
        return tuple(str(options[one.name]) for one in wanted if options.get(one.name))

    def check_rules(self, texts: Sequence[str], place: Place, *, draws: bool) -> None:
        """Raise Unsafe for what can be seen from memory; `draws` says that a picture is to show what is written."""
        sought = self._rules_at(place)
        for text in texts:
            if code := sought.reason(text, draws=draws):
                raise self._make_refusal(code, text, place)

    async def check(
        self, command: Command, options: Mapping[str, Any], place: Place, *, user: str = ""
    ) -> Sentence | None:
        """Raise Unsafe for what the classifier sees in what `user` asks; else what to warn them of, if anything.

        Here as below, `user` is the id of whoever waits in the classifier's queue.
        """
        texts = self.free_texts(command, options)
        # What is free tells no model anything new, and is often a name like “imagine”, which says little about anybody.
        if not command.free:
            await self.check_with_classifier(texts, place, user=user)
        return self.personal_data_warning(texts, place)

    async def check_with_classifier(self, texts: Sequence[str], place: Place, *, user: str = "") -> None:
        """Raise Unsafe for what the classifier sees; out of its reach, in a classroom for everything."""
        level = self._level(place)
        if level == OFF or not texts:
            return
        meant = [plain for text in texts if (plain := remove_disguises(text))]
        if code := await self._classify([*texts, *meant], level, PROMPT_THRESHOLDS[level], user):
            raise self._make_refusal(code, "\n".join(texts), place)

    def personal_data_warning(self, texts: Sequence[str], place: Place) -> Sentence | None:
        """What to tell somebody whose message has personal data in it, if it seems to."""
        if self._level(place) == OFF or not (what := find_personal_data(texts)):
            return None
        return Sentence(PERSONAL_DATA_WARNING.text, {"what": KINDS_OF_PERSONAL_DATA[what]})

    def filter_replies(
        self, replies: AsyncGenerator[Reply, None], command: Command, place: Place, *, user: str = ""
    ) -> AsyncGenerator[Reply, None]:
        """`replies` with every sentence looked at before it is shown; Unsafe ends them. Only answers to words are."""
        if not self.takes_free_text(command) or not self._rules_at(place).is_active:
            return replies
        return filter_replies(replies, lambda text: self.check_answer(text, place, user=user))

    async def check_answer(self, text: str, place: Place, *, user: str = "") -> None:
        """Raise Unsafe for what no answer may hold."""
        level = self._level(place)
        code = self._rules_at(place).reason(text, draws=False)
        if level != OFF and code in {"", SELF_HARM}:
            code = await self._classify([text], level, ANSWER_THRESHOLDS[level], user)
        # Words of help name what they are against.
        if code not in {"", SELF_HARM}:
            raise Unsafe(WITHHELD, code=f"{ANSWER_PREFIX}{code}", text=text)

    async def filter_dial(self, dial: Dial, place: Place) -> Dial:
        """`dial` with those candidates hidden that no answer may hold, as far as the rules alone see it."""
        sought = self._rules_at(place)
        return await asyncio.to_thread(token_filter.filter_dial, dial, sought.forbids) if sought.is_active else dial

    async def filter_tokens(self, tokens: Sequence[Token], place: Place) -> Sequence[Token]:
        """`tokens` of an answer, with what was likely beside them hidden in the same way."""
        sought = self._rules_at(place)
        return (
            await asyncio.to_thread(token_filter.filter_tokens, tokens, sought.forbids) if sought.is_active else tokens
        )

    def takes_free_text(self, command: Command) -> bool:
        """Whether somebody writes freely to `command`."""
        return not command.moderator and any(option.type is str and option.free_text for option in command.options)

    def _rules_at(self, place: Place) -> PlaceRules:
        words, patterns, people = (
            str(self._settings.value(f"safety.{name}", place)) for name in ("words", "patterns", "people")
        )
        return PlaceRules(self._level(place), words, patterns, people)

    async def _classify(self, texts: Sequence[str], level: str, threshold: float, user: str) -> str:
        try:
            async with asyncio.timeout(CLASSIFIER_TIMEOUT_SECONDS):
                judged = await self._scores(texts, user)
        except (ModelError, TimeoutError):
            return "unchecked" if level == CLASSROOM else ""
        for scores in judged:
            if sum(scores.values()) >= threshold:
                return max(scores, key=scores.__getitem__).split("/")[0].replace("-", "_")
        return ""

    async def _scores(self, texts: Sequence[str], user: str) -> list[dict[str, float]]:
        while True:
            try:
                return await self._models.moderate(texts, user=user)
            except Busy:
                await asyncio.sleep(RETRY_SECONDS)

    def _make_refusal(self, code: str, text: str, place: Place) -> Unsafe:
        if code != SELF_HARM:
            return make_refusal(code, text)
        return Unsafe(Sentence(self._settings.value("safety.help_text", place) or HELP.text), code=code)

    def _level(self, place: Place) -> str:
        level: str = self._settings.value("safety.level", place)
        return level

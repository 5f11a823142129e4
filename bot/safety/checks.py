"""Runs all safety checks on prompts and answers, as strictly as the settings of their place say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.errors import Busy, ModelError
from bot.core.i18n import Sentence
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
from bot.safety.stream_filter import ReplyFilter
from bot.safety.token_filter import filter_dial, filter_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from bot.commands.command import Command
    from bot.core.messages import Place
    from bot.core.model_events import Dial, Token
    from bot.inference.client import ModelClient
    from bot.settings.resolver import Settings

CATEGORIES = {
    OFF: frozenset[str](),
    STANDARD: frozenset({"hate", "sexual", "violence", "illicit", SELF_HARM}),
    CLASSROOM: frozenset({"hate", "sexual", "violence", "illicit", SELF_HARM, "profanity", "harassment"}),
}
"""The categories of the built-in rules that count at each level."""
CATEGORY_ORDER = (SELF_HARM, "violence", "hate", "sexual", "illicit", "harassment", "profanity")
"""If a text has several categories, the first of these is the reason of the refusal."""
REAL_PERSON = "real_person"
"""The reason and the rule category for pictures of real people; it counts only for commands that draw."""
PROMPT_THRESHOLDS = {STANDARD: 0.8, CLASSROOM: 0.5}
"""The classifier refuses a prompt from this score on; found by cross-validation (model_server/training/NOTES.md)."""
ANSWER_THRESHOLDS = {STANDARD: 0.97, CLASSROOM: 0.9}
"""The same for an answer: it has many more sentences, and is about what somebody else wrote."""
CLASSIFIER_TIMEOUT_SECONDS = 5.0
"""If the classifier takes longer, it counts as unreachable."""
RETRY_SECONDS = 0.5
"""When the classifier is asked again after its queue was full: its jobs are short, so there is soon room."""


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """The rules that are in force in one place."""

    level: str
    words: str
    patterns: str
    people: str

    @property
    def has_answer_rules(self) -> bool:
        """True if there is anything that an answer may not contain."""
        return self.level != OFF or bool(self.words or self.patterns)

    def forbids(self, text: str) -> bool:
        """Return whether an answer may not contain `text`. Helpful answers name self-harm, so that is allowed."""
        return self.find_reason(text, draws=False) not in {"", SELF_HARM}

    def find_reason(self, text: str, *, draws: bool) -> str:
        """Return the code of the reason to refuse `text`, or "". `draws` says that a picture of it is asked for."""
        versions = built_in_rules().normalize(text)
        categories = built_in_rules().find_categories_in(versions)
        counting = categories & CATEGORIES[self.level]
        if reason := next((category for category in CATEGORY_ORDER if category in counting), ""):
            return reason
        if self.words or self.patterns:
            normalized = normalize(text)
            if self.words and compile_word_list(self.words).find(normalized):
                return "blocked_word"
            pattern = compile_lines(self.patterns)
            if pattern is not None and (pattern.search(text) or pattern.search(normalized.plain)):
                return "blocked_pattern"
        if draws and self.level != OFF:
            # Both parts of a name may be disguised, which single words do not show.
            blocked = compile_word_list(self.people) if self.people else None
            if REAL_PERSON in categories or any(
                famous_people().is_named_in(version) or (blocked and blocked.find(version)) for version in versions
            ):
                return REAL_PERSON
        return ""


class Safety:
    """Checks prompts and answers by the settings of their place.

    Only `check`, `check_with_classifier`, `check_answer` and the filter that `reply_filter` returns ask the model
    server. Everything else runs in memory, within a millisecond for an ordinary prompt. `user` is the id under which
    a request waits in the classifier's queue.
    """

    def __init__(self, settings: Settings, models: ModelClient) -> None:
        self._settings = settings
        self._models = models

    def read_free_texts(self, command: Command, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the free text in `options`; nothing for commands that only moderators may use."""
        if command.moderator:
            return ()
        free = [
            option
            for option in command.options
            if option.type is str and not option.choices and (option.form or option.free_text)
        ]
        return tuple(str(options[option.name]) for option in free if options.get(option.name))

    def check_rules(self, texts: Sequence[str], place: Place, *, draws: bool) -> None:
        """Raise Unsafe for what the rules find; `draws` says that a picture of the texts is asked for."""
        rules = self._rules_at(place)
        for text in texts:
            if code := rules.find_reason(text, draws=draws):
                raise self._make_refusal(code, text, place)

    async def check(
        self, command: Command, options: Mapping[str, Any], place: Place, *, user: str = ""
    ) -> Sentence | None:
        """Raise Unsafe for what the classifier finds; otherwise return a warning of personal data, if there is any."""
        texts = self.read_free_texts(command, options)
        # A free command gives no model anything new, and its text is often a bare name like “imagine”, of which the
        # classifier can tell little.
        if not command.free:
            await self.check_with_classifier(texts, place, user=user)
        return self.find_personal_data_warning(texts, place)

    async def check_with_classifier(self, texts: Sequence[str], place: Place, *, user: str = "") -> None:
        """Raise Unsafe for what the classifier finds and, at level classroom, also when it cannot be reached."""
        level = self._level(place)
        if level == OFF or not texts:
            return
        undisguised = [plain for text in texts if (plain := remove_disguises(text))]
        if code := await self._classify([*texts, *undisguised], level, PROMPT_THRESHOLDS[level], user):
            raise self._make_refusal(code, "\n".join(texts), place)

    def find_personal_data_warning(self, texts: Sequence[str], place: Place) -> Sentence | None:
        """Return the warning for a message that seems to contain personal data, else None."""
        if self._level(place) == OFF or not (kind := find_personal_data(texts)):
            return None
        return Sentence(PERSONAL_DATA_WARNING.text, {"what": KINDS_OF_PERSONAL_DATA[kind]})

    def reply_filter(self, command: Command, place: Place, *, user: str = "") -> ReplyFilter:
        """Return a filter that checks every sentence before it is shown, and raises Unsafe for what may not be.

        Only answers of commands that take free text are checked.
        """
        if not self.takes_free_text(command) or not self._rules_at(place).has_answer_rules:
            return ReplyFilter(None)
        return ReplyFilter(lambda text: self.check_answer(text, place, user=user))

    async def check_answer(self, text: str, place: Place, *, user: str = "") -> None:
        """Raise Unsafe if an answer may not contain `text`."""
        rules = self._rules_at(place)
        code = rules.find_reason(text, draws=False)
        if rules.level != OFF and code in {"", SELF_HARM}:
            code = await self._classify([text], rules.level, ANSWER_THRESHOLDS[rules.level], user)
        # Helpful answers name self-harm.
        if code not in {"", SELF_HARM}:
            raise Unsafe(WITHHELD, code=f"{ANSWER_PREFIX}{code}", text=text)

    async def filter_dial(self, dial: Dial, place: Place) -> Dial:
        """Return `dial` with those candidates hidden that the rules forbid in an answer."""
        rules = self._rules_at(place)
        return await asyncio.to_thread(filter_dial, dial, rules.forbids) if rules.has_answer_rules else dial

    async def filter_tokens(self, tokens: Sequence[Token], place: Place) -> Sequence[Token]:
        """Return the `tokens` of an answer with those alternatives hidden that the rules forbid."""
        rules = self._rules_at(place)
        return await asyncio.to_thread(filter_tokens, tokens, rules.forbids) if rules.has_answer_rules else tokens

    def takes_free_text(self, command: Command) -> bool:
        """Return whether people write free text to `command`."""
        return not command.moderator and any(option.type is str and option.free_text for option in command.options)

    def _rules_at(self, place: Place) -> PlaceRules:
        words, patterns, people = (
            str(self._settings.value(f"safety.{name}", place)) for name in ("words", "patterns", "people")
        )
        return PlaceRules(self._level(place), words, patterns, people)

    async def _classify(self, texts: Sequence[str], level: str, threshold: float, user: str) -> str:
        """Return the code of the first text whose scores reach `threshold`, or ""."""
        try:
            async with asyncio.timeout(CLASSIFIER_TIMEOUT_SECONDS):
                scores_of_texts = await self._request_scores(texts, user)
        except (ModelError, TimeoutError):
            return "unchecked" if level == CLASSROOM else ""
        for scores in scores_of_texts:
            if sum(scores.values()) >= threshold:
                return max(scores, key=scores.__getitem__).split("/")[0].replace("-", "_")
        return ""

    async def _request_scores(self, texts: Sequence[str], user: str) -> list[dict[str, float]]:
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

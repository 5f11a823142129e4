"""The row of checkers that prompts and answers pass, at the level that the settings of their place say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.core.errors import Busy, ModelError
from bot.core.i18n import Sentence
from bot.safety import token_filter
from bot.safety.normalize import read, undisguised
from bot.safety.patterns import compiled
from bot.safety.people import famous
from bot.safety.personal import found
from bot.safety.rules import own, rules
from bot.safety.settings import CLASSROOM, OFF, STANDARD
from bot.safety.stream_filter import held
from bot.safety.verdict import ANSWER, HELP, HELPED, KINDS_OF_DATA, WARNING, WITHHELD, Unsafe, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from typing import Any

    from bot.commands.command import Command
    from bot.core.messages import Place, Reply
    from bot.core.model_events import Dial, Token
    from bot.inference.client import ModelClient
    from bot.settings.resolver import Settings

KINDS = {
    OFF: frozenset[str](),
    STANDARD: frozenset({"hate", "sexual", "violence", "illicit", HELPED}),
    CLASSROOM: frozenset({"hate", "sexual", "violence", "illicit", HELPED, "profanity", "harassment"}),
}
"""What the built-in rules look for at each level."""
ORDER = (HELPED, "violence", "hate", "sexual", "illicit", "harassment", "profanity")
"""Which of several reasons is told."""
PERSON = "real_person"
"""The reason, and the rules for people who are told by what they are; only where something is drawn."""
THRESHOLDS = {STANDARD: 0.8, CLASSROOM: 0.5}
"""How sure the classifier has to be about a prompt; found by cross-validation (model_server/training/NOTES.md)."""
ANSWERS = {STANDARD: 0.97, CLASSROOM: 0.9}
"""And about an answer, which has many more sentences, and is about what somebody else wrote."""
SECONDS = 5.0
"""How long the classifier may take; then it counts as out of reach."""
AGAIN_SECONDS = 0.5
"""When to ask it again whose queue is full: what waits there is short, and soon gone."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What the rules look for in a place."""

    level: str
    words: str
    patterns: str
    people: str

    @property
    def is_anything(self) -> bool:
        """Whether there is something that an answer may not hold."""
        return self.level != OFF or bool(self.words or self.patterns)

    def forbids(self, text: str) -> bool:
        """Whether no answer may hold `text`. Words of help name what they are against."""
        return self.reason(text, draws=False) not in {"", HELPED}

    def reason(self, text: str, *, draws: bool) -> str:
        """The code of what `text` holds of it; "" for nothing."""
        readings = rules().readings(text)
        kinds = rules().kinds_of(readings)
        looked_for = KINDS[self.level]
        if reason := next((kind for kind in ORDER if kind in kinds & looked_for), ""):
            return reason
        if self.words or self.patterns:
            reading = read(text)
            if self.words and own(self.words).find(reading):
                return "blocked_word"
            pattern = compiled(self.patterns)
            if pattern is not None and (pattern.search(text) or pattern.search(reading.plain)):
                return "blocked_pattern"
        if draws and self.level != OFF:
            # Both names of somebody may be in disguise, which single words do not show.
            theirs = own(self.people) if self.people else None
            if PERSON in kinds or any(famous().find(one) or (theirs and theirs.find(one)) for one in readings):
                return PERSON
        return ""


class Safety:
    """Everything but `ask`, `answer` and `guarded` decides from memory, within a millisecond for an ordinary prompt."""

    def __init__(self, settings: Settings, models: ModelClient) -> None:
        self._settings = settings
        self._models = models

    def texts(self, command: Command, options: Mapping[str, Any]) -> tuple[str, ...]:
        """What somebody wrote freely in `options`; nothing of it where the command is for moderators alone."""
        if command.moderator:
            return ()
        wanted = [one for one in command.options if one.type is str and not one.choices and (one.form or one.free_text)]
        return tuple(str(options[one.name]) for one in wanted if options.get(one.name))

    def look(self, texts: Sequence[str], place: Place, *, draws: bool) -> None:
        """Raise Unsafe for what can be seen from memory; `draws` says that a picture is to show what is written."""
        sought = self._sought(place)
        for text in texts:
            if code := sought.reason(text, draws=draws):
                raise self._unsafe(code, text, place)

    async def check(
        self, command: Command, options: Mapping[str, Any], place: Place, *, user: str = ""
    ) -> Sentence | None:
        """Raise Unsafe for what the classifier sees in what `user` asks; else what to warn them of, if anything.

        Here as below, `user` is the id of whoever waits in the classifier's queue.
        """
        texts = self.texts(command, options)
        # What is free tells no model anything new, and is often a name like “imagine”, which says little about anybody.
        if not command.free:
            await self.ask(texts, place, user=user)
        return self.warning(texts, place)

    async def ask(self, texts: Sequence[str], place: Place, *, user: str = "") -> None:
        """Raise Unsafe for what the classifier sees; out of its reach, in a classroom for everything."""
        level = self._level(place)
        if level == OFF or not texts:
            return
        meant = [plain for text in texts if (plain := undisguised(text))]
        if code := await self._judged([*texts, *meant], level, THRESHOLDS[level], user):
            raise self._unsafe(code, "\n".join(texts), place)

    def warning(self, texts: Sequence[str], place: Place) -> Sentence | None:
        """What to tell somebody whose message has personal data in it, if it seems to."""
        if self._level(place) == OFF or not (what := found(texts)):
            return None
        return Sentence(WARNING.text, {"what": KINDS_OF_DATA[what]})

    def guarded(
        self, replies: AsyncGenerator[Reply, None], command: Command, place: Place, *, user: str = ""
    ) -> AsyncGenerator[Reply, None]:
        """`replies` with every sentence looked at before it is shown; Unsafe ends them. Only answers to words are."""
        if not self.takes_words(command) or not self._sought(place).is_anything:
            return replies
        return held(replies, lambda text: self.answer(text, place, user=user))

    async def answer(self, text: str, place: Place, *, user: str = "") -> None:
        """Raise Unsafe for what no answer may hold."""
        level = self._level(place)
        code = self._sought(place).reason(text, draws=False)
        if level != OFF and code in {"", HELPED}:
            code = await self._judged([text], level, ANSWERS[level], user)
        # Words of help name what they are against.
        if code not in {"", HELPED}:
            raise Unsafe(WITHHELD, code=f"{ANSWER}{code}", text=text)

    async def dial(self, dial: Dial, place: Place) -> Dial:
        """`dial` with those candidates hidden that no answer may hold, as far as the rules alone see it."""
        sought = self._sought(place)
        return await asyncio.to_thread(token_filter.of_dial, dial, sought.forbids) if sought.is_anything else dial

    async def tokens(self, tokens: Sequence[Token], place: Place) -> Sequence[Token]:
        """`tokens` of an answer, with what was likely beside them hidden in the same way."""
        sought = self._sought(place)
        return await asyncio.to_thread(token_filter.of_answer, tokens, sought.forbids) if sought.is_anything else tokens

    def takes_words(self, command: Command) -> bool:
        """Whether somebody writes freely to `command`."""
        return not command.moderator and any(option.type is str and option.free_text for option in command.options)

    def _sought(self, place: Place) -> Sought:
        words, patterns, people = (
            str(self._settings.value(f"safety.{name}", place)) for name in ("words", "patterns", "people")
        )
        return Sought(self._level(place), words, patterns, people)

    async def _judged(self, texts: Sequence[str], level: str, threshold: float, user: str) -> str:
        try:
            async with asyncio.timeout(SECONDS):
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
                await asyncio.sleep(AGAIN_SECONDS)

    def _unsafe(self, code: str, text: str, place: Place) -> Unsafe:
        if code != HELPED:
            return refusal(code, text)
        return Unsafe(Sentence(self._settings.value("safety.help_text", place) or HELP.text), code=code)

    def _level(self, place: Place) -> str:
        level: str = self._settings.value("safety.level", place)
        return level

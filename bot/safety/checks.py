"""Runs all safety checks on prompts and answers, as strictly as the settings of their place say."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bot.core.errors import Busy, ModelError, UserError
from bot.core.i18n import Sentence
from bot.safety.compiled import PATTERNS, WORDS, CompiledLists
from bot.safety.errors import ANSWER_PREFIX, SELF_HARM, Unsafe, make_refusal
from bot.safety.normalize import fold, normalize, remove_disguises
from bot.safety.patterns import to_searchable
from bot.safety.people import famous_people
from bot.safety.personal_data import find_personal_data
from bot.safety.rules import built_in_rules
from bot.safety.sentences import HELP, KINDS_OF_PERSONAL_DATA, PERSONAL_DATA_WARNING, WITHHELD
from bot.safety.settings import CLASSROOM, OFF, PICTURES, STANDARD
from bot.safety.stream_filter import ReplyFilter
from bot.safety.token_filter import filter_dial, filter_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from bot.commands.command import Command
    from bot.core.messages import Place
    from bot.core.model_events import Dial, Token
    from bot.inference.client import ModelClient
    from bot.safety.normalize import NormalizedText
    from bot.safety.words import WordMatcher
    from bot.settings.resolver import Settings
    from bot.settings.setting import Scope

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
PROMPT_THRESHOLDS = {STANDARD: 0.7, CLASSROOM: 0.5}
"""The classifier refuses a prompt from this score on; found by cross-validation (research/NOTES.md)."""
ANSWER_THRESHOLDS = {STANDARD: 0.97, CLASSROOM: 0.9}
"""The same for an answer: it has many more sentences, and is about what somebody else wrote."""
CLASSIFIER_TIMEOUT_SECONDS = 5.0
"""If the classifier takes longer, it counts as unreachable."""
RETRY_SECONDS = 0.5
"""When the classifier is asked again after its queue was full: its jobs are short, so there is soon room."""

SILENCE_SECONDS = 15.0
"""For how long a classifier that did not answer at all in its time is not asked again."""
FILE_PIECE_CHARACTERS, FILE_BATCH = 1000, 8
"""In pieces of this length the text of a file is checked, so many at once by the classifier."""
LIST_KINDS = {"safety.words": WORDS, "safety.patterns": PATTERNS, "safety.people": WORDS}
"""The settings that are lists of a server's own, and how each is compiled."""


@dataclass(frozen=True, slots=True)
class PlaceRules:
    """The rules that are in force in one place: the level, and the server's own lists as far as they are compiled."""

    level: str
    words: WordMatcher | None
    patterns: Any
    people: WordMatcher | None

    def forbids(self, text: str) -> bool:
        """Return whether an answer may not contain `text`. Helpful answers name self-harm, so that is allowed."""
        return self.find_reason(text, draws=False) not in {"", SELF_HARM}

    def find_reason(self, text: str, *, draws: bool) -> str:
        """Return the code of the reason to refuse `text`, or "". `draws` says that a picture of it is asked for."""
        # Both parts of a name may be disguised, which single words do not show.
        versions = built_in_rules().normalize(text)
        categories = built_in_rules().find_categories(versions)
        counting = categories & CATEGORIES[self.level]
        if reason := next((category for category in CATEGORY_ORDER if category in counting), ""):
            return reason
        if self.words is not None or self.patterns is not None:
            normalized = normalize(text)
            if self.words is not None and self.words.find(normalized):
                return "blocked_word"
            # The signs of an address are in no list of words, and its letters may be disguised.
            forms = map(to_searchable, (text, fold(text), normalized.plain))
            if self.patterns is not None and any(map(self.patterns.search, forms)):
                return "blocked_pattern"
        if draws and self.level != OFF and (REAL_PERSON in categories or any(map(self._names_person, versions))):
            return REAL_PERSON
        return ""

    def _names_person(self, version: NormalizedText) -> bool:
        return famous_people().is_named_in(version) or (self.people is not None and bool(self.people.find(version)))


class Safety:
    """Checks prompts and answers by the settings of their place.

    Only `check`, `check_with_classifier`, `check_answer` and the filter that `reply_filter` returns ask the model
    server. Everything else runs in memory, within a millisecond for an ordinary prompt. `user` is the id under which
    a request waits in the classifier's queue.
    """

    def __init__(self, settings: Settings, models: ModelClient) -> None:
        self._settings = settings
        self._models = models
        self._compiled = CompiledLists()
        self._heard_at = self._silent_until = 0.0
        self._missed = 0
        """How many short texts one after the other it did not answer in time."""
        for name, kind in LIST_KINDS.items():
            settings.guards[name] = partial(self._compile_before_use, kind)

    async def _compile_before_use(self, kind: str, scope: Scope, listed: str | None) -> None:
        """Compile a list before it is set, so that the one before it is in force until then."""
        await self._compiled.get(kind, listed or "")

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
        """Raise Unsafe for what the rules find; `draws` says that a picture of the texts is asked for.

        Lists of the server that are not compiled yet are passed over, so `check_all_rules` has to follow.
        """
        lists = self._lists_at(place)
        matchers = [self._compiled.find(LIST_KINDS[name], listed) for name, listed in lists.items()]
        self._refuse(PlaceRules(self._level(place), *matchers), texts, place, draws=draws)

    async def check_all_rules(self, texts: Sequence[str], place: Place, *, draws: bool) -> None:
        """Raise Unsafe for what the rules find, once all lists of the server are compiled."""
        self._refuse(await self._rules_at(place), texts, place, draws=draws)

    def _refuse(self, rules: PlaceRules, texts: Sequence[str], place: Place, *, draws: bool) -> None:
        for text in texts:
            if code := rules.find_reason(text, draws=draws):
                raise self._make_refusal(code, text, place)

    async def check(
        self, command: Command, options: Mapping[str, Any], place: Place, *, user: str = ""
    ) -> Sentence | None:
        """Raise Unsafe for what the server's lists or the classifier find.

        Otherwise return a warning of personal data, if there is any.
        """
        await self.check_lists(command, options, place)
        texts = self.read_free_texts(command, options)
        # A free command gives no model anything new, and its text is often a bare name like “imagine”, of which the
        # classifier can tell little.
        if not command.free:
            await self.check_with_classifier(texts, place, user=user, is_needed=not command.is_written(options))
        return self.find_personal_data_warning(texts, place)

    async def check_lists(self, command: Command, options: Mapping[str, Any], place: Place) -> None:
        """Raise Unsafe for what `check_rules` may have passed over, where the server has lists of its own."""
        if any(self._lists_at(place).values()):
            await self.check_all_rules(self.read_free_texts(command, options), place, draws=command.draws)

    async def check_with_classifier(
        self, texts: Sequence[str], place: Place, *, user: str = "", is_needed: bool = True
    ) -> None:
        """Raise Unsafe for what the classifier finds and, at level classroom if it `is_needed`, where it is away."""
        level = self._level(place)
        if level == OFF or not texts:
            return
        undisguised = [plain for text in texts if (plain := remove_disguises(text))]
        code = await self._classify([*texts, *undisguised], level, PROMPT_THRESHOLDS[level], user, is_needed=is_needed)
        if code:
            raise self._make_refusal(code, "\n".join(texts), place)

    def check_picture(self, place: Place) -> None:
        """Raise UserError if nobody may attach a picture here."""
        if not self._settings.value(PICTURES, place):
            raise UserError(
                "No pictures can be attached here; moderators decide that with {setting}.", setting=PICTURES
            )

    async def check_file(self, text: str, place: Place, *, user: str = "") -> None:
        """Raise Unsafe if nobody may ask about a file with this text here: by the rules of prompts.

        For the classifier it is like an answer: it has many sentences, which somebody else may have written.
        """
        rules, pieces = await self._rules_at(place), list(_split(text))
        for piece in pieces:
            if code := await asyncio.to_thread(rules.find_reason, piece, draws=False):
                raise self._make_refusal(code, piece, place)
        if rules.level == OFF:
            return
        for first in range(0, len(pieces), FILE_BATCH):
            some = pieces[first : first + FILE_BATCH]
            if code := await self._classify(some, rules.level, ANSWER_THRESHOLDS[rules.level], user):
                raise self._make_refusal(code, "\n".join(some)[:FILE_PIECE_CHARACTERS], place)

    def find_personal_data_warning(self, texts: Sequence[str], place: Place) -> Sentence | None:
        """Return the warning for a message that seems to contain personal data, else None."""
        if self._level(place) == OFF or not (kind := find_personal_data(texts)):
            return None
        return Sentence(PERSONAL_DATA_WARNING.text, {"what": KINDS_OF_PERSONAL_DATA[kind]})

    def reply_filter(
        self, command: Command, options: Mapping[str, Any], place: Place, *, user: str = ""
    ) -> ReplyFilter:
        """Return a filter that checks every sentence before it is shown, and raises Unsafe for what may not be.

        Only answers of commands that take free text are checked.
        """
        if not self.takes_free_text(command) or not self._has_answer_rules(place):
            return ReplyFilter(None)
        is_needed = not command.is_written(options)
        return ReplyFilter(lambda text: self.check_answer(text, place, user=user, is_needed=is_needed))

    async def check_answer(self, text: str, place: Place, *, user: str = "", is_needed: bool = True) -> None:
        """Raise Unsafe if an answer may not contain `text`; `is_needed` as of `check_with_classifier`."""
        rules = await self._rules_at(place)
        code = rules.find_reason(text, draws=False)
        if rules.level != OFF and code in {"", SELF_HARM}:
            threshold = ANSWER_THRESHOLDS[rules.level]
            code = await self._classify([text], rules.level, threshold, user, is_needed=is_needed)
        # Helpful answers name self-harm.
        if code not in {"", SELF_HARM}:
            raise Unsafe(WITHHELD, code=f"{ANSWER_PREFIX}{code}", text=text)

    async def filter_dial(self, dial: Dial, place: Place) -> Dial:
        """Return `dial` with those candidates hidden that the rules forbid in an answer."""
        if not self._has_answer_rules(place):
            return dial
        return await asyncio.to_thread(filter_dial, dial, (await self._rules_at(place)).forbids)

    async def filter_tokens(self, tokens: Sequence[Token], place: Place) -> Sequence[Token]:
        """Return the `tokens` of an answer with those alternatives hidden that the rules forbid."""
        if not self._has_answer_rules(place):
            return tokens
        return await asyncio.to_thread(filter_tokens, tokens, (await self._rules_at(place)).forbids)

    def takes_free_text(self, command: Command) -> bool:
        """Return whether people write free text to `command`."""
        return not command.moderator and any(option.type is str and option.free_text for option in command.options)

    def _lists_at(self, place: Place) -> dict[str, str]:
        """Return the server's own lists, in the order of `PlaceRules`."""
        return {name: str(self._settings.value(name, place)) for name in LIST_KINDS}

    def _has_answer_rules(self, place: Place) -> bool:
        """Return whether there is anything that an answer may not contain."""
        lists = self._lists_at(place)
        return self._level(place) != OFF or bool(lists["safety.words"] or lists["safety.patterns"])

    async def _rules_at(self, place: Place) -> PlaceRules:
        level, lists = self._level(place), self._lists_at(place)
        return PlaceRules(
            level, *[await self._compiled.get(LIST_KINDS[name], listed) for name, listed in lists.items()]
        )

    async def _classify(
        self, texts: Sequence[str], level: str, threshold: float, user: str, *, is_needed: bool = True
    ) -> str:
        """Return the code of the first text whose scores reach `threshold`, or ""."""
        unchecked, began = "unchecked" if level == CLASSROOM and is_needed else "", time.monotonic()
        if began < self._silent_until:
            return unchecked
        try:
            async with asyncio.timeout(CLASSIFIER_TIMEOUT_SECONDS):
                scores_of_texts = await self._request_scores(texts, user)
        except ModelError:
            return unchecked
        except TimeoutError:
            # One that answered others meanwhile, or has much to read, is only slow. Of one that is gone, no answer
            # should wait again at each of its sentences.
            if self._heard_at < began and sum(map(len, texts)) <= FILE_PIECE_CHARACTERS:
                self._missed += 1
            if self._missed > 1:
                self._silent_until = time.monotonic() + SILENCE_SECONDS
            return unchecked
        self._heard_at, self._missed = time.monotonic(), 0
        for scores in scores_of_texts:
            if sum(scores.values()) >= threshold:
                return max(scores, key=scores.__getitem__).split("/")[0].replace("-", "_")
        return ""

    async def _request_scores(self, texts: Sequence[str], user: str) -> list[dict[str, float]]:
        while True:
            try:
                return await self._models.moderate(texts, user=user)
            except Busy:
                self._heard_at, self._missed = time.monotonic(), 0
                await asyncio.sleep(RETRY_SECONDS)

    def _make_refusal(self, code: str, text: str, place: Place) -> Unsafe:
        if code != SELF_HARM:
            return make_refusal(code, text)
        return Unsafe(Sentence(self._settings.value("safety.help_text", place) or HELP.text), code=code)

    def _level(self, place: Place) -> str:
        level: str = self._settings.value("safety.level", place)
        return level


def _split(text: str) -> Iterator[str]:
    """Yield a text in pieces, which end with a line or a word where that is possible."""
    while text:
        end = len(text)
        if end > FILE_PIECE_CHARACTERS:
            ends = (text.rfind(sign, FILE_PIECE_CHARACTERS // 2, FILE_PIECE_CHARACTERS) for sign in ("\n", " "))
            end = next((place for place in ends if place > 0), FILE_PIECE_CHARACTERS)
        yield text[:end]
        text = text[end:].lstrip()

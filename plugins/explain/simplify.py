"""Restates a passage in simpler words with the language model, and checks that it adds no names or numbers.

Each sentence of the model is checked before it is shown, because nobody can unread a sentence. At the first sentence
with a name or a number that the passage lacks, the model is stopped and the passage itself is shown instead. A sentence
that repeats the passage is left out, because it is no simpler; if all do, the model is asked once more. The check
is strict and simple: every word with a capital letter counts as a name, except common words at the beginning of a
sentence, and nouns in German.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from bot import Answered, Context, Delta, Reply, Turn, UserError, Waiting
from plugins.explain import replies
from plugins.explain.lessons.passages import Passage, split_sentences
from plugins.explain.library.lesson_set import LessonSet
from plugins.explain.search.words.vocabulary import ENGLISH, SearchLanguage, fold, stems, words
from plugins.shared.upstreams import add_upstream_facts

INSTRUCTIONS = (
    "Rewrite the passage in simple words for a child, in the language of the passage. Use only what the passage says, "
    "but other words and shorter sentences. Do not add examples, names or numbers. Write two to four short sentences."
)
SECOND_INSTRUCTIONS = "Explain it to a child of eight now, in other words. Do not repeat what you wrote."
TEMPERATURE = 0.2
SEED = 7
MAX_TOKENS = 256
"""The longest restatement."""
MAX_LIKENESS = 90.0
"""The likeness of a sentence to a part of the passage, 0 to 100, above which it says the same in the same words."""

SENTENCE = re.compile(r".*?(?:[.!?…]+[”\"’)\]]*(?=\s)|\n)", re.DOTALL)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
WORD = re.compile(r"[^\W\d_](?:[\w’'-]*\w)?")
BEFORE_FIRST_WORD = re.compile(r"^\W*$|[:“\"(]\s*$")
"""The text before the first word of a sentence or a quotation."""
NUMBER_NAMES = (
    "two three four five six seven eight nine ten eleven twelve dozen twenty thirty fifty hundred thousand million "
    "billion trillion zwei drei vier fünf sechs sieben acht neun zehn hundert tausend dos tres cuatro cinco seis siete "
    "ocho nueve diez cien mil"
)
NUMBER_WORDS = {word: str(place) for place, word in enumerate(NUMBER_NAMES.split()[:11], 2)} | dict.fromkeys(
    map(fold, NUMBER_NAMES.split()[11:]), ""
)
"""Words for numbers, folded, each with the digits that mean the same; "" if they are not known."""
BEGINNING = """
    almost although always another anyone anything basically both but called computers consider each even every
    everyone first for generally here however imagine in instead later like lots many maybe most never next nobody
    nothing now often once one only other others people perhaps picture pictures remember second sentences similarly
    simply since slowly so some someone something sometimes soon that then therefore think third this those though thus
    together usually very whenever words yet
"""
OPENINGS = frozenset(BEGINNING.split())
"""Words with which a sentence may begin though the passage does not have them."""


def finished_sentences(text: str) -> Iterator[str]:
    """Yield the finished sentences and lines at the beginning of a text that is still growing."""
    place = 0
    while match := SENTENCE.match(text, place):
        place = match.end()
        yield match[0]


def unsupported_terms(sentence: str, source: str, language: SearchLanguage = ENGLISH) -> list[str]:
    """Return the names and numbers in a sentence that its source does not have.

    In German all nouns have a capital letter, so that only words with further capitals count as names there.
    """
    known = set(words(source))
    known_stems = set(stems(known))
    known_numbers = {_normalize_number(number) for number in NUMBER.findall(source)}
    unsupported = [number for number in NUMBER.findall(sentence) if _normalize_number(number) not in known_numbers]
    for match in WORD.finditer(sentence):
        word = match[0]
        base = re.sub(r"['’]s$", "", word)
        folded = fold(base)
        is_known = all(part in known or part.removesuffix("s") in known for part in words(base))
        if folded in NUMBER_WORDS:
            if not is_known and NUMBER_WORDS[folded] not in known_numbers:
                unsupported.append(word)
        elif word != word.lower() and word != "I" and not is_known:
            if language.code == "de" and base[1:].islower():
                continue
            is_first = BEFORE_FIRST_WORD.search(sentence[: match.start()]) and base[1:].islower()
            is_common = folded in language.stop_words or folded in OPENINGS or set(stems([folded])) <= known_stems
            if not (is_first and is_common):
                unsupported.append(word)
    return unsupported


def _normalize_number(number: str) -> str:
    """Return a number in one notation: 1,000 becomes 1000, and 0.70 becomes 0.7."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", number):
        return number.replace(",", "")
    decimal = number.replace(",", ".")
    return decimal.rstrip("0").rstrip(".") if decimal.count(".") == 1 else decimal


def repeats(sentence: str, passage: str) -> bool:
    """Return True if a sentence has hardly any other words than a part of the passage, or quotes a sentence of it."""
    from rapidfuzz.fuzz import partial_ratio

    own, theirs = " ".join(words(sentence)), " ".join(words(passage))
    quotes = any(part and part in own for part in (" ".join(words(one)) for one in split_sentences(passage)))
    return quotes or (len(own) <= len(theirs) and partial_ratio(own, theirs) > MAX_LIKENESS)


@dataclass(slots=True)
class _Restatement:
    """What the language model says instead of a passage. Only `checked` may be shown: other words, and no other facts.

    `source` is the passage with the headings above it. `written` is all that the model wrote.
    """

    passage: str
    source: str
    language: SearchLanguage
    checked: str = ""
    written: str = ""
    is_supported: bool = True
    _unchecked: str = ""

    def add(self, text: str) -> None:
        """Add a piece of text, and check the sentences that it ends."""
        self.written += text
        self._unchecked += text
        for sentence in finished_sentences(self._unchecked):
            self._unchecked = self._unchecked[len(sentence) :]
            self._check(sentence)

    def end(self, *, is_cut: bool) -> None:
        """Check the last sentence, or drop it if it is cut."""
        if not is_cut:
            self._check(self._unchecked)

    def _check(self, sentence: str) -> None:
        self.is_supported = self.is_supported and not unsupported_terms(sentence, self.source, self.language)
        if self.is_supported and not repeats(sentence, self.passage):
            self.checked += sentence


async def simplify_passage(
    ctx: Context, lesson_set: LessonSet, passage: Passage, question: str
) -> AsyncIterator[Reply]:
    """Show a passage in simpler words above the original; only the original if that fails, adds or changes nothing."""
    title = f"*{ctx.translate('In simpler words, written by AI:')}*"
    source = f"{replies.breadcrumb(passage)} {passage.plain_text}"
    card = {"lesson": replies.breadcrumb(passage)}
    yield Reply(status=ctx.translate("Looking for simpler words …"))
    turns = [Turn("system", INSTRUCTIONS), Turn("user", passage.plain_text)]
    try:
        # A model that gave the passage back is told so, once.
        for _ in range(2):
            told = _Restatement(passage.plain_text, source, lesson_set.index.language)
            async for status in _restate(ctx, turns, told, card):
                yield Reply(text=f"{title}\n\n{told.checked}".rstrip() if told.checked.strip() else "", status=status)
            if told.checked.strip() or not told.is_supported or not told.written.strip():
                break
            turns += [Turn("assistant", told.written), Turn("user", SECOND_INSTRUCTIONS)]
    except UserError:
        status = ctx.translate("The language model cannot be asked at the moment; these are the lesson's own words.")
        yield replies.show_passage(ctx, lesson_set, passage, question, status)
        return
    if not told.is_supported:
        status = ctx.translate("The simpler words said something that the lesson does not; these are the lesson's own.")
        yield replies.show_passage(ctx, lesson_set, passage, question, status)
        return
    if not (checked := told.checked.strip()):
        status = ctx.translate("The language model found no simpler words; these are the lesson's own.")
        yield replies.show_passage(ctx, lesson_set, passage, question, status)
        return
    quote = "\n".join(f"> {line}".rstrip() for line in passage.text.splitlines())
    text = f"{title}\n\n{checked}\n\n{quote}\n\n{replies.format_source(ctx, lesson_set, passage)}"
    buttons = replies.make_buttons(ctx, lesson_set, passage, question, is_simple=True)
    yield Reply(text=text, card=card, buttons=buttons, final=True)


async def _restate(ctx: Context, turns: Sequence[Turn], told: _Restatement, card: dict[str, str]) -> AsyncIterator[str]:
    """Have the language model write, until it is done or says what the passage does not; yield how far it is."""
    model = await ctx.settings.model("ask.model")
    events = ctx.models.chat(
        turns, temperature=TEMPERATURE, seed=SEED, max_tokens=MAX_TOKENS, model=model, user=ctx.user.id
    )
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Delta):
                told.add(event.text)
                if not told.is_supported:
                    return
                yield ctx.translate("Each sentence is checked against the lesson …")
            elif isinstance(event, Waiting):
                yield ctx.translate("Number {place} in the queue …", place=event.place)
            elif isinstance(event, Answered):
                card |= {"model": event.model, "temperature": f"{TEMPERATURE:g}"}
                card |= {"tokens": str(event.completion_tokens), "seconds": f"{event.seconds:.1f}"}
                card |= add_upstream_facts(ctx, card, event)
                told.end(is_cut=event.finish_reason == "length")

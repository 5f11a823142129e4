"""Restates a passage in simpler words with the language model, and checks that it adds no names or numbers.

Each sentence of the model is checked before it is shown, because nobody can unread a sentence. At the first sentence
with a name or a number that the passage lacks, the model is stopped and the passage itself is shown instead. The check
is strict and simple: every word with a capital letter counts as a name, except common words at the beginning of a
sentence.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from bot import Answered, Context, Delta, Reply, Turn, UserError, Waiting
from plugins.explain import replies
from plugins.explain.search.vocabulary import STOP_WORDS, fold, stems, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugins.explain.lessons.passages import Passage
    from plugins.explain.library.lesson_set import LessonSet

INSTRUCTIONS = (
    "Rewrite the passage in simple words for a child, in the language of the passage. Use only what the passage says. "
    "Do not add examples, names or numbers. Write two to four short sentences."
)
TEMPERATURE = 0.2
SEED = 7
MAX_TOKENS = 256
"""The longest restatement."""

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
NUMBER_WORDS = {word: place for place, word in enumerate(NUMBER_NAMES.split()[:11], 2)} | dict.fromkeys(
    NUMBER_NAMES.split()[11:], 0
)
"""Words for numbers, each with the number whose digits mean the same; 0 if there is none."""
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


def unsupported_terms(sentence: str, source: str) -> list[str]:
    """Return the names and numbers in a sentence that its source does not have."""
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
            if not is_known and str(NUMBER_WORDS[folded]) not in known_numbers:
                unsupported.append(word)
        elif word != word.lower() and word != "I" and not is_known:
            is_first = BEFORE_FIRST_WORD.search(sentence[: match.start()]) and base[1:].islower()
            is_common = folded in STOP_WORDS or folded in OPENINGS or set(stems([folded])) <= known_stems
            if not (is_first and is_common):
                unsupported.append(word)
    return unsupported


def _normalize_number(number: str) -> str:
    """Return a number in one notation: 1,000 becomes 1000, and 0.70 becomes 0.7."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", number):
        return number.replace(",", "")
    decimal = number.replace(",", ".")
    return decimal.rstrip("0").rstrip(".") if decimal.count(".") == 1 else decimal


async def simplify_passage(
    ctx: Context, lesson_set: LessonSet, passage: Passage, question: str
) -> AsyncIterator[Reply]:
    """Show a passage in simpler words above the original; only the original if that fails or adds something."""
    title = f"*{ctx.translate('In simpler words, written by AI:')}*"
    source = f"{replies.breadcrumb(passage)} {passage.plain_text}"
    checked, unchecked, card = "", "", {"lesson": replies.breadcrumb(passage)}
    yield Reply(status=ctx.translate("Looking for simpler words …"))
    turns = [Turn("system", INSTRUCTIONS), Turn("user", passage.plain_text)]
    try:
        model = await ctx.settings.model("ask.model")
        events = ctx.models.chat(
            turns, temperature=TEMPERATURE, seed=SEED, max_tokens=MAX_TOKENS, model=model, user=ctx.user.id
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Delta):
                    unchecked += event.text
                    for sentence in finished_sentences(unchecked):
                        unchecked = unchecked[len(sentence) :]
                        if unsupported_terms(sentence, source):
                            yield _show_original(ctx, lesson_set, passage, question)
                            return
                        checked += sentence
                    status = ctx.translate("Each sentence is checked against the lesson …")
                    yield Reply(text=f"{title}\n\n{checked}".rstrip() if checked.strip() else "", status=status)
                elif isinstance(event, Waiting):
                    status = ctx.translate("Number {place} in the queue …", place=event.place)
                    yield Reply(text=f"{title}\n\n{checked}".rstrip() if checked.strip() else "", status=status)
                elif isinstance(event, Answered):
                    card |= {"model": event.model, "temperature": f"{TEMPERATURE:g}"}
                    card |= {"tokens": str(event.completion_tokens), "seconds": f"{event.seconds:.1f}"}
                    unchecked = "" if event.finish_reason == "length" else unchecked
    except UserError:
        status = ctx.translate("The language model cannot be asked at the moment; these are the lesson's own words.")
        yield replies.show_passage(ctx, lesson_set, passage, question, status)
        return
    if unsupported_terms(unchecked, source) or not (checked := f"{checked}{unchecked}".strip()):
        yield _show_original(ctx, lesson_set, passage, question)
        return
    quote = "\n".join(f"> {line}".rstrip() for line in passage.text.splitlines())
    text = f"{title}\n\n{checked}\n\n{quote}\n\n{replies.format_source(ctx, lesson_set, passage)}"
    buttons = replies.make_buttons(ctx, lesson_set, passage, question, is_simple=True)
    yield Reply(text=text, card=card, buttons=buttons, final=True)


def _show_original(ctx: Context, lesson_set: LessonSet, passage: Passage, question: str) -> Reply:
    status = ctx.translate("The simpler words said something that the lesson does not; these are the lesson's own.")
    return replies.show_passage(ctx, lesson_set, passage, question, status)

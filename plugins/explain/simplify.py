"""A passage in simpler words, by the language model, and the check that it adds nothing of its own.

The model writes sentence by sentence, and each one is held back until it has been looked at: what has been read cannot
be taken back. A sentence with a name or a number that the passage does not have ends it all, and the passage itself is
shown instead. The check is strict rather than clever: a capital letter makes a name, save where a sentence begins with
a word that anybody may begin one with.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from bot import Answered, Context, Delta, Reply, Turn, UserError, Waiting
from plugins.explain import replies
from plugins.explain.search.vocabulary import STOP, plain, stems, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugins.explain.lessons.passages import Passage
    from plugins.explain.library.library import Library

INSTRUCTIONS = (
    "Rewrite the passage in simple words for a child, in the language of the passage. Use only what the passage says. "
    "Do not add examples, names or numbers. Write two to four short sentences."
)
TEMPERATURE = 0.2
SEED = 7
LONGEST = 256
"""Tokens of the restatement."""

SENTENCE = re.compile(r".*?(?:[.!?…]+[”\"’)\]]*(?=\s)|\n)", re.DOTALL)
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
WORD = re.compile(r"[^\W\d_](?:[\w’'-]*\w)?")
BEGINS = re.compile(r"^\W*$|[:“\"(]\s*$")
"""What stands before a word with which something begins."""
COUNTING = (
    "two three four five six seven eight nine ten eleven twelve dozen twenty thirty fifty hundred thousand million "
    "billion trillion zwei drei vier fünf sechs sieben acht neun zehn hundert tausend dos tres cuatro cinco seis siete "
    "ocho nueve diez cien mil"
)
NUMBER_WORDS = {word: place for place, word in enumerate(COUNTING.split()[:11], 2)} | dict.fromkeys(
    COUNTING.split()[11:], 0
)
"""Words for numbers, with those that may also stand there in digits."""
BEGINNING = """
    almost although always another anyone anything basically both but called computers consider each even every
    everyone first for generally here however imagine in instead later like lots many maybe most never next nobody
    nothing now often once one only other others people perhaps picture pictures remember second sentences similarly
    simply since slowly so some someone something sometimes soon that then therefore think third this those though thus
    together usually very whenever words yet
"""
OPENINGS = frozenset(BEGINNING.split())
"""Words with which a sentence may begin though the passage does not have them."""


def sentences(text: str) -> Iterator[str]:
    """The finished sentences and lines at the beginning of a text that still grows."""
    place = 0
    while found := SENTENCE.match(text, place):
        place = found.end()
        yield found[0]


def strays(sentence: str, source: str) -> list[str]:
    """The names and numbers in a sentence that the source does not have."""
    known = set(words(source))
    digits = {_digits(number) for number in NUMBER.findall(source)}
    found = [number for number in NUMBER.findall(sentence) if _digits(number) not in digits]
    stemmed = set(stems(known))
    for match in WORD.finditer(sentence):
        word = match[0]
        spoken = re.sub(r"['’]s$", "", word)
        folded = plain(spoken)
        is_known = all(part in known or part.removesuffix("s") in known for part in words(spoken))
        if folded in NUMBER_WORDS:
            if not is_known and str(NUMBER_WORDS[folded]) not in digits:
                found.append(word)
        elif word != word.lower() and word != "I" and not is_known:
            begins = BEGINS.search(sentence[: match.start()]) and spoken[1:].islower()
            if not begins or not (folded in STOP or folded in OPENINGS or set(stems([folded])) <= stemmed):
                found.append(word)
    return found


def _digits(number: str) -> str:
    """A number in one notation: 1,000 is 1000, and 0.70 is 0.7."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", number):
        return number.replace(",", "")
    written = number.replace(",", ".")
    return written.rstrip("0").rstrip(".") if written.count(".") == 1 else written


async def retell(ctx: Context, library: Library, passage: Passage, question: str) -> AsyncIterator[Reply]:
    """A passage in simpler words with the passage below them; the passage alone where that cannot be had."""
    lead = f"*{ctx.translate('In simpler words, written by AI:')}*"
    told, unread, card = "", "", {"lesson": replies.trail(passage)}
    yield Reply(status=ctx.translate("Looking for simpler words …"))
    turns = [Turn("system", INSTRUCTIONS), Turn("user", passage.plain)]
    try:
        model = await ctx.settings.model("ask.model")
        events = ctx.models.chat(
            turns, temperature=TEMPERATURE, seed=SEED, max_tokens=LONGEST, model=model, user=ctx.user.id
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Delta):
                    unread += event.text
                    for sentence in sentences(unread):
                        unread = unread[len(sentence) :]
                        if strays(sentence, _source(passage)):
                            yield _instead(ctx, library, passage, question)
                            return
                        told += sentence
                    yield Reply(text=f"{lead}\n\n{told}".rstrip() if told.strip() else "", status=_checking(ctx))
                elif isinstance(event, Waiting):
                    status = ctx.translate("Number {place} in the queue …", place=event.place)
                    yield Reply(text=f"{lead}\n\n{told}".rstrip() if told.strip() else "", status=status)
                elif isinstance(event, Answered):
                    card |= {"model": event.model, "temperature": f"{TEMPERATURE:g}"}
                    card |= {"tokens": str(event.completion_tokens), "seconds": f"{event.seconds:.1f}"}
                    unread = "" if event.finish_reason == "length" else unread
    except UserError:
        status = ctx.translate("The language model cannot be asked at the moment; these are the lesson's own words.")
        yield replies.answer(ctx, library, passage, question, status)
        return
    if strays(unread, _source(passage)) or not (told := f"{told}{unread}".strip()):
        yield _instead(ctx, library, passage, question)
        return
    quote = "\n".join(f"> {line}".rstrip() for line in passage.text.splitlines())
    text = f"{lead}\n\n{told}\n\n{quote}\n\n{replies.source_line(ctx, library, passage)}"
    made = replies.buttons(ctx, library, passage, question, is_simple=True)
    yield Reply(text=text, card=card, buttons=made, final=True)


def _source(passage: Passage) -> str:
    return f"{replies.trail(passage)} {passage.plain}"


def _checking(ctx: Context) -> str:
    return ctx.translate("Each sentence is checked against the lesson …")


def _instead(ctx: Context, library: Library, passage: Passage, question: str) -> Reply:
    status = ctx.translate("The simpler words said something that the lesson does not; these are the lesson's own.")
    return replies.answer(ctx, library, passage, question, status)

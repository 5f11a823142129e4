"""The words of questions and passages, brought to a common form; and what a mistyped word was meant to be."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from plugins.explain.search import spelling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from Stemmer import Stemmer

CHAT = {
    "cuz": "because",
    "diff": "different",
    "gen": "generative",
    "gimme": "give me",
    "gonna": "going to",
    "msg": "message",
    "n": "and",
    "pic": "picture",
    "pics": "pictures",
    "ppl": "people",
    "r": "are",
    "temp": "temperature",
    "u": "you",
    "ur": "your",
    "vid": "video",
    "vids": "videos",
    "vs": "versus",
    "w": "with",
    "wat": "what",
    "wats": "what is",
    "whats": "what is",
    "wich": "which",
    "y": "why",
}
"""Short forms of chats, written out."""

COMMON = """
    a about actually after again ai all also am an and any are as at be because been before being between but by
    can cant could did do does doesnt doing dont each else ever every explain few find for from get gets give go
    going got had has have having he hello help her hey hi him his how i if im in into is isnt it its just kind
    know lol made make makes many may me mean means might more most much my need no not now of off ok okay on
    once one only or other our out over please pls really said same say see she should so some something
    sometimes stuff such supposed tell tf than that thats the their them then there these they thing things this
    those though tho through to too up us use used uses using very versus want was way we well were what when
    where which while who why will with wont would wtf yes yo you your
"""
STOP = frozenset(COMMON.split())
"""Words that say nothing about what a question is about."""

FILLER = "bro dude even gimme just lol n ok okay omg please pls really so somebody stuff tf tho wtf yo"
FILLERS = frozenset(FILLER.split())
"""Those among them that only colour a question of a chat."""

SHORTEST = 4
"""Letters of a word that may be corrected."""
SHORT = 5
"""Letters of a word that has many neighbours."""

WORD = re.compile(r"[^\W_]+")
LETTERED = re.compile(r"\b([^\W\d_])-(?=[^\W\d_]{2})")
"""The hyphen of “e-mail”, which others write without."""
COMPOUND = re.compile(r"(?<![^\W_])[^\W_]{2,}(?:-[^\W_]{2,})+")


def plain(text: str) -> str:
    """In small letters, without accents and apostrophes."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[’'´`\u0300-\u036f]", "", folded)


def words(text: str) -> list[str]:
    """All words in order, as they are written, but small and without accents."""
    return WORD.findall(LETTERED.sub(r"\1", plain(text)))


def joined(text: str) -> list[str]:
    """The words with hyphens, as those write them who leave hyphens out: “mockups”."""
    return [word.replace("-", "") for word in COMPOUND.findall(plain(text))]


@cache
def _stemmer() -> Stemmer:
    from Stemmer import Stemmer

    return Stemmer("english")


def stems(of: Iterable[str]) -> list[str]:
    """The stems of those words that say something."""
    kept: Sequence[str] = [word for word in of if word not in STOP]
    return list(_stemmer().stemWords(kept))


class Vocabulary:
    """The words of all passages, and of `further`, for telling what a word was meant to be that is not among them."""

    def __init__(self, texts: Iterable[str], further: Vocabulary | None = None) -> None:
        self._counts: dict[str, int] = dict(further._counts) if further else {}
        for text in texts:
            for word in (*words(text), *joined(text)):
                self._counts[word] = self._counts.get(word, 0) + 1
        self._stems = set(stems(self._counts))
        self._long = [word for word in self._counts if len(word) >= SHORTEST and word.isalpha()]

    def __contains__(self, word: str) -> bool:
        return word in self._counts or word in STOP or stems([word])[0] in self._stems

    def meant(self, question: str) -> list[str]:
        """The words of a question with short forms written out, and each that nobody writes in its nearest known form.

        Two words that the passages write as one become one. Where most words are unknown the question is in another
        language, and only the passages' own words count as known forms.
        """
        written = [part for word in words(question) for part in CHAT.get(word, word).split()]
        unknown = {word for word in written if word not in self and not spelling.is_word(word)}
        is_english = 2 * sum(word in unknown for word in written) <= len(written)
        meant: list[str] = []
        for word in written:
            told = self._corrected(word, is_english) if word in unknown else word
            if meant and f"{meant[-1]}{told}" in self._counts:
                meant[-1] += told
            else:
                meant.append(told)
        return meant

    def _corrected(self, word: str, is_english: bool) -> str:
        if len(word) < SHORTEST or not word.isalpha():
            return word
        own = self._nearest(word)
        usual = spelling.nearest(word) if is_english else None
        return min(filter(None, (own, usual)), key=lambda known: known[1], default=(word, 0))[0]

    def _nearest(self, word: str) -> tuple[str, int] | None:
        """The passages' word that was meant, and in how many letters it differs.

        Short words are all alike, so there only a letter too many or two swapped count.
        """
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        near = extract(word, self._long, scorer=OSA.distance, score_cutoff=1 if len(word) < 8 else 2, limit=8)
        alike = [
            (distance, -self._counts[known], known)
            for known, distance, _ in near
            if sorted(known[:2]) == sorted(word[:2]) or (known[0] == word[0] and len(word) > SHORT)
            if len(word) > SHORT or not _substituted(word, known)
        ]
        if not alike:
            return None
        distance, _, known = min(alike)
        return known, int(distance)


def _substituted(word: str, known: str) -> bool:
    """Whether the two differ in a letter for another, or in the end, as different words do."""
    return known.startswith(word) or (len(known) == len(word) and sorted(known) != sorted(word))

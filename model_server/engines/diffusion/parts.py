"""Which things a prompt asks for together, so that a model that draws one thing well draws each by itself.

A small network that learnt single things makes one blob of “a cat and a dog”. Composing a picture of parts that are
drawn separately is known from Liu et al., “Compositional Visual Generation with Composable Diffusion Models”, arXiv
2206.01714, and, with pictures in layers, from Sarukkai et al., “Collage Diffusion”, arXiv 2303.00262.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain, dropwhile
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Arrangement = Literal["row", "on", "under", "with", "behind", "in", "hat", "place"]
"""How parts lie: in rows; the first one on, under, with, behind or in the second one; the second one on its head; or
the second one in a place, in front of everything at once."""

NUMBERS = {"two": 2, "2": 2, "a pair of": 2, "three": 3, "3": 3, "four": 4, "4": 4, "five": 5, "5": 5, "six": 6, "6": 6}
MAX_PARTS = max(NUMBERS.values())
MAX_NOUN_WORDS = 2
"""A thing has so many words at most, beside its article and its adjectives; more words tell a story."""
MAX_CHARACTERS = 200
"""Longer prompts stay whole: they hardly name a few things, and matching them could take long."""
IRREGULAR = """mice mouse, geese goose, wolves wolf, leaves leaf, knives knife, loaves loaf, elves elf, scarves scarf,
shelves shelf, men man, women woman, children child, people person, teeth tooth, feet foot, sheep sheep, fish fish,
deer deer, dice die, cacti cactus, shoes shoe, toes toe, canoes canoe, pies pie, ties tie, cookies cookie,
zombies zombie, movies movie, genies genie, axes axe, thieves thief, calves calf, headaches headache,
mustaches mustache, moustaches moustache"""
SINGULARS = dict(pair.split() for pair in IRREGULAR.split(","))
"""Plurals whose singular the endings do not tell."""
PLURAL_ONLY = {
    *("sunglasses", "scissors", "jeans", "trousers", "pants", "shorts", "pliers", "binoculars", "news", "series"),
}
"""Words that have no singular."""
SINGULAR_IN_S = {
    *("alias", "atlas", "bus", "cactus", "canvas", "chaos", "christmas", "cosmos", "gas", "hippopotamus", "lens"),
    *("octopus", "pancreas", "rhinoceros", "thermos", "virus", "walrus"),
}
"""Singulars that end as plurals do."""
ENDINGS = (
    *(("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("oes", "o")),
    *(("men", "man"), ("fish", "fish"), ("deer", "deer")),
)
"""The ends of plurals, and those of their singulars."""

ARTICLE = "(?:an?|the|one|1)"
SCENES = (
    "snow|rain|night|stars|moonlight|dark|grass|meadow|field|sunshine|garden|sand|beach|desert|water|sea|ocean|sunset|"
    "evening|dusk|winter|day"
)
"""Words for the places that emoji-diffusion was shown with things in them."""
PLACES = f"{SCENES}|sky|space|forest|background|fire|love"
"""Words for what surrounds a thing instead of lying beside it."""
ADJECTIVES = (
    "red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ea]y|big|small|little|large|tiny|happy|sad|angry|"
    "smiling|laughing|crying|sleeping|surprised|winking|bored|old|young|round|cute|funny|golden|shiny|flat|bold|soft|shaded"
)
"""Words that may stand before the name of a thing without making a story of it."""
FUNCTION_WORDS = (
    "of|to|that|which|it|what|for|from|by|is|are|or|and|not|no|on|in|at|under|with|over|above|below|behind|near|beside|"
    "wearing|holding|riding"
)
"""Words that are in no name of a thing."""
FEATURES = (
    "arm|beak|beard|door|ear|eye|face|fringe|frown|grin|hair|hand|head|horn|leg|moustache|mouth|mustache|nose|ponytail|roof|"
    "scar|shell|smile|tail|tooth|tongue|trunk|window|wing|mane|chimney|wheel|button|flame|tear|halo|arrow|letter|pattern"
)
"""Words for what belongs to a thing, or is a mark on it, and is drawn with it."""
CLOTHES = "scarf|tie|shirt|t-shirt|dress|suit|coat|raincoat|jacket|sweater|cape|mask|costume|collar|headscarf|glasses"
GROUNDS = "wall|flag|finger|neck"
"""Words for what a thing is fixed to instead of standing on it."""
FACES = "face|head|smiley|emoji"
"""Words for a thing whose features are drawn with it, whatever they are."""
HATS = {"hat", "crown", "cap", "helmet", "tiara", "sombrero", "beret"}
"""Words for what is worn on the head."""

_WEARS = "wearing|that wears"
_HOLDS = "with|holding|carrying|having|that has|that holds|playing|eating|drinking|reading|kicking|throwing|pushing"
_SITS = "(?:that )?(?:sits|sitting|stands|standing|lies|lying|rides|riding|sleeping|sleeps|balancing|dancing) "
_STAYS = rf"(?:{_SITS}|that (?:is|drives|swims|flies|runs|walks|grows) (?:lost )?|\w+ing |left out )"
_RELATIONS: tuple[tuple[str, Arrangement, bool], ...] = (
    (r"in front of", "behind", True),
    (r"(?:that (?:is|hides) |hiding )?behind", "behind", False),
    (rf"(?:{_SITS})?(?:on top of|on|above|over)|(?:that is )?riding", "on", False),
    (r"(?:that is )?(?:under|underneath|below|beneath)", "under", False),
    (rf"(?:{_SITS})?(?:in|inside)", "in", False),
    (_WEARS, "with", False),
    (_HOLDS, "with", False),
    (r"next to|beside|near|to the left of", "row", False),
    (r"to the right of", "row", True),
)
"""Words between two things, how these lie, and whether the second one is meant to be the first."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The things of a prompt, as prompts of their own, and how they lie in the picture."""

    arrangement: Arrangement
    prompts: tuple[str, ...]
    place: tuple[str, ...] = ()
    """Instead of the prompts, what a thing in a place and that place are called."""

    @property
    def names(self) -> tuple[str, ...]:
        """What people are told of the parts."""
        return self.place or self.prompts


def split_prompt(prompt: str, is_name: Callable[[str], bool]) -> Parts | None:
    """Return the things that a prompt asks for together, or None if it is one thing or is not understood.

    These are understood, in English: “a cat and a dog”, “three lemons”, “a frog on a bicycle”, “bear with drum”,
    “a cow in the rain”. `is_name` tells the names of things, which need no article.
    """
    if len(prompt) > MAX_CHARACTERS:
        return None
    text = " ".join(prompt.replace(",", " , ").split()).rstrip(" .!")
    text = re.sub(r"^(?:please )?(?:draw )?(?:an? (?:picture|photo|drawing|image) of )?", "", text, flags=re.IGNORECASE)
    if (copies := _split_copies(text)) is not None:
        return copies
    # “Heart with ribbon” and “cat with tears of joy” are one thing.
    if is_name(re.sub(rf"^{ARTICLE}\s+", "", text, flags=re.IGNORECASE)):
        return None
    return _split_place(text) or _split_relation(text, is_name) or _split_list(text, is_name)


def _split_copies(text: str) -> Parts | None:
    found = re.fullmatch(rf"({'|'.join(NUMBERS)})\s+(\D+)", text, re.IGNORECASE | re.ASCII)
    if found is None:
        return None
    *before, noun = found[2].split()
    singular = make_singular(noun.lower())
    # One does not drink from these.
    if singular is None or text.lower() == "a pair of glasses":
        return None
    thing = " ".join([*before, singular])
    return Parts("row", (_add_article(thing),) * NUMBERS[found[1].lower()]) if _is_thing(f"the {thing}") else None


def _split_place(text: str) -> Parts | None:
    words = r"(?:(?!(?:an?|in|on|at|under|of|with|and)\s)\w+\s+){0,2}"
    place = rf"(?:an?\s+)?{words}(?:bottom of the\s+)?(?:(?:{SCENES})\s+(?:in|on|at|under)\s+(?:the\s+)?)?(?:{SCENES})"
    found = re.fullmatch(rf"(.+?)\s+({_STAYS}?(?:in|on|at|under)\s+{place})", text, re.IGNORECASE)
    if found is None:
        return None
    thing, *worn = re.split(r"\s+wearing\s+", found[1])
    # What a thing wears is drawn with it.
    if not (_has_article(thing) and _is_thing(thing)) or not all(re.fullmatch(r"[\w’' -]+", one) for one in worn):
        return None
    return Parts("place", (text, found[1]), (found[1], found[2]))


def _split_relation(text: str, is_name: Callable[[str], bool]) -> Parts | None:
    for words, arrangement, is_turned in _RELATIONS:
        halves = re.split(rf"\s+(?:{words})\s+", text, flags=re.IGNORECASE)
        if len(halves) < 2:
            continue
        if len(halves) > 2 or not all(_is_thing(half) for half in halves):
            return None
        first, second = halves
        is_hat = second.lower().split()[-1] in HATS
        if is_hat and arrangement in ("with", "in"):
            arrangement = "hat"
        if not (_is_told(first, is_name) and (_is_told(second, is_name) or is_hat)):
            return None
        if (words == _WEARS and not is_hat) or _belongs_together(first, second):
            return None
        return Parts(arrangement, (second, first) if is_turned else (first, second))
    return None


def _belongs_together(first: str, second: str) -> bool:
    """Return whether one of two things is a part or a mark of the other, and so is drawn with it."""
    ends = ((FACES, first), (f"{FEATURES}|{CLOTHES}|{GROUNDS}", second))
    return any(re.search(rf"\b(?:{words})s?$", thing, re.IGNORECASE) for words, thing in ends)


def _split_list(text: str, is_name: Callable[[str], bool]) -> Parts | None:
    things = re.split(r"\s+(?:,\s+and|and|,|&|\+)\s+", text, flags=re.IGNORECASE)
    copies = [_split_copies(thing) for thing in things]
    single = [thing for thing, copy in zip(things, copies, strict=True) if copy is None]
    if len(things) < 2 or not all(map(_is_thing, single)):
        return None
    # Without articles, “tall and strong” would be two things; “a big and happy dog” has only one.
    if not all(_is_told(thing, is_name) for thing in single):
        return None
    prompts = [(thing,) if copy is None else copy.prompts for thing, copy in zip(things, copies, strict=True)]
    parts = tuple(chain.from_iterable(prompts))
    return Parts("row", parts) if len(parts) <= MAX_PARTS else None


def _has_article(text: str) -> bool:
    return re.match(rf"{ARTICLE}\s", text, re.IGNORECASE) is not None


def _is_told(text: str, is_name: Callable[[str], bool]) -> bool:
    """Return whether a text tells by its article, or because it is the name of a thing, that it is one."""
    return _has_article(text) or is_name(" ".join(_nouns(text)))


def _nouns(text: str) -> list[str]:
    """Return the words of a text after its article and its adjectives."""
    words = re.sub(rf"^{ARTICLE}\s+", "", text, flags=re.IGNORECASE).lower().split()
    # An orange is a thing, too.
    return list(dropwhile(lambda word: re.fullmatch(ADJECTIVES, word), words)) or [*words[-1:]]


def _is_thing(text: str) -> bool:
    """Return whether a text names one thing, with or without an article, and is not a place or a mere adjective."""
    nouns = _nouns(text)
    if nouns == ["orange"]:
        return True
    if not 0 < len(nouns) <= (MAX_NOUN_WORDS if _has_article(text) else 1):
        return False
    is_named = all(re.fullmatch(r"[\w’'-]+", word) and not re.fullmatch(FUNCTION_WORDS, word) for word in nouns)
    is_doing = len(nouns) > 1 and nouns[-1].endswith("ing") and nouns[-1] not in {"ring", "king", "wing", "string"}
    return is_named and not is_doing and re.fullmatch(f"{PLACES}|{ADJECTIVES}", nouns[-1]) is None


def make_singular(word: str) -> str | None:
    """Return the singular of an English plural, or None if `word` does not look like one."""
    if word in SINGULARS:
        return SINGULARS[word]
    if word in PLURAL_ONLY or word in SINGULAR_IN_S:
        return None
    if word.removesuffix("es") in SINGULAR_IN_S:
        return word.removesuffix("es")
    for ending, instead in ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2 else None


def _add_article(thing: str) -> str:
    return f"{'an' if thing[0].lower() in 'aeiou' else 'a'} {thing}"

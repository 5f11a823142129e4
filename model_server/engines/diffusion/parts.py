"""Which things a prompt asks for together, so that a model that draws one thing well draws each by itself.

A small network that learnt single things makes one blob of “a cat and a dog”. Composing a picture of parts that are
drawn separately is known from Liu et al., “Compositional Visual Generation with Composable Diffusion Models”, arXiv
2206.01714, and, with pictures in layers, from Sarukkai et al., “Collage Diffusion”, arXiv 2303.00262.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain, dropwhile
from typing import Literal

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
deer deer, dice die, cacti cactus, buses bus, lenses lens, shoes shoe, toes toe, canoes canoe, pies pie, ties tie,
cookies cookie, zombies zombie, movies movie, genies genie, axes axe"""
SINGULARS = dict(pair.split() for pair in IRREGULAR.split(","))
"""Plurals whose singular the endings do not tell."""
PLURAL_ONLY = {"glasses", "sunglasses", "scissors", "jeans", "trousers", "pants", "shorts", "pliers", "binoculars"}
"""Words of which “a pair” is a single thing."""

ARTICLE = "(?:an?|the|one)"
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
FUNCTION_WORDS = (
    "of|to|that|which|it|what|for|from|by|is|are|or|and|not|no|on|in|at|under|with|over|above|below|behind|near|beside|"
    "wearing|holding|riding"
)
"""Words that are in no name of a thing."""
FEATURES = (
    "arm|beak|beard|door|ear|eye|face|fringe|frown|grin|hair|hand|head|horn|leg|moustache|mouth|mustache|nose|ponytail|roof|"
    "scar|shell|smile|tail|tooth|tongue|trunk|window|wing"
)
"""Words for what belongs to a thing and is drawn with it."""
HATS = {"hat", "crown", "cap", "helmet", "tiara", "sombrero", "beret"}

_HOLDS = "with|holding|carrying|having|that has|that holds|playing|eating|drinking|reading|kicking|throwing|pushing"
_SITS = "(?:that )?(?:sits|sitting|stands|standing|lies|lying|rides|riding|sleeping|sleeps|balancing|dancing) "
_STAYS = rf"(?:{_SITS}|that (?:is|drives|swims|flies|runs|walks|grows) (?:lost )?|\w+ing |left out )"
_RELATIONS: tuple[tuple[str, Arrangement, bool], ...] = (
    (r"in front of", "behind", True),
    (r"(?:that (?:is|hides) |hiding )?behind", "behind", False),
    (rf"(?:{_SITS})?(?:on top of|on|above|over)|(?:that is )?riding", "on", False),
    (r"(?:that is )?(?:under|underneath|below|beneath)", "under", False),
    (rf"(?:{_SITS})?(?:in|inside)", "in", False),
    (rf"wearing|that wears|{_HOLDS}", "with", False),
    (r"next to|beside|near|to the left of", "row", False),
    (r"to the right of", "row", True),
)
"""Words between two things, how these lie, and whether the second one is meant to be the first."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The things of a prompt, as prompts of their own, and how they lie in the picture."""

    arrangement: Arrangement
    prompts: tuple[str, ...]


def split_prompt(prompt: str) -> Parts | None:
    """Return the things that a prompt asks for together, or None if it is one thing or is not understood.

    These are understood, in English: “a cat and a dog”, “three lemons”, “a frog on a bicycle”, “a bear with a drum”,
    “a cow in the rain”.
    """
    if len(prompt) > MAX_CHARACTERS:
        return None
    text = " ".join(prompt.replace(",", " , ").split()).rstrip(" .!")
    text = re.sub("^a picture of ", "", text, flags=re.IGNORECASE)
    return _split_copies(text) or _split_place(text) or _split_relation(text) or _split_list(text)


def _split_copies(text: str) -> Parts | None:
    found = re.fullmatch(rf"({'|'.join(NUMBERS)})\s+(\D+)", text, re.IGNORECASE)
    if found is None:
        return None
    *before, noun = found[2].split()
    singular = make_singular(noun.lower())
    if singular is None or (found[1].lower() == "a pair of" and noun.lower() in PLURAL_ONLY):
        return None
    thing = " ".join([*before, singular])
    return Parts("row", (_add_article(thing),) * NUMBERS[found[1].lower()]) if _is_thing(f"the {thing}") else None


def _split_place(text: str) -> Parts | None:
    words = r"(?:(?!an?\s)\w+\s+){0,4}"
    found = re.fullmatch(rf"(.+?)\s+{_STAYS}?(?:in|on|at|under)\s+(?:an?\s+)?{words}(?:{SCENES})", text, re.IGNORECASE)
    # What a thing wears is drawn with it.
    if found is None or not _is_thing(re.split(r"\s+wearing\s", found[1])[0]):
        return None
    return Parts("place", (text, found[1]))


def _split_relation(text: str) -> Parts | None:
    for words, arrangement, is_turned in _RELATIONS:
        halves = re.split(rf"\s+(?:{words})\s+", text, flags=re.IGNORECASE)
        if len(halves) < 2:
            continue
        if len(halves) > 2 or not all(_is_thing(half) for half in halves):
            return None
        first, second = halves
        if not (_has_article(first) and _has_article(second)) or re.search(rf"\b(?:{FEATURES})$", second.lower()):
            return None
        if arrangement in ("with", "in") and second.lower().split()[-1] in HATS:
            arrangement = "hat"
        return Parts(arrangement, (second, first) if is_turned else (first, second))
    return None


def _split_list(text: str) -> Parts | None:
    things = re.split(r"\s+(?:,\s+and|and|,|&|\+)\s+", text, flags=re.IGNORECASE)
    copies = [_split_copies(thing) for thing in things]
    if len(things) < 2 or not all(copy or _is_thing(thing) for thing, copy in zip(things, copies, strict=True)):
        return None
    # “A big and happy dog” is one thing: its second half has no article of its own.
    introduced = {copy is not None or _has_article(thing) for thing, copy in zip(things, copies, strict=True)}
    prompts = [(thing,) if copy is None else copy.prompts for thing, copy in zip(things, copies, strict=True)]
    parts = tuple(chain.from_iterable(prompts))
    return Parts("row", parts) if len(introduced) == 1 and len(parts) <= MAX_PARTS else None


def _has_article(text: str) -> bool:
    return re.match(rf"{ARTICLE}\s", text, re.IGNORECASE) is not None


def _is_thing(text: str) -> bool:
    """Return whether a text names one thing, with or without an article, and is not a place or a mere adjective."""
    words = re.sub(rf"^{ARTICLE}\s+", "", text, flags=re.IGNORECASE).lower().split()
    # An orange is a thing, too.
    nouns = list(dropwhile(lambda word: re.fullmatch(ADJECTIVES, word), words)) or [*words[-1:]]
    if nouns == ["orange"]:
        return True
    if not 0 < len(nouns) <= (MAX_NOUN_WORDS if _has_article(text) else 1):
        return False
    is_named = all(re.fullmatch(r"[\w’'-]+", word) and not re.fullmatch(FUNCTION_WORDS, word) for word in nouns)
    return is_named and re.fullmatch(f"{PLACES}|{ADJECTIVES}", nouns[-1]) is None


def make_singular(word: str) -> str | None:
    """Return the singular of an English plural, or None if `word` does not look like one."""
    if word in SINGULARS:
        return SINGULARS[word]
    for ending, instead in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("oes", "o")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 2 else None


def _add_article(thing: str) -> str:
    return f"{'an' if thing[0].lower() in 'aeiou' else 'a'} {thing}"

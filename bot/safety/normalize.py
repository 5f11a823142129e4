"""Text as whoever reads it sees it, however it is spelt: the ways of reading in which words are looked for.

A disguise is undone only as far as the text itself shows one: a word is read with its digits as letters if it has both,
and single letters are read as a word if three of them stand in a row. Everything takes time in proportion to the text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import groupby

LOOKALIKES = str.maketrans(
    {
        **dict(zip("абвгдеёзиіїјкмнопрсѕтухцһԁԛԝѵ", "abbrdee3niijkmhonpcstyxuhdqwv", strict=True)),
        **dict(zip("αβγεζηικμνορστυχω", "abyeznikmvopotuxw", strict=True)),
        **dict(zip("łøđħıŧƒɡɑɩℓǃⅼ", "lodhitfgail!l", strict=True)),
        "æ": "ae",
        "œ": "oe",
    }
)
"""Small letters that are none of a to z, but look like one."""
EMOJI_WORDS = str.maketrans(
    {"\U0001f595": " fuck you ", "\U0001f52a": " knife ", "\U0001f52b": " gun ", "\U0001f4a3": " bomb "}
)
"""What is said with a picture."""
INVISIBLE = re.compile("[\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5]")
"""Characters that show nothing, though Unicode does not count them among the marks and the formats."""
SIGNS_AS_LETTERS = str.maketrans("013456789@$€£!|+(", "oieasgtbgaseliitc")
"""What stands for which letter; 1, ! and | stand for i, or for l."""
SIGNS_AS_L = str.maketrans("1!|", "lll")
GENITIVE = re.compile(r"(?<=\w)['’`´](?=s\b)")
APOSTROPHE = re.compile(r"(?<=\w)['’`´](?=\w)")
NON_WORD = re.compile(r"[\W_]+")
SURROUNDING_SIGNS = "\"“”„«».,;:?!()[]{}<>…-–—~'’`*_"
STAR = re.compile(r"\*")
MOSTLY_STARS = re.compile(r"(?<![\w*])[a-z][a-z]?\*{3,}(?![\w*])")
"""A word of which stars hide everything but its beginning."""
MASK_SIGN = re.compile(r"[*#%_.-]")
MIN_SINGLE_LETTERS = 3
SIGNS = r"[013456789@$€£!|]"
SIGNS_IN_WORD = re.compile(rf"[a-z]+{SIGNS}[a-z0-9@$€£!|]*[a-z]|{SIGNS}[a-z]{{3,}}|[a-z]+[@$€£]+|[$€£][a-z]{{2,}}")
"""A word with signs where letters belong, between others or as the first one; "4th" and "mp3" are none."""
SEPARATED_LETTERS = re.compile(r"[a-z](?:[._|/*-][a-z]){2,}")
"""A word with a sign between any two letters."""


@dataclass(frozen=True, slots=True)
class RunLengths:
    """One way to read a text: its letters, each run of one letter once, and how long each run is."""

    letters: str
    counts: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> RunLengths:
        """The view of words with single spaces between them."""
        runs = [(letter, len(list(run))) for letter, run in groupby(text)]
        return cls("".join(letter for letter, _ in runs), tuple(count for _, count in runs))


@dataclass(frozen=True, slots=True)
class NormalizedText:
    """A text in all the ways that it is looked at."""

    plain: str
    """Its words in small letters without accents, single spaces between them."""
    decoded: str
    """Those of its words again that mix letters with signs, as the words that they may stand for."""
    joined: str
    """Rows of single letters, each row as one word."""
    masked: tuple[str, ...]
    """Words in which some letters are hidden, each behind a full stop."""


def normalize(text: str) -> NormalizedText:
    """All readings of `text`."""
    folded = fold(text)
    plain = _with_single_spaces(folded)
    spelt, masked = [], []
    for token in GENITIVE.sub(" ", folded).split():
        bare = token.strip(SURROUNDING_SIGNS)
        if bare.isalpha() and len(bare) == len(token):
            continue
        spelt += _decode_signs(token)
        starred = MOSTLY_STARS.search(token)
        if hidden := STAR.sub(".", starred[0]) if starred else _mask_pattern(bare):
            masked.append(hidden)
    return NormalizedText(plain, " ".join(spelt), _join_single_letters(plain), tuple(masked))


def remove_disguises(text: str) -> str:
    """`text` as it is meant, for those who read sentences and not words; "" where nothing in it is disguised."""
    folded = fold(text)
    words = [_without_disguise(token) for token in folded.split()]
    rows: list[str] = []
    for is_letter, some in groupby(words, key=_is_letter):
        row = list(some)
        rows += (
            ["".join(word.strip(SURROUNDING_SIGNS) for word in row)]
            if is_letter and len(row) >= MIN_SINGLE_LETTERS
            else row
        )
    meant = " ".join(rows)
    return "" if meant == " ".join(_without_accents(text.lower()).split()) else meant


def _is_letter(word: str) -> bool:
    bare = word.strip(SURROUNDING_SIGNS)
    return len(bare) == 1 and bare.isalpha()


def _without_disguise(token: str) -> str:
    bare = token.strip("\"“”„«».,;:?()[]{}<>…'’*_")
    if SEPARATED_LETTERS.fullmatch(bare):
        return "".join(filter(str.isalpha, bare))
    return bare.translate(SIGNS_AS_LETTERS) if SIGNS_IN_WORD.fullmatch(bare) else token


def _without_accents(text: str) -> str:
    if text.isascii():
        return text
    return "".join(one for one in unicodedata.normalize("NFKD", text) if unicodedata.category(one) != "Mn")


def fold(text: str) -> str:
    """`text` in small letters, without accents and without what cannot be seen, its lookalikes as the letters."""
    if text.isascii():
        return text.lower()
    kept = [
        character
        for character in unicodedata.normalize("NFKD", INVISIBLE.sub("", text)).casefold()
        if unicodedata.category(character) not in {"Mn", "Me", "Cf"}
    ]
    return "".join(kept).translate(LOOKALIKES).translate(EMOJI_WORDS)


def plain_words(text: str) -> str:
    """The words of `text` as `NormalizedText.plain` has them."""
    return _with_single_spaces(fold(text))


def _with_single_spaces(folded: str) -> str:
    return NON_WORD.sub(" ", APOSTROPHE.sub("", GENITIVE.sub(" ", folded))).strip()


def _decode_signs(token: str) -> list[str]:
    """The words that a token may stand for whose letters are partly signs."""
    found = []
    for bare in dict.fromkeys((token.strip(SURROUNDING_SIGNS), token.strip("\"“”„«».,;:?()[]{}<>…'’"))):
        if not any(map(str.isalpha, bare)):
            continue
        read_as = (bare.translate(SIGNS_AS_LETTERS), bare.translate(SIGNS_AS_L).translate(SIGNS_AS_LETTERS))
        found += ["".join(filter(str.isalpha, letters)) for letters in read_as]
    return [word for word in dict.fromkeys(found) if word != token]


def _join_single_letters(plain: str) -> str:
    rows: list[str] = []
    row: list[str] = []
    for word in [*plain.translate(SIGNS_AS_LETTERS).split(" "), "end"]:
        if len(word) == 1:
            row.append(word)
            continue
        if len(row) >= MIN_SINGLE_LETTERS:
            rows.append("".join(row))
        row = []
    return " ".join(rows)


def _mask_pattern(bare: str) -> str:
    """A word like "f*ck" with full stops for what it hides; "" if it shows too little, or hides nothing."""
    hidden = MASK_SIGN.sub(".", bare)
    shown = hidden.replace(".", "")
    if "." not in hidden or len(shown) < 2 or not shown.isalpha() or not hidden[-1].isalpha():
        return ""
    return hidden

"""Undoes disguised spellings, so that words are found in a text as a person would read it.

A disguise is undone only where the text itself shows one: digits are read as letters only in a word that has both, and
single letters are read as a word only if at least three of them stand in a row. All functions take linear time.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import groupby
from string import ascii_lowercase

ENCLOSED = (0x1F150, 0x1F170)
"""Where Unicode has A to Z in black circles and in black squares."""
FIRST_OF_FLAGS = 0x1F1E6
"""Where Unicode has A to Z as signs of which two are shown as a flag."""
FLAG_SIGNS = re.compile("[\U0001f1e6-\U0001f1ff]+")
REGIONS = (
    "acadaeafagaialamaoaqarasatauawaxazbabbbdbebfbgbhbibjblbmbnbobqbrbsbtbvbwbybzcacccdcfcgchcickclcmcnco"
    "cpcrcucvcwcxcyczdedgdjdkdmdodzeaeceeegehereseteufifjfkfmfofrgagbgdgegfggghgiglgmgngpgqgrgsgtgugwgyhk"
    "hmhnhrhthuicidieiliminioiqirisitjejmjojpkekgkhkikmknkpkrkwkykzlalblclilklrlsltlulvlymamcmdmemfmgmhmk"
    "mlmmmnmompmqmrmsmtmumvmwmxmymznancnenfngninlnonpnrnunzompapepfpgphpkplpmpnprpsptpwpyqarerorsrurwsasb"
    "scsdsesgshsisjskslsmsnsosrssstsvsxsysztatctdtftgthtjtktltmtntotrtttvtwtzuaugumunusuyuzvavcvevgvivnvu"
    "wfwsxkyeytzazmzw"
)
"""The pairs of letters that are flags, one after the other."""
FLAGS = frozenset(REGIONS[place : place + 2] for place in range(0, len(REGIONS), 2))
LOOKALIKES = str.maketrans(
    {
        **dict(zip("абвгдеёзиіїјкмнопрсѕтухцһԁԛԝѵ", "abbrdee3niijkmhonpcstyxuhdqwv", strict=True)),
        **dict(zip("αβγεζηικμνορστυχω", "abyeznikmvopotuxw", strict=True)),
        **dict(zip("łøđħıŧƒɡɑɩℓǃⅼ", "lodhitfgail!l", strict=True)),
        **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True)),
        **{chr(first + place): letter for first in ENCLOSED for place, letter in enumerate(ascii_lowercase)},
        "æ": "ae",
        "œ": "oe",
    }
)
"""Small letters outside a to z that look like one of a to z."""
EMOJI_WORDS = str.maketrans(
    {"\U0001f595": " fuck you ", "\U0001f52a": " knife ", "\U0001f52b": " gun ", "\U0001f4a3": " bomb "}
)
"""The words for emoji that stand for a word."""
PHRASES = str.maketrans("\ufdfa\ufdfb", "  ")
"""Two single characters that Unicode takes apart into whole phrases, and so makes a text many times as long."""
INVISIBLE = re.compile("[\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5]")
"""Invisible characters that Unicode counts neither as marks nor as formatting."""
SIGNS_AS_LETTERS = str.maketrans("013456789@$€£!|+(", "oieasgtbgaseliitc")
"""The letters that digits and signs stand for. 1, ! and | can stand for i (here) or for l (`SIGNS_AS_L`)."""
SIGNS_AS_L = str.maketrans("1!|", "lll")
GENITIVE = re.compile(r"(?<=\w)['’`´](?=s\b)")
APOSTROPHE = re.compile(r"(?<=\w)['’`´](?=\w)")
NON_WORD = re.compile(r"[\W_]+")
SURROUNDING_SIGNS = "\"“”„«».,;:?!()[]{}<>…-–—~'’`*_"
STAR = re.compile(r"\*")
MOSTLY_STARS = re.compile(r"(?<![\w*])[a-z][a-z]?\*{3,}(?![\w*])")
"""A word in which stars hide everything but its first letter or two."""
MASK_SIGN = re.compile(r"[*#%_.-]")
MIN_SINGLE_LETTERS = 3
SIGNS = r"[013456789@$€£!|]"
SIGNS_IN_WORD = re.compile(rf"[a-z]+{SIGNS}[a-z0-9@$€£!|]*[a-z]|{SIGNS}[a-z]{{3,}}|[a-z]+[@$€£]+|[$€£][a-z]{{2,}}")
"""A word with signs in place of letters, inside the word or at its start. "4th" and "mp3" do not match."""
SEPARATED_LETTERS = re.compile(r"[a-z](?:[._|/*-][a-z]){2,}")
"""A word with a sign between every two letters, such as "k.i.l.l"."""


@dataclass(frozen=True, slots=True)
class RunLengths:
    """A text in run-length encoding: each run of the same letter once, and the length of each run."""

    letters: str
    counts: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> RunLengths:
        """Encode `text`, in which words have single spaces between them."""
        runs = [(letter, len(list(run))) for letter, run in groupby(text)]
        return cls("".join(letter for letter, _ in runs), tuple(count for _, count in runs))


@dataclass(frozen=True, slots=True)
class NormalizedText:
    """A text in all the forms in which words are looked for."""

    plain: str
    """All words in small letters without accents, with single spaces between them."""
    decoded: str
    """The words that mix letters with signs, each as the words that it may stand for."""
    joined: str
    """Rows of single letters, each row joined to one word."""
    masked: tuple[str, ...]
    """The words in which some letters are hidden, with a full stop for each hidden letter."""


def normalize(text: str) -> NormalizedText:
    """Return all forms of `text`."""
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
    """Return `text` as a sentence without its disguises, or "" if nothing in it is disguised."""
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
    undisguised = " ".join(rows)
    return "" if undisguised == " ".join(_without_accents(text.lower()).split()) else undisguised


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
    decomposed = unicodedata.normalize("NFKD", text.translate(PHRASES))
    return "".join(one for one in decomposed if unicodedata.category(one) != "Mn")


def _read_flags(signs: re.Match[str]) -> str:
    """Return what is written with the signs of flags as a word of its own; real flags stay as they are."""
    letters = "".join(chr(ord(sign) - FIRST_OF_FLAGS + ord("a")) for sign in signs[0])
    pairs = {letters[place : place + 2] for place in range(0, len(letters), 2)}
    return signs[0] if pairs <= FLAGS else f" {letters} "


def fold(text: str) -> str:
    """Return `text` in small letters, without accents and invisible characters, with lookalikes replaced."""
    if text.isascii():
        return text.lower()
    text = FLAG_SIGNS.sub(_read_flags, text)
    kept = [
        character
        for character in unicodedata.normalize("NFKD", INVISIBLE.sub("", text.translate(PHRASES))).casefold()
        if unicodedata.category(character) not in {"Mn", "Me", "Cf"}
    ]
    return "".join(kept).translate(LOOKALIKES).translate(EMOJI_WORDS)


def to_plain_words(text: str) -> str:
    """Return the words of `text` in the form of `NormalizedText.plain`."""
    return _with_single_spaces(fold(text))


def _with_single_spaces(folded: str) -> str:
    return NON_WORD.sub(" ", APOSTROPHE.sub("", GENITIVE.sub(" ", folded))).strip()


def _decode_signs(token: str) -> list[str]:
    """Return the words that `token` may stand for if its signs are read as letters."""
    words = []
    for bare in dict.fromkeys((token.strip(SURROUNDING_SIGNS), token.strip("\"“”„«».,;:?()[]{}<>…'’"))):
        if not any(map(str.isalpha, bare)):
            continue
        read_as = (bare.translate(SIGNS_AS_LETTERS), bare.translate(SIGNS_AS_L).translate(SIGNS_AS_LETTERS))
        words += ["".join(filter(str.isalpha, letters)) for letters in read_as]
    return [word for word in dict.fromkeys(words) if word != token]


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
    """Return a word like "f*ck" with full stops for its signs; "" if it hides nothing or shows too few letters."""
    pattern = MASK_SIGN.sub(".", bare)
    visible = pattern.replace(".", "")
    if "." not in pattern or len(visible) < 2 or not visible.isalpha() or not pattern[-1].isalpha():
        return ""
    return pattern

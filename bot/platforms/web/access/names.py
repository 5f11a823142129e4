"""Names of visitors: which cannot be chosen, and which look so much alike that people would be mixed up."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from bot.core.errors import UserError
from bot.platforms.web.access.visitors import MAX_NAME_CHARS
from bot.safety.checks import PlaceRules
from bot.safety.normalize import fold
from bot.safety.settings import CLASSROOM

if TYPE_CHECKING:
    from collections.abc import Callable

BOT_NAMES = frozenset({"tempera", "bot", "chatbot", "system", "sistema"})
ROLE_NAMES = frozenset(
    {
        *("teacher", "moderator", "mod", "admin", "administrator", "staff"),
        *("lehrer", "lehrerin", "lehrkraft", "moderatorin", "administratorin"),
        *("profesor", "profesora", "profe", "maestro", "maestra", "docente"),
        *("moderador", "moderadora", "administrador", "administradora"),
    }
)
"""Names of those who run the chat. Moderators may have them."""
RULES = PlaceRules(CLASSROOM, words=None, patterns=None, people=None)
"""What no name may say. Everybody reads names all the time, so the strictest level counts for them everywhere."""
INFAMOUS_NAMES = frozenset({"hitler", "himmler", "goebbels", "mengele", "nazi"})
MIN_FOUND_CHARS = 6
"""The least length of a reserved name that is also found at either end of a longer word, as in “myteacher”."""
FRIENDLY_EMOJI = re.compile("[\U0001f32d-\U0001f37f\U0001f400-\U0001f43f\U0001f950-\U0001f96f\U0001f980-\U0001f9ae]")
"""Food, plants and animals. Other signs could be taken for the badge of a moderator, and are refused."""
SIGNS = frozenset("’·")
BOUNDARY = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
TRAILING_DIGITS = re.compile(r"\d+$")
MORE_LOOKALIKES = (
    "aᎪᗅꓮ𐊠𖽀 bƅьᏏᏴᑲᖯᗷꓐꞵ𐊂𐊡𐌁 cᏟⲥꓚ𐊢𐌂𐐽𐔜 dᎠᏧᑯᗞᗪꓒꓓ eҽᎬⴹꓰꬲ𐊆𑣆𑣎 "
    "fϝքᖴẝꓝꞙꬵ𐊇𐊥𐔥𑣂 gƍԍցᏀᏳᶃꓖ hհᎻᏂᕼⲏꓧ𐋏 iᎥꙇ jʝϳᎫᒍꓙ "
    "kᏦᛕⲕꓗ𐔘 lǀӏוןاߊᏞᒪᛁⲓⳑⵏꓡꓲ𐊊𐌉𐑃𐔦𑣃𑣒𖼖𖼨 mϻᎷᗰᛖⲙꓟ𐊰𐌑 nոռⲛꓠ𐔓 oօסهھہەଠഠဝჿዐᴑⲟⵔꓳꬽ𐊒𐊫𐐬𐓪𐔖𑣈𑣕𑣗 "
    "pᏢᑭⲣꓑ𐊕 qգզⵕ rᎡᎱᏒᖇᴦⲅꓣꭇꭈ𐓜𖼵 sƽտᏕᏚꓢ𐊖𐑈𑣁𖼺 tᎢⲧꓔ𐊗𐊱𐌕𑣜𖼊 "
    "uʋսሀᑌꓴꞟꭎꭒ𐓶𑣘𖽂 vטᏙᐯⴸꓦꛟ𐔝𑜆𑣀𖼈 wɯѡաᎳᏔꓪ𑜊𑜎𑜏 xᕁᕽᚷⲭⵝꓫꭓ𐊐𐊴𐌗𐔧 yɣүყᎩᎽᶌỿⲩꓬꭚ𐊲𑣄𖽃 "
    "zᏃꓜ𑣉 "
)
"""Each of a to z with letters that look like it and that `fold` leaves as they are.

They are from confusables.txt of Unicode 15.1 (© Unicode, Inc., https://www.unicode.org/license.txt). The package that
has this file takes a megabyte, of which names need this much.
"""
AS_LATIN = str.maketrans({other: word[0] for word in MORE_LOOKALIKES.split() for other in word[1:]})
DIGITS_AS_LETTERS = str.maketrans("01345678", "oieasgtb")
ONE_AS_L = str.maketrans("1I", "ll")
LOOKALIKE_PAIRS = (("rn", "m"), ("vv", "w"))

RESERVED = "“{name}” could be taken for the bot or for somebody who runs this chat. Choose another name."
INDECENT = "This would hurt or annoy others as a name. Choose another one."
WRONG_SIGN = "A name can have letters, digits, animals, plants and food, but not “{sign}”."
EMPTY = "A name needs a letter, a digit or an animal, a plant or food."


def look_of(name: str) -> frozenset[str]:
    """Return forms of a name, of which two names that look alike have one in common; none if nothing is to be seen.

    Case, accents, blanks and punctuation do not count. A digit is itself or the letter that it looks like, but never
    another digit, so that “kid1” and “kid2” are different.
    """
    plain = _compress(name)
    as_l = _compress(name.translate(ONE_AS_L))
    forms = {plain, plain.translate(DIGITS_AS_LETTERS), as_l.translate(DIGITS_AS_LETTERS)}
    return frozenset(form for form in forms if form)


def _compress(name: str) -> str:
    folded = fold(name).translate(AS_LATIN)
    kept = "".join(char for char in folded if char.isalnum() or FRIENDLY_EMOJI.match(char))
    for pair, letter in LOOKALIKE_PAIRS:
        kept = kept.replace(pair, letter)
    return kept


def check_name(name: str, *, is_moderator: bool) -> None:
    """Raise UserError if nobody, or nobody but moderators, can have this name, which `clean_name` returned."""
    wrong = next((char for char in name if not _is_allowed(char)), None)
    if wrong is not None:
        raise UserError(WRONG_SIGN, sign=wrong)
    if not look_of(name):
        raise UserError(EMPTY)
    if RULES.find_reason(name, draws=False) or is_reserved(name, INFAMOUS_NAMES):
        raise UserError(INDECENT)
    if is_reserved(name, BOT_NAMES if is_moderator else BOT_NAMES | ROLE_NAMES):
        raise UserError(RESERVED, name=name)


def without_wrong_signs(name: str) -> str:
    """Return `name` without the signs that no name can have."""
    return "".join(filter(_is_allowed, name))


def is_reserved(name: str, reserved: frozenset[str]) -> bool:
    """Return whether a name, or a word in it, looks like one of the reserved ones, also with a number behind it."""
    words = [TRAILING_DIGITS.sub("", word) for word in (name, *BOUNDARY.split(name))]
    known = _looks_of_all(reserved)
    long = tuple(form for form in known if len(form) >= MIN_FOUND_CHARS)
    forms = {form for word in words for form in look_of(word)}
    return any(form in known or form.startswith(long) or form.endswith(long) for form in forms)


@cache
def _looks_of_all(names: frozenset[str]) -> frozenset[str]:
    return frozenset(form for one in names for form in look_of(one))


def find_free(name: str, is_free: Callable[[str], bool]) -> str:
    """Return `name` with a number from 2 on behind it, with which it is free: a small one, but not always the first."""
    base = re.sub(r" \d{1,4}$", "", name)
    number = 2
    while not is_free(numbered := f"{base[: MAX_NAME_CHARS - 5].rstrip()} {number}"):
        # In growing steps, so that few tries are needed however many people are called so.
        number += 1 + number // 8
    return numbered


def _is_allowed(char: str) -> bool:
    category = unicodedata.category(char)
    is_of_word = category[0] in "LM" or category == "Nd"
    return is_of_word or char.isascii() or char in SIGNS or FRIENDLY_EMOJI.match(char) is not None

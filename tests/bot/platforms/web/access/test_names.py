"""Names of visitors: which look alike, and which are kept for the bot and for those who run the chat."""

import pytest

from bot.core.errors import UserError
from bot.platforms.web.access.names import check_name, find_free, look_of
from bot.platforms.web.access.visitors import clean_name

ALIKE = [
    ("Ada", "ada"),
    ("Ada", "A d a!"),
    ("Ada", "Áda"),
    ("Ada", "Аdа"),
    ("Ada", "A\u200bda"),
    ("Ada", "𝓐𝓭𝓪"),
    ("Ada", "ᴀᴅᴀ"),
    ("Ada", "4da"),
    ("Paul", "PauI"),
    ("Mia", "MIA"),
    ("Tom", "Τ0m"),
    ("kid1", "kidl"),
    ("Bernd", "Bemd"),
    ("Zoë", "zoe"),
]
DIFFERENT = [
    ("Ada", "Adam"),
    ("Ada", "Ada 2"),
    ("Ada 2", "Ada 3"),
    ("kid1", "kid2"),
    ("kid6", "kid9"),
    ("Ilia", "Lila"),
    ("Ali", "All"),
    ("李雷", "李白"),
]
KEPT = [
    *("Tempera", "TEMPERA", "T e m p e r a", "Τempera", "7empera", "tèmpéra", "ТЕМРЕRА", "Ꭲempera", "Tempera 2"),
    *(
        "Teacher",
        "teacher2",
        "Mr. Teacher",
        "TeacherAnn",
        "myteacher",
        "Tеacher",
        "t34ch3r",
        "ＴＥＡＣＨＥＲ",
        "ᴛᴇᴀᴄʜᴇʀ",
    ),
    *("Moderator", "[Mod] Ann", "модerator", "Admin", "Аdm1n", "Ann (bot)", "System", "Lehrerin", "Lehrer Müller"),
    *("Profesora", "maestro", "Moderador", "Administradora", "Sistema"),
]
FINE = [
    "Ada",
    "Zoë",
    "李雷",
    "Анна",
    "محمد",
    "Modest",
    "Abbott",
    "Anna-Lena",
    "O’Neil",
    "Zoe 🦊",
    "🦊",
    "kid3",
    "Stafford",
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_that_look_alike_have_a_form_in_common(one: str, other: str) -> None:
    assert look_of(one) & look_of(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_names_that_look_different_have_none(one: str, other: str) -> None:
    assert not look_of(one) & look_of(other)


@pytest.mark.parametrize("name", KEPT)
def test_names_of_the_bot_and_of_roles_are_refused_in_every_disguise(name: str) -> None:
    with pytest.raises(UserError, match="could be taken for the bot or for somebody who runs this chat"):
        check_name(clean_name(name), is_moderator=False)


@pytest.mark.parametrize("name", FINE)
def test_other_names_can_be_chosen(name: str) -> None:
    assert clean_name(name) == name
    check_name(name, is_moderator=False)


def test_moderators_can_be_called_what_they_are_but_not_like_the_bot() -> None:
    check_name("Teacher Kim", is_moderator=True)
    with pytest.raises(UserError, match="could be taken for the bot"):
        check_name("Tempera", is_moderator=True)


@pytest.mark.parametrize("name", ["Ann 🛡️", "Ann ✓", "★Ann", "👑 Ann", "Ann 🤖", "Ann ⛨"])
def test_signs_that_could_be_taken_for_a_badge_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="but not “[^“]”"):
        check_name(clean_name(name), is_moderator=False)


@pytest.mark.parametrize("name", ["...", "’"])
def test_a_name_has_something_to_call_somebody_by(name: str) -> None:
    with pytest.raises(UserError, match="A name needs a letter"):
        check_name(clean_name(name), is_moderator=False)


def test_nothing_invisible_and_no_heap_of_accents_is_left_of_a_name() -> None:
    assert clean_name("A\u200d\u2066d\u202ea\ufeff\u00ad\u3164") == "Ada"
    assert clean_name("\u2800") == clean_name("\u115f\u200b") == ""
    assert clean_name("Z" + "\u0316\u0321\u0322\u0327" * 20 + "oe") == "Z\u0321\u0322oe"
    assert len(clean_name("\ufdfa" * 1000)) == 32


def test_the_free_name_has_a_number_that_nobody_has() -> None:
    taken = {"Ada 2", "Ada 3"}
    assert find_free("Ada", lambda name: name not in taken) == "Ada 4"
    assert find_free("Ada 2", lambda name: name not in taken) == "Ada 4"
    assert find_free("x" * 32, lambda name: name not in taken) == "x" * 27 + " 2"


def test_a_free_name_is_found_with_few_tries() -> None:
    taken = {f"Max {number}" for number in range(2, 4000)}
    tried = []
    assert find_free("Max", lambda name: tried.append(name) or name not in taken) not in taken
    assert len(tried) < 100


@pytest.mark.parametrize("name", ["Hurensohn", "Fuck Off", "N1gger", "Adolf Hitler", "xX_Fotze_Xx", "puta madre"])
def test_what_a_classroom_may_not_read_is_no_name_for_moderators_either(name: str) -> None:
    for is_moderator in (False, True):
        with pytest.raises(UserError, match="This would hurt or annoy others as a name"):
            check_name(name, is_moderator=is_moderator)


@pytest.mark.parametrize("name", ["Assim", "Thomas Müller", "Dickens", "Ignazio"])
def test_names_that_only_contain_such_a_word_can_be_chosen(name: str) -> None:
    check_name(name, is_moderator=False)

"""Personal data is found, and numbers that only look like it are not."""

import pytest

from bot.safety.personal_data import find_personal_data


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to ann@example.org", "a mail address"),
        ("write to ann (at) example.org", "a mail address"),
        ("ann at example dot org", "a mail address"),
        ("call me on 07700900461", "a phone number"),
        ("ruf mich an: 0171 1234567", "a phone number"),
        ("su móvil es 600 123 456", "a phone number"),
        ("she lives at 5 Hill Road", "a street address"),
        ("er wohnt in der Lindenallee 4", "a street address"),
        ("vive en calle Olmo 8, Toledo", "a street address"),
        ("the card is 4111 1111 1111 1111", "a bank card number"),
        ("tarjeta: 4111111111111111", "a bank card number"),
        ("Meine IBAN ist DE89 3704 0044 0532 0130 00", "a bank account number"),
        ("GB29 NWBK 6016 1331 9268 19", "a bank account number"),
        ("my password for the school is Tiger!2012", "a password"),
        ("mi contraseña es perro2010", "a password"),
        ("pw: Sommer2024", "a password"),
        ("I was born on 14.3.2011", "a date of birth"),
        ("ich bin am 12.05.2010 geboren", "a date of birth"),
        ("nacida el 12 de mayo de 2011", "a date of birth"),
        ("my snap is lena_09", "a user name"),
        ("add me on insta @lena.b", "a user name"),
        ("DNI 12345678Z", "an identity number"),
        ("my passport number is C01X00T47", "an identity number"),
    ],
)
def test_personal_data_is_found(text: str, kind: str) -> None:
    assert find_personal_data([text]) == kind


@pytest.mark.parametrize(
    "text",
    [
        "what is 4111 plus 1111",
        "my password is too short",
        "how do I make a password with 8 characters",
        'password = input("Password: ")',
        "what is a pin code",
        "Goethe was born on 28.8.1749",
        "my birthday is in May",
        "my discord is broken",
        "1010 1111 0000 1010",
        "5000 meter in 20 minutes",
        "er wohnt seit 3 Jahren in Berlin",
        "we live in 12 countries",
        "2024-05-01 to 2024-06-01",
        "wie lang ist eine IBAN",
        "what is the cvv on a card",
        "",
    ],
)
def test_lookalikes_are_not_personal_data(text: str) -> None:
    assert find_personal_data([text]) == ""


def test_half_a_surrogate_pair_is_no_obstacle() -> None:
    assert find_personal_data(["\ud83d write to ann@example.org \ude00"]) == "a mail address"

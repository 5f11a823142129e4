import pytest

from bot.documents.encoding import decode, repair


@pytest.mark.parametrize(
    ("broken", "right"),
    [
        ("noise β the kind of snow", "noise – the kind of snow"),
        ("itβs and donβt", "it’s and don’t"),
        ("from noiseβpure noise", "from noise—pure noise"),
        ("a model says βMatβ, then βfloorβ.", "a model says “Mat”, then “floor”."),
        ("βMatβ is likely", "“Mat” is likely"),
        ("The cat sat on theβ¦", "The cat sat on the…"),
        ("noise � the snow", "noise – the snow"),
        ("noise β€“ the snow", "noise – the snow"),
        ("noise â€“ the snow", "noise – the snow"),
        ("itâ€™s a naÃ¯ve critic", "it’s a naïve critic"),
    ],
)
def test_damage_of_wrong_encodings_is_repaired(broken: str, right: str) -> None:
    assert repair(broken) == right


@pytest.mark.parametrize(
    "formula", ["the slope β = 2", "β1 and 3 + β", "angles α, β and γ", "β-Carotin", "2 * β is more"]
)
def test_a_letter_of_a_formula_stays(formula: str) -> None:
    assert repair(formula) == formula


def test_quotation_marks_and_entities_stay_as_they_are() -> None:
    assert repair("“curled” and &amp;") == "“curled” and &amp;"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_files_in_several_encodings(encoding: str) -> None:
    assert decode("A café – “très” bon.\r\nYes.".encode(encoding)) == "A café – “très” bon.\nYes."

from typing import Any

from bot.documents import plain
from bot.documents.blocks import Block, Heading, Items, Paragraph, Table
from bot.documents.plain import is_question, read_plain


def test_titles_are_found_without_marks() -> None:
    text = "Pets\n\nSome live with us.\n\nCats And Dogs\nThey are the best known.\n\nWhat They Eat\n\nFish, mostly.\n"
    assert read_plain(text) == [
        Heading(1, "Pets"),
        Paragraph("Some live with us."),
        Heading(2, "Cats And Dogs"),
        Paragraph("They are the best known."),
        Heading(2, "What They Eat"),
        Paragraph("Fish, mostly."),
    ]


def test_titles_after_one_without_text_are_below_it() -> None:
    text = "Pets\n\nIntro.\n\nUses\n\nHunting\nCats hunt mice.\n\nSport\nDogs run with us.\n\nCosts\n\nNot cheap.\n"
    found = [block for block in read_plain(text) if isinstance(block, Heading)]
    assert found == [
        Heading(1, "Pets"),
        Heading(2, "Uses"),
        Heading(3, "Hunting"),
        Heading(3, "Sport"),
        Heading(2, "Costs"),
    ]


def test_a_line_that_is_only_a_number_is_no_title() -> None:
    text = "Lesson 7\n\nPets\n\nThey live with us.\n"
    assert read_plain(text) == [Paragraph("Lesson 7"), Heading(1, "Pets"), Paragraph("They live with us.")]


def test_questions_of_a_faq_with_answers_on_the_next_line_or_behind_marks() -> None:
    text = "Pets\n\nIntro.\n\nFAQ\n\nCan cats swim?\nYes.\n\nQ: Can dogs fly?\nA: No.\n"
    assert read_plain(text)[2:] == [
        Heading(2, "FAQ"),
        Heading(3, "Can cats swim?"),
        Paragraph("Yes."),
        Heading(3, "Can dogs fly?"),
        Paragraph("No."),
    ]


def test_a_pipe_table_with_and_without_outer_bars() -> None:
    expected: list[Block] = [Table(("animal", "says"), (("cat", "meow"), ("dog", "woof")))]
    assert read_plain("| animal | says |\n|---|---|\n| cat | meow |\n| dog | woof |\n") == expected
    assert read_plain("animal | says\ncat | meow\ndog | woof\n") == expected


def test_lines_wrapped_by_hand_are_joined() -> None:
    text = "Here is a text that somebody has wrapped by\nhand at a width of some forty-odd letters,\nwhich is narrow.\n"
    assert read_plain(text) == [Paragraph(" ".join(text.split()))]


def test_lists() -> None:
    assert read_plain("Bring this:\n\n- a pen\n- paper\n\n1. Sit down.\n2. Write.\n") == [
        Paragraph("Bring this:"),
        Items(("a pen", "paper")),
        Items(("Sit down.", "Write."), ordered=True),
    ]


def test_the_remaining_lines_are_never_copied() -> None:
    class Lines(list[str]):
        def __getitem__(self, key: Any) -> Any:
            assert not isinstance(key, slice)
            return super().__getitem__(key)

    lines = Lines(["Pets", "", "Cats", "", "", "They purr.", "", "- Can cats swim?", "", "- Can dogs fly?"])
    titles = [block.text for block in plain._LineReader(lines).read() if isinstance(block, Heading)]
    assert titles == ["Pets", "Cats"]


def test_a_question_is_one_sentence_with_a_question_mark() -> None:
    assert is_question("What is a token?")
    assert not is_question("Is it? Yes. Really?")
    assert not is_question("It is.")

import pytest

from bot.documents.blocks import Heading, Paragraph
from bot.documents.parse import ParsedDocument, parse_document
from plugins.explain.lessons.passages import MAX_CHARACTERS, Passage, split_passages, split_sentences

TABLE = """# Pets

Some animals live with us.

## Kinds

They differ.

| animal | says | eats |
|---|---|---|
| cat | meow | fish |
| dog | woof | |

## Care

### Food

Twice a day.

### Food

Not too much. And water.

## FAQ

### Can a cat swim?

Yes.
"""


def read_passages(text: str, name: str = "pets.md") -> list[Passage]:
    return split_passages(parse_document(text.encode(), name))


def test_each_section_is_a_passage_with_its_path_and_anchor() -> None:
    found = read_passages(TABLE)
    table = "They differ.\n\n- cat: says: meow; eats: fish.\n- dog: says: woof."
    assert [(p.path, p.kind, p.anchor, p.text) for p in found] == [
        ((), "text", "pets", "Some animals live with us."),
        (("Kinds",), "text", "kinds", table),
        (("Kinds",), "row", "kinds", "cat: says: meow; eats: fish."),
        (("Kinds",), "row", "kinds", "dog: says: woof."),
        (("Care",), "overview", "care", "- Food: Twice a day.\n- Food: Not too much."),
        (("Care", "Food"), "text", "food", "Twice a day."),
        (("Care", "Food"), "text", "food-2", "Not too much. And water."),
        (("FAQ", "Can a cat swim?"), "text", "can-a-cat-swim", "Yes."),
    ]
    assert (found[0].lesson_title, found[0].heading, found[0].topic) == ("Pets", "Pets", "Pets")
    assert [p.question for p in found] == [None] * 7 + ["Can a cat swim?"]


def test_headings_of_the_same_name_list_their_own_sections_in_linear_time() -> None:
    text = "# Pets\n\n## Care\n\n### Food\n\nTwice a day.\n\n## Care\n\n### Walks\n\nOnce a day.\n"
    listed = [p.text for p in read_passages(text) if p.kind == "overview"]
    assert listed == ["- Food: Twice a day.", "- Walks: Once a day."]
    # If each of them had all others read again, this would take minutes.
    lesson = ParsedDocument("Pets", (*[Heading(2, "Care")] * 50_000, Paragraph("Twice a day.")))
    assert [p.text for p in split_passages(lesson)] == ["Twice a day."]


def test_a_row_ends_with_one_full_stop() -> None:
    table = "| pet | does | says |\n|---|---|---|\n| cat | It purrs. | It says meow. |\n| dog | Barks. | Who? |\n"
    rows = [p.text for p in read_passages(table) if p.kind == "row"]
    assert rows == ["cat: does: It purrs; says: It says meow.", "dog: does: Barks; says: Who?"]


@pytest.mark.parametrize("nothing", ["![](d.png)", "```\n```", "- ![](d.png)", "<p></p>", "###"])
def test_a_section_without_text_is_no_passage(nothing: str) -> None:
    below = read_passages(f"# T\n\n## A\n\n### B\n\n{nothing}\n\n### C\n\ntext here.\n")
    assert [(p.path, p.text) for p in below] == [(("A",), "- C: text here."), (("A", "C"), "text here.")]
    above = read_passages(f"# T\n\n## A\n\n{nothing}\n\n### C\n\ntext here.\n\n## D\n\n{nothing}\n")
    assert [(p.path, p.text) for p in above] == [(("A",), "- C: text here."), (("A", "C"), "text here.")]


@pytest.mark.parametrize(
    ("box", "text"),
    [
        ("| Never share it. |\n|---|\n", "Never share it."),
        ("<table><tr><td>Never share it.</td></tr></table>", "Never share it."),
        ("| Remember | Never share it. |\n|---|---|\n", "- Remember\n- Never share it."),
        ("| Remember |\n|---|\n| Never share it. |\n", "- Remember\n- Never share it."),
    ],
)
def test_a_table_of_one_row_or_column_is_a_list_or_paragraph(box: str, text: str) -> None:
    first = text.splitlines()[0].removeprefix("- ")
    assert [(p.path, p.text) for p in read_passages(f"# T\n\n## A\n\n### B\n\n{box}\n\n### C\n\ntext here.\n")] == [
        (("A",), f"- B: {first}\n- C: text here."),
        (("A", "B"), text),
        (("A", "C"), "text here."),
    ]


def test_an_anchor_with_a_number_is_not_given_twice() -> None:
    text = "# A\n\n" + "".join(f"## {name}\n\nText.\n\n" for name in ("Week", "Week", "Week 2", "Week"))
    assert [p.anchor for p in read_passages(text)] == ["week", "week-2", "week-2-2", "week-3"]


def test_a_line_in_a_faq_is_a_question_if_the_next_lines_answer_it() -> None:
    faq = "## FAQ\n\nIs it `red`?\nYes, red.\n\nIs it blue?\n\nNo.\n"
    text = f"# A\n\n## Text\n\nIs it true? We know.\n\nIs it?\n\n{faq}"
    found = [(p.question, p.text) for p in read_passages(text) if p.question]
    assert found == [("Is it red?", "Yes, red."), ("Is it blue?", "No.")]


def test_a_long_section_becomes_several_passages_of_whole_sentences() -> None:
    sentence = "This is a sentence that says nothing at all about anything. "
    found = read_passages(f"# A\n\n## B\n\n{sentence * 60}\n\n## C\n\nEnd.\n")
    parts = [p for p in found if p.path == ("B",)]
    assert len(parts) == 3
    assert all(len(p.text) <= MAX_CHARACTERS and p.text.endswith("anything.") for p in parts)
    assert " ".join(p.text for p in parts) == (sentence * 60).strip()
    assert len({p.anchor for p in parts}) == 1


@pytest.mark.parametrize(
    ("text", "word", "count", "kinds"),
    [
        ("\n".join(f"- **word {number}**: what it means" for number in range(300)), "word", 300, {"text"}),
        ("|a|b|\n|---|---|\n" + "|word|it means|\n" * 300, "word", 300, {"text", "row"}),
        ("|a|b|\n|---|---|\n|row|" + "word " * 1000 + "|", "word", 1000, {"text", "row"}),
        ("- " + "word " * 2000, "word", 2000, {"text"}),
        ("words without any end " * 400, "word", 400, {"text"}),
        ("词" * 500 + "。" + "语" * 4000, "语", 4000, {"text"}),
        ("```\n" + "\n".join(f"    print({number})" for number in range(400)) + "\n```", "    print", 400, {"text"}),
        ("```\n" + "x" * 5000 + "\n```", "x", 5000, {"text"}),
        ("\n".join(f"### C{n}\n\nIt is a {'word ' * 20}.\n" for n in range(200)), "word", 4000, {"text", "overview"}),
    ],
)
def test_long_sections_are_split_without_loss(text: str, word: str, count: int, kinds: set[str]) -> None:
    found = read_passages(f"# A\n\n## B\n\n{text}\n")
    assert {p.kind for p in found} == kinds
    for kind in kinds:
        assert sum(p.text.count(word) for p in found if p.kind == kind) == count
    assert all(len(p.text) <= MAX_CHARACTERS + len("```\n\n```") for p in found)


def test_a_passage_shows_the_text_of_the_lesson() -> None:
    text = (
        "# A\n\n## B\n\nThe name `__main__` is not \\_\\_main\\_\\_, and a\\*b\\*c is\\\na product<br>of *three*.\n\n"
        "1. Install it.\n\n```\n# all\nif x:\n    run()\n```\n\n2. Run it.\n"
    )
    (passage,) = read_passages(text)
    assert passage.text == (
        "The name `__main__` is not \\_\\_main\\_\\_, and a\\*b\\*c is  \na product  \nof three.\n\n"
        "1. Install it.\n\n```\n# all\nif x:\n    run()\n```\n\n2. Run it."
    )
    assert passage.plain_text == (
        "The name __main__ is not __main__, and a*b*c is  \na product  \nof three.\n\n1. Install it.\n\n# all\n"
        "if x:\n    run()\n\n2. Run it."
    )


def test_only_the_first_passage_of_a_section_has_its_further_wordings() -> None:
    text = f"# A\n\n## B\n\n{'This is a sentence of some length. ' * 60}\n\n<!-- also asked\nB: why\n-->\n"
    assert [p.wordings for p in read_passages(text)] == [("why",), ()]


def test_sentences_and_list_items_are_split() -> None:
    text = "One. “Two!” Three?\n- four\n2. five at 0.1 degrees"
    assert split_sentences(text) == ["One.", "“Two!”", "Three?", "four", "five at 0.1 degrees"]
    assert split_sentences("我们知道。“真的吗？”是的！完") == ["我们知道。", "“真的吗？”", "是的！", "完"]

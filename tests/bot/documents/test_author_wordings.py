from bot.documents.author_wordings import extract_wordings
from bot.documents.parse import parse_document
from plugins.explain.lessons.passages import split_passages

COMMENT = """<!-- also asked
Pros: and cons: what is good | what is bad
    | is it worth it
Costs: how much
Nothing here
-->
"""


def test_wordings_are_read_by_heading_and_continue_in_indented_lines() -> None:
    text, asked = extract_wordings(f"Before.\n\n{COMMENT}After.\n")
    assert text == "Before.\n\nAfter.\n"
    assert asked == {"Pros: and cons": ("what is good", "what is bad", "is it worth it"), "Costs": ("how much",)}


def test_other_comments_stay() -> None:
    text = "<!-- asked by Ann -->\nText.\n"
    assert extract_wordings(text) == (text, {})


def test_several_comments_add_up() -> None:
    _, asked = extract_wordings("<!-- also asked\nA: one\n-->\n<!-- Also asked:\nA: two\n-->\n")
    assert asked == {"A": ("one", "two")}


def test_the_first_passage_of_a_section_has_the_wordings_and_no_reader_sees_them() -> None:
    lesson = parse_document(f"# Title\n\n## Costs\n\nTen euros.\n\n## More\n\nText.\n\n{COMMENT}".encode(), "a.md")
    costs, more = split_passages(lesson)
    assert (costs.wordings, more.wordings) == (("how much",), ())
    assert "how much" not in costs.text + more.text

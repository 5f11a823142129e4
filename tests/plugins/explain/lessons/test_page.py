import io

import pytest
from markdown_it import MarkdownIt

from bot import Page
from bot.documents.parse import parse_document
from plugins.explain.lessons.page import build_page, make_slug
from plugins.explain.lessons.passages import split_passages

from ..conftest import DEFAULT

MARKDOWN = """# Pets

A *short* lesson <!-- of mine -->.

## Cats
Cats **purr** [often](https://example.org)
and sleep.

| pet | says |
|---|---|
| cat | meow |

## Questions

**Do cats swim?** Some do.

Why do dogs bark?

To `warn` others.

## Cats

Again.
"""
PLAIN = """Pets

Cats

Cats purr * and <b>sleep</b>.
1. not a list
| a | b |
|---|---|
| 1 | [x](javascript:alert(1)) |

Frequently asked questions

Why do dogs bark?
To warn others.
"""


def made(text: str | bytes, filename: str = "pets.md", title: str = "Pets") -> Page:
    data = text if isinstance(text, bytes) else text.encode()
    return build_page(title, parse_document(data, filename), data, filename)


def parts(shown: Page) -> list[tuple[str, int, str]]:
    return [(part.heading, part.level, part.text) for part in shown.parts]


def test_markdown_is_shown_unchanged() -> None:
    cats = "Cats **purr** [often](https://example.org)\nand sleep.\n\n| pet | says |\n|---|---|\n| cat | meow |"
    assert parts(made(MARKDOWN)) == [
        ("Pets", 1, "A *short* lesson ."),
        ("Cats", 2, cats),
        ("Questions", 2, ""),
        ("Do cats swim?", 3, "Some do."),
        ("Why do dogs bark?", 3, "To `warn` others."),
        ("Cats", 2, "Again."),
    ]


@pytest.mark.parametrize(
    ("text", "filename"),
    [
        (DEFAULT.read_text("utf-8"), DEFAULT.name),
        (MARKDOWN, "pets.md"),
        (PLAIN, "pets.txt"),
        ("<h1>Pets</h1><h2>Cats</h2><p>They purr.</p><h2>Cats</h2><p>They sleep.</p>", "pets.html"),
    ],
)
def test_every_passage_has_its_anchor_on_the_page(text: str, filename: str) -> None:
    shown = made(text, filename)
    anchors = [part.anchor for part in shown.parts]
    assert {passage.anchor for passage in split_passages(parse_document(text.encode(), filename))} <= set(anchors)
    assert len(anchors) == len(set(anchors))
    assert all(part.ask.startswith("/explain ") for part in shown.parts if part.text)


def test_a_part_asks_what_its_first_sentence_does_not_say() -> None:
    told = "# Cats\n\nCats purr.\n\n## Their food\n\nThey like fish. Milk makes most of them ill.\n"
    asked = "<!-- also asked\nTheir food: do they like fish | cats milk ill | is milk good for them\n-->\n"
    assert [part.ask for part in made(told + asked, "cats.md").parts] == [
        "/explain Pets",
        "/explain Is milk good for them?",
    ]


def test_plain_text_is_converted_to_markdown_that_shows_exactly_this_text() -> None:
    told = {heading: text for heading, _, text in parts(made(PLAIN, "pets.txt"))}
    assert told["Why do dogs bark?"] == "To warn others."
    assert "purr \\* and \\<b\\>sleep\\</b\\>." in told["Cats"]
    assert "| 1 | \\[x\\](javascript:alert(1)) |" in told["Cats"].splitlines()
    assert "| a | b |\n|---|---|\n" in told["Cats"]


def test_code_is_converted_to_fenced_code() -> None:
    text = "# Run\n\n## A\n\n<b>Name</b> `a_b`:\n\n```\n# all\n  run()\n```\n\n2. Go.\n"
    assert parts(made(text))[1:] == [("A", 2, "Name `a_b`:\n\n```\n# all\n  run()\n```\n\n2. Go.")]


def test_a_bar_in_a_table_cell_is_escaped() -> None:
    text = "# Pets\n\n## A\n\n<b>x</b>\n\n|op|means|\n|--|--|\n|`a\\|b`|one \\| other|\n"
    shown = MarkdownIt("commonmark").enable("table").render(made(text).parts[-1].text)
    assert "<td><code>a|b</code></td>\n<td>one | other</td>\n</tr>" in shown


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("The tag `<br>` ends a line.<br>Like this.", "The tag `<br>` ends a line.  \nLike this."),
        ("``a ` <br>`` and `x\n<br>`<br>y", "``a ` <br>`` and `x\n<br>`  \ny"),
        ("One `` is none.<br>And \\<br>, \\`too<br>is`.", "One `` is none.  \nAnd \\<br>, \\`too  \nis`."),
    ],
)
def test_line_breaks_of_html_in_code_and_escapes_stay(written: str, shown: str) -> None:
    assert parts(made(f"# Pets\n\n## A\n\n{written}\n"))[1:] == [("A", 2, shown)]


def test_line_breaks_of_html_become_markdown_and_the_rest_is_unchanged() -> None:
    text = (
        "# Pets\n\n## Cats<br>and dogs\n\n*One*<br>two<br/> \nthree<BR>\n\n|a|b|\n|--|--|\n|**c**<br>d|e|\n\n"
        "## FAQ\n\nCan it swim?<br>It *can*.\n"
    )
    assert parts(made(text)) == [
        ("Pets", 1, ""),
        ("Cats and dogs", 2, "*One*  \ntwo  \nthree  \n\n|a|b|\n|--|--|\n|**c** d|e|"),
        ("FAQ", 2, ""),
        ("Can it swim?", 3, "It *can*."),
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("They <img src=x onerror=alert(1)>purr.\n\n<script>2</script>", "They purr."),
        ("Purr <!-- one\n-->\n<!-- two -->.", "Purr ."),
        ("They `purr <!-- ` on.", "They `purr <!-- ` on."),
    ],
)
def test_html_comments_and_scripts_within_markdown_are_not_copied(written: str, shown: str) -> None:
    found = parts(made(f"# Pets\n\n## Cats\n\n{written}\n\n## Dogs\n\nBark.\n"))
    assert found == [("Pets", 1, ""), ("Cats", 2, shown), ("Dogs", 2, "Bark.")]


def test_a_word_file_is_converted_with_its_headings() -> None:
    import docx

    document = docx.Document()
    document.add_heading("Pets", 0)
    document.add_heading("Cats", 1)
    document.add_paragraph("They purr.")
    document.add_paragraph("black", style="List Bullet")
    written = io.BytesIO()
    document.save(written)
    assert parts(made(written.getvalue(), "pets.docx"))[-1] == ("Cats", 2, "They purr.\n\n- black")


@pytest.mark.parametrize(
    ("text", "filename"),
    [
        ("# Pets\n\n## Cats\n\n```\n" + "<!-- " * 390_000 + "\n```\n", "pets.md"),
        ("<h1>Pets</h1><h2>Cats</h2><pre>a" + "\n" * 400_000 + "b</pre>", "pets.html"),
    ],
    ids=["comments", "blank lines"],
)
def test_the_page_of_a_large_file_takes_linear_time(text: str, filename: str) -> None:
    assert len(made(text, filename).parts) == 2


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("What is generative AI?", "what-is-generative-ai"),
        ("Äpfel & Öl", "äpfel-öl"),
        ("It's", "its"),
        ("?!", "lesson"),
    ],
)
def test_the_address_of_a_title(title: str, name: str) -> None:
    assert make_slug(title) == name

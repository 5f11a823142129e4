import cProfile
import io
import pstats
import zipfile
from pathlib import Path

import docx
import pytest
from fakes.core import lesson_files
from fakes.core.lesson_files import pdf_of_pages, word_file
from PIL import Image

from bot import UserError
from bot.documents.blocks import BREAK, Code, Heading, Items, Paragraph, Table
from bot.documents.parse import MAX_FILE_BYTES, decode_text, is_html, parse_document
from plugins.explain.lessons.passages import split_passages
from research import DATA

PLAIN = DATA / "explain" / "plain_lesson.txt"
KINDS = Table(("animal", "says"), (("cat", "meow"),))


def written(path: Path | io.BytesIO) -> bytes:
    """A DOCX with a title, headings, a list and a table."""
    document = docx.Document()
    document.add_heading("Pets", 0)
    document.add_heading("Cats", 1)
    document.add_paragraph("They purr.")
    document.add_paragraph("a bowl", style="List Bullet")
    document.add_paragraph("a bed", style="List Bullet")
    document.add_heading("Kinds", 1)
    table = document.add_table(2, 2)
    for place, text in enumerate(["animal", "says", "cat", "meow"]):
        table.cell(place // 2, place % 2).text = text
    document.save(path)
    return path.getvalue() if isinstance(path, io.BytesIO) else path.read_bytes()


def pdf(*lines: tuple[str, int]) -> bytes:
    """A page with lines of text, each in letters of so many points."""
    shown, height = [], 780
    for text, size in lines:
        height -= 2 * size
        shown.append(f"BT /F1 {size} Tf 50 {height} Td ({text}) Tj ET")
    content = "\n".join(shown).encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    return lesson_files.pdf(objects)


def test_markdown() -> None:
    table = "| animal | says |\n|--|--|\n| cat | meow |\n"
    text = f"# Pets\n\n## Cats\n\nThey *purr*,\nmostly.\n\n- a bowl\n- a bed\n\n{table}"
    lesson = parse_document(text.encode(), "pets.md")
    assert lesson.title == "Pets"
    assert lesson.blocks == (
        Heading(1, "Pets"),
        Heading(2, "Cats"),
        Paragraph("They purr,\nmostly."),
        Items(("a bowl", "a bed")),
        KINDS,
    )


@pytest.mark.parametrize(
    "text",
    [
        "# Cells\n\n<!-- TODO -->\n\n## A\n\nText is here.\n",
        "# Cells\n\n<details>\n<summary>A</summary>\n\nText is here.\n\n</details>\n\n## B\n",
    ],
)
def test_tags_and_comments_on_lines_of_their_own_are_ignored(text: str) -> None:
    assert parse_document(text.encode(), "cells.md").blocks[1:3] in (
        (Heading(2, "A"), Paragraph("Text is here.")),
        (Heading(6, "A"), Paragraph("Text is here.")),
    )


def test_an_html_page_of_comments_holds_no_text() -> None:
    with pytest.raises(UserError, match="holds no text"):
        parse_document(b"<!-- a -->", "a.html")


def test_code_and_line_breaks_of_markdown_stay() -> None:
    text = (
        "# Run\n\n## Call `main`\n\nThe name `__main__`,  \nor one<br>two.\n\n1. Install `it`.\n\n"
        "```sh\n# all\n  pip install it\n```\n\n2. Run it.\n"
    )
    assert parse_document(text.encode(), "run.md").blocks[1:] == (
        Heading(2, "Call main"),
        Paragraph(f"The name `__main__`,{BREAK}or one{BREAK}two."),
        Items(("Install `it`.",), ordered=True),
        Code("# all\n  pip install it"),
        Items(("Run it.",), ordered=True, start=2),
    )
    page = b"<h1>Run</h1><h2>A</h2><pre>\nif x:\n  run()\n</pre>"
    assert parse_document(page, "run.html").blocks[2:] == (Code("if x:\n  run()"),)


def test_html_is_parsed_without_navigation_and_footer() -> None:
    text = (
        "<!doctype html><meta charset=latin-1><body><nav>Home</nav><main><h1>Pets</h1><h2>Cats</h2><p>They <b>purr</b>"
        " – é.</p><ul><li>a bowl<li>a bed</ul><table><tr><th>animal<th>says<tr><td>cat<td>meow</table></main>"
        "<footer>Imprint</footer>"
    )
    lesson = parse_document(text.replace("–", "&ndash;").encode("latin-1"), "pets.txt")
    assert lesson.blocks == (
        Heading(1, "Pets"),
        Heading(2, "Cats"),
        Paragraph("They purr – é."),
        Items(("a bowl", "a bed")),
        KINDS,
    )


PARTED = (
    "<main><header><h1>Pets</h1></header><h2>Cats</h2><p>They purr.</p>"
    "<section><header><h2>Dogs</h2></header><p>They bark.</p></section></main>"
)


@pytest.mark.parametrize(
    "page",
    [
        "<h1>Pets</h1><article><h2>Cats</h2><p>They purr.</article><article><h2>Dogs</h2><p>They bark.</article>",
        "<form><header>Menu</header><h1>Pets</h1><h2>Cats</h2><p>They purr.<h2>Dogs</h2><p>They bark.</form>",
        PARTED,
    ],
    ids=["several articles", "all in a form", "headers of parts"],
)
def test_the_text_of_a_page_is_found_in_articles_forms_and_sections(page: str) -> None:
    assert parse_document(f"<body>{page}".encode(), "pets.html").blocks == (
        Heading(1, "Pets"),
        Heading(2, "Cats"),
        Paragraph("They purr."),
        Heading(2, "Dogs"),
        Paragraph("They bark."),
    )


@pytest.mark.parametrize("marks", ["", "# Loops\n\n"])
def test_code_in_a_text_without_headings_stays_code(marks: str) -> None:
    code = "# three times\nfor i in range(3):\n    print(i)"
    lesson = parse_document(f"{marks}A loop repeats.\n\n```python\n{code}\n```\n".encode(), "loops.md")
    assert lesson.blocks[-2:] == (Paragraph("A loop repeats."), Code(code))


FORCES = "R: ohms.\n\nF: force in newtons\n\nA. Fleming found penicillin.\n\nF. Scott Fitzgerald wrote novels.\n"


@pytest.mark.parametrize("marks", ["Physics\n\nIn short.\n\n", "# Physics\n\n## In short\n\n"])
def test_single_letters_are_labels_only_of_questions_and_answers(marks: str) -> None:
    lesson = parse_document(f"{marks}{FORCES}".encode(), "physics.md")
    texts = [block.text for block in lesson.blocks if isinstance(block, Heading | Paragraph)]
    assert texts[-4:] == FORCES.strip().split("\n\n")


@pytest.mark.parametrize("marks", ["Physics\n\n", "# Physics\n\n## Questions\n\n"])
def test_questions_and_answers_lose_their_labels(marks: str) -> None:
    lesson = parse_document(
        f"{marks}F: Was ist eine Kraft?\nA: Ein Stoß.\n\nQ: Name one.\nA: Weight.\n".encode(), "physics.md"
    )
    texts = [block.text for block in lesson.blocks if isinstance(block, Heading | Paragraph)]
    assert texts[-4:] == ["Was ist eine Kraft?", "Ein Stoß.", "Name one.", "Weight."]


def test_docx() -> None:
    lesson = parse_document(written(io.BytesIO()), "pets.docx")
    assert lesson.title == "Pets"
    assert lesson.blocks == (
        Heading(1, "Pets"),
        Heading(1, "Cats"),
        Paragraph("They purr."),
        Items(("a bowl", "a bed")),
        Heading(1, "Kinds"),
        KINDS,
    )


def test_a_table_of_one_cell_in_word_is_a_paragraph() -> None:
    document = docx.Document()
    for level, text in enumerate(["Passwords", "Rules", "The first"]):
        document.add_heading(text, level)
    document.add_table(1, 1).cell(0, 0).text = "Never share it."
    row = document.add_table(1, 2).rows[0]
    row.cells[0].merge(row.cells[1]).text = "Remember."
    document.save(path := io.BytesIO())
    assert parse_document(path.getvalue(), "rules.docx").blocks[3:] == (
        Paragraph("Never share it."),
        Paragraph("Remember."),
    )


def test_pdf_whose_titles_are_larger() -> None:
    lines = [("Pets", 24), ("Some animals live with us.", 11), ("Cats", 16), ("They purr when they are happy.", 11)]
    lesson = parse_document(pdf(*lines), "pets.pdf")
    assert lesson.blocks == (
        Heading(1, "Pets"),
        Paragraph("Some animals live with us."),
        Heading(2, "Cats"),
        Paragraph("They purr when they are happy."),
    )


def test_a_plain_lesson_with_broken_encoding() -> None:
    found = split_passages(parse_document(PLAIN.read_bytes(), PLAIN.name))
    text = "\n".join(passage.text for passage in found)
    assert "β" not in text
    assert "begins with “The cat sat on the”" in text
    assert "no mathematics – only some patience" in text
    assert [p.text for p in found if p.kind == "row"][1] == (
        "GAN: How it generates: Forger against detective; Typical use: Faces, style transfer; "
        "Key strength: Fast and sharp results."
    )
    assert next(p.question for p in found if p.question) == "Is ChatGPT generative AI?"
    assert {"What People Use Generative AI For", "Risks and Responsibility"} <= {p.topic for p in found}


def test_a_lesson_without_a_title_is_called_like_its_file() -> None:
    assert parse_document(b"Some animals live with us.\n", "our-pets_2.txt").title == "Our pets 2"


def image_only() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (60, 60), "red").save(made, "PDF")
    return made.getvalue()


def packed(*names: str) -> bytes:
    """A ZIP file, as other programs of an office write."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name in ("[Content_Types].xml", *names):
            file.writestr(name, "<Types/>")
    return made.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize(
    "meta", ["", '<meta charset="utf-16">', "<meta http-equiv=Content-Type content='charset=unicode'>"]
)
def test_a_page_is_read_in_the_encoding_that_it_has(encoding: str, meta: str) -> None:
    page = f"<!doctype html><html><head>{meta}</head><h1>Größe</h1><p>Für die Schü&shy;ler – “ja”.</p></html>"
    read = parse_document(page.encode(encoding), "a.html")
    assert [block.text for block in read.blocks] == ["Größe", "Für die Schüler – “ja”."]


@pytest.mark.parametrize(
    "text",
    [
        "می\u200cخواهم بدانم که چرا آسمان آبی است.",
        "ខ្ញុំ\u200bចង់\u200bដឹង\u200bថា",
        "Do\u00adnau\u00addampf\u00adschiff",
        "👩\u200d🚀👨\u200d🎨",
    ],
    ids=["Persian", "Khmer", "German", "emoji"],
)
def test_invisible_characters_between_letters_are_no_sign_of_a_binary_file(text: str) -> None:
    assert decode_text(text.encode(), "a.txt") == text.replace("\u00ad", "")


def test_blanks_before_a_pdf_are_passed_over() -> None:
    pdf = pdf_of_pages(1, b"BT /F1 12 Tf 50 700 Td (Dogs bark at strangers.) Tj ET")
    assert "Dogs bark" in parse_document(b"\r\n" + pdf, "a.pdf").blocks[0].text
    about = parse_document(b"A PDF begins with %PDF-1.7, and a page with its tag.", "a.txt")
    assert "%PDF-1.7" in about.blocks[0].text


@pytest.mark.parametrize(
    ("data", "name", "sentence"),
    [
        (b"a" * (MAX_FILE_BYTES + 1), "a.md", "a.md has 5.0 MB; a file of text may have up to 5 MB."),
        (image_only(), "scan.pdf", "scan.pdf holds pictures of pages but no text. Save it as a PDF whose text can be"),
        (b"%PDF-1.4 broken", "a.pdf", "a.pdf cannot be read: it is damaged, or not what its name says."),
        (b"PK\x03\x04 broken", "a.docx", "a.docx cannot be read: it is damaged, or not what its name says."),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.png", "a.png is no text that I can read."),
        (packed("ppt/presentation.xml"), "a.pptx", "a.pptx is no text that I can read."),
        (b"", "a.txt", "a.txt holds no text."),
        (b"# Pets\n\n## Cats\n\n![](cat.png)\n", "a.md", "a.md holds no text."),
        (b"# Only a title\n", "/home/ann/a.md", "a.md holds no text."),
    ],
)
def test_a_file_that_cannot_be_a_lesson_is_refused_with_the_reason(data: bytes, name: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_document(data, name)
    assert str(caught.value).startswith(sentence)
    assert "/home" not in str(caught.value)


MANY = 1_500_000


@pytest.mark.parametrize(
    "text",
    # Patterns that try more than one way through such a text would need hours for it.
    [
        "<!-- a -->\n" * 100 + "Cats purr.",
        "Cats purr. " + "<!-- " * 390_000,
        "Cats purr. " + "<!-- also asked " * 120_000,
        "Cats purr.\n\n" + "`" * MANY + "\n" + "a" * MANY,
        "# Cats" + " " * MANY + "purr.\n\nThey purr.",
        "# Cats" + "#" * MANY + "purr.\n\nThey purr.",
        "a" + " " * MANY + "cat purrs.",
        "q" + " " * MANY + "cat purrs.",
        "I" * MANY + " purr.",
        "1." * (MANY // 2) + "purr.",
    ],
    ids=lambda text: text[:20].strip(),
)
def test_a_file_of_the_largest_size_takes_linear_time(text: str) -> None:
    assert parse_document(text.encode(), "a.txt").blocks


def test_html_is_recognised_by_its_first_element() -> None:
    comments = b"<!-- a -->\n <!-- <html> -- -->" * 30
    assert is_html(comments + b"<!DOCTYPE html>", "a.txt")
    assert is_html(b" \n<Body class=a>", "a.txt")
    assert not is_html(comments + b"text <html>", "a.txt")
    assert not is_html(comments + b"<!-- <html>", "a.txt")
    assert not is_html(b"<htmlx>", "a.txt")
    assert is_html(b"text", "A.HTM")


def test_a_docx_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    written(path := tmp_path / "pets.docx")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed, packed.open("bomb.xml", "w") as part:
        for _ in range(51):
            part.write(b"\0" * 1_000_000)
    with pytest.raises(UserError, match="unpacks to more than 50 MB. Take large pictures out of it."):
        parse_document(path.read_bytes(), "pets.docx")


PURR = b"BT /F1 12 Tf 50 700 Td (They purr.) Tj ET\n"
ROW = b"<w:tr><w:tc><w:p/></w:tc></w:tr>"
WIDE_CELL = b'<w:tc><w:tcPr><w:gridSpan w:val="100001"/></w:tcPr><w:p/></w:tc>'


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (pdf_of_pages(501, PURR), "a.pdf", "has more than 500 pages. Divide it into several files."),
        # A tree of ten levels with ten branches each, all of them the same.
        (pdf_of_pages(10, PURR, levels=10), "a.pdf", "has more than 500 pages."),
        (pdf_of_pages(400, b"(%b) Tj " % (b"A cat. " * 6000)), "a.pdf", "has more than 2000000 characters of text."),
        (word_file(b"<w:p/>" * 20_000), "a.docx", "has more than 10000 paragraphs and rows."),
        (word_file(b"<w:tbl>%s</w:tbl>" % (ROW * 10_001)), "a.docx", "has more than 10000 paragraphs and rows."),
        (word_file(b"<w:tbl><w:tr>%s</w:tr></w:tbl>" % WIDE_CELL), "a.docx", "has a table of more than 100000 cells."),
        (b"A cat.\n\n" * 10_001, "a.txt", "has more than 10000 paragraphs and rows."),
        (b"# Cats\n\n## A\n\n" + b"- purr\n" * 10_001, "a.md", "has more than 10000 paragraphs and rows."),
        (b"<table>" + b"<tr><td>a<td>b" * 10_001, "a.html", "has more than 10000 paragraphs and rows."),
        (b"a | b\n" * 9000 + b"a | " * 20, "a.txt", "has a table of more than 100000 cells. Divide the table."),
        (b"They purr. " * 190_000, "a.txt", "has more than 2000000 characters of text."),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_file_that_holds_too_much_is_refused_with_the_limit(data: bytes, name: str, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_document(data, name)
    assert str(caught.value).startswith(f"{name} {reason}")


def test_a_pdf_whose_tree_of_pages_contains_itself_is_damaged() -> None:
    data = pdf_of_pages(3, PURR).replace(b"/Kids [2 0 R 2 0 R 2 0 R]", b"/Kids [5 0 R 5 0 R 5 0 R]")
    with pytest.raises(UserError, match="cannot be read"):
        parse_document(data, "a.pdf")


def test_a_heading_without_end_is_a_paragraph() -> None:
    lesson = parse_document(b"# Pets\n\n## " + b"Cats " * 200 + b"\n\nThey purr.\n\n## Dogs\n\nThey bark.\n", "a.md")
    assert [type(block) for block in lesson.blocks] == [Heading, Paragraph, Paragraph, Heading, Paragraph]


def calls_of_parsing(paragraphs: int) -> int:
    """Return how many functions are called to parse a Word file of so many paragraphs."""
    document = docx.Document()
    for number in range(paragraphs):
        document.add_paragraph("They purr.", style="Normal" if number % 10 else "Heading 1")
    document.save(file := io.BytesIO())
    with cProfile.Profile() as profile:
        parse_document(file.getvalue(), "a.docx")
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined, no-any-return]


def test_a_paragraph_of_word_is_read_without_a_search_through_all_styles() -> None:
    # python-docx calls 14000 functions to find the default style of one paragraph.
    assert (calls_of_parsing(300) - calls_of_parsing(100)) / 200 < 1000

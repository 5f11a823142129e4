"""Whatever bytes a stranger brings in as a lesson: it becomes one, or a sentence says why not."""

import pytest
from fakes.core.lesson_files import pdf_of_pages, word_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import UserError
from plugins.explain.library.lesson_set import read_lesson

EXAMPLES = settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
MARKDOWN = "\n# *_`[]()<>!|-+:~\\&;1.\"'\tabÄ？ "
HTML_PIECES = (
    "<p>",
    "</p>",
    "<table>",
    "<tr>",
    "<td>",
    "<li>",
    "<ul>",
    "<h1>",
    "<pre>",
    "<br>",
    "<article>",
    "<main>",
    "<form>",
    "<header>",
    "</body>",
    "<!--",
    "-->",
    "<?x",
    "<!",
    "&#xD800;",
    "&amp",
    "charset=x",
    "a",
    " ",
)
XML_PIECES = (
    "<w:p>",
    "</w:p>",
    "<w:p/>",
    "<w:r><w:t>a</w:t></w:r>",
    "<w:tbl>",
    "</w:tbl>",
    "<w:tr>",
    "</w:tr>",
    "<w:tc>",
    "</w:tc>",
    "<w:tc><w:p/></w:tc>",
    '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>',
    "<w:pPr>",
    '<w:tcPr><w:gridSpan w:val="-1"/></w:tcPr>',
    "<w:tcPr><w:vMerge/></w:tcPr>",
    "<w:sectPr/>",
    "<w:numPr/>",
)
PDF_PIECES = (
    b"BT",
    b"ET",
    b"/F1 12 Tf",
    b"(They purr) Tj",
    b"[(a) -500 (b)] TJ",
    b"1 0 0 1 50 700 Tm",
    b"0 0 Td",
    b"q",
    b"Q",
    b"T*",
    b"<00ff> Tj",
    b"BI ID x EI",
    b"Do",
    b"/F1 Tf",
    b"1e99 0 0 1 0 0 cm",
    b"(",
    b"<<",
    b"]",
)


def is_read_or_refused(data: bytes, name: str) -> None:
    """Read a file; any error but a UserError, or one that does not name the file, fails the test."""
    try:
        passages = read_lesson(data, name).passages
    except UserError as error:
        said = str(error)
    else:
        said = f"{name}: {len(passages)} passages" if passages else "nothing"
    assert name in said


WORD = b'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Cats</w:t></w:r></w:p>' + b"".join(
    b"<w:p><w:r><w:t>They %s.</w:t></w:r></w:p>" % verb for verb in (b"purr", b"sleep", b"play")
)
PDF = pdf_of_pages(3, b"BT /F1 12 Tf 50 700 Td (They purr) Tj ET")


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """A file with a few bytes changed, left out or doubled."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 8))):
        place = draw(st.integers(0, len(data) - 1))
        length = draw(st.integers(0, 40))
        data[place : place + length] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(data[:length]))))
        data = data or bytearray(b"%")
    return bytes(data)


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.html", "a.docx", "a.pdf"])
@EXAMPLES
@given(data=st.binary(max_size=400))
def test_any_bytes(name: str, data: bytes) -> None:
    is_read_or_refused(data, name)


@pytest.mark.parametrize("name", ["a.md", "a.txt", "a.html"])
@EXAMPLES
@given(text=st.one_of(st.text(max_size=400), st.text(MARKDOWN, max_size=400)))
def test_any_text(name: str, text: str) -> None:
    is_read_or_refused(text.encode("utf-8", "surrogatepass"), name)


TEXT = """# Pets\n\n<!-- also asked\nCats: why purr | wherefore\n-->\n\n## Cats\n\nThey *purr* – `mostly`.\n
| animal | says |\n|--|--|\n| cat | meow |\n\n- a bowl\n  1. a bed\n\n```sh\nrun\n```\n
## FAQ\n\nQ: Can they swim?\nA: Yes.\n"""
PAGE = "<!doctype html><main><h1>Pets</h1><p>They purr.<ul><li>a<li>b</ul><table><tr><td>a<td>b<tr><td>c</table></main>"


@pytest.mark.parametrize(("name", "original"), [("a.md", TEXT), ("a.txt", TEXT), ("a.html", PAGE)])
@EXAMPLES
@given(data=st.data())
def test_damaged_text_files(name: str, original: str, data: st.DataObject) -> None:
    is_read_or_refused(data.draw(mutated(original.encode())), name)


@EXAMPLES
@given(pieces=st.lists(st.sampled_from(HTML_PIECES), max_size=60))
def test_any_elements_of_html(pieces: list[str]) -> None:
    is_read_or_refused("".join(pieces).encode(), "a.html")


@EXAMPLES
@given(body=mutated(WORD), packed=mutated(word_file(WORD)))
def test_damaged_word_files(body: bytes, packed: bytes) -> None:
    is_read_or_refused(word_file(body), "a.docx")
    is_read_or_refused(packed, "a.docx")


@EXAMPLES
@given(pieces=st.lists(st.sampled_from(XML_PIECES), max_size=30))
def test_any_elements_of_word(pieces: list[str]) -> None:
    is_read_or_refused(word_file("".join(pieces).encode()), "a.docx")


@EXAMPLES
@given(data=mutated(PDF))
def test_damaged_pdf_files(data: bytes) -> None:
    is_read_or_refused(data, "a.pdf")


@EXAMPLES
@given(pieces=st.lists(st.sampled_from(PDF_PIECES), max_size=40))
def test_any_operators_of_pdf(pieces: list[bytes]) -> None:
    is_read_or_refused(pdf_of_pages(2, b" ".join(pieces)), "a.pdf")

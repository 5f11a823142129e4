"""Whatever bytes a stranger brings in as a lesson: it becomes one, or a sentence says why not."""

from collections.abc import Sequence

import pytest
from fakes.core.lesson_files import pdf_of_pages, word_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import UserError
from plugins.explain.library.lesson_set import read_lesson

MARKDOWN = "\n# *_`[]()<>!|-+:~\\&;1.\"'\tabÄ？ "
TEXT = """# Pets\n\n<!-- also asked\nCats: why purr | wherefore\n-->\n\n## Cats\n\nThey *purr* – `mostly`.\n
| animal | says |\n|--|--|\n| cat | meow |\n\n- a bowl\n  1. a bed\n\n```sh\nrun\n```\n
## FAQ\n\nQ: Can they swim?\nA: Yes.\n"""
PAGE = "<!doctype html><main><h1>Pets</h1><p>They purr.<ul><li>a<li>b</ul><table><tr><td>a<td>b<tr><td>c</table></main>"
WORD = b'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Cats</w:t></w:r></w:p>' + b"".join(
    b"<w:p><w:r><w:t>They %s.</w:t></w:r></w:p>" % verb for verb in (b"purr", b"sleep", b"play")
)
PDF = pdf_of_pages(3, b"BT /F1 12 Tf 50 700 Td (They purr) Tj ET")
HTML_PIECES = """
    <p> </p> <table> <tr> <td> <li> <ul> <h1> <pre> <br> <article> <main> <form> <header> </body> <!-- --> <?x <!
    &#xD800; &amp charset=x a
"""
XML_PIECES = (
    *("<w:p>", "</w:p>", "<w:p/>", "<w:r><w:t>a</w:t></w:r>", "<w:tbl>", "</w:tbl>", "<w:tr>", "</w:tr>", "<w:tc>"),
    *("</w:tc>", "<w:tc><w:p/></w:tc>", '<w:pPr><w:pStyle w:val="Heading1"/></w:pPr>', "<w:pPr>", "<w:sectPr/>"),
    *('<w:tcPr><w:gridSpan w:val="-1"/></w:tcPr>', "<w:tcPr><w:vMerge/></w:tcPr>", "<w:numPr/>"),
)
PDF_PIECES = (
    *("BT", "ET", "/F1 12 Tf", "(They purr) Tj", "[(a) -500 (b)] TJ", "1 0 0 1 50 700 Tm", "0 0 Td", "q", "Q", "T*"),
    *("<00ff> Tj", "BI ID x EI", "Do", "/F1 Tf", "1e99 0 0 1 0 0 cm", "(", "<<", "]"),
)


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


def joined(pieces: Sequence[str], separator: str = "") -> st.SearchStrategy[bytes]:
    """Pieces of a format in any order."""
    return st.lists(st.sampled_from(pieces), max_size=40).map(lambda chosen: separator.join(chosen).encode())


ANY_BYTES = st.binary(max_size=400)
ANY_TEXT = st.one_of(st.text(max_size=400), st.text(MARKDOWN, max_size=400)).map(
    lambda text: text.encode("utf-8", "surrogatepass")
)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        *((name, ANY_BYTES) for name in ("a.md", "a.txt", "a.html", "a.docx", "a.pdf")),
        *((name, ANY_TEXT) for name in ("a.md", "a.txt", "a.html")),
        *((name, mutated(TEXT.encode())) for name in ("a.md", "a.txt")),
        ("a.html", mutated(PAGE.encode())),
        ("a.html", joined([*HTML_PIECES.split(), " "])),
        ("a.docx", mutated(word_file(WORD))),
        ("a.docx", mutated(WORD).map(word_file)),
        ("a.docx", joined(XML_PIECES).map(word_file)),
        ("a.pdf", mutated(PDF)),
        ("a.pdf", joined(PDF_PIECES, " ").map(lambda page: pdf_of_pages(2, page))),
    ],
)
@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_file_is_read_or_refused(name: str, files: st.SearchStrategy[bytes], data: st.DataObject) -> None:
    """Any error but a UserError, or one that does not name the file, fails the test."""
    drawn = data.draw(files)
    try:
        said = name if read_lesson(drawn, name).passages else "nothing"
    except UserError as error:
        said = str(error)
    assert name in said

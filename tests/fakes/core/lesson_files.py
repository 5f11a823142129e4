"""Files that were made to keep their reader busy."""

import io
import zipfile
import zlib
from functools import cache

import docx


def pdf(objects: list[bytes]) -> bytes:
    """A PDF of these objects, of which the first is the catalogue."""
    made, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    count = len(objects) + 1
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n" % (count, table, count)
    return made + head + b"startxref\n%d\n%%%%EOF" % len(made)


def pdf_of_pages(width: int, content: bytes, levels: int = 1) -> bytes:
    """A PDF of `width` ** `levels` pages, which are all the same object."""
    packed = zlib.compress(content)
    first_node = 5
    nodes = [
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (
            width ** (levels - level),
            b" ".join([b"%d 0 R" % (first_node + level + 1 if level + 1 < levels else 2)] * width),
        )
        for level in range(levels)
    ]
    resources = b"<< /Font << /F1 4 0 R >> >>"
    return pdf(
        [
            b"<< /Type /Catalog /Pages %d 0 R >>" % first_node,
            b"<< /Type /Page /Parent 5 0 R /MediaBox [0 0 595 842] /Contents 3 0 R /Resources %s >>" % resources,
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            *nodes,
        ]
    )


@cache
def _empty_document() -> bytes:
    docx.Document().save(made := io.BytesIO())
    return made.getvalue()


def word_file(body: bytes) -> bytes:
    """A DOCX with this XML in its body."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_empty_document())) as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for part in old.namelist():
            text = old.read(part)
            is_document = part == "word/document.xml"
            new.writestr(part, text.replace(b"<w:body>", b"<w:body>" + body) if is_document else text)
    return packed.getvalue()


BUSY = pdf_of_pages(20, b"BT /F1 12 Tf 50 700 Td (They purr when they are happy) Tj ET\n" * 4000, levels=2)
"""A PDF of about a thousand bytes, whose pages take longer to read than any test waits for them."""

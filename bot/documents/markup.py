"""Parses Markdown and HTML into blocks."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Any

from bot.documents import plain
from bot.documents.blocks import BREAK, Block, Code, Heading, Items, Paragraph, make_table
from bot.documents.encoding import decode, repair
from bot.documents.to_markdown import unwrap_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.tree import SyntaxTreeNode

HEADING_MARK = re.compile(r"^ {0,3}#{1,6}[ \t]+\S|^\S.*\n {0,3}(?:=+|-{3,})[ \t]*$", re.MULTILINE)
FENCE = re.compile(r" {0,3}(```+|~~~+)")
NON_CONTENT_TAGS = "aside button footer form head header nav noscript script style svg template"
LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
NON_CONTENT = frozenset(NON_CONTENT_TAGS.split())
"""Elements that do not belong to the text of a page."""
INLINE_TAGS = (
    "a abbr b bdi bdo br cite code del dfn em font i img ins kbd label mark q s samp small span strong sub sup time tt "
    "u var wbr"
)
INLINE = frozenset(INLINE_TAGS.split())
"""Elements within running text."""
CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)
"""Where a page names its encoding."""


def is_markdown(text: str) -> bool:
    """Return True if a text has marks of Markdown: at least two headings, or a fence around code.

    A single heading may be the title of an otherwise plain text.
    """
    lines = list(_lines_outside_fences(text))
    return len(lines) <= text.count("\n") or len(HEADING_MARK.findall("\n".join(lines))) > 1


def _lines_outside_fences(text: str) -> Iterator[str]:
    """Yield the lines outside of fenced code, and an empty line for each fenced block."""
    fence = ""
    for line in text.split("\n"):
        match = FENCE.match(line)
        if fence:
            fence = "" if match and match[1].startswith(fence) else fence
        elif match:
            fence = match[1]
            yield ""
        else:
            yield line


def remove_front_matter(text: str) -> str:
    """Return a Markdown text without the metadata between two lines "---" at its beginning."""
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)


def read_markdown(text: str) -> Iterator[Block]:
    """Parse CommonMark with tables."""
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(remove_front_matter(text)))
    below_question = False
    for block in (block for node in tree.children for block in _markdown_blocks(node)):
        if below_question and isinstance(block, Paragraph):
            yield Paragraph(plain.remove_answer_label(block.text, below_question=True))
        else:
            yield block
        below_question = isinstance(block, Heading) and plain.is_question(block.text)


def _markdown_blocks(node: SyntaxTreeNode) -> Iterator[Block]:
    match node.type:
        case "heading":
            yield Heading(int(node.tag[1]), _clean_heading(_markdown_text(node)))
        case "paragraph":
            yield from _read_paragraph(_markdown_text(node), node.children[0].content)
        case "bullet_list" | "ordered_list":
            items = tuple(filter(None, (" ".join(_markdown_text(item).split()) for item in node.children)))
            start = int(node.attrs.get("start", 1))
            yield from [Items(items, node.type == "ordered_list", start)] if items else []
        case "table":
            rows = [row for head_or_body in node.children for row in head_or_body.children]
            cells = [[" ".join(_markdown_text(cell).split()) for cell in row.children] for row in rows]
            yield from filter(None, [make_table(cells)])
        case "fence" | "code_block":
            yield Code(node.content.rstrip())
        case "html_block":
            yield from read_html(node.content.encode())
        case _:
            for child in node.children:
                yield from _markdown_blocks(child)


def _markdown_text(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text" | "image":
            return node.content
        case "code_inline" | "fence" | "code_block":
            # Code in a list is part of the item's text.
            code = " ".join(node.content.split())
            return code if "`" in code or not code else f"`{code}`"
        case "softbreak":
            return "\n"
        case "hardbreak":
            return BREAK
        case "html_inline":
            return BREAK if LINE_BREAK.fullmatch(node.content) else ""
        case "html_block":
            return ""
    separator = "" if node.type in ("inline", "paragraph", "heading", "em", "strong", "link", "th", "td", "s") else "\n"
    return separator.join(_markdown_text(child) for child in node.children)


def _clean_heading(text: str) -> str:
    return " ".join(unwrap_code(text).split())


def _read_paragraph(text: str, source: str) -> Iterator[Block]:
    """Yield a paragraph. A bold line, and a question that is bold or has a label, become a heading."""
    bold = plain.BOLD.match(source.strip())
    bold_text = bold["text"].strip() if bold else ""
    first, _, rest = text.partition("\n")
    if bold and bold.end() == len(source.strip()):
        yield Heading(6, bold_text.rstrip(":"))
    elif bold and plain.is_question(bold_text) and text.strip().startswith(bold_text):
        yield Heading(6, bold_text)
        yield Paragraph(plain.remove_answer_label(text.strip()[len(bold_text) :].strip(), below_question=True))
    elif (question := plain.labelled_question(first, rest.strip())) is not None:
        yield Heading(6, _clean_heading(question))
        if rest.strip():
            yield Paragraph(plain.remove_answer_label(rest.strip(), below_question=True))
    else:
        yield Paragraph(plain.remove_answer_label(text, below_question=False))


def read_html(data: bytes) -> Iterator[Block]:
    """Parse an HTML page or a piece of one, without the navigation and the like around its text."""
    import lxml.etree
    import lxml.html

    named = CHARSET.search(data[:4096])
    # UTF-16 that can be read here is none: the page was saved anew, and its mark was not.
    is_told = named is not None and not re.match(rb"utf-?16|unicode|ucs", named[1], re.IGNORECASE)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or not is_told:
        data, is_told = decode(data).encode(), False
    encoding = None if is_told else "utf-8"
    parser = lxml.html.HTMLParser(encoding=encoding, remove_comments=True, remove_pis=True)
    try:
        root = lxml.html.document_fromstring(data, parser=parser)
    except lxml.etree.ParserError:
        # The data holds nothing but comments and end tags.
        return
    articles = root.xpath("//article[not(ancestor::article)]")
    # Of several articles none is the main one.
    main = next(iter([*root.xpath("//main"), *(articles if len(articles) == 1 else ())]), root)
    yield from _html_blocks(main)


def _html_blocks(element: Any) -> Iterator[Block]:
    loose = element.text or ""
    for child in element:
        if child.tag in INLINE:
            loose += _html_text(child, with_tail=True)
            continue
        yield from _loose_paragraph(loose)
        loose = child.tail or ""
        if not _is_outside_text(child):
            yield from _html_block(child)
    yield from _loose_paragraph(loose)


def _is_outside_text(element: Any) -> bool:
    """Return True if an element does not belong to the page's text.

    A form belongs to it if it contains paragraphs or headings, and a header if it is that of an article or section.
    """
    if element.tag == "form":
        return not element.xpath(".//p | .//h1 | .//h2 | .//h3")
    is_section_header = element.tag == "header" and element.getparent().tag in ("article", "main", "section")
    return element.tag in NON_CONTENT and not is_section_header


def _html_block(element: Any) -> Iterator[Block]:
    tag = element.tag
    text = _clean(_html_text(element)) if tag not in ("div", "section", "main", "article", "body") else ""
    if re.fullmatch("h[1-6]", tag):
        yield from [Heading(int(tag[1]), text)] if text else []
    elif tag in ("dt", "summary"):
        yield Heading(6, text)
    elif tag == "p":
        block = Heading(6, text.rstrip(":")) if _is_bold(element) else Paragraph(text)
        yield from [block] if text else []
    elif tag == "pre":
        yield Code(repair(element.text_content()).strip("\n").rstrip())
    elif tag in ("ul", "ol"):
        items = tuple(filter(None, (_clean(_html_text(item)) for item in element if item.tag == "li")))
        yield from [Items(items, ordered=tag == "ol")] if items else []
    elif tag == "table":
        rows = [[_clean(_html_text(cell)) for cell in row if cell.tag in ("td", "th")] for row in element.iter("tr")]
        yield from filter(None, [make_table(rows)])
    else:
        yield from _html_blocks(element)


def _is_bold(element: Any) -> bool:
    """Return True if a paragraph is one bold line and nothing else."""
    return (
        len(element) == 1
        and element[0].tag in ("b", "strong")
        and not (element.text or "").strip()
        and not (element[0].tail or "").strip()
        and len(element[0].text_content()) <= plain.MAX_QUESTION_CHARACTERS
    )


def _html_text(element: Any, *, with_tail: bool = False) -> str:
    """Return the text of an element, with spaces around that of blocks inside it."""
    if element.tag in NON_CONTENT:
        return (element.tail or "") if with_tail else ""
    gap = "" if element.tag in INLINE and element.tag != "br" else " "
    inside = (element.text or "") + "".join(_html_text(child, with_tail=True) for child in element)
    return f"{gap}{inside}{gap}" + ((element.tail or "") if with_tail else "")


def _loose_paragraph(text: str) -> Iterator[Block]:
    """Yield a paragraph for text that is in no block element, unless it is blank."""
    if cleaned := _clean(text):
        yield Paragraph(cleaned)


def _clean(text: str) -> str:
    return repair(" ".join(text.split()))

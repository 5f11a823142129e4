"""Markdown and HTML, whose marks say what is a heading, a list or a table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from plugins.explain.lessons import plain
from plugins.explain.lessons.blocks import BREAK, Block, Code, Heading, Items, Paragraph, table
from plugins.explain.lessons.encoding import repaired
from plugins.explain.lessons.to_markdown import CODE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.tree import SyntaxTreeNode

MARKED = re.compile(r"^ {0,3}#{1,6}[ \t]+\S|^\S.*\n {0,3}(?:=+|-{3,})[ \t]*$", re.MULTILINE)
FENCE = re.compile(r" {0,3}(```+|~~~+)")
SURROUNDINGS = "aside button footer form head header nav noscript script style svg template"
LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
BESIDE = frozenset(SURROUNDINGS.split())
"""Elements that are not the text of a page."""
PHRASING = (
    "a abbr b bdi bdo br cite code del dfn em font i img ins kbd label mark q s samp small span strong sub sup time tt "
    "u var wbr"
)
INLINE = frozenset(PHRASING.split())
"""Elements inside of running text."""


def is_marked(text: str) -> bool:
    """Whether a text is marked as Markdown is: by headings, or by a fence around code.

    One heading alone may be the title of an otherwise unmarked text.
    """
    lines = list(_unfenced(text))
    return len(lines) <= text.count("\n") or len(MARKED.findall("\n".join(lines))) > 1


def _unfenced(text: str) -> Iterator[str]:
    """The lines outside of fences, and an empty one for each fence."""
    fence = ""
    for line in text.split("\n"):
        found = FENCE.match(line)
        if fence:
            fence = "" if found and found[1].startswith(fence) else fence
        elif found:
            fence = found[1]
            yield ""
        else:
            yield line


def markdown(text: str) -> Iterator[Block]:
    """CommonMark with tables."""
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    tree = SyntaxTreeNode(MarkdownIt("commonmark").enable("table").parse(text))
    below_question = False
    for block in (block for node in tree.children for block in _markdown_blocks(node)):
        if below_question and isinstance(block, Paragraph):
            yield Paragraph(plain.answered(block.text, below_question=True))
        else:
            yield block
        below_question = isinstance(block, Heading) and plain.is_question(block.text)


def _markdown_blocks(node: SyntaxTreeNode) -> Iterator[Block]:
    match node.type:
        case "heading":
            yield Heading(int(node.tag[1]), _heading(_markdown_text(node)))
        case "paragraph":
            yield from _paragraph(_markdown_text(node), node.children[0].content)
        case "bullet_list" | "ordered_list":
            items = tuple(filter(None, (" ".join(_markdown_text(item).split()) for item in node.children)))
            start = int(node.attrs.get("start", 1))
            yield from [Items(items, node.type == "ordered_list", start)] if items else []
        case "table":
            rows = [row for part in node.children for row in part.children]
            cells = [[" ".join(_markdown_text(cell).split()) for cell in row.children] for row in rows]
            yield from filter(None, [table(cells)])
        case "fence" | "code_block":
            yield Code(node.content.rstrip())
        case "html_block":
            yield from html(node.content.encode())
        case _:
            for child in node.children:
                yield from _markdown_blocks(child)


def _markdown_text(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text" | "image":
            return node.content
        case "code_inline" | "fence" | "code_block":
            # Those in a list are told in its item.
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


def _heading(text: str) -> str:
    """A title, which is shown without marks."""
    return " ".join(CODE.sub(lambda found: found[0][1:-1], text).split())


def _paragraph(text: str, source: str) -> Iterator[Block]:
    """A paragraph, or the title or question that it is though it has no mark of a heading."""
    bold = plain.BOLD.match(source.strip())
    said = bold["text"].strip() if bold else ""
    first, _, rest = text.partition("\n")
    if bold and bold.end() == len(source.strip()):
        yield Heading(6, said.rstrip(":"))
    elif bold and plain.is_question(said) and text.strip().startswith(said):
        yield Heading(6, said)
        yield Paragraph(plain.answered(text.strip()[len(said) :].strip(), below_question=True))
    elif (question := plain.asked(first, rest.strip())) is not None:
        yield Heading(6, _heading(question))
        if rest.strip():
            yield Paragraph(plain.answered(rest.strip(), below_question=True))
    else:
        yield Paragraph(plain.answered(text, below_question=False))


def html(data: bytes) -> Iterator[Block]:
    """An HTML page or a piece of one, without what surrounds its text."""
    import lxml.etree
    import lxml.html

    encoding = None if re.search(rb"charset", data[:4096], re.IGNORECASE) else "utf-8"
    parser = lxml.html.HTMLParser(encoding=encoding, remove_comments=True, remove_pis=True)
    try:
        root = lxml.html.document_fromstring(data, parser=parser)
    except lxml.etree.ParserError:
        # There is nothing in it but comments and ends of elements.
        return
    articles = root.xpath("//article[not(ancestor::article)]")
    # A page of several articles says nothing else of where its text is.
    main = next(iter([*root.xpath("//main"), *(articles if len(articles) == 1 else ())]), root)
    yield from _html_blocks(main)


def _html_blocks(element: Any) -> Iterator[Block]:
    loose = element.text or ""
    for child in element:
        if child.tag in INLINE:
            loose += _html_text(child, with_tail=True)
            continue
        yield from _loose(loose)
        loose = child.tail or ""
        if not _is_beside(child):
            yield from _html_block(child)
    yield from _loose(loose)


def _is_beside(element: Any) -> bool:
    """Whether an element is none of the page's text: a form is, unless the text is in it, and so is a page's header."""
    if element.tag == "form":
        return not element.xpath(".//p | .//h1 | .//h2 | .//h3")
    is_of_text = element.tag == "header" and element.getparent().tag in ("article", "main", "section")
    return element.tag in BESIDE and not is_of_text


def _html_block(element: Any) -> Iterator[Block]:
    tag = element.tag
    text = _clean(_html_text(element)) if tag not in ("div", "section", "main", "article", "body") else ""
    if re.fullmatch("h[1-6]", tag):
        yield from [Heading(int(tag[1]), text)] if text else []
    elif tag in ("dt", "summary"):
        yield Heading(6, text)
    elif tag == "p":
        bold = _is_bold(element)
        yield from [Heading(6, text.rstrip(":")) if bold else Paragraph(text)] if text else []
    elif tag == "pre":
        yield Code(repaired(element.text_content()).strip("\n").rstrip())
    elif tag in ("ul", "ol"):
        items = tuple(filter(None, (_clean(_html_text(item)) for item in element if item.tag == "li")))
        yield from [Items(items, ordered=tag == "ol")] if items else []
    elif tag == "table":
        rows = [[_clean(_html_text(cell)) for cell in row if cell.tag in ("td", "th")] for row in element.iter("tr")]
        yield from filter(None, [table(rows)])
    else:
        yield from _html_blocks(element)


def _is_bold(element: Any) -> bool:
    """Whether a paragraph is one bold line and nothing else."""
    return (
        len(element) == 1
        and element[0].tag in ("b", "strong")
        and not (element.text or "").strip()
        and not (element[0].tail or "").strip()
        and len(element[0].text_content()) <= plain.LONGEST_QUESTION
    )


def _html_text(element: Any, *, with_tail: bool = False) -> str:
    """The words of an element; those of blocks inside it are kept apart by spaces."""
    if element.tag in BESIDE:
        return (element.tail or "") if with_tail else ""
    gap = "" if element.tag in INLINE and element.tag != "br" else " "
    inside = (element.text or "") + "".join(_html_text(child, with_tail=True) for child in element)
    return f"{gap}{inside}{gap}" + ((element.tail or "") if with_tail else "")


def _loose(text: str) -> Iterator[Block]:
    if cleaned := _clean(text):
        yield Paragraph(cleaned)


def _clean(text: str) -> str:
    return repaired(" ".join(text.split()))

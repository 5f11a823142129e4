"""The label of a picture that a model made: metadata in a PNG or a GIF that say so, with the model and its settings.

A label is XMP with IPTC's digital source type, beside it the text fields of a PNG or the comment of a GIF. Whatever
other metadata the file has are removed, since engines write the prompt into them. The pixels stay as they are.
"""

from __future__ import annotations

import json
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SOFTWARE = "Tempera"
AI_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's digital source type of what a trained model made."""
CREATOR = f'xmp:CreatorTool="{SOFTWARE}'
"""How XMP by this program begins to name the program."""
FACT_NAMES = (
    *("model", "seed", "steps", "guidance", "guidance_rescale", "sampler", "size", "enlarged_by", "strength"),
    *("source_seed", "style", "layout", "count", "parts", "references", "frames", "truncation"),
)
"""The facts that a label may have; neither the prompt nor who asked is among them."""
MAX_FACT_CHARACTERS = 200
PNG, GIF = "image/png", "image/gif"
PNG_SIGNATURE, GIF_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"GIF89a"
PNG_METADATA = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME", b"caBX"})
XMP_KEYWORD = b"XML:com.adobe.xmp"
GIF_COMMENT, GIF_APPLICATION, GIF_EXTENSION, GIF_IMAGE, GIF_TRAILER = 0xFE, 0xFF, 0x21, 0x2C, 0x3B
GIF_REPEAT = b"NETSCAPE2.0"
GIF_XMP = b"XMP DataXMP"
XMP_TRAILER = bytes([1, *range(255, -1, -1), 0])
"""The end of XMP in a GIF, which is no sequence of sub-blocks: whatever byte a reader stands at leads it to the end."""


@dataclass(frozen=True, slots=True)
class Label:
    """What metadata say of a picture: `facts` by the names of FACT_NAMES, and which program wrote them.

    `is_ai` is true if they name IPTC's digital source type of what a trained model made.
    """

    facts: Mapping[str, str]
    is_ai: bool = True
    software: str = SOFTWARE


class _Block(NamedTuple):
    """A chunk of a PNG or a block of a GIF: its kind, what it holds, and all its bytes."""

    kind: bytes
    content: bytes
    whole: bytes


def write_label(data: bytes, facts: Mapping[str, str]) -> bytes:
    """Return a PNG or a GIF with a label of `facts`; those that our model server wrote into it itself replace them.

    Raises ValueError for any other file.
    """
    media_type = find_media_type(data)
    head, blocks = _read_blocks(data, media_type)
    kept = _join_visible(blocks, media_type)
    known = choose_facts(dict(facts) | _read_fields(blocks, media_type))
    xmp = _build_xmp(known)
    fields = {"Software": SOFTWARE, **known}
    if media_type == GIF:
        comment = _build_sub_blocks(json.dumps(fields).encode())
        written = bytes([GIF_EXTENSION, GIF_APPLICATION, len(GIF_XMP)]) + GIF_XMP + xmp + XMP_TRAILER
        return head + written + bytes([GIF_EXTENSION, GIF_COMMENT]) + comment + kept
    written = _build_chunk(b"iTXt", XMP_KEYWORD + bytes(5) + xmp)
    written += b"".join(_build_text_chunk(name, value) for name, value in fields.items())
    return head + written + kept


def read_label(data: bytes) -> Label | None:
    """Return the label of a PNG or a GIF that `write_label` wrote; None for any other file."""
    try:
        media_type = find_media_type(data)
        _, blocks = _read_blocks(data, media_type)
    except ValueError:
        return None
    xmp = _find_xmp(blocks, media_type)
    if not all(mark.encode() in xmp for mark in (AI_SOURCE, CREATOR)):
        return None
    return Label(choose_facts(_read_fields(blocks, media_type)))


def read_xmp(data: bytes) -> bytes:
    """Return the XMP of a PNG or a GIF as it stands there, with what is around it; b"" if there is none."""
    try:
        media_type = find_media_type(data)
        _, blocks = _read_blocks(data, media_type)
    except ValueError:
        return b""
    return _find_xmp(blocks, media_type)


def without_metadata(data: bytes) -> bytes:
    """Return what is seen of a PNG or a GIF: the file without labels and signatures; any other file as it is."""
    try:
        media_type = find_media_type(data)
        head, blocks = _read_blocks(data, media_type)
    except ValueError:
        return data
    return head + _join_visible(blocks, media_type)


def find_media_type(data: bytes) -> str:
    """Return the media type of a PNG or a GIF by its first bytes. Raises ValueError for any other file."""
    if data.startswith(PNG_SIGNATURE):
        return PNG
    if data.startswith(GIF_SIGNATURE):
        return GIF
    raise ValueError("neither a PNG nor a GIF")


def choose_facts(facts: Mapping[str, object]) -> dict[str, str]:
    """Return those of `facts` that a label may have, as lines of bounded length."""
    known = {name: " ".join(str(facts[name]).split())[:MAX_FACT_CHARACTERS] for name in FACT_NAMES if name in facts}
    return {name: value for name, value in known.items() if value}


@cache
def software_version() -> str:
    """Return the version of this program; "" if it is not installed."""
    try:
        return version("tempera-bot")
    except PackageNotFoundError:
        return ""


def _build_xmp(facts: Mapping[str, str]) -> bytes:
    system = f" Iptc4xmpExt:AISystemUsed={quoteattr(facts['model'])}" if "model" in facts else ""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f" xmp:CreatorTool={quoteattr(f'{SOFTWARE} {software_version()}'.strip())}"
        f' Iptc4xmpExt:DigitalSourceType="{AI_SOURCE}"{system}/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode("utf-8", "replace")


def _read_blocks(data: bytes, media_type: str) -> tuple[bytes, list[_Block]]:
    """Return the head of a file, before which nothing may stand, and the blocks after it."""
    try:
        if media_type == GIF:
            head = 13 + _colour_table_bytes(data[10])
            return data[:head], list(_read_gif_blocks(data, head))
        if not (blocks := list(_read_png_chunks(data))):
            raise ValueError("nothing in the file")
        return PNG_SIGNATURE + blocks[0].whole, blocks[1:]
    except (IndexError, struct.error) as error:
        raise ValueError("the file ends too early") from error


def _read_png_chunks(data: bytes) -> Iterator[_Block]:
    start = len(PNG_SIGNATURE)
    while start < len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        end = start + 12 + length
        if end > len(data):
            raise ValueError("the file ends too early")
        yield _Block(kind, data[start + 8 : end - 4], data[start:end])
        start = end


def _read_gif_blocks(data: bytes, start: int) -> Iterator[_Block]:
    """Yield the blocks of a GIF; the kind of an extension is its label, with the name of an application behind it."""
    while data[start] != GIF_TRAILER:
        begin, kind = start, data[start : start + 1]
        if data[start] == GIF_EXTENSION:
            kind = data[start + 1 : start + 2]
            start += 2
            if kind[0] == GIF_APPLICATION:
                kind += data[start + 1 : start + 1 + data[start]]
        elif data[start] == GIF_IMAGE:
            start += 11 + _colour_table_bytes(data[start + 9])
        else:
            raise ValueError("an unknown block")
        content = start
        while data[start]:
            start += 1 + data[start]
        start += 1
        yield _Block(kind, data[content:start], data[begin:start])
    yield _Block(b"", b"", data[start:])


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _join_visible(blocks: list[_Block], media_type: str) -> bytes:
    return b"".join(block.whole for block in blocks if not _is_metadata(block, media_type))


def _is_metadata(block: _Block, media_type: str) -> bool:
    if media_type == PNG:
        return block.kind in PNG_METADATA
    is_application = block.kind[:1] == bytes([GIF_APPLICATION]) and block.kind[1:] != GIF_REPEAT
    return is_application or block.kind == bytes([GIF_COMMENT])


def _find_xmp(blocks: list[_Block], media_type: str) -> bytes:
    return next((block.content for block in blocks if _is_xmp(block, media_type)), b"")


def _is_xmp(block: _Block, media_type: str) -> bool:
    if media_type == PNG:
        return block.kind == b"iTXt" and block.content.startswith(XMP_KEYWORD)
    return block.kind[1:] == GIF_XMP


def _read_fields(blocks: list[_Block], media_type: str) -> dict[str, object]:
    """Return the text fields of a file that this program or its model server wrote; none of any other."""
    fields: dict[str, object] = {}
    if media_type == PNG:
        for block in blocks:
            name, _, value = block.content.partition(b"\0")
            if block.kind == b"tEXt":
                fields[name.decode("latin-1")] = value.decode("latin-1")
            elif block.kind == b"iTXt" and value.startswith(bytes(4)):
                fields[name.decode("latin-1")] = value[4:].decode("utf-8", "replace")
    else:
        for comment in (block for block in blocks if block.kind == bytes([GIF_COMMENT])):
            with suppress(ValueError, RecursionError):
                read = json.loads(_join_sub_blocks(comment.content))
                fields = read if isinstance(read, dict) else {}
    return fields if fields.get("Software") == SOFTWARE else {}


def _build_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", checksum)


def _build_text_chunk(name: str, value: str) -> bytes:
    try:
        return _build_chunk(b"tEXt", name.encode() + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        return _build_chunk(b"iTXt", name.encode() + bytes(5) + value.encode("utf-8", "replace"))


def _build_sub_blocks(content: bytes) -> bytes:
    pieces = [content[start : start + 255] for start in range(0, len(content), 255)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


def _join_sub_blocks(content: bytes) -> bytes:
    joined, start = b"", 0
    while content[start]:
        joined += content[start + 1 : start + 1 + content[start]]
        start += 1 + content[start]
    return joined

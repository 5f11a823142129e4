"""Reads drawings of things from icon sets and from Openclipart: those that drawings.txt lists, with their names.

Each line has the drawing's set and its name there, the emoji that shows the same thing, and names of the thing, with
tabs between them. The emoji or the names may be missing. A drawing with an emoji has the names of that emoji, too.
"""

from __future__ import annotations

import html
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from model_server.errors import OperatorError
from research.packages import DRAWING_PACKAGES, KAMELEON, DebianPackage, read_json
from research.pictures.data.emoji import rasterizer, render_icon
from research.pictures.data.things import strip_selector, to_code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from research.packages import Package
    from research.pictures.data.emoji import Emoji, Rgba

DRAWINGS_FILE = Path(__file__).with_name("drawings.txt")
SIZE = 128
ICON_SIZE, PAGE_SIZES = 192, (256, 1024)
"""Drawings are rendered larger than needed, since what they show is cut out. What is small on a page needs more."""
VISIBLE = 8
OPENCLIPART_FOLDER = "usr/share/openclipart/svg"
UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4}
"""Pixels per unit of length in SVG."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A drawing of a thing: 128 × 128 × 4, RGBA, edge to edge, with all names of the thing, the best first.

    `code` is that of the emoji of the same thing, without variation selectors, or "".
    """

    picture: Rgba
    names: tuple[str, ...]
    set: str
    author: str
    licence: str
    code: str


def read_drawings(emoji: Iterable[Emoji], folder: Path, path: Path = DRAWINGS_FILE) -> list[Drawing]:
    """Read the listed drawings from the packages that `packages.fetch` put into `folder`. Raises OperatorError."""
    by_code = {strip_selector(one.code): one for one in emoji}
    icons: dict[str, dict[str, Any]] = {}
    drawings = []
    for line in path.read_text("utf-8").splitlines():
        place, character, words = line.split("\t")
        name, _, item = place.partition("/")
        package, code = DRAWING_PACKAGES[name], to_code(character)
        author = package.author
        if isinstance(package, DebianPackage):
            svg = _read_page(package, folder, item)
            author = _author(svg) or author
            picture = _render_page(svg)
        else:
            if name not in icons:
                icons[name] = _read_icons(package, folder)
            picture = _render_icon(icons[name], item)
        if picture is None:
            raise OperatorError(f"{package.name} {package.version} has no drawing {item}, which {path.name} lists.")
        names = tuple(words.split("; ")) if words else ()
        if code:
            names += (by_code[code].name, *by_code[code].synonyms)
        drawings.append(Drawing(picture, tuple(dict.fromkeys(names)), name, author, package.licence, code))
    return drawings


def _read_icons(package: Package, folder: Path) -> dict[str, Any]:
    icons: dict[str, Any] = read_json(package, folder, "icons.json")
    if package == KAMELEON:
        for icon in icons["icons"].values():
            # The first path of each icon is the coloured disc behind the thing.
            icon["body"] = re.sub(r"<path[^>]*/>", "", icon["body"], count=1)
    return icons


def _render_icon(icons: dict[str, Any], name: str) -> Rgba | None:
    picture = render_icon(icons, name, ICON_SIZE)
    return None if picture is None else _cut_out(Image.fromarray(picture))[0]


def _read_page(package: DebianPackage, folder: Path, name: str) -> str:
    file = folder / package.unpacked / OPENCLIPART_FOLDER / f"{name}.svg"
    try:
        return _without_units(file.read_text("utf-8", errors="replace"))
    except FileNotFoundError as error:
        raise OperatorError(f"{package.name} {package.version} has no drawing {name}, which is listed.") from error


def _render_page(svg: str) -> Rgba | None:
    picture = None
    for width in PAGE_SIZES:
        page = Image.open(io.BytesIO(rasterizer()(svg_string=svg, width=width))).convert("RGBA")
        picture, edge = _cut_out(page)
        if edge >= SIZE:
            break
    return picture


def _without_units(svg: str) -> str:
    """Return an SVG whose width and height are in pixels: resvg-py takes no units. Others are returned unchanged."""
    root = re.search(r"<svg\s[^>]*>", svg)
    sizes = dict(re.findall(r"\s(width|height)\s*=\s*[\"']\s*([\d.]+\s*[a-z]*)\s*[\"']", root[0])) if root else {}
    if not root or len(sizes) < 2:
        return svg
    pixels = {side: _pixels(size) for side, size in sizes.items()}
    tag = re.sub(r"\s(width|height)\s*=\s*(\"[^\"]*\"|'[^']*')", "", root[0])
    more = "".join(f' {side}="{pixels[side]:.6g}"' for side in ("width", "height"))
    if "viewBox" not in tag:
        more += f' viewBox="0 0 {pixels["width"]:.6g} {pixels["height"]:.6g}"'
    return svg[: root.start()] + tag.replace("<svg", f"<svg{more}", 1) + svg[root.end() :]


def _pixels(size: str) -> float:
    number = re.match(r"[\d.]+", size)
    return float(number[0]) * UNITS[size[number.end() :].strip()] if number else 0.0


def _author(svg: str) -> str:
    creator = re.search(r"<dc:creator.*?<dc:title[^>]*>(.*?)</dc:title>", svg, re.DOTALL)
    return html.unescape(creator[1].strip()) if creator else ""


def _cut_out(picture: Image.Image) -> tuple[Rgba | None, int]:
    """Return what `picture` shows, scaled to touch the edges of a square, and the longer side that it had before."""
    visible = picture.getchannel("A").point(lambda alpha: 255 if alpha > VISIBLE else 0).getbbox()
    if visible is None:
        return None, 0
    part = picture.crop(visible)
    longer = max(part.size)
    width, height = (max(1, round(side * SIZE / longer)) for side in part.size)
    # Premultiplied, so that the colour of what is transparent does not bleed into the edges.
    small = part.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS).convert("RGBA")
    square = Image.new("RGBA", (SIZE, SIZE))
    square.paste(small, ((SIZE - width) // 2, (SIZE - height) // 2))
    return np.asarray(square), longer

"""Drawings of things are read from icon sets and from Openclipart, as a list names them."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from model_server.errors import OperatorError
from research.packages import DRAWING_PACKAGES, FLAT_UI, KAMELEON, OPENCLIPART, Package
from research.pictures.data.drawings import DRAWINGS_FILE, OPENCLIPART_FOLDER, read_drawings
from research.pictures.data.emoji import Emoji
from research.pictures.data.things import read_unseen_prompts, to_code

DOG = Emoji("1f415", "dog", ("puppy",), ("pet",), "Animals & Nature")
DISC_AND_THING = (
    '<path fill="#00ff00" d="M0 0h16v16H0z"/><path fill="#ff0000" d="M4 4h8v4H4z"/>'  # a ground, then the thing
)


def write_icons(package: Package, folder: Path, **bodies: str) -> None:
    content = json.dumps({"icons": {name: {"body": body} for name, body in bodies.items()}}).encode()
    with tarfile.open(folder / package.file, "w:gz") as archive:
        member = tarfile.TarInfo("package/icons.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def write_page(folder: Path, name: str, svg: str) -> None:
    file = folder / OPENCLIPART.unpacked / OPENCLIPART_FOLDER / f"{name}.svg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(svg, "utf-8")


def write_list(folder: Path, *lines: tuple[str, str, str]) -> Path:
    path = folder / "drawings.txt"
    path.write_text("".join("\t".join(line) + "\n" for line in lines), "utf-8")
    return path


def test_icons_are_cut_out_and_have_the_names_of_the_list_and_of_their_emoji(tmp_path: Path) -> None:
    write_icons(FLAT_UI, tmp_path, hound='<rect x="2" y="2" width="8" height="4" fill="#ff0000"/>')
    listed = write_list(tmp_path, ("flat-ui/hound", "🐕", "hound"), ("flat-ui/hound", "", "red box; box"))
    dog, box = read_drawings([DOG], tmp_path, listed)
    assert (dog.names, dog.code, dog.set) == (("hound", "dog", "puppy"), "1f415", "flat-ui")
    assert (dog.author, dog.licence) == ("Designmodo, Inc.", "MIT")
    assert (box.names, box.code) == (("red box", "box"), "")
    assert dog.picture.shape == (128, 128, 4)
    assert np.flatnonzero(dog.picture[64, :, 3]).tolist() == list(range(128))
    assert np.flatnonzero(dog.picture[:, 64, 3]).tolist() == list(range(32, 96))
    assert dog.picture[64, 64].tolist() == [255, 0, 0, 255]


def test_the_disc_behind_a_thing_is_left_out(tmp_path: Path) -> None:
    write_icons(KAMELEON, tmp_path, thing=DISC_AND_THING)
    (drawing,) = read_drawings([], tmp_path, write_list(tmp_path, ("streamline-kameleon-color/thing", "", "thing")))
    assert drawing.picture[64, 4].tolist() == [255, 0, 0, 255]
    assert drawing.picture[4, 64, 3] == 0


@pytest.mark.parametrize(
    "size", ['width="160.0pt" height="80.0pt"', "width='10cm' height='5cm'", 'width="200" height="100"']
)
def test_pages_of_any_unit_are_read_with_their_author(tmp_path: Path, size: str) -> None:
    creator = "<dc:creator><cc:Agent><dc:title>Ann &amp; Bob</dc:title></cc:Agent></dc:creator>"
    space = 'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:cc="http://web.resource.org/cc/"'
    write_page(
        tmp_path,
        "animals/dog_01",
        f'<svg xmlns="http://www.w3.org/2000/svg" {space} {size}><metadata>{creator}</metadata>'
        '<rect x="10" y="10" width="40" height="40" fill="#0000ff"/></svg>',
    )
    (dog,) = read_drawings([DOG], tmp_path, write_list(tmp_path, ("openclipart/animals/dog_01", "🐕", "")))
    assert (dog.author, dog.licence, dog.names) == ("Ann & Bob", "public domain", ("dog", "puppy"))
    assert dog.picture[64, 64].tolist() == [0, 0, 255, 255]
    assert dog.picture[4:124, 4:124, 3].min() == 255


@pytest.mark.parametrize("place", ["flat-ui/cat", "openclipart/animals/cat"])
def test_a_missing_drawing_is_named(tmp_path: Path, place: str) -> None:
    write_icons(FLAT_UI, tmp_path)
    with pytest.raises(OperatorError, match="has no drawing"):
        read_drawings([], tmp_path, write_list(tmp_path, (place, "", "cat")))


def test_the_list_names_known_sets_once_each_and_nothing_unseen() -> None:
    lines = [line.split("\t") for line in DRAWINGS_FILE.read_text("utf-8").splitlines()]
    places = [place for place, _, _ in lines]
    assert len(set(places)) == len(places)
    assert {place.partition("/")[0] for place in places} == DRAWING_PACKAGES.keys()
    assert all(character or words for _, character, words in lines)
    unseen = {(prompt.code, prompt.colour) for prompt in read_unseen_prompts() if prompt.colour}
    assert not [
        (place, words)
        for place, character, words in lines
        for name in words.split("; ")
        if (to_code(character), name.partition(" ")[0]) in unseen
    ]

"""Two hundred common things, which the generator is to draw best and the judge tells apart; and how to ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model_server.training.images.scenes import SCENES

THINGS = Path(__file__).with_name("things.txt")
DESCRIPTIONS = Path(__file__).with_name("descriptions.txt")
UNSEEN = Path(__file__).with_name("unseen.txt")


@dataclass(frozen=True)
class Thing:
    """One of the two hundred: its emoji's `code` without variation selectors, and what a generator is asked for.

    A `paraphrase` describes the thing in words that are in no caption, in place of its `name`.
    """

    code: str
    name: str
    paraphrase: str = ""

    @property
    def prompt(self) -> str:
        return self.paraphrase or self.name


@dataclass(frozen=True)
class Unseen:
    """A prompt that is in no emoji set: the thing in it by `code`, and the colour or the scene that it is put in.

    `scene` is one of `scenes.SCENES`; of a prompt that names several, the one in which the thing is never shown.
    """

    code: str
    prompt: str
    colour: str = ""
    scene: str = ""


def read_things(path: Path = THINGS) -> list[Thing]:
    """One thing a line: the emoji, a space, its name, and perhaps a colon with a paraphrase."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        character, _, words = line.partition(" ")
        name, _, paraphrase = words.partition(": ")
        found.append(Thing(code_of(character), name, paraphrase))
    return found


def read_descriptions(path: Path = DESCRIPTIONS) -> dict[str, list[str]]:
    """What else people call the two hundred, by code: an emoji a line, a space, and descriptions between semicolons.

    None is, or is nearly, the paraphrase that its thing is asked for by.
    """
    found = {}
    for line in path.read_text("utf-8").splitlines():
        character, _, words = line.partition(" ")
        found[code_of(character)] = words.split("; ")
    return found


def read_unseen(path: Path = UNSEEN) -> list[Unseen]:
    """One prompt a line: the emoji, a space, its colour or its scene, a colon, the prompt."""
    found = []
    for line in path.read_text("utf-8").splitlines():
        what, _, prompt = line.partition(": ")
        character, _, way = what.partition(" ")
        known = {"scene": way} if way in SCENES else {"colour": way}
        found.append(Unseen(code_of(character), prompt, **known))
    return found


def code_of(character: str) -> str:
    """An emoji's code points in hexadecimal, as `bare_code` gives them."""
    return bare_code("-".join(f"{ord(point):x}" for point in character))


def bare_code(code: str) -> str:
    """Without the selector that asks for a coloured picture, which some lists write and others leave out."""
    return "-".join(point for point in code.split("-") if point != "fe0f")

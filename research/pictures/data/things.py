"""The two hundred common things that the generator is to draw best, their descriptions, and the unseen prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from research.pictures.data.scenes import SCENES

THINGS_FILE = Path(__file__).with_name("things.txt")
DESCRIPTIONS_FILE = Path(__file__).with_name("descriptions.txt")
UNSEEN_FILE = Path(__file__).with_name("unseen.txt")


@dataclass(frozen=True)
class Thing:
    """One of the common things: the `code` of its emoji without variation selectors, and its name.

    A `paraphrase` describes the thing in words that are in no caption; prompts use it in place of the name.
    """

    code: str
    name: str
    paraphrase: str = ""

    @property
    def prompt(self) -> str:
        """The words that ask a generator for the thing."""
        return self.paraphrase or self.name


@dataclass(frozen=True)
class UnseenPrompt:
    """A prompt for something that is in no emoji set: the `code` of its thing, in an unusual colour or scene.

    `scene` is one of `scenes.SCENES`. If a prompt names several, it is the one in which the thing is never shown.
    """

    code: str
    prompt: str
    colour: str = ""
    scene: str = ""


def read_things(path: Path = THINGS_FILE) -> list[Thing]:
    """Read the things, one per line: the emoji, a space, its name, and optionally a colon and a paraphrase."""
    things = []
    for line in path.read_text("utf-8").splitlines():
        character, _, words = line.partition(" ")
        name, _, paraphrase = words.partition(": ")
        things.append(Thing(to_code(character), name, paraphrase))
    return things


def read_descriptions(path: Path = DESCRIPTIONS_FILE) -> dict[str, list[str]]:
    """Read the descriptions of the things, by code. Each line has an emoji, a space, and descriptions with semicolons.

    No description is equal or nearly equal to the paraphrase of its thing.
    """
    descriptions = {}
    for line in path.read_text("utf-8").splitlines():
        character, _, words = line.partition(" ")
        descriptions[to_code(character)] = words.split("; ")
    return descriptions


def read_unseen_prompts(path: Path = UNSEEN_FILE) -> list[UnseenPrompt]:
    """Read the unseen prompts, one per line: the emoji, a space, its colour or scene, a colon and the prompt."""
    prompts = []
    for line in path.read_text("utf-8").splitlines():
        subject, _, prompt = line.partition(": ")
        character, _, setting = subject.partition(" ")
        fields = {"scene": setting} if setting in SCENES else {"colour": setting}
        prompts.append(UnseenPrompt(to_code(character), prompt, **fields))
    return prompts


def to_code(character: str) -> str:
    """Return an emoji's code points in hexadecimal, without variation selectors."""
    return strip_selector("-".join(f"{ord(point):x}" for point in character))


def strip_selector(code: str) -> str:
    """Return `code` without the selector for coloured pictures, which some lists write and others leave out."""
    return "-".join(point for point in code.split("-") if point != "fe0f")

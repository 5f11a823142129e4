"""The packages with pictures and words that the training reads: their versions, digests and licences."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from model_server.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from research.console import Log

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Package:
    """One version of an npm package; `sha512` of its tarball is in base64, `licence` is that of the part we use."""

    name: str
    version: str
    sha512: str
    licence: str
    author: str

    @property
    def file(self) -> str:
        """The file name that `npm pack` gives the tarball."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


@dataclass(frozen=True)
class DebianPackage(Package):
    """One version of a Debian package that is the same on all machines; `sha512` is that of the .deb."""

    @property
    def file(self) -> str:
        """The file name that `apt-get download` gives the package."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"

    @property
    def unpacked(self) -> str:
        """The folder beside the package into which `fetch` unpacks it."""
        return self.file.removesuffix(".deb")


@dataclass(frozen=True)
class EmojiSet:
    """A set of emoji pictures: in `png_folder` of the package, or as SVG by name if that is None.

    `style` is the word for it at the end of captions.
    """

    name: str
    package: Package
    png_folder: str | None = None
    style: str = ""


GOOGLE = Package(
    "emoji-datasource-google",
    "16.0.0",
    "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
    "Apache-2.0",
    "Google",
)
TWITTER = Package(
    "emoji-datasource-twitter",
    "16.0.0",
    "7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==",
    "CC-BY-4.0",
    "Twitter and other contributors",
)
FLUENT = Package(
    "@iconify-json/fluent-emoji",
    "1.2.7",
    "D8G6bKAyIsyxP1rzZtIWr/gg/fO4Rg1+DyCWlfqKK4h8W+4Em/Y0P6QYgJUQTlUcagzJvSyg+9OBv4hz4Hc/QA==",
    "MIT",
    "Microsoft Corporation",
)
FLUENT_FLAT = Package(
    "@iconify-json/fluent-emoji-flat",
    "1.2.6",
    "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
    "MIT",
    "Microsoft Corporation",
)
NOTO_V1 = Package(
    "@iconify-json/noto-v1",
    "1.2.5",
    "/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
    "Apache-2.0",
    "Google",
)
EMOJIONE = Package(
    "@iconify-json/emojione",
    "1.2.3",
    "T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
    "CC-BY-4.0",
    "Emoji One",
)
FXEMOJI = Package(
    "@iconify-json/fxemoji",
    "1.2.2",
    "UAasRaxzFUKfIGSmLwnoarsssA4LX0VLLuEmplIqM6ZNQqIQRtav8tZ4H1neTlBreXuMQyAifr5jP4kn78DpiQ==",
    "Apache-2.0",
    "Mozilla",
)
STREAMLINE = Package(
    "@iconify-json/streamline-emojis",
    "1.2.4",
    "iNr9T9XuZVTyQPJO8ZlLxBzPkpi7qMl+z1l0C31vpEMqhPMelth3n7CeWQYtixdetDPdI81yeG4ROqjWpYJE6A==",
    "CC-BY-4.0",
    "Streamline",
)
HIGH_CONTRAST = Package(
    "@iconify-json/fluent-emoji-high-contrast",
    "1.2.6",
    "esqhZPpkrF7sNX3NsLoh8KW64okEr/bzko7WNnFP+qTJGAqDPDYjp0925yxuivXy3HtVQB8xhIKu3+Nq1byX5w==",
    "MIT",
    "Microsoft Corporation",
)
NOTO_DRAWN = Package(
    "@iconify-json/noto",
    "1.2.9",
    "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
    "Apache-2.0",
    "Google",
)
TWEMOJI_DRAWN = Package(
    "@iconify-json/twemoji",
    "1.2.5",
    "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
    "CC-BY-4.0",
    "Twitter and other contributors",
)
EMOJILIB = Package(
    "emojilib",
    "4.0.3",
    "KbWiYre9aRSaPbHrHZIz9zmoM+21LAsK1VFJtnTh1VCtWE/rNMDviGhQTmselFl95dhqtGlY22iH0leG5BuW0g==",
    "MIT",
    "Mu-An Chiou",
)
CLDR = Package(
    "cldr-annotations-full",
    "48.2.0",
    "DV7A+rEcgUSNTRsVGNGqBZRmAkGfwhGHO5Q1dRwzBoBnVrHWp804JP7/QJdEc66iHmx3+zLWVIMCFLm0lW7PUQ==",
    "Unicode-3.0",
    "Unicode, Inc.",
)

FLAT_COLOUR = Package(
    "@iconify-json/flat-color-icons",
    "1.2.3",
    "KcmJ7CY0TKFv5GuBjiS4/v++jEcNXna1jfY+yq014tnw/MN/jMI2oYpoMHGuIpYtUqDu7eove+WySnOYO8nS3w==",
    "MIT",
    "Icons8",
)
FLAT_UI = Package(
    "@iconify-json/flat-ui",
    "1.2.3",
    "HBs3cLe1oLLax07JPOHguUcTG3skmVehxHlnygUbpQ2Pm9dhmEAMLJd7GsXDaC0U125hdDp/CB9anFD3RELb5w==",
    "MIT",
    "Designmodo, Inc.",
)
FLUENT_COLOUR = Package(
    "@iconify-json/fluent-color",
    "1.2.21",
    "VETjGx7BMpVsCR3HV5g5t6oBGZ92XKzIRClS5xUvDn1YHAkQTF9OyF/aFdtxYOC8JROoI1SNO/Ql6jZeK7mroA==",
    "MIT",
    "Microsoft Corporation",
)
KAMELEON = Package(
    "@iconify-json/streamline-kameleon-color",
    "1.2.2",
    "6vFS3ILSmy3w6R1v2nVolNFf9pLuUihOUqyUNVXp0HliWIR6RpJIsWue0Fc6MVri7wde+SWzMJeLAXWU3zE43g==",
    "CC-BY-4.0",
    "Streamline",
)
ULTIMATE = Package(
    "@iconify-json/streamline-ultimate-color",
    "1.2.2",
    "NAbD3xLtg3069865B5CLUulp/eowPNCiDfJBxVAmA+LKLPpxU7EIEJ2+mSfWriPd+ahORWyqjRnoPVkTJopEgg==",
    "CC-BY-4.0",
    "Streamline",
)
OPENCLIPART = DebianPackage(
    "openclipart-svg",
    "1:0.18+dfsg-19",
    "N9Fz889zyZnMkqaU4CqZwSTxd/iR6hYhWDst+fmbANDMyFF6jR7C/e4wHY++hyqumUVJDCxqSsX5AyDUc7Z3CQ==",
    "public domain",
    "Open Clip Art Library and its contributors",
)

FLUENT_SETS = (EmojiSet("fluent", FLUENT, style="shiny"), EmojiSet("fluent-flat", FLUENT_FLAT, style="bold"))
OTHER_NAMED_SETS = (EmojiSet("fxemoji", FXEMOJI), EmojiSet("streamline-emojis", STREAMLINE))
"""Sets whose names differ from Unicode's, in styles of their own that have no word in captions."""
EMOJI_SETS = (
    EmojiSet("noto", NOTO_DRAWN, style="shaded"),
    EmojiSet("twemoji", TWEMOJI_DRAWN, style="flat"),
    *FLUENT_SETS,
    EmojiSet("noto-v1", NOTO_V1, style="soft"),
    *OTHER_NAMED_SETS,
)
"""The training data of the generator, as drawings, which have any size. Most have a word that tells them apart."""
PIXEL_SETS = (
    EmojiSet("noto", GOOGLE, "img/google/64"),
    EmojiSet("twemoji", TWITTER, "img/twitter/64"),
    *FLUENT_SETS,
    EmojiSet("noto-v1", NOTO_V1),
)
"""Sets in 64 × 64 pixels, as the judge and emoji-faces learn them. They stay, so that figures can be compared."""
JUDGE_TRAINING_SETS = (*OTHER_NAMED_SETS, EmojiSet("fluent-high-contrast", HIGH_CONTRAST))
"""Additional training data of the judge, which must recognise things in every style."""
JUDGE_TEST_SET = EmojiSet("emojione", EMOJIONE)
"""The test set of the judge, on which neither the judge nor the generator is trained."""
DRAWING_PACKAGES = {
    "fxemoji": FXEMOJI,
    "streamline-emojis": STREAMLINE,
    "flat-color-icons": FLAT_COLOUR,
    "flat-ui": FLAT_UI,
    "fluent-color": FLUENT_COLOUR,
    "streamline-kameleon-color": KAMELEON,
    "streamline-ultimate-color": ULTIMATE,
    "openclipart": OPENCLIPART,
}
"""Further drawings of things, by the name of their set in pictures/data/drawings.txt."""
WORD_PACKAGES = (EMOJILIB, CLDR)


def fetch(packages: list[Package], folder: Path, log: Log) -> None:
    """Put the verified files of `packages` into `folder`, and unpack Debian's. Blocks; raises OperatorError."""
    folder.mkdir(parents=True, exist_ok=True)
    # The command judge fetches, too, perhaps while a training is running.
    with FileLock(folder / "packages.lock"):
        for package in packages:
            if not (folder / package.file).is_file():
                log(f"fetching {package.name} {package.version} ({package.licence})")
                _download(package, folder)
            verify(package, folder)
            if isinstance(package, DebianPackage) and not (folder / package.unpacked).is_dir():
                partial = folder / "unpacked"
                shutil.rmtree(partial, ignore_errors=True)
                _run("dpkg-deb", "--extract", package.file, str(partial), package=package, folder=folder)
                partial.replace(folder / package.unpacked)


def verify(package: Package, folder: Path) -> None:
    """Raise OperatorError, and delete the file, if the tarball in `folder` has another digest than `package`."""
    digest = hashlib.sha512()
    with (folder / package.file).open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    if base64.b64encode(digest.digest()).decode() != package.sha512:
        (folder / package.file).unlink()
        raise OperatorError(
            f"{package.name} {package.version} has other contents than expected, so it was deleted. "
            "Run the command again. If this happens again, the registry in use has a changed package."
        )


def _download(package: Package, folder: Path) -> None:
    scratch = folder / "partial"
    scratch.mkdir(exist_ok=True)
    if isinstance(package, DebianPackage):
        command = ["apt-get", "download", "--quiet=2", f"{package.name}={package.version}"]
    else:
        command = ["npm", "pack", "--silent", "--pack-destination", str(scratch), f"{package.name}@{package.version}"]
    _run(*command, package=package, folder=scratch)
    if not (scratch / package.file).is_file():
        raise OperatorError(f"{command[0]} did not write {package.file}.")
    (scratch / package.file).replace(folder / package.file)
    shutil.rmtree(scratch)


def _run(name: str, *arguments: str, package: Package, folder: Path) -> None:
    """Run a program in `folder`. Raises OperatorError with its last line if it fails."""
    if (program := shutil.which(name)) is None:
        raise OperatorError(
            f"{package.name} comes through {name}, which is not installed here. "
            + ("Install Node.js with npm first." if name == "npm" else "It is part of Debian and Ubuntu.")
        )
    process = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603 - no shell
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
        raise OperatorError(f"{name} could not fetch {package.name} {package.version}: {reason}")


def read_json(package: Package, folder: Path, name: str) -> Any:
    """Read the JSON file `name` from a tarball in `folder`."""
    return json.loads(read_files(package, folder, lambda member: member == name)[name])


def read_files(package: Package, folder: Path, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Read those files of a tarball in `folder` whose name inside the package `is_wanted`."""
    files = {}
    with tarfile.open(folder / package.file) as archive:
        for member in archive:
            name = member.name.removeprefix("package/")
            if member.isfile() and is_wanted(name) and (stream := archive.extractfile(member)):
                files[name] = stream.read()
    return files

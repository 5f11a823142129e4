"""Packages are fetched and verified, and changed ones are refused."""

import base64
import hashlib
import io
import tarfile
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from model_server.catalogue import load_catalogue
from model_server.errors import OperatorError
from research.packages import (
    DRAWING_PACKAGES,
    EMOJI_SETS,
    JUDGE_TEST_SET,
    JUDGE_TRAINING_SETS,
    PIXEL_SETS,
    WORD_PACKAGES,
    DebianPackage,
    Package,
    fetch,
    read_json,
    verify,
)
from research.pictures.command import CATALOGUE


def tarball(text: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        content = text.encode()
        member = tarfile.TarInfo("package/words.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


TARBALL = tarball('{"apple": "fruit"}')
PACKAGE = Package("@some/words", "1.2.3", base64.b64encode(hashlib.sha512(TARBALL).digest()).decode(), "MIT", "Some")


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake npm that copies the file `served` to its destination and writes its arguments to `asked`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "npm"
    program.write_text(
        f"""#!/bin/sh
echo "$@" > {folder}/asked
[ -f {folder}/served ] || {{ echo 'npm error 404 not there' >&2; exit 1; }}
/bin/cp {folder}/served "$4/some-words-1.2.3.tgz"
""",
        "utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_package_is_fetched_once_and_read(npm: Path, tmp_path: Path) -> None:
    (npm / "served").write_bytes(TARBALL)
    log: list[str] = []
    fetch([PACKAGE], tmp_path / "data", log.append)
    fetch([PACKAGE], tmp_path / "data", log.append)
    assert log == ["fetching @some/words 1.2.3 (MIT)"]
    assert "@some/words@1.2.3" in (npm / "asked").read_text("utf-8")
    assert read_json(PACKAGE, tmp_path / "data", "words.json") == {"apple": "fruit"}


def test_fetching_waits_for_another_process_that_fetches(npm: Path, tmp_path: Path) -> None:
    (npm / "served").write_bytes(TARBALL)
    folder = tmp_path / "packages"
    folder.mkdir()
    with ThreadPoolExecutor() as pool, FileLock(folder / "packages.lock"):
        waiting = pool.submit(fetch, [PACKAGE], folder, print)
        assert not wait([waiting], timeout=0.2).done
        assert not (npm / "asked").exists()
        # As the other left it, so that npm need not be asked.
        (folder / PACKAGE.file).write_bytes(TARBALL)
    waiting.result()
    assert not (npm / "asked").exists()


def test_a_changed_package_is_refused_and_deleted(npm: Path, tmp_path: Path) -> None:
    (npm / "served").write_bytes(tarball('{"apple": "stone"}'))
    with pytest.raises(OperatorError, match="other contents than expected"):
        fetch([PACKAGE], tmp_path / "data", lambda _: None)
    assert not (tmp_path / "data" / PACKAGE.file).exists()


def test_an_existing_package_is_verified_too(tmp_path: Path) -> None:
    (tmp_path / PACKAGE.file).write_bytes(TARBALL)
    verify(PACKAGE, tmp_path)
    with pytest.raises(OperatorError):
        verify(replace(PACKAGE, sha512=EMOJI_SETS[0].package.sha512), tmp_path)


@pytest.mark.usefixtures("npm")
def test_the_error_of_npm_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"npm could not fetch @some/words 1\.2\.3: npm error 404 not there"):
        fetch([PACKAGE], tmp_path / "data", lambda _: None)


def test_without_npm_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperatorError, match="Install Node.js"):
        fetch([PACKAGE], tmp_path / "data", lambda _: None)


def test_a_package_of_debian_is_fetched_once_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = DebianPackage("clips", "1:2-3", PACKAGE.sha512, "public domain", "Some")
    programs = {
        "apt-get": f'echo "$@" >> {tmp_path}/asked; /bin/cp {tmp_path}/served clips_1%3a2-3_all.deb',
        "dpkg-deb": 'echo "$@" >> ' + f'{tmp_path}/asked; /bin/mkdir -p "$3/usr"; /bin/cp "$2" "$3/usr/copy"',
    }
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "served").write_bytes(TARBALL)
    for _ in range(2):
        fetch([package], tmp_path / "data", lambda _: None)
    first, second = (tmp_path / "asked").read_text("utf-8").splitlines()
    assert first == "download --quiet=2 clips=1:2-3"
    assert second.startswith("--extract clips_1%3a2-3_all.deb ")
    assert (tmp_path / "data" / package.unpacked / "usr" / "copy").read_bytes() == TARBALL


def test_licences_are_free_and_the_test_set_of_the_judge_is_kept_apart() -> None:
    licences = {
        one.package.name: one.package.licence
        for one in (*EMOJI_SETS, *PIXEL_SETS, *JUDGE_TRAINING_SETS, JUDGE_TEST_SET)
    } | {one.name: one.licence for one in (*WORD_PACKAGES, *DRAWING_PACKAGES.values())}
    assert set(licences.values()) <= {"MIT", "Apache-2.0", "CC-BY-4.0", "Unicode-3.0", "public domain"}
    assert not [name for name in licences if "apple" in name or "facebook" in name]
    assert JUDGE_TEST_SET.package not in {one.package for one in (*EMOJI_SETS, *PIXEL_SETS, *JUDGE_TRAINING_SETS)}
    assert JUDGE_TEST_SET.package not in DRAWING_PACKAGES.values()


def test_each_set_has_a_style_of_its_own_which_the_catalogue_lists() -> None:
    styles = [one.style for one in EMOJI_SETS if one.style]
    assert all(style.isalpha() for style in styles)
    assert len(set(styles)) == len(styles) == 5
    assert load_catalogue(CATALOGUE)["emoji-diffusion"].options["styles"] == ", ".join(styles)

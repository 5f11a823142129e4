"""The real `tempera chat`, in a process where that matters. A test can hold back what the model server answers."""

import asyncio
import json
import signal
from pathlib import Path

import pytest
from fakes.model_server.model_api import FakeModels, look_at, png
from fakes.programs.terminal_chat import PATIENCE_SECONDS, PROMPT, Caller, Person, ended

from bot.inference.client import DOWN
from bot.platforms.terminal import operator

ANSWER = "Paris is the capital of France."


# One command


@pytest.mark.processes
async def test_the_answer_goes_to_stdout_and_the_card_to_stderr(program: Person) -> None:
    done = await program.chat("/ask temperature:0.2 seed:7 What is the capital of France?")
    assert (done.status, done.out) == (0, f"{ANSWER}\n")
    assert done.err == "made by AI · model fake-chat · temperature 0.2 · seed 7 · min_p 0.05 · tokens 6 · seconds 0.5\n"


async def test_the_words_of_a_command_need_no_quotes(person: Caller, models: FakeModels) -> None:
    done = await person.run("chat", "/ask", "temperature:0.2", "What", "is", "it?")
    assert done.status == 0
    assert models.requests[0]["messages"][-1] == {"role": "user", "content": "What is it?"}


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/aks hi", "There is no command /aks. Did you mean /ask?"),
        ("/ask temperature:9 hi", "temperature must be a number from 0 to 2; you gave “9”."),
        ("/face count:0", "count must be a whole number from 1 to 16; you gave “0”."),
        ("!again", "There is no answer here that !again could be for. Ask something first."),
        ("!again 12", "This has expired: it is no longer stored."),
    ],
)
async def test_an_error_is_a_sentence_on_stderr(person: Caller, line: str, sentence: str) -> None:
    done = await person.chat(line)
    assert (done.status, done.out, done.err) == (1, "", f"{sentence}\n")


async def test_an_option_names_a_file_on_the_disk(person: Caller) -> None:
    (person.home / "my pets.md").write_text("# Pets\n\n## Cats\n\nCats purr.\n", "utf-8")
    told = "“Pets” is version 1 now (passages: 1). Its topics:\n\n- Cats\n"
    done = await person.chat('/lesson add title:Pets file:"~/my pets.md"')
    assert (done.status, done.out, done.err) == (0, told, "")
    again = await person.run("chat", "--out", "out", "/lesson", "show", "title:Pets")
    assert again.out.endswith("out/my pets.md\n")
    assert (person.home / "out" / "my pets.md").read_bytes() == (person.home / "my pets.md").read_bytes()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("pets.md", "There is no file pets.md."),
        ("~nobody-here/pets.md", "There is no file ~nobody-here/pets.md."),
        ("/dev/null", "There is no file /dev/null."),
        ("~", "~ is a folder; name a file in it."),
        ("x" * 300, f"{'x' * 300} cannot be read (File name too long)."),
        ("large.md", "large.md is too large: I take files of up to 25 MB."),
        ("lesson.md", "lesson.md has 6.0 MB; a file of text may have up to 5 MB."),
    ],
)
async def test_a_file_that_cannot_be_had(person: Caller, path: str, sentence: str) -> None:
    for name, size in (("large.md", 26 * 2**20 + 1), ("lesson.md", 6_000_000)):
        with (person.home / name).open("wb") as file:
            file.truncate(size)
    done = await person.chat(f"/lesson add title:Pets file:{path}")
    assert (done.status, done.out, done.err) == (1, "", f"{sentence}\n")


async def test_a_server_that_is_down(person: Caller, unused_tcp_port: int) -> None:
    done = await person.chat("/ask hi", "--server", f"http://127.0.0.1:{unused_tcp_port}")
    assert (done.status, done.out, done.err) == (1, "", f"{DOWN}\n")


async def test_an_address_that_is_none(person: Caller) -> None:
    done = await person.chat("/ask hi", "--server", "nonsense")
    assert (done.status, done.err) == (1, "“nonsense” is not an address like http://127.0.0.1:8400.\n")


@pytest.mark.processes
async def test_ctrl_c_stops_and_keeps_what_was_said(program: Person, models: FakeModels) -> None:
    models.gate.clear()
    process = await program.start("chat", "/ask hi")
    assert process.stdout is not None
    assert await process.stdout.readexactly(5) == b"Paris"
    process.send_signal(signal.SIGINT)
    await models.until(dropped=1, running=0)
    done = await ended(process)
    assert (done.status, done.out, done.err) == (130, "\n", "Stopped.\n")
    models.gate.set()
    await program.chat("/ask and then?")
    said = [turn["content"] for turn in models.requests[-1]["messages"]]
    assert said[1:] == ["hi", "Paris", "and then?"]


async def test_an_answer_cannot_command_the_terminal(models: FakeModels, person: Caller) -> None:
    models.answer = ("a\x1b]0;title\x07", "\x9b2J", "\tb\n", "c")
    assert (await person.chat("/ask hi")).out == "a]0;title2J\tb\nc\n"


@pytest.mark.processes
@pytest.mark.parametrize(
    "encoding",
    [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}],
    ids=["C", "ascii", "latin-1"],
)
async def test_a_locale_of_few_characters(program: Person, models: FakeModels, encoding: dict[str, str]) -> None:
    models.answer = ("caf", "é ☕")
    program.more = encoding
    done = await program.chat("/ask hi")
    assert done.status == 0
    assert done.out.startswith("caf")
    assert "Traceback" not in done.err


@pytest.mark.processes
async def test_a_reader_that_has_seen_enough(program: Person, models: FakeModels) -> None:
    models.gate.clear()
    process = await program.start("chat", "/ask hi")
    assert process.stdout is not None
    assert await process.stdout.readexactly(5) == b"Paris"
    process.stdout._transport.close()
    models.gate.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await process.wait() == 141
    assert process.stderr is not None
    assert await process.stderr.read() == b""


async def test_it_speaks_the_operators_language(person: Caller) -> None:
    person.more = {"LANG": "de_DE.UTF-8"}
    done = await person.chat("/ask temperature:9 hi")
    assert done.err == "temperature muss eine Zahl von 0 bis 2 sein; du hast „9“ eingegeben.\n"


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "de_AT.UTF-8"}, "de-AT"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "es_ES"}, "es-ES"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "", "LC_MESSAGES": "es_MX.UTF-8"}, "es-MX"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], language: str
) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert operator().locale == language


# Saved files


async def test_a_picture_is_saved_once_and_never_over_another(person: Caller) -> None:
    first = await person.chat("/face seed:7", "--out", "faces")
    again = await person.chat("/face seed:7", "--out", "faces")
    assert first.status == again.status == 0
    assert first.out == again.out == "faces/face-7.png\n"
    assert look_at((person.home / "faces/face-7.png").read_bytes()) == look_at(png(7, 384, 384))
    described, card = first.err.splitlines()
    assert "seed 7" in described
    assert card.startswith("made by AI · model fake-faces · seed 7 · count 1 · ")
    (person.home / "faces/face-8.png").write_bytes(b"a holiday")
    assert (await person.chat("/face seed:8", "--out", "faces")).out == "faces/face-8-2.png\n"
    assert (person.home / "faces/face-8.png").read_bytes() == b"a holiday"
    assert look_at((person.home / "faces/face-8-2.png").read_bytes()) == look_at(png(8, 384, 384))


async def test_a_folder_that_cannot_be_written(person: Caller) -> None:
    (person.home / "file").write_text("")
    done = await person.chat("/face seed:7", "--out", "file/faces")
    assert (done.status, done.out) == (1, "")
    assert done.err == "The file cannot be saved in file/faces (Not a directory). Choose another folder with --out.\n"


async def test_an_export_is_saved_for_its_owner_alone(person: Caller) -> None:
    await person.chat("a red apple")
    await person.chat("/privacy export", "--out", "mine")
    assert (person.home / "mine/tempera-data.json").stat().st_mode & 0o077 == 0


async def test_the_names_of_files_and_lessons_cannot_command_the_terminal(person: Caller) -> None:
    (person.home / "pets\x1b[2J.md").write_text("# Pets\n\n## Cats\n\nCats purr.\n", "utf-8")
    await person.chat("/lesson add title:Pets\x1b[31m file:pets\x1b[2J.md")
    shown = await person.run("chat", "--out", "out", "/lesson", "show", "title:Pets\x1b[31m")
    assert shown.out.endswith("out/pets[2J.md\n")
    assert "\x1b" not in shown.out + shown.err
    assert [file.name for file in (person.home / "out").iterdir()] == ["pets[2J.md"]


# A conversation


async def test_at_the_terminal_each_line_reads_what_was_said_before(person: Caller, models: FakeModels) -> None:
    for line, read in (
        ("/ask one", ["one"]),
        ("/ask two", ["one", "two"]),
        # The rows are those of two exchanges, each a question and an answer.
        ("!again 4", ["one", "two"]),
        ("!warmer 2", ["one"]),
        ("/new", None),
        ("/ask three", ["three"]),
        ("!again 4", ["one", "two"]),
    ):
        assert (await person.chat(line)).status == 0
        if read is not None:
            assert [turn["content"] for turn in models.requests[-1]["messages"][1::2]] == read


@pytest.mark.processes
async def test_a_conversation(program: Person, models: FakeModels) -> None:
    async with program.sit_down() as chat:
        chat.type("/ask seed:7 hi\r")
        await chat.until(ANSWER)
        await chat.until("seed 7")
        await chat.until("!again  !cooler  !warmer  !edit  !delete  !up  !down")
        await chat.until(PROMPT)
        chat.type("!warmer\r")
        await chat.until("temperature 1 · seed 7")
        await chat.until(PROMPT)
        chat.type("!dance\r")
        await chat.until("There is no !dance for the last answer; there are !again")
        await chat.until(PROMPT)
        chat.type("/nonsense\r")
        await chat.until("There is no command /nonsense.")
        await chat.until(PROMPT)
        chat.type("and you?\r")
        await chat.until(ANSWER)
        await chat.until(PROMPT)
        assert [turn["content"] for turn in models.requests[-1]["messages"]][1:] == ["hi", ANSWER, "and you?"]
        chat.type("!delete\r")
        await chat.until("Deleted.")
        await chat.until(PROMPT)
        chat.type("\x04")
        assert await chat.gone() == 0
    assert "Hello! I show how generative AI works." in chat.screen


async def test_what_was_answered_privately_is_a_part_of_it(models: FakeModels, tmp_path: Path) -> None:
    settings = {"TEMPERA_SETTINGS": json.dumps({"safety.level": "standard"})}
    person = Caller(tmp_path, models.url, settings)
    secret = "Write to ann@example.org"
    for line in (secret, "To whom?", "!again 4"):
        assert (await person.chat(line)).status == 0
    given = [[turn["content"] for turn in body["messages"]][1:] for body in models.requests]
    assert given == [[secret], *[[secret, ANSWER, "To whom?"]] * 2]


@pytest.mark.processes
async def test_a_picture_comes_in_steps_and_its_buttons_say_what_they_do(program: Person, models: FakeModels) -> None:
    models.gate.clear()
    async with program.sit_down() as chat:
        chat.type("/imagine seed:7 count:2 a cat\r")
        await chat.until("Step 1 of 4 …")
        models.gate.set()
        await chat.until("imagine-7.png")
        await chat.until("2 computer-made pictures of “a cat”, from seed 7 on")
        await chat.until("!b0 (1)  !b1 (2)  !b2 (How 1 was made)  !b3 (V1)  !b4 (V2)  !again  !edit")
        await chat.until(PROMPT)
        chat.type("!b1\r")
        await chat.until("imagine-8.png")
        await chat.until("seed 8")
        await chat.until("!b0 (How it was made)")
    assert "preview" not in chat.screen


@pytest.mark.processes
async def test_ctrl_c_stops_the_answer_and_only_it(program: Person, models: FakeModels) -> None:
    async with program.sit_down() as chat:
        models.gate.clear()
        chat.type("hi\r")
        await chat.until("Paris")
        chat.type("\x03")
        await models.until(dropped=1, running=0)
        await chat.until("Stopped.")
        await chat.until(PROMPT)
        chat.type("\x03")
        models.gate.set()
        chat.type("!again\r")
        await chat.until(ANSWER)
        assert models.requests[0]["messages"] == models.requests[1]["messages"]
        assert models.requests[0]["seed"] != models.requests[1]["seed"]


@pytest.mark.processes
async def test_a_status_is_wiped_before_the_text(program: Person, models: FakeModels) -> None:
    models.place = 3
    models.gate.clear()
    async with program.sit_down() as chat:
        chat.type("hi\r")
        await chat.until("Number 3 in the queue …")
        models.gate.set()
        between = await chat.until(ANSWER)
        assert "queue" not in between.rsplit("\r", 1)[-1]


@pytest.mark.processes
async def test_edit_asks_anew_with_what_was_given(program: Person, models: FakeModels) -> None:
    async with program.sit_down() as chat:
        chat.type("/ask temperature:0.2 hi\r")
        await chat.until("!edit")
        await chat.until(PROMPT)
        chat.type("!edit\r")
        await chat.until("What you want to know: hi")
        chat.type(" there\r")
        await chat.until("A text or a PDF to ask about")
        chat.type("\r")
        await chat.until("0.2")
        chat.type("\x7f5\r")
        await chat.until("The longest answer")
        chat.type("\r")
        await chat.until("The same seed gives")
        chat.type("9\r")
        await chat.until("temperature 0.5 · seed 9")
        assert models.requests[-1]["messages"][-1]["content"] == "hi there"
        await chat.until(PROMPT)
        chat.type("!edit\r")
        await chat.until("hi there")
        chat.type("\x04\x03")
        await chat.until(PROMPT)
        chat.type("/ask seed:3 still here\r")
        await chat.until("seed 3")
        assert len(models.requests) == 3


@pytest.mark.processes
async def test_tab_completes_commands_options_and_values(program: Person, models: FakeModels) -> None:
    async with program.sit_down() as chat:
        chat.type("/as")
        await chat.until("Ask the language model a question.")
        chat.type("\tseed:1 hi\r")
        await chat.until(ANSWER)
        await chat.until(PROMPT)
        chat.type("/ask te")
        # The menu's last word: of what already stands there, a screen is not told again.
        await chat.until("wildest")
        chat.type("\t0.2 bye\r")
        await chat.until(ANSWER)
        assert [(body["messages"][-1]["content"], body["temperature"]) for body in models.requests] == [
            ("hi", 0.7),
            ("bye", 0.2),
        ]
        await chat.until(PROMPT)
        chat.type("/plugins disable name:fa")
        await chat.until("face")
        chat.type("\t\r")
        await chat.until("“face” is off now.")


@pytest.mark.processes
async def test_what_was_typed_is_there_again_for_the_arrow_keys(program: Person, models: FakeModels) -> None:
    async with program.sit_down() as chat:
        chat.type("/ask seed:7 hi\r")
        await chat.until(ANSWER)
        await chat.until(PROMPT)
    kept = (program.home / "state" / "tempera" / "terminal-history").read_text("utf-8")
    assert "+/ask seed:7 hi" in kept.splitlines()
    async with program.sit_down() as chat:
        chat.type("\x1b[A\r")
        await chat.until(ANSWER)
    assert [body["seed"] for body in models.requests] == [7, 7]


# Other processes


@pytest.mark.chaos
async def test_a_killed_answer_says_so_and_can_be_asked_for_again(program: Person, models: FakeModels) -> None:
    models.gate.clear()
    async with program.sit_down() as chat:
        chat.type("/ask temperature:0.2 hi\r")
        await chat.until("Paris")
        chat.kill()
        await chat.gone()
    await models.until(dropped=1, running=0)
    models.gate.set()
    async with program.sit_down() as chat:
        assert "Interrupted: the bot was restarted. /ask hi  (!again 2)" in chat.screen
        chat.type("!again 2\r")
        await chat.until(ANSWER)
        await chat.until("temperature 0.2")
        assert models.requests[0]["messages"] == models.requests[1]["messages"]
    async with program.sit_down() as chat:
        assert "Interrupted" not in chat.screen


@pytest.mark.processes
async def test_a_command_beside_a_conversation_interrupts_nothing(program: Person, models: FakeModels) -> None:
    models.gate.clear()
    async with program.sit_down() as chat:
        chat.type("first\r")
        await chat.until("Paris")
        models.before_gate = 99
        assert (await program.chat("/ask second")).out == f"{ANSWER}\n"
        async with program.sit_down() as other:
            assert "Interrupted" not in other.screen
        models.gate.set()
        await chat.until("is the capital of France.")

"""The files that `tempera chat` saves: where, under which names, and for whom."""

from fakes.model_server.model_api import look_at, png
from fakes.programs.terminal_chat import Caller


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

from pathlib import Path

import pytest

from bot.config.loading import load
from bot.config.variables import read_dotenv
from bot.core.errors import ConfigError

LINE = "A line is NAME=value, and a value that begins with a quotation mark ends with the same one."


@pytest.fixture(autouse=True)
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(".env")


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (b"# ours\nTEMPERA_WEB__JOIN_CODE s3cret\n", 2, LINE),
        (b'A=1\n\nTEMPERA_WEB__JOIN_CODE="s3cret\nB=2\n', 3, LINE),
        (b"TEMPERA_WEB__JOIN_CODE='s3cret' s3cret\n", 1, LINE),
        (b"TEMPERA_WEB__JOIN_CODE\n", 1, LINE),
        (b"export tempera_web__join_code\n", 1, LINE),
        (b"A=1\r\n=s3cret\r\n", 2, LINE),
        (b"A=1\nB=2\nTEMPERA_WEB__JOIN_CODE=s3cret\xff\n", 3, "it is not UTF-8 text."),
        (b"\xff\xfeA\x00=\x001\x00", 1, "it is not UTF-8 text."),
    ],
)
def test_an_unreadable_line_is_named_by_its_number_and_not_quoted(
    content: bytes, line: int, why: str, dotenv: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dotenv.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(caught.value).startswith(f"Line {line} of .env cannot be read")
    assert str(caught.value).endswith(why)
    assert "s3cret" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_what_other_programs_write_into_the_file_is_left_alone(dotenv: Path) -> None:
    dotenv.write_text("# a comment\nPASSED_ON\nexport A=\"two\nlines\"\ntempera_web__port = '7' # a comment\n", "utf-8")
    assert read_dotenv(dotenv) == {"A": "two\nlines", "TEMPERA_WEB__PORT": "7"}
    assert load().web.port == 7


def test_the_mark_of_an_editor_belongs_to_no_name(dotenv: Path) -> None:
    dotenv.write_bytes(b"\xef\xbb\xbfTEMPERA_WEB__PORT=7\n")
    assert load().web.port == 7


def test_a_whole_section_is_read_from_the_file_as_well(dotenv: Path) -> None:
    dotenv.write_text("""TEMPERA_SETTINGS='{"face.count.maximum": 2}'\n""")
    assert load().settings == {"face.count.maximum": 2}


def test_a_section_that_is_not_there_is_refused_in_the_file_as_well(dotenv: Path) -> None:
    dotenv.write_text("TEMPERA_WBE__PORT=1\n")
    with pytest.raises(ConfigError, match="there is no section “wbe”. Did you mean TEMPERA_WEB__…?"):
        load()

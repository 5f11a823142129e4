import io
import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from fakes.core.pictures import FACTS, FORMATS, SECRET, make_picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from bot.provenance.metadata import AI_SOURCE, PNG, Label, read_label, without_metadata, write_label

EXIFTOOL = shutil.which("exiftool")


def frames(data: bytes) -> list[tuple[bytes, object]]:
    with Image.open(io.BytesIO(data)) as picture:
        return [
            (frame.convert("RGB").tobytes(), frame.info.get("duration")) for frame in ImageSequence.Iterator(picture)
        ]


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_label_has_the_facts_and_not_the_prompt_and_leaves_the_pixels(media_type: str) -> None:
    raw = make_picture(media_type)
    labelled = write_label(raw, {"steps": "99", "guidance": "5", "prompt": SECRET, "asked_by": "Ann"})
    assert SECRET.encode() in raw
    assert SECRET.encode() not in labelled
    # What the model server wrote into the file is more exact than what is known of the whole request.
    assert read_label(labelled) == Label({**FACTS, "guidance": "5"})
    assert frames(labelled) == frames(raw)
    assert write_label(labelled, {}) == labelled
    assert without_metadata(labelled) == without_metadata(raw)
    assert read_label(raw) is None


@pytest.mark.parametrize("media_type", FORMATS)
def test_fields_by_other_programs_are_removed_unread(media_type: str) -> None:
    raw = make_picture(media_type).replace(b"Tempera", b"Another")
    assert read_label(write_label(raw, {"model": "größer <&\"'>\n" * 50})) == Label(
        {"model": " ".join(("größer <&\"'>\n" * 50).split())[:200]}
    )


@pytest.mark.parametrize("media_type", FORMATS)
def test_exiftool_finds_the_source_type_and_the_system(media_type: str, tmp_path: Path) -> None:
    if EXIFTOOL is None:
        assert os.environ.get("CI") != "true", "There is no exiftool in the PATH."
        pytest.skip("There is no exiftool in the PATH.")
    file = tmp_path / "picture"
    file.write_bytes(write_label(make_picture(media_type), {}))
    told = json.loads(subprocess.run([EXIFTOOL, "-json", "-G", file], check=True, capture_output=True).stdout)[0]
    assert told["XMP:DigitalSourceType"] == AI_SOURCE
    assert told["XMP:CreatorTool"].startswith("Tempera")
    assert told["XMP:AISystemUsed"] == "tiny"
    fields = (
        told
        if media_type == PNG
        else {f"PNG:{name.capitalize()}": value for name, value in json.loads(told["File:Comment"]).items()}
    )
    assert (fields["PNG:Software"], str(fields["PNG:Seed"]), fields["PNG:Model"]) == ("Tempera", "7", "tiny")
    assert "Warning" not in str(told)


@given(st.sampled_from(FORMATS), st.data())
def test_a_damaged_file_has_a_label_or_none(media_type: str, data: st.DataObject) -> None:
    whole = bytearray(write_label(make_picture(media_type), {}))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    damaged = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    assert read_label(damaged) is None or isinstance(read_label(damaged), Label)
    without_metadata(damaged)
    with suppress(ValueError):
        write_label(damaged, {})


def test_other_files_have_no_label() -> None:
    for data in (b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", AI_SOURCE.encode()):
        assert read_label(data) is None
        assert without_metadata(data) == data
        with pytest.raises(ValueError, match="neither|too early|nothing"):
            write_label(data, {})

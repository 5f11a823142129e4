"""The picture models that an operator may choose: fetched from a hub, and served by the real server."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from fakes.engines.diffusion import EDGE, open_image
from fakes.programs.deployment import model_server
from fakes.registries.hub import fake_hub

from model_server.__main__ import main
from model_server.catalogue import load_catalogue
from model_server.images import identify

CATALOGUE = Path(__file__).parents[4] / "config" / "models.toml"


def overlay(folder: Path, name: str) -> str:
    """Write a catalogue of the picture models alone, for pictures of a few pixels and a machine without a card."""
    catalogue = load_catalogue(CATALOGUE)
    others = [other for other, entry in catalogue.items() if entry.engine != "diffusion"]
    tables = [f'[models."{other}"]\nserve = false\n' for other in others]
    # Parts can only be brought to a card, and a picture of the usual size takes too long.
    options = {key: one for key, one in catalogue[name].options.items() if key != "offload"} | {
        "size": EDGE,
        "batch": 1,
    }
    written = ", ".join(f"{key} = {json.dumps(one)}" for key, one in options.items())
    tables.append(f'[models.{name}]\ncard_gb = 0\ndevice = "cpu"\noptions = {{ {written} }}\n')
    path = folder / "small.toml"
    path.write_text("".join(tables), "utf-8")
    return str(path)


@pytest.mark.parametrize(("name", "kind"), [("lcm-dreamshaper-7", "lcm"), ("z-image-turbo", "z-image")])
async def test_a_chosen_picture_model_is_fetched_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: Callable[[str], Path], name: str, kind: str
) -> None:
    folder, catalogue = family(kind), overlay(tmp_path, name)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setenv("TEMPERA_CACHE", str(tmp_path / "cache"))
    assert main(["choose", name, "--catalogue", catalogue]) == 0
    with fake_hub(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub)
        with model_server("--catalogue", catalogue, threads="1") as url:
            async with aiohttp.ClientSession(url) as http:
                async with http.get("/v1/models") as response:
                    [listed] = (await response.json())["data"]
                async with http.post("/v1/images/generations", json={"model": name, "prompt": "a cat"}) as response:
                    assert response.status == 200, await response.text()
                    drawn = await response.json()
                async with http.get("/health/ready") as response:
                    told = await response.json()
    assert (listed["id"], listed["tempera"]["task"]) == (name, "images")
    options = load_catalogue(CATALOGUE)[name].options
    assert {key: drawn["tempera"][key] for key in ("steps", "guidance")} == listed["tempera"]["defaults"]
    assert listed["tempera"]["defaults"] == {key: options[key] for key in ("steps", "guidance")}
    picture = base64.b64decode(drawn["data"][0]["b64_json"])
    assert open_image(picture).size == (EDGE, EDGE)
    assert identify(picture)[1]["model"] == name
    assert {one["model"]: one["chosen"] for one in told["alternatives"]} == {
        other: other == name for other in ("emoji-diffusion", "lcm-dreamshaper-7", "z-image-turbo")
    }

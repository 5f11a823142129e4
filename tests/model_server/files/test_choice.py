from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from fakes.engines.stored_models import put

from model_server.catalogue import CatalogueEntry, ModelFile
from model_server.errors import OperatorError
from model_server.files import choice
from model_server.files.cache import ModelCache
from model_server.files.choice import Choices, replace_by_chosen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

GB = 10**9
CONTENT = b"weights"


def entry(name: str, **fields: object) -> CatalogueEntry:
    file = ModelFile(name="weights.bin", size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    common = {"engine": "face", "description": "", "licence": "MIT", "files": (file,), "sources": ("nowhere",)}
    return CatalogueEntry.model_validate({"name": name, **common, **fields})


def larger(name: str, memory_gb: int, **fields: object) -> CatalogueEntry:
    return entry(name, instead_of="small", memory_gb=memory_gb, **fields)


CATALOGUE = {one.name: one for one in (entry("small"), entry("other"), larger("huge", 32), larger("large", 8))}
SMALL, LARGE = CATALOGUE["small"], CATALOGUE["large"]
SERVED = (SMALL, CATALOGUE["other"])


def served(model_cache: ModelCache, memory: int, catalogue: Mapping[str, CatalogueEntry] = CATALOGUE) -> list[str]:
    """The names of the models that an installation with so much memory serves."""
    choices = Choices(catalogue, model_cache, memory).make(SERVED)
    return [one.name for one in replace_by_chosen(SERVED, choices)]


def install(model_cache: ModelCache, one: CatalogueEntry) -> None:
    put(model_cache.folder / "models" / one.name / "weights.bin", CONTENT)


@pytest.mark.parametrize(("memory", "name"), [(8 * GB - 1, "small"), (8 * GB, "large"), (64 * GB, "huge")])
def test_a_new_installation_gets_the_model_for_its_memory(model_cache: ModelCache, memory: int, name: str) -> None:
    assert served(model_cache, memory) == [name, "other"]


@pytest.mark.parametrize(
    ("memory", "card", "cores", "hub", "name"),
    [
        (7, 0, 8, True, "small"),
        (8, 0, 2, False, "large"),
        (8, 0, 2, True, "general"),
        (16, 0, 8, False, "large"),
        (16, 0, 7, True, "general"),
        (16, 0, 8, True, "quick"),
        (16, 16, 2, True, "quick"),
    ],
)
def test_a_model_of_the_hub_is_chosen_where_that_answers_and_the_machine_is_fast_enough(
    model_cache: ModelCache, memory: int, card: int, cores: int, hub: bool, name: str
) -> None:
    on_hub = {"sources": ("hf:some/model@1",)}
    more = (larger("large", 8), larger("general", 8, **on_hub), larger("quick", 16, cores=8, **on_hub))
    catalogue = {one.name: one for one in (SMALL, *more)}
    choices = Choices(catalogue, model_cache, memory * GB, card * GB, cores, hub=hub)
    assert [made.chosen.name for made in choices.make([SMALL])] == [name]
    # What was chosen at set-up stays, and nobody is asked any more.
    assert [made.chosen.name for made in Choices(catalogue, model_cache, GB).make([SMALL])] == [name]


@pytest.mark.parametrize(("has_runner", "name"), [(True, "large"), (False, "small")])
def test_half_the_memory_counts_without_the_fast_runner(
    model_cache: ModelCache, monkeypatch: pytest.MonkeyPatch, has_runner: bool, name: str
) -> None:
    monkeypatch.setattr(choice, "read_memory_bytes", lambda: 9 * GB)
    monkeypatch.setattr(choice.native, "is_supported", lambda: has_runner)
    speaking = {one.name: one.model_copy(update={"engine": "language"}) for one in CATALOGUE.values()}
    [made] = Choices(speaking, model_cache).make([speaking["small"]])
    assert made.chosen.name == name


def test_the_choice_stays_when_the_memory_changes(model_cache: ModelCache) -> None:
    assert served(model_cache, 8 * GB)[0] == "large"
    assert served(model_cache, GB)[0] == "large"


def test_an_installation_that_has_the_small_model_keeps_it_until_its_operator_chooses(model_cache: ModelCache) -> None:
    install(model_cache, SMALL)
    assert served(model_cache, 8 * GB)[0] == "small"
    [choice] = Choices(CATALOGUE, model_cache, 8 * GB).make(SERVED)
    assert "kept" in choice.describe()
    assert "tempera-models choose large and start again" in choice.describe()
    Choices(CATALOGUE, model_cache, 8 * GB).choose("large")
    assert served(model_cache, 8 * GB)[0] == "large"
    [choice] = Choices(CATALOGUE, model_cache, 8 * GB).make(SERVED)
    assert "by the operator" in choice.describe()
    assert "tempera-models choose small or huge" in choice.describe()


def test_a_small_model_that_fits_the_machine_is_not_said_to_be_kept(model_cache: ModelCache) -> None:
    install(model_cache, SMALL)
    [choice] = Choices(CATALOGUE, model_cache, GB).make(SERVED)
    assert (choice.chosen, choice.reason) == (SMALL, "memory")


def test_a_model_that_only_the_operator_chooses_is_served_on_no_machine_by_itself(model_cache: ModelCache) -> None:
    catalogue = {one.name: one for one in (SMALL, larger("photo", 8, automatic=False, card_gb=16))}
    choices = Choices(catalogue, model_cache, 64 * GB, 16 * GB)
    [made] = choices.make([SMALL])
    assert made.chosen == SMALL
    assert made.describe().startswith("The model small is served as long as nobody chooses another one.")
    assert choices.choose("photo").chosen.name == "photo"
    [made] = choices.make([SMALL])
    assert (made.chosen.name, made.reason) == ("photo", "operator")
    assert choices.choose("small").chosen == SMALL


@pytest.mark.parametrize(
    ("memory", "card", "lacks", "sentence"),
    [
        (8, 16, None, ""),
        (7.99, 16, ("memory", 8, 7), "photo needs 8 GB of memory, and this machine has 7 GB."),
        (7, 0, ("card", 16, 0), "photo needs a graphics card with 16 GB, and this machine has none."),
        (8, 15.9, ("card", 16, 15), "photo needs a graphics card with 16 GB, and that of this machine has 15 GB."),
    ],
)
def test_what_is_lacking_for_a_model_is_said(
    model_cache: ModelCache, memory: float, card: float, lacks: tuple[str, int, int] | None, sentence: str
) -> None:
    catalogue = {one.name: one for one in (SMALL, larger("photo", 8, automatic=False, card_gb=16))}
    choices = Choices(catalogue, model_cache, int(memory * GB), int(card * GB))
    lack = choices.find_lack(catalogue["photo"])
    assert (lack.describe("photo") if lack else "") == sentence
    keys = ("part", "needed_gb", "present_gb")
    assert choices.describe_alternatives(choices.make([SMALL])) == [
        {"model": "small", "chosen": True},
        {"model": "photo", "chosen": False} | ({"lacks": dict(zip(keys, lacks, strict=True))} if lacks else {}),
    ]
    if lacks and lacks[0] == "card":
        with pytest.raises(OperatorError, match=f"{sentence} It was not chosen"):
            choices.choose("photo")
    else:
        choices.choose("photo")
    assert choices.make([SMALL])[0].chosen.name == ("small" if lacks and lacks[0] == "card" else "photo")


def test_looking_stores_no_choice(model_cache: ModelCache) -> None:
    found = Choices(CATALOGUE, model_cache, 8 * GB).find(SMALL)
    assert found is not None
    assert found.chosen == LARGE
    assert not model_cache.folder.exists()


def test_a_larger_model_that_is_switched_off_is_not_chosen(model_cache: ModelCache) -> None:
    catalogue = CATALOGUE | {"large": larger("large", 8, serve=False)}
    assert served(model_cache, 8 * GB, catalogue)[0] == "small"


def test_a_choice_that_cannot_be_kept_is_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the place of the folder")
    model_cache = ModelCache(tmp_path / "cache")
    assert served(model_cache, 8 * GB)[0] == "large"
    with pytest.raises(OperatorError, match="cannot be kept"):
        Choices(CATALOGUE, model_cache, GB).choose("large")


def test_a_smaller_model_stands_in_if_it_is_there_and_the_chosen_one_is_not(model_cache: ModelCache) -> None:
    choice = Choices(CATALOGUE, model_cache, 8 * GB).choose("large")
    assert choice.find_stand_in(model_cache) is None
    install(model_cache, SMALL)
    assert choice.find_stand_in(model_cache) == SMALL
    install(model_cache, LARGE)
    assert model_cache.ensure(LARGE)
    assert choice.find_stand_in(model_cache) is None

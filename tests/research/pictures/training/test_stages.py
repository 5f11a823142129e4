"""The stages of the training save, resume and export."""

from pathlib import Path

import pytest
import torch

from model_server.assembly import assemble
from research.pictures.data.emoji import Emoji
from research.pictures.data.things import read_things
from research.pictures.training import stages
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet
from research.pictures.training.text_encoder import TextEncoder


def export(folder: Path, sizes: Sizes) -> Path:
    stages.export_weights(make_unet(sizes, 1), make_autoencoder(sizes, 1), folder)
    return folder


def test_the_pipeline_encodes_prompts_as_the_training_did(tmp_path: Path, sizes: Sizes, text_encoder: Path) -> None:
    from diffusers import DiffusionPipeline

    assemble(export(tmp_path / "weights", sizes), text_encoder, tmp_path / "whole")
    pipeline = DiffusionPipeline.from_pretrained(tmp_path / "whole")
    texts = ["a red apple", "", "cat"]
    served = torch.cat([pipeline.encode_prompt(text, "cpu", 1, do_classifier_free_guidance=False)[0] for text in texts])
    trained = TextEncoder(text_encoder, "cpu").encode(texts)
    assert torch.allclose(served, trained, atol=0.05)
    assert not torch.allclose(trained[0], trained[2], atol=0.05)


def test_exported_weights_are_in_half_precision_and_load_again(tmp_path: Path, sizes: Sizes) -> None:
    folder = export(tmp_path / "weights", sizes)
    unet = make_unet(sizes, 1)
    loaded = stages.load_network(type(unet), folder / "unet")
    assert all(
        torch.equal(one.half().float(), other)
        for one, other in zip(unet.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    assert all(value.dtype == torch.float32 for value in unet.state_dict().values())


def test_the_real_networks_fit_into_forty_megabytes() -> None:
    parts = (make_unet(Sizes(), 0), make_autoencoder(Sizes(), 0))
    assert sum(value.numel() for part in parts for value in part.parameters()) * 2 < 39_500_000


def test_further_drawings_may_show_what_symbols_are_named_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = next(thing for thing in read_things() if thing.name == "fir tree")
    pine = Emoji(tree.code, "evergreen tree", (), (), "Animals & Nature")
    atom = Emoji("269b", "atom symbol", (), (), "Symbols")
    names: dict[str, tuple[str, ...]] = {}
    monkeypatch.setattr(stages, "fetch", lambda *_: None)
    monkeypatch.setattr(stages, "read_emoji", lambda _: [atom, pine])
    monkeypatch.setattr(stages, "read_pictures", lambda *_: {})
    monkeypatch.setattr(stages, "read_pictures_by_any_name", lambda *_: {})
    monkeypatch.setattr(
        stages, "read_drawings", lambda emoji, _: names.update({one.code: (one.name, *one.synonyms) for one in emoji})
    )
    emoji, *_ = stages.read_sets(tmp_path, print)
    assert emoji == [pine]
    assert names == {"269b": ("atom symbol",), tree.code: ("evergreen tree", "fir tree")}

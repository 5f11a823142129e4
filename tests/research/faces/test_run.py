"""The training of the two networks changes both, is the same each time, and can be interrupted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.engines.duel_files import TINY
from PIL import Image

from model_server.engines.duel.networks import Discriminator
from research.faces import run as run_module
from research.faces.run import DuelRun, DuelTask, make_discriminator, make_generator, resolve_norms
from research.loop import Plan

STEPS = 20


def open_run(folder: Path, squares: np.ndarray, *, seed: int = 7, is_frozen: bool = False) -> DuelRun:
    networks = make_generator(TINY, seed), make_discriminator(TINY, seed + 1)
    task = DuelTask(*networks, squares, folder / "samples", is_frozen=is_frozen)
    return DuelRun(task, Plan(STEPS, seed, folder, "broken" if is_frozen else "duel"), (0.0, 0.5, 1.0))


def trained(folder: Path, squares: np.ndarray, **options: int) -> DuelRun:
    run = open_run(folder, squares, **options)
    run.train(lambda _: None)
    return run


def snapshots(run: DuelRun) -> list[bytes]:
    return [run.snapshot_file(number).read_bytes() for number in range(3)]


def weights(run: DuelRun, network: str) -> list[torch.Tensor]:
    module = run.task.module[network]  # type: ignore[index]
    return [value.detach().clone() for value in module.parameters()]


def test_twenty_steps_change_both_networks_and_keep_snapshots(tmp_path: Path, squares: np.ndarray) -> None:
    run = open_run(tmp_path, squares)
    before = {name: weights(run, name) for name in ("generator", "discriminator")}
    run.train(lambda _: None)
    for name, values in before.items():
        after = weights(run, name)
        # All matrices change. A bias may stay for some steps, where real and generated pictures pull equally.
        pairs = [(one, other) for one, other in zip(values, after, strict=True) if one.ndim > 1]
        assert not any(torch.equal(one, other) for one, other in pairs), name
    kept = [torch.load(run.snapshot_file(number), weights_only=True) for number in range(3)]
    assert [snapshot["step"] for snapshot in kept] == [0, 10, 20]
    firsts = [snapshot["averaged"]["generator.first.weight"] for snapshot in kept]
    assert not torch.equal(firsts[0], firsts[1])
    assert not torch.equal(firsts[1], firsts[2])
    assert run.losses[-1].step == STEPS
    assert all(0 < point.discriminator < 4 for point in run.losses)


def test_the_same_seed_gives_the_same_bytes_also_after_an_interruption(
    tmp_path: Path, squares: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A point of the losses is the mean of four steps, and the interruption comes after the seventh.
    monkeypatch.setattr(run_module, "LOSS_POINTS", 5)
    whole = trained(tmp_path / "whole", squares)
    parts = open_run(tmp_path / "parts", squares)
    parts.train(lambda _: None, until=7)
    parts = open_run(tmp_path / "parts", squares)
    assert parts.resume()
    parts.train(lambda _: None)
    assert snapshots(parts) == snapshots(whole)
    assert parts.losses == whole.losses
    assert len(whole.losses) == 5
    assert snapshots(trained(tmp_path / "other", squares, seed=8)) != snapshots(whole)


def test_the_broken_run_goes_on_from_a_snapshot_with_a_frozen_discriminator(
    tmp_path: Path, squares: np.ndarray
) -> None:
    good = trained(tmp_path, squares)
    broken = open_run(tmp_path, squares, is_frozen=True)
    broken.start_from(good, 1)
    assert broken.first_step == 10
    before = {name: weights(broken, name) for name in ("generator", "discriminator")}
    broken.train(lambda _: None)
    changed = {
        name: any(not torch.equal(one, other) for one, other in zip(values, weights(broken, name), strict=True))
        for name, values in before.items()
    }
    assert changed == {"generator": True, "discriminator": False}
    again = open_run(tmp_path, squares, is_frozen=True)
    assert again.resume()
    assert again.first_step == 10


def test_the_discriminator_scores_the_same_without_its_norms(squares: np.ndarray) -> None:
    bounded = make_discriminator(TINY, 3)
    plain = Discriminator(TINY).eval()
    plain.load_state_dict(resolve_norms(bounded))
    pictures = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert bounded.training
    assert torch.allclose(plain(pictures), bounded.eval()(pictures), atol=1e-6)


def test_samples_are_saved(tmp_path: Path, squares: np.ndarray) -> None:
    run = open_run(tmp_path, squares)
    run.task.show(run.averaged, 40)
    assert Image.open(tmp_path / "samples" / "000040.png").size == (8 * 64, 8 * 64)

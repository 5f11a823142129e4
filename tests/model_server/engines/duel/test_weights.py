"""The files of the model lose little of its networks."""

from pathlib import Path

import torch
from fakes.engines.duel_files import TINY, make_run

from model_server.engines.duel.weights import load_run, pack, save_run, unpack


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = make_run(3, 5)
    save_run(tmp_path / "run.safetensors", TINY, run)
    again = load_run(tmp_path / "run.safetensors")
    assert [snapshot.stage for snapshot in again.snapshots] == [snapshot.stage for snapshot in run.snapshots]
    assert again.losses == run.losses
    for before, after, most in zip(run.snapshots, again.snapshots, (0.01, 0.01, 0.001), strict=True):
        for one, other in ((before.generator, after.generator), (before.discriminator, after.discriminator)):
            weights, read = one.state_dict(), other.state_dict()
            assert all((weights[key] - read[key]).abs().max() <= most for key in weights)


def test_what_was_packed_and_unpacked_does_not_change_again() -> None:
    packed = pack(make_run(1, 5).snapshots[0].generator.state_dict(), in_8_bits=True)
    again = pack(unpack(packed), in_8_bits=True)
    assert packed.keys() == again.keys()
    assert all(torch.equal(packed[key], again[key]) for key in packed)
    assert {one.dtype for key, one in packed.items() if key.endswith("convolutions.0.weight")} == {torch.int8}

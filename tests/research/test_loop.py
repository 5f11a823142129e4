"""A training run learns, and an interruption does not change its result."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.programs.deployment import READY_SECONDS

from model_server.errors import OperatorError
from research.loop import Plan, TrainingRun, check_seed
from research.pictures.training.autoencoder import AutoencoderTask, encode, measure_psnr
from research.pictures.training.dataset import TrainingSet
from research.pictures.training.denoiser import DenoiserTask
from research.pictures.training.networks import Sizes, make_autoencoder, make_unet, normalise_latents, widen

ROOT = Path(__file__).parents[3]


class SmallTask(DenoiserTask):
    """The task of the UNet with small batches and without samples."""

    batch = 8
    rate = 2e-2
    decay = 0.9

    def __init__(self, training_set: TrainingSet, sizes: Sizes) -> None:
        super().__init__(widen(make_unet(sizes, 5)), training_set, None, Path())

    def show(self, averaged: torch.nn.Module, step: int) -> None:
        """Save no samples."""


def small_run(
    training_set: TrainingSet, sizes: Sizes, folder: Path, steps: int = 20, save_seconds: float = 300
) -> TrainingRun:
    return TrainingRun(SmallTask(training_set, sizes), Plan(steps, 11, folder, "unet", save_seconds=save_seconds))


def weights(run: TrainingRun) -> list[torch.Tensor]:
    parts = (run.task.module, run.averaged)
    return [value.detach().clone() for part in parts for value in part.state_dict().values()]


def are_equal(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(left, right, strict=True))


@torch.no_grad()
def mean_loss(run: TrainingRun) -> float:
    random = torch.Generator().manual_seed(99)
    return float(torch.stack([run.task.loss(random) for _ in range(20)]).mean())


def test_training_changes_the_weights_and_lowers_the_loss(
    training_set: TrainingSet, sizes: Sizes, tmp_path: Path
) -> None:
    log: list[str] = []
    run = small_run(training_set, sizes, tmp_path)
    before, untrained = mean_loss(run), weights(run)
    run.train(log.append)
    assert mean_loss(run) < before
    assert not are_equal(weights(run), untrained)
    assert "ms a picture" in log[0]
    assert "to go, about" in log[0]
    assert "20 of 20 steps, loss" in log[-1]


PROGRAM = """
import sys, time
from pathlib import Path
import torch
from research.loop import Plan, TrainingRun, check_seed

class Line:
    module, batch, rate, decay = torch.nn.Linear(3, 1), 4, 0.1, 0.9
    def loss(self, random):
        inputs = torch.randn(4, 3, generator=random)
        return (self.module(inputs) - inputs.sum(1, keepdim=True)).square().mean()
    def show(self, averaged, step):
        print(step, flush=True)
        if step == int(sys.argv[3]):
            time.sleep(60)

torch.nn.init.ones_(Line.module.weight); torch.nn.init.zeros_(Line.module.bias)
run = TrainingRun(Line(), Plan(400, 1, Path(sys.argv[1]), "line", show_steps=1, save_seconds=float(sys.argv[2])))
run.resume()
print("from", run.step, flush=True)
run.train(lambda line: None)
print([value.tolist() for part in (run.task.module, run.averaged) for value in part.state_dict().values()])
"""


NEVER = 1e9


def start(folder: Path, save_seconds: float, hold: int = -1) -> subprocess.Popen[str]:
    """Start it. At the step `hold` it waits, so that a signal on a busy machine does not come after its end."""
    command = [sys.executable, "-c", PROGRAM, str(folder), str(save_seconds), str(hold)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)


def signal_at_step(step: str, victim: subprocess.Popen[str], number: int) -> int:
    """Send the process the signal after `step`, and return its exit status."""
    assert victim.stdout is not None
    for line in victim.stdout:
        if line.strip() == step:
            os.kill(victim.pid, number)
            break
    victim.communicate(timeout=READY_SECONDS)
    return victim.returncode


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a process learns that nothing stops."""
    done = start(tmp_path_factory.mktemp("whole"), NEVER).communicate(timeout=READY_SECONDS)
    return done[0].splitlines()[-1]


@pytest.mark.processes
def test_a_killed_process_resumes_with_the_same_result(tmp_path: Path, whole: str) -> None:
    for last in (50, 51, 200):
        process = start(tmp_path / "broken", 0, hold=last + 30)
        assert signal_at_step(str(last), process, signal.SIGKILL) == -signal.SIGKILL
    lines = start(tmp_path / "broken", 0).communicate(timeout=READY_SECONDS)[0].splitlines()
    assert int(lines[0].removeprefix("from ")) >= 199
    assert lines[-1] == whole


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_process_has_saved_its_last_step(tmp_path: Path, whole: str, number: int) -> None:
    assert signal_at_step("50", start(tmp_path / "broken", NEVER), number) != 0
    lines = start(tmp_path / "broken", NEVER).communicate(timeout=READY_SECONDS)[0].splitlines()
    assert int(lines[0].removeprefix("from ")) >= 50
    assert lines[-1] == whole


def test_a_state_of_another_network_is_refused_with_a_sentence(
    training_set: TrainingSet, sizes: Sizes, tmp_path: Path
) -> None:
    small_run(training_set, sizes, tmp_path).save()
    wider = Sizes(sizes.autoencoder, (16, 16, 16), sizes.groups, sizes.head)
    with pytest.raises(OperatorError, match="another shape"):
        small_run(training_set, wider, tmp_path).resume()


def test_a_loss_that_is_not_a_number_ends_the_run(training_set: TrainingSet, sizes: Sizes, tmp_path: Path) -> None:
    run = small_run(training_set, sizes, tmp_path)
    with torch.no_grad():
        next(run.task.module.parameters()).fill_(float("nan"))
    with pytest.raises(OperatorError, match="broke down"):
        run.train(print)


def test_the_autoencoder_improves_and_saves_samples(squares: np.ndarray, sizes: Sizes, tmp_path: Path) -> None:
    task = AutoencoderTask(make_autoencoder(sizes, 1), squares, np.full(8, 1 / 8), tmp_path / "samples")
    task.batch, task.decay, task.rate = 4, 0.5, 0.2
    run = TrainingRun(task, Plan(20, 1, tmp_path, "autoencoder", show_steps=20))
    before = measure_psnr(run.averaged, squares)
    run.train(print)
    assert measure_psnr(run.averaged, squares) > before + 1
    assert list((tmp_path / "samples").glob("*.png"))


def test_normalised_latents_are_centred_and_decode_to_the_same_pictures(squares: np.ndarray, sizes: Sizes) -> None:
    autoencoder = make_autoencoder(sizes, 1)
    with torch.no_grad():
        autoencoder.quant_conv.bias += torch.arange(8)
    latents = encode(autoencoder, squares).float()
    before = autoencoder.decode(latents).sample
    normalise_latents(autoencoder, latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3)))
    centred = encode(autoencoder, squares).float()
    assert centred.mean(dim=(0, 2, 3)).abs().max() < 0.02
    assert (centred.std(dim=(0, 2, 3)) - 1).abs().max() < 0.02
    # Latents are encoded in bfloat16, which has three digits.
    assert (autoencoder.decode(centred).sample - before).abs().max() < 0.1


def test_a_saved_run_is_refused_for_another_seed(training_set: TrainingSet, sizes: Sizes, tmp_path: Path) -> None:
    small_run(training_set, sizes, tmp_path, steps=2).train(lambda _: None)
    other = TrainingRun(SmallTask(training_set, sizes), Plan(2, 12, tmp_path, "unet"))
    with pytest.raises(
        OperatorError, match=r"unet has the seed 11, and 12 was asked for\. Go on with --seed 11, or move"
    ):
        other.resume()
    with pytest.raises(OperatorError, match="has the seed 11"):
        check_seed(tmp_path / "unet.pt", 12)
    check_seed(tmp_path / "unet.pt", 11)
    check_seed(tmp_path / "autoencoder.pt", 12)


def test_a_full_disk_leaves_the_last_saved_state(training_set: TrainingSet, sizes: Sizes, tmp_path: Path) -> None:
    run = small_run(training_set, sizes, tmp_path)
    run.save()
    before = (tmp_path / "unet.pt").read_bytes()
    run.step = 5
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OperatorError, match=r"unet\.pt could not be written under .*: File too large\. Make room"):
            run.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["unet.pt"]
    assert (tmp_path / "unet.pt").read_bytes() == before

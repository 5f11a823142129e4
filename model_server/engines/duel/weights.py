"""The files of the model: two runs of the training, each with several snapshots of both networks, and real pictures."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from model_server.assembly import DUEL_FILES
from model_server.engines.common.images import to_images
from model_server.engines.contract import Misconfigured
from model_server.engines.duel.networks import EDGE, Discriminator, Generator, Sizes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_server.jobs import FaceRun

GOOD_FILE, BROKEN_FILE, REAL_FILE = DUEL_FILES
RUN_FILES: dict[FaceRun, str] = {"good": GOOD_FILE, "broken": BROKEN_FILE}
"""The run whose networks stayed in balance, and one that was made to lose it."""
ABOUT, SCALE = "about", ".scale"
SMALLEST_SCALE = 1e-6
NetworkT = TypeVar("NetworkT", Generator, Discriminator)


class LossPoint(NamedTuple):
    """The mean losses of both networks since the point before, after so many real pictures were shown."""

    pictures: int
    generator: float
    discriminator: float


@dataclass(frozen=True)
class Stage:
    """When a snapshot was taken, and how the score s of its discriminator becomes a probability: of slope · s + offset.

    `pictures` is the number of real pictures that were shown until then.
    """

    pictures: int
    slope: float
    offset: float


@dataclass(frozen=True)
class Snapshot:
    """Both networks at one stage of their training."""

    stage: Stage
    generator: Generator
    discriminator: Discriminator

    @torch.inference_mode()
    def draw(self, latent: torch.Tensor) -> Image.Image:
        """Draw the picture of one latent. Never in a batch, so that its bytes do not depend on other pictures."""
        [picture] = to_images(self.generator(latent[None]))
        return picture

    @torch.inference_mode()
    def judge(self, picture: Image.Image) -> float:
        """Return the probability that a picture of 64 × 64 is real, as the discriminator sees it."""
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).reshape(EDGE, EDGE, 3)
        score = self.discriminator((pixels.permute(2, 0, 1)[None].float() / 127.5) - 1)
        return float((self.stage.slope * score + self.stage.offset).sigmoid())


@dataclass(frozen=True)
class Run:
    """The snapshots of one run of the training in their order, and the curves of the losses."""

    snapshots: Sequence[Snapshot]
    losses: Sequence[LossPoint]


def save_run(path: Path, sizes: Sizes, run: Run) -> None:
    """Write a run, its last snapshot in half precision and the others in 8 bits."""
    tensors = {
        f"{number:02}.{name}.{key}": value
        for number, snapshot in enumerate(run.snapshots)
        for name, network in (("generator", snapshot.generator), ("discriminator", snapshot.discriminator))
        for key, value in pack(network.state_dict(), in_8_bits=number < len(run.snapshots) - 1).items()
    }
    about = {
        "sizes": asdict(sizes),
        "stages": [asdict(snapshot.stage) for snapshot in run.snapshots],
        "losses": [[pictures, round(one, 4), round(other, 4)] for pictures, one, other in run.losses],
    }
    # Several entries would be written in another order each time.
    path.write_bytes(save(tensors, {ABOUT: json.dumps(about)}))


def pack(state: Mapping[str, torch.Tensor], *, in_8_bits: bool) -> dict[str, torch.Tensor]:
    """Return the tensors of a network as a file holds them. What `unpack` returns of them can be packed again.

    In 8 bits, each row of a weight is a whole number from -127 to 127 times a scale of its own.
    """
    packed = {}
    for key, value in state.items():
        if not value.is_floating_point():
            # The count of batches has no effect.
            continue
        if not in_8_bits or value.ndim < 2:
            packed[key] = value.half().contiguous()
            continue
        scales = (value.flatten(1).abs().amax(dim=1) / 127).half().clamp(min=SMALLEST_SCALE)
        packed[key + SCALE] = scales
        rows = value.flatten(1) / scales.float()[:, None]
        packed[key] = rows.round().clamp(-127, 127).to(torch.int8).reshape(value.shape)
    return packed


def unpack(packed: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors of a network in single precision."""
    state = {}
    for key, value in packed.items():
        if key.endswith(SCALE):
            continue
        scales = packed.get(key + SCALE)
        factor = 1.0 if scales is None else scales.float().reshape(-1, *[1] * (value.ndim - 1))
        state[key] = value.float() * factor
    return state


def load_run(path: Path) -> Run:
    """Read a run. Raises Misconfigured if the file is not what `save_run` writes."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()[ABOUT])
            sizes = Sizes(**about["sizes"])
            stages = [Stage(**stage) for stage in about["stages"]]
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        snapshots = [
            Snapshot(stage, _load(Generator(sizes), tensors, number), _load(Discriminator(sizes), tensors, number))
            for number, stage in enumerate(stages)
        ]
        return Run(snapshots, [LossPoint(*point) for point in about["losses"]])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise Misconfigured(f"{path} should hold the networks that python -m research.train duel exports.") from error


def _load(network: NetworkT, tensors: Mapping[str, torch.Tensor], number: int) -> NetworkT:
    prefix = f"{number:02}.{type(network).__name__.lower()}."
    load_packed(network, {key.removeprefix(prefix): one for key, one in tensors.items() if key.startswith(prefix)})
    return network


def load_packed(network: Generator | Discriminator, packed: Mapping[str, torch.Tensor]) -> None:
    """Load the tensors of a file into a network, and let it be used. Raises ValueError if they belong to another."""
    missing, unexpected = network.load_state_dict(unpack(packed), strict=False)
    if unexpected or not all(key.endswith("num_batches_tracked") for key in missing):
        raise ValueError("the file has other weights than its networks")
    network.eval()


def load_real_pictures(path: Path) -> list[Image.Image]:
    """Read real pictures, 64 × 64 each, which lie side by side in rows in one file. Raises Misconfigured."""
    try:
        with Image.open(path) as opened:
            sheet = opened.convert("RGB")
    except OSError as error:
        raise Misconfigured(f"{path} should be a picture with real faces.") from error
    corners = [(left, top) for top in range(0, sheet.height, EDGE) for left in range(0, sheet.width, EDGE)]
    pictures = [sheet.crop((left, top, left + EDGE, top + EDGE)) for left, top in corners]
    # The last row may have fewer pictures; the rest of it is black.
    return [picture for picture in pictures if picture.getbbox()]

"""Teaches a UNet that knows things by their names what else people call them.

What a description should do is known: in each layer that reads the text, the same as the name. So these layers learn
that alone, each from what it was given and gave for the name, in a tenth of the time that the whole network takes. It
is its own teacher: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from model_server.training.denoiser import NOISIEST
from model_server.training.networks import make_scheduler, mixed_precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffusers import UNet2DConditionModel

    from model_server.training.denoiser import Lesson

    Tell = Callable[[str], None]

BATCH = 64
KEPT = 24
"""Beside them so many captions as the training draws them, for which the layers shall go on to do what they did."""
RATE = 2e-3
RECORDED = 2400
AT_ONCE = 100
NOISY_SHARE = 0.75
PLACES = 16
"""At how many places of a layer each step looks."""
TELL_STEPS = 400


@dataclass(frozen=True)
class Record:
    """What a layer was given and gave for some captions: both N × places × channels, in half precision."""

    layer: torch.nn.Module
    given: torch.Tensor
    gave: torch.Tensor

    def error(self, rows: torch.Tensor, states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """How far from what it gave the layer is now, at some places, with the `states` of a caption for each row."""
        given, gave = (part[rows][:, places].float().to(states.device) for part in (self.given, self.gave))
        with mixed_precision(states.device):
            made = self.layer(given, encoder_hidden_states=states)
        error: torch.Tensor = (made.float() - gave).square().mean()
        return error

    def spread(self) -> float:
        """How far from each other what it gave is."""
        return float(self.gave.float().var(dim=0).mean())


def learn_wordings(unet: UNet2DConditionModel, lesson: Lesson, seed: int, tell: Tell, steps: int) -> None:
    """Change the layers of `unet` that read the text so that descriptions do what the names of their things did.

    `lesson.wordings` has the names and descriptions. The same seed gives the same weights.
    """
    random = torch.Generator().manual_seed(seed)
    things = torch.randint(len(lesson.wordings), (RECORDED,), generator=random).tolist()
    shown = torch.tensor([_one(lesson.wordings[thing].latents, random) for thing in things])
    names = torch.tensor([lesson.wordings[thing].name for thing in things])
    others, captions = lesson.draw_rows(RECORDED, random)
    records = list(
        zip(*(_record(unet, lesson, *both, random) for both in ((shown, names), (others, captions))), strict=True)
    )
    spreads = [named.spread() for named, _ in records]
    optimizer = torch.optim.AdamW(
        [one.requires_grad_() for named, _ in records for one in named.layer.parameters()],
        lr=RATE,
        betas=(0.9, 0.99),
        weight_decay=0.01,
    )
    errors = torch.zeros(2)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * (1 - step / steps)
        rows, same = (torch.randint(RECORDED, (count,), generator=random) for count in (BATCH, KEPT))
        meant = torch.tensor([_one(lesson.wordings[things[row]].descriptions, random) for row in rows.tolist()])
        described, drawn = (lesson.words(texts).to(unet.device) for texts in (meant, captions[same]))
        found = []
        for (named, kept), spread in zip(records, spreads, strict=True):
            places = torch.randperm(named.given.shape[1], generator=random)[:PLACES]
            both = named.error(rows, described, places), kept.error(same, drawn, places)
            found.append(torch.stack(both) / spread)
        mean = torch.stack(found).mean(dim=0)
        mean.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        errors += mean.detach().cpu() / TELL_STEPS
        if (step + 1) % TELL_STEPS == 0:
            tell(f"wordings: {step + 1:,} of {steps:,} steps, loss {errors[0]:.3f}, of other captions {errors[1]:.3f}")
            errors.zero_()
    unet.requires_grad_(requires_grad=False)


@torch.no_grad()
def _record(
    unet: UNet2DConditionModel, lesson: Lesson, shown: torch.Tensor, captions: torch.Tensor, random: torch.Generator
) -> list[Record]:
    """What each layer that reads text does when `unet` is shown noisy latents with captions, a row of each."""
    records: dict[torch.nn.Module, list[tuple[torch.Tensor, torch.Tensor]]] = {
        layer: [] for name, layer in unet.named_modules() if name.endswith("attn2")
    }

    def keep(layer: torch.nn.Module, given: tuple[torch.Tensor], gave: torch.Tensor) -> None:
        records[layer].append((given[0].half().cpu(), gave.half().cpu()))

    hooks = [layer.register_forward_hook(keep) for layer in records]
    scheduler = make_scheduler()
    count = scheduler.config.num_train_timesteps
    for start in range(0, len(shown), AT_ONCE):
        latents = lesson.latents[shown[start : start + AT_ONCE]].float()
        share = torch.rand(len(latents), generator=random)
        noisy = torch.rand(len(latents), generator=random) < NOISY_SHARE
        steps = (torch.where(noisy, 1 - NOISIEST * share, share) * count).long().clamp(max=count - 1)
        seen = scheduler.add_noise(latents, torch.randn(latents.shape, generator=random), steps)
        unet(*(part.to(unet.device) for part in (seen, steps, lesson.words(captions[start : start + AT_ONCE]))))
    for hook in hooks:
        hook.remove()
    return [Record(layer, *map(torch.cat, zip(*found, strict=True))) for layer, found in records.items()]


def _one(rows: torch.Tensor, random: torch.Generator) -> int:
    return int(rows[torch.randint(len(rows), (), generator=random)])

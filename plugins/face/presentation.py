"""Replies of /face in parts: files, cards, and what the detective thinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot import Attachment, Button, Context, FaceTraining, Pictures


def attach(drawn: Pictures, alt: str, name: str = "face", kind: str = "png") -> tuple[Attachment, ...]:
    """Return the files of drawn faces."""
    return tuple(
        Attachment(f"{name}-{drawn.seed}.{kind}", data, media_type=f"image/{kind}", alt=alt) for data in drawn.png
    )


def build_card(drawn: Pictures, truncation: float, **more: str) -> dict[str, str]:
    """Return the facts about drawn faces."""
    facts = {"model": drawn.model, "seed": str(drawn.seed), **more}
    return facts | {"truncation": f"{truncation:g}", "seconds": f"{drawn.seconds:.2f}"}


def build_button(label: str, options: Mapping[str, Any]) -> Button:
    """Return a button that runs /face."""
    return Button(label, "face", options)


def describe_verdicts(ctx: Context, verdicts: Sequence[float]) -> str:
    """Return a sentence about what the detective thinks of each face."""
    if len(verdicts) == 1:
        return ctx.translate("The detective is {percent} % sure that it is real.", percent=_percent(verdicts[0]))
    fooled = sum(verdict > 0.5 for verdict in verdicts)
    return ctx.translate(
        "How sure the detective is that each is real, in order: {percents} %. It takes {fooled} of {count} for real.",
        percents=", ".join(str(_percent(verdict)) for verdict in verdicts),
        fooled=fooled,
        count=len(verdicts),
    )


def describe_training(ctx: Context, training: FaceTraining, *, broken: bool) -> str:
    """Return what a strip of snapshots shows. In the broken training, only the first one is from before the break."""
    shown = max(training.pictures, default=0)
    if not broken:
        return ctx.translate(
            "The same noise, drawn by the forger at {count} moments of its training: first with random weights, at "
            "last after {shown} real pictures had been shown. The forger never sees those. It only learns from what "
            "the detective says about its own pictures.",
            count=len(training.pictures),
            shown=shown,
        )
    return ctx.translate(
        "Here forger and detective fell out of balance. After the first picture, the detective stopped learning. The "
        "forger found out what this detective believes most, and draws hardly anything else, whatever the noise is. "
        "Nobody else would take it for a face. That is called mode collapse."
    )


def _percent(share: float) -> int:
    return round(100 * share)

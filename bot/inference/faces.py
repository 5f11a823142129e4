"""The wire format of faces, and of rounds of forger and detective: sheets of real and forged faces, with the truth."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

from bot.core.model_events import DuelSheet, FaceTraining, LossPoint, Pictures
from bot.inference.responses import checked_format
from bot.provenance.labelling import label_picture
from bot.provenance.metadata import without_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.inference.upstreams.routing import Target

PATH = "/images/generations"
DUEL_MODEL = "emoji-faces"
"""The model that has a detective beside its forger."""
FACE_PIXELS = 160
"""Edge of each face on a sheet: those of the model have 64, too few to look at."""


def build_fields(*, seed: int, count: int, layout: str, user: str, **wanted: object) -> dict[str, Any]:
    """Return the fields of a request for faces.

    Of `wanted`, what is None is left out: a model without a detective does not know most of it.
    """
    fields = {"prompt": "", "n": count, "seed": seed, "layout": layout, "response_format": "b64_json", "user": user}
    return fields | {name: value for name, value in wanted.items() if value is not None}


async def draw_faces(target: Target, fields: Mapping[str, Any]) -> Pictures:
    """Return the faces that a model draws for a request with these fields, with labels. Errors as of `request`."""
    answer = await target.upstream.request("POST", PATH, {"model": target.model, **fields})
    with checked_format(target.upstream.shown_name):
        told = answer.get("tempera") or {}
        training = None
        if told.get("pictures"):
            losses = tuple(LossPoint(int(shown), float(one), float(other)) for shown, one, other in told["losses"])
            training = FaceTraining(tuple(map(int, told["pictures"])), losses)
        seed = told.get("seed", fields["seed"])
        files = [base64.b64decode(item["b64_json"]) for item in answer["data"]]
        verdicts = tuple(map(float, told.get("verdicts") or ()))
    facts = {"model": target.name, "seed": str(seed), "truncation": f"{fields['truncation']:g}"}
    return Pictures(
        model=target.name,
        seed=seed,
        seconds=told.get("seconds", 0.0),
        png=tuple([await asyncio.to_thread(label_picture, file, facts) for file in files]),
        verdicts=verdicts,
        training=training,
    )


async def draw_duel(target: Target, fields: Mapping[str, Any]) -> DuelSheet:
    """Return a sheet, with a label that does not name the seed, from which anybody could learn the truth."""
    answer = await target.upstream.request("POST", PATH, {"model": target.model, **fields})
    with checked_format(target.upstream.shown_name):
        told = answer["tempera"]
        real = tuple(bool(one) for one in told["real"])
        verdicts = tuple(float(one) for one in told["verdicts"])
        if len(real) != len(verdicts):
            raise ValueError("not one verdict for each face")
        png = base64.b64decode(answer["data"][0]["b64_json"], validate=True)
        seed = int(told["seed"])
    labelled = await asyncio.to_thread(lambda: label_picture(without_metadata(png), {"model": target.name}))
    return DuelSheet(labelled, real, verdicts, target.name, seed)

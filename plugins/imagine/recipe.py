"""How a picture is made again: nothing is kept of it but this."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bot import Drawn, UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that it takes to draw one picture once more. `source` is the one that a variation began with."""

    model: str
    prompt: str
    seed: int
    steps: int
    guidance: float
    negative: str | None = None
    strength: float | None = None
    source: Recipe | None = None

    @classmethod
    def of(cls, drawn: Drawn, prompt: str, negative: str | None, source: Recipe | None = None) -> Recipe:
        """That of the first picture of an answer."""
        return cls(
            model=drawn.model,
            prompt=prompt,
            seed=drawn.seed,
            steps=drawn.steps,
            guidance=drawn.guidance,
            negative=negative,
            strength=drawn.strength,
            source=source,
        )

    @classmethod
    def read(cls, text: str) -> Recipe:
        """What `written` gave. Raises UserError for anything else."""
        try:
            return cls._read(json.loads(text))
        except (KeyError, RecursionError, TypeError, ValueError):
            raise UserError("This button has expired.") from None

    @classmethod
    def _read(cls, plain: Mapping[str, Any]) -> Recipe:
        source = plain["source"]
        return cls(**{**plain, "source": None if source is None else cls._read(source)})

    def written(self) -> str:
        """The recipe as a button keeps it."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @property
    def depth(self) -> int:
        """How many pictures must be drawn on the way to this one."""
        return 0 if self.source is None else self.source.depth + 1

    def turned(self, knob: str, value: float) -> Recipe:
        """The same with another guidance, or with other steps."""
        return replace(self, steps=int(value)) if knob == "steps" else replace(self, guidance=value)

    def wish(self) -> dict[str, Any]:
        """What `ctx.models.imagine` takes to draw it, but for the source."""
        return {
            "prompt": self.prompt,
            "seed": self.seed,
            "steps": self.steps,
            "guidance": self.guidance,
            "negative_prompt": self.negative,
            "strength": self.strength,
            "model": self.model,
        }

"""How the language model draws its tokens where nobody says otherwise, and which tokens that leaves out."""

from __future__ import annotations

from bot import Context

MIN_P = 0.05
"""The share of the most probable token's probability that a token needs at the least, after temperature.

Without it a high temperature gives noise: many improbable tokens are more probable together than the probable ones.
docs/benchmarks.md has what it does.
"""


def usual_min_p(ctx: Context) -> float:
    """Return the min_p with which /ask answers here when nobody says; 0 if there is no /ask."""
    return float(ctx.plugins.find_default("ask", "min_p", ctx.place, ctx.user) or 0)

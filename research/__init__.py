"""Training, measurements and evaluations, for a checkout: nothing here is installed, and no program imports it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "research" / "data"
"""Questions and prompts with the right answers to them. Those that are held out must never be fitted to."""

"""Loading plugins stays light; test_main.py of the bot and of the model server hold the same of programs."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "diffusers", "matplotlib"}


def test_plugins_load_what_draws_charts_only_to_draw() -> None:
    probe = f"import plugins.lab, plugins.stats, sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert done.stdout.strip() == ""

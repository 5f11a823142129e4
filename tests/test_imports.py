"""Starting a program stays light; which imports are allowed is held by the contracts of pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "transformers", "diffusers"}


@pytest.mark.parametrize(
    "code", ["import bot", "import bot.__main__ as m; m._parser()", "import model_server.__main__"]
)
def test_light_things_stay_light(code: str) -> None:
    probe = f"{code}\nimport sys\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert done.stdout.strip() == ""

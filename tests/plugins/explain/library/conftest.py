from pathlib import Path

import pytest

PETS = "# Pets\n\n## Cats\n\nCats purr when they are content.\n\n## Dogs\n\nDogs bark at strangers.\n"
PURR = "/explain why do cats purr"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Return the path of a lesson about pets."""
    path = tmp_path / "pets.md"
    path.write_text(PETS)
    return path

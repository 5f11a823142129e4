"""Pictures are examined in the process of the test; tests/bot/provenance has real processes for that."""

import pytest
from fakes.core.pictures import examine_here

from bot.answers import examiner


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examiner, "examine_in_child", examine_here)

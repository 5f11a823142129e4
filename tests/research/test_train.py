"""How the commands of research end."""

from types import ModuleType

import pytest

from research import judge, train


@pytest.mark.parametrize(("module", "more"), [(train, " The same command goes on from here."), (judge, "")])
def test_ctrl_c_only_promises_to_resume_commands_that_can(
    module: ModuleType, more: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_start", interrupted)
    assert module.main(["emoji-diffusion"]) == 130
    assert capsys.readouterr().err == f"\nStopped.{more}\n"

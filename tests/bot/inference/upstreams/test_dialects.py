import pytest

from bot.inference.upstreams.dialects import recognise


@pytest.mark.parametrize(
    ("owners", "created", "kind"),
    [
        (["library", "someone"], [1727000000, 1727000001], "ollama"),
        (["llamacpp"], [1], "llama.cpp"),
        (["vllm"], [1], "vllm"),
        (["organization_owner"], [None], "lmstudio"),
        (["openai", "openai"], [1677610602, 1677610602], "litellm"),
        # OpenAI itself, one of whose models has that time, and gateways that call every model OpenAI's.
        (["openai", "openai"], [1677610602, 1687882411], ""),
        (["openai"], [["no", "time"]], ""),
        ([None], [None], ""),
        ([], [], ""),
    ],
)
def test_a_server_is_recognised_by_its_list(owners: list[str | None], created: list[object], kind: str) -> None:
    models = zip(owners, created, strict=True)
    listed = [{"id": "tiny", "owned_by": owner, "created": moment} for owner, moment in models]
    assert recognise({"data": listed}) == kind

import pytest

from bot.config.sections import WebSection
from bot.core.errors import ConfigError
from bot.platforms.web.checks import check_exposure, examine

OPEN = ["0.0.0.0", "::", "", "192.0.2.1", "chat.example.org"]


@pytest.mark.parametrize("code", ["", "   "])
@pytest.mark.parametrize("host", OPEN)
def test_a_chat_without_a_code_stays_on_this_machine(host: str, code: str) -> None:
    with pytest.raises(
        ConfigError, match="Set a join code in TEMPERA_WEB__JOIN_CODE, such as .{12,}, or web.host to 127.0.0.1"
    ):
        check_exposure(WebSection.model_validate({"host": host, "join_code": code}))


@pytest.mark.parametrize(
    ("host", "code"), [*((host, "s3cret-s3cret") for host in OPEN), ("127.0.0.1", ""), ("::1", "")]
)
def test_a_chat_that_may_be_opened(host: str, code: str) -> None:
    check_exposure(WebSection.model_validate({"host": host, "join_code": code}))


async def test_an_open_chat_and_its_port_are_two_findings() -> None:
    exposed, port = await examine(WebSection(host="0.0.0.0", port=0), 5)
    assert (exposed[0], port) == (False, (True, "The web chat can listen on http://0.0.0.0:0."))

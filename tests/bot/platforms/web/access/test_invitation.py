"""The address, the code and the QR code by which others come in."""

from typing import Any
from xml.etree import ElementTree

import pytest
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr

from bot.config.sections import WebSection
from bot.platforms.web.access import invitation
from bot.platforms.web.access.invitation import Inviter

OWN = "192.168.1.7"
CODE = SecretStr("abcd-efgh-jkmn")


class Transport:
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("0.0.0.0", 8123) if name == "sockname" else default


@pytest.mark.parametrize(
    ("section", "host", "address", "network"),
    [
        (
            {"url": "https://chat.example/", "host": "127.0.0.1"},
            "localhost:8080",
            "https://chat.example",
            "192.168.1.7",
        ),
        ({"host": "0.0.0.0"}, "localhost:8080", "http://192.168.1.7:8123", OWN),
        ({"host": "0.0.0.0"}, "school-pc.local:8080", "http://school-pc.local:8080", OWN),
        ({"host": "10.0.0.5"}, "127.0.0.1:8080", "http://10.0.0.5:8123", OWN),
        ({"host": "127.0.0.1"}, "chat.example", "http://chat.example", OWN),
        ({"host": "127.0.0.1"}, "127.0.0.1:8080", "", OWN),
        ({"host": "::1"}, "[::1]:8080", "", OWN),
        ({"host": "0.0.0.0"}, "localhost:8080", "", ""),
    ],
)
def test_the_address_is_one_that_others_can_open(
    section: dict[str, str], host: str, address: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitation, "find_network_address", lambda: network)
    request = make_mocked_request("GET", "/class/data", {"Host": host}, transport=Transport())
    assert Inviter(WebSection(**section, join_code=CODE)).invite(request).address == address


def test_the_link_brings_the_code_along_where_no_server_sees_it() -> None:
    invited = invitation.Invitation("http://chat.example", "a b&c")
    assert invited.link == "http://chat.example/join#code=a%20b%26c"
    assert invitation.Invitation("http://chat.example", "").link == "http://chat.example"
    drawing = ElementTree.fromstring(invited.draw())
    assert drawing.tag.endswith("svg")
    # A margin of three modules is part of the drawing.
    assert int(drawing.attrib["viewBox"].split()[2]) >= 25 + 2 * 3

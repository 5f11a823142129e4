"""How much one address may hold of what all need."""

from ipaddress import ip_network

import pytest

from http_server.shares import AddressShares


@pytest.mark.parametrize(
    ("address", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1"), ("::ffff:192.0.2.1", "198.51.100.1")],
)
def test_an_address_leaves_something_for_others(address: str, other: str) -> None:
    shares = AddressShares(4, 2)
    assert [shares.add(address) for _ in range(4)] == [True, True, False, False]
    assert shares.is_full(address)
    assert shares.add(other)
    shares.remove(address)
    assert shares.add(address)
    assert not shares.add(address)


def test_a_network_of_one_user_is_one_address() -> None:
    shares = AddressShares(8, 2)
    assert [shares.add(f"2001:db8::{number}") for number in range(1, 5)] == [True, True, False, False]
    assert not shares.is_full("2001:db8:1::1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.3.2.1", "::1", "198.51.100.7", ""])
def test_a_proxy_has_the_share_of_all(address: str) -> None:
    shares = AddressShares(4, 2, [ip_network("198.51.100.0/24")])
    assert [shares.add(address) for _ in range(5)] == [True, True, True, True, False]
    assert shares.is_full("203.0.113.1")

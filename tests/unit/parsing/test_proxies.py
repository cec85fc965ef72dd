"""Who is behind proxies, and whose word is taken for it."""

from __future__ import annotations

import pytest

from datastream.parsing.proxies import TrustedProxies, network

TRUSTED = TrustedProxies(map(network, ["192.0.2.0/24", "2001:db8::1"]))


@pytest.mark.parametrize(
    ("address", "chain", "client"),
    [
        ("192.0.2.1", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9, 192.0.2.7", "203.0.113.9"),
        ("2001:db8::1", "203.0.113.9", "203.0.113.9"),
        ("2001:db8::2", "203.0.113.9", "2001:db8::2"),
        ("203.0.113.1", "203.0.113.9", "203.0.113.1"),
        ("unix:", "203.0.113.9", "203.0.113.9"),
        ("www.example.com", "203.0.113.9", "www.example.com"),
        ("192.0.2.1", "unix:", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.2, 192.0.2.3", "192.0.2.2"),
    ],
)
def test_the_client_is_the_first_who_is_not_trusted(address: str, chain: str, client: str) -> None:
    """From the right; a socket of the machine is as trusted as the proxies, and a name is not."""
    assert TRUSTED.client(address, chain) == client


@pytest.mark.parametrize("address", ["192.0.2.1", "unix:"])
def test_where_nobody_is_trusted_the_connection_s_address_is_the_client_s(address: str) -> None:
    """That of a socket as well."""
    assert TrustedProxies([]).client(address, "203.0.113.9") == address


def test_a_network_may_be_named_by_any_address_in_it() -> None:
    """As in nginx's configuration, where the host's part is of no account."""
    assert network("192.0.2.7/24") == network("192.0.2.0/24")

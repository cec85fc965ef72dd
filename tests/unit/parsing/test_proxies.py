"""Who is behind proxies, and whose word is taken for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.parsing.proxies import TrustedProxies, _entries, last_entry, network

TRUSTED = TrustedProxies(map(network, ["192.0.2.0/24", "2001:db8::1"]))


@pytest.mark.parametrize(
    ("address", "chain", "client"),
    [
        ("192.0.2.1", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9, 192.0.2.7", "203.0.113.9"),
        ("2001:db8::1", "203.0.113.9", "203.0.113.9"),
        ("2001:db8::2", "203.0.113.9", "2001:db8::2"),
        ("203.0.113.1", "203.0.113.9", "203.0.113.1"),
        ("unix:", "203.0.113.9", "unix:"),
        ("www.example.com", "203.0.113.9", "www.example.com"),
        ("192.0.2.1", "unix:", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.2, 192.0.2.3", "192.0.2.2"),
        ("::ffff:192.0.2.1", "203.0.113.9", "203.0.113.9"),
        ("192.0.2.1:51234", "203.0.113.9", "203.0.113.9"),
        ('"192.0.2.1"', "203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", " ", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9:51234", "203.0.113.9"),
        ("192.0.2.1", "[2001:db8::7]:443", "2001:db8::7"),
        ("192.0.2.1", "[2001:db8::7]", "2001:db8::7"),
        ("192.0.2.1", "203.0.113.9, [::ffff:192.0.2.7]:1", "203.0.113.9"),
        ("192.0.2.1", "203.000.113.09", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.", "203.0.113.0"),
        ("192.0.2.1", "255.255.255.255", "192.0.2.1"),
        ("192.0.2.1", "256.0.113.9", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9:0", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9:65536", "192.0.2.1"),
        ("192.0.2.1", f"203.0.113.9:{'0' * 5000}", "192.0.2.1"),
        ("192.0.2.1", "[203.0.113.9]x", "192.0.2.1"),
        ("192.0.2.1", "2001:db8::g", "192.0.2.1"),
        ("192.0.2.1", "2001:db8::7:", "2001:db8::7:0"),
        ("192.0.2.1", ":2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
        ("192.0.2.1", "2001:db8:1:2:3:4:5::", "192.0.2.1"),
        ("192.0.2.1", "2001:db8:1:2:3:4::", "2001:db8:1:2:3:4::"),
        ("192.0.2.1", "::ffff:203.0.0113.9", "203.0.113.9"),
        ("192.0.2.1", "::ffff:00203.0.113.9", "192.0.2.1"),
        ("192.0.2.1", "::ffff:203.0.113.256", "192.0.2.1"),
        ("192.0.2.1", ":", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9, ", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9,,, ,", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9 192.0.2.7,192.0.2.8", "203.0.113.9"),
        ("192.0.2.1", "203.0.113.9, , 192.0.2.7", "203.0.113.9"),
        ("192.0.2.1", ", 203.0.113.9", "203.0.113.9"),
        ("192.0.2.1", ",203.0.113.9", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9, unknown, 192.0.2.7", "192.0.2.7"),
        ("192.0.2.1", "203.0.113.9,\t192.0.2.7", "192.0.2.1"),
    ],
)
def test_the_client_is_the_first_who_is_not_trusted(address: str, chain: str, client: str) -> None:
    """From the right; what is no address ends the walk, and spaces and commas separate."""
    assert TRUSTED.client(address, chain) == client


@pytest.mark.parametrize("address", ["192.0.2.1", "unix:"])
def test_where_nobody_is_trusted_the_connection_s_address_is_the_client_s(address: str) -> None:
    """That of a socket as well."""
    assert TrustedProxies([]).client(address, "203.0.113.9") == address


def test_a_network_may_be_named_by_any_address_in_it() -> None:
    """As in nginx's configuration, where the host's part is of no account."""
    assert network("192.0.2.7/24") == network("192.0.2.0/24")


def test_a_socket_of_the_machine_is_trusted_where_it_is_named() -> None:
    """As in nginx's configuration: no network holds it."""
    trusted = TrustedProxies([network("unix:"), network("0.0.0.0/0")])

    assert trusted.client("unix:", "203.0.113.9, 192.0.2.1") == "203.0.113.9"
    assert TrustedProxies([network("::/0")]).client("unix:", "203.0.113.9") == "unix:"


@given(st.text(st.sampled_from("a1., "), max_size=12))
def test_a_list_is_read_as_its_last_entry_and_then_the_rest(chain: str) -> None:
    """From either end it is the same list; a separator that it begins with is part of an entry."""
    found, before = [], chain
    while before:
        entry, before = last_entry(before)
        found.append(entry.replace(" ", ","))

    assert _entries(chain) == found[::-1]


def test_a_network_of_ipv6_holds_no_address_of_ipv4() -> None:
    """Nor one that is written within IPv6."""
    for peer in ("192.0.2.1", "::ffff:192.0.2.1"):
        assert TrustedProxies([network("::/0")]).client(peer, "203.0.113.9") == peer


@pytest.mark.parametrize(
    ("chain", "entry", "before"),
    [
        ("203.0.113.9", "203.0.113.9", ""),
        ("192.0.2.1, 203.0.113.9", "203.0.113.9", "192.0.2.1,"),
        ("192.0.2.1,203.0.113.9 ,", "203.0.113.9", "192.0.2.1"),
        (",203.0.113.9", ",203.0.113.9", ""),
        (", ", ",", ""),
        ("", "", ""),
    ],
)
def test_the_last_entry_of_a_list(chain: str, entry: str, before: str) -> None:
    """Separators at its end are no entries."""
    assert last_entry(chain) == (entry, before)

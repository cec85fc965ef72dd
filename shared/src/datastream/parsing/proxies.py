"""Trusted proxies: those believed about the client's address."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from socket import AF_INET6, inet_pton  # converts text, opens nothing
from typing import TypeAlias

from datastream.parsing.values import host_and_port, packed_address, unmapped

Network: TypeAlias = IPv4Network | IPv6Network

#: The name of a connection through a socket of the machine, as a client and as a trusted proxy.
UNIX = "unix:"

#: Four numbers of any length; one that is missing is 0.
_NUMBERS = re.compile(r"\.".join([r"0*+([0-9]{0,3})"] * 4))
_FIRST_NUMBER = re.compile(r"[0-9]{1,4}\.")
#: The longest entry that is remembered, in characters.
_LONGEST_ENTRY = 64


def network(text: str) -> Network | None:
    """Return the addresses that `192.0.2.0/24` or `2001:db8::7` names; None for `unix:`.

    Raises ValueError.
    """
    return None if text == UNIX else ip_network(text, strict=False)


def last_entry(chain: str) -> tuple[str, str]:
    """Return the last entry of an X-Forwarded-For, and what stands before it.

    Spaces and commas separate entries, but for one that the text begins with, as in nginx.
    """
    text = chain[:1] + chain[1:].rstrip(" ,")
    at = max(text.rfind(" ", 1), text.rfind(",", 1))
    return text[at + 1 :], text[: max(at, 0)]


class TrustedProxies:
    """Finds the client behind proxies, as nginx's realip module does, `real_ip_recursive on`."""

    def __init__(self, networks: Iterable[Network | None]) -> None:
        """`networks` are those of network()."""
        found = tuple(networks)
        self._trusts_sockets = None in found
        self._networks = tuple(network for network in found if network is not None)
        self._trusts = lru_cache(maxsize=4096)(self._is_trusted)
        self._read = lru_cache(maxsize=4096)(_entry_address)

    def client(self, address: str, chain: str) -> str:
        """Return the client behind `address`, which sent the X-Forwarded-For `chain`.

        From right to left, the first address that is no trusted proxy's; the leftmost when all are.
        What is no address ends the walk.
        """
        # All at once: to look for each one anew would take a hostile list's length squared.
        for entry in reversed(_entries(chain)):
            if not self._trusts(address):
                break
            # A long text is not remembered, so that the memory used is bounded.
            found = self._read(entry) if len(entry) <= _LONGEST_ENTRY else _entry_address(entry)
            if found is None:
                break
            address = found
        return address

    def _is_trusted(self, text: str) -> bool:
        packed = packed_address(text)
        if packed is None:
            return text == UNIX and self._trusts_sockets
        address = ip_address(packed)
        return any(address in network for network in self._networks)


def _entries(chain: str) -> list[str]:
    """Return the entries as last_entry() finds them, from left to right."""
    text = chain[:1].replace(" ", ",") + chain[1:].replace(",", " ")
    return [entry for entry in text.split(" ") if entry]


def _entry_address(text: str) -> str | None:
    """Return the address of an entry in its usual text, read as nginx does; None for no address."""
    packed = _packed(text)
    if packed is None:
        host, port = host_and_port(text)
        packed = None if port == 0 else _packed(host)
    return None if packed is None else str(ip_address(packed))


def _packed(text: str) -> bytes | None:
    return _ipv6(text) if ":" in text else _ipv4(text)


def _ipv4(text: str) -> bytes | None:
    found = _NUMBERS.fullmatch(text)
    numbers = [int(number or 0) for number in found.groups()] if found else []
    # nginx's sign for no address is 255.255.255.255.
    return bytes(numbers) if found and max(numbers) < 256 and min(numbers) < 255 else None


def _ipv6(text: str) -> bytes | None:
    """Return what nginx takes a text for: not always what the standard says.

    It passes over a colon in front, takes one at the end for `:0`, and knows no `::` at the end
    that stands for one group.
    """
    if text[:1] == ":" != text[1:2]:
        text = text[1:]
    if text.endswith(":") and "::" in text and (text[-2] != ":" or text.count(":") == 8):
        text += "0"  # after seven groups and `::` it is one too many
    before, _, last = text.rpartition(":")
    if "." in last:
        ipv4 = _ipv4(last) if _FIRST_NUMBER.match(last) else None
        text = f"{before}:{IPv4Address(ipv4)}" if ipv4 else ""
    try:
        return unmapped(inet_pton(AF_INET6, text))
    except (OSError, ValueError):
        return None

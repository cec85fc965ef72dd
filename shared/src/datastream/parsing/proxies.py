"""Trusted proxies: those believed about the client's address."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network


def network(text: str) -> Network:
    """Return the addresses that `192.0.2.0/24` or `2001:db8::7` names. Raises ValueError."""
    return ip_network(text, strict=False)


class TrustedProxies:
    """Finds the client behind proxies, as nginx does with `real_ip_recursive on`."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._trusts = lru_cache(maxsize=4096)(self._is_trusted)

    def client(self, address: str, chain: str) -> str:
        """Return the client behind `address`, which sent the X-Forwarded-For `chain`.

        From right to left, the first address that is no trusted proxy's; the leftmost when all are.
        """
        for claimed in reversed([part.strip() for part in chain.split(",")]):
            if not self._trusts(address) or not _is_address(claimed):
                return address
            address = claimed
        return address

    def _is_trusted(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return text == "unix:" and bool(self._networks)
        return any(address in network for network in self._networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True

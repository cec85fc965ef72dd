"""Databases of places for tests: addresses for documentation, and made-up places."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet


def write(path: Path, places: Mapping[str, Any], ip_version: int = 6) -> None:
    """Put a database of these records, by network, in a file's place, as geoipupdate does."""
    writer = MMDBWriter(ip_version, "Test", ipv4_compatible=ip_version == 6)
    for network, record in places.items():
        writer.insert_network(IPSet([network]), record)
    new = path.with_suffix(".new")
    writer.to_db_file(str(new))
    os.replace(new, path)  # noqa: PTH105 - its name says that it is one step


def city(country: str, name: str) -> dict[str, Any]:
    """Return a record in the shape of GeoLite2-City."""
    return {"country": {"iso_code": country}, "city": {"names": {"en": name, "de": "?"}}}

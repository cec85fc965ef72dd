"""Where an address is: its country, and its city and network where a database says so."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop  # converts, opens nothing
from typing import TypeAlias

import iptocc
import maxminddb

logger = logging.getLogger(__name__)

#: Country (two letters of ISO 3166), city (in English), number of the autonomous system.
Location: TypeAlias = tuple[str | None, str | None, int | None]
NOWHERE: Location = (None, None, None)

#: How many addresses are remembered, so that each is looked up once while it visits.
REMEMBERED = 8192
CITY_LIMIT = 255
MOST_ASN = 2**32 - 1
#: An IPv4 address within IPv6.
_MAPPED = bytes(10) + b"\xff\xff"

#: A database by name: when it was written, how large it is, and which file it is.
_Listing: TypeAlias = dict[Path, tuple[int, int, int]]


class Locations:
    """Looks addresses up: in a person's own databases first, then in the registries' list.

    The list, which the package iptocc brings along, has the country that a block of addresses is
    registered in.
    """

    def __init__(self, folder: Path | None) -> None:
        """`folder` holds databases in MaxMind's format (*.mmdb), or will."""
        self._folder = folder
        self._listing: _Listing = {}
        self._readers: dict[Path, maxminddb.Reader] = {}
        self.find = lru_cache(maxsize=REMEMBERED)(self._find)
        self.refresh()

    def refresh(self) -> None:
        """Take up databases that are new, replaced or gone.

        One that cannot be read is logged and left out; the one before it stays in use.
        """
        if self._folder is None:
            return
        listing = _listing(self._folder)
        if listing == self._listing:
            return
        for path in self._listing.keys() - listing.keys():
            self._close(path)
        for path in listing:
            if listing[path] != self._listing.get(path):
                self._open(path)
        self._listing = listing
        self.find.cache_clear()

    def _open(self, path: Path) -> None:
        try:
            reader = maxminddb.open_database(path)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            logger.warning("Not a GeoIP database", extra={"path": str(path), "error": str(error)})
            return
        self._close(path)
        self._readers[path] = reader
        logger.info(
            "Using a GeoIP database",
            extra={"path": str(path), "type": reader.metadata().database_type},
        )

    def _close(self, path: Path) -> None:
        reader = self._readers.pop(path, None)
        if reader is not None:
            reader.close()

    def _find(self, client: bytes) -> Location:
        """Return where an address is; `client` is packed, 4 or 16 bytes."""
        if client.startswith(_MAPPED) and len(client) == 16:
            client = client[12:]
        address = inet_ntop(AF_INET if len(client) == 4 else AF_INET6, client)
        country = city = asn = None
        for path in sorted(self._readers):
            found = location_in(self._record(path, address))
            country, city, asn = country or found[0], city or found[1], asn or found[2]
        return country or _two_letters(iptocc.country_code(address)), city, asn

    def _record(self, path: Path, address: str) -> object:
        try:
            return self._readers[path].get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return None  # an IPv6 address in a database of IPv4; a damaged record


def location_in(record: object) -> Location:
    """Return what a record of a database says, in the shape of MaxMind's and DB-IP's."""
    if not isinstance(record, Mapping):
        return NOWHERE
    country = _part(record, "country", "iso_code") or _part(
        record, "registered_country", "iso_code"
    )
    city = _part(_part(record, "city", "names"), "en")
    asn = record.get("autonomous_system_number")
    return (
        _two_letters(country),
        city[:CITY_LIMIT] or None if isinstance(city, str) else None,
        asn if isinstance(asn, int) and 0 < asn <= MOST_ASN else None,
    )


def _part(record: object, *names: str) -> object:
    for name in names:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def _two_letters(country: object) -> str | None:
    if not isinstance(country, str) or len(country) != 2 or not country.isascii():
        return None
    return None if country == "ZZ" else country  # the registries' word for nobody yet


def _listing(folder: Path) -> _Listing:
    listing = {}
    try:
        for path in folder.glob("*.mmdb"):
            stat = path.stat()
            listing[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except OSError as error:
        logger.warning(
            "GeoIP databases cannot be read",
            extra={"path": str(folder), "error": str(error)},
        )
    return listing

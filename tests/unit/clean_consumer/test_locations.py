"""Where an address is."""

from __future__ import annotations

import logging
from ipaddress import ip_address
from pathlib import Path

import pytest

import mmdb
from clean_consumer.locations import NOWHERE, Location, Locations, location_in


def find(locations: Locations, address: str) -> Location:
    """Look an address up."""
    return locations.find(ip_address(address).packed)


def test_the_country_of_an_address_needs_no_database() -> None:
    """The registries' list says it; addresses for documentation and private ones have none."""
    locations = Locations(None)
    locations.refresh()

    assert find(locations, "193.0.6.139") == ("NL", None, None)
    assert find(locations, "2001:67c:2e8::1") == ("NL", None, None)
    assert find(locations, "::ffff:193.0.6.139") == ("NL", None, None)
    assert [find(locations, a) for a in ("192.0.2.1", "10.0.0.1", "2001:db8::1")] == [NOWHERE] * 3


def test_databases_of_one_s_own_say_more(tmp_path: Path) -> None:
    """City and network come from whichever has them; what they do not say, the list does."""
    mmdb.write(tmp_path / "city.mmdb", {"192.0.2.0/24": mmdb.city("SE", "Malmö")})
    mmdb.write(
        tmp_path / "asn.mmdb",
        {
            "192.0.2.0/25": {"autonomous_system_number": 64500},
            "193.0.6.0/24": {"autonomous_system_number": 64501},
        },
    )
    locations = Locations(tmp_path)

    assert find(locations, "192.0.2.1") == ("SE", "Malmö", 64500)
    assert find(locations, "192.0.2.200") == ("SE", "Malmö", None)
    assert find(locations, "193.0.6.139") == ("NL", None, 64501)
    assert find(locations, "2001:db8::1") == NOWHERE


def test_a_database_of_ipv4_alone(tmp_path: Path) -> None:
    """An IPv6 address is none of its business."""
    mmdb.write(tmp_path / "v4.mmdb", {"192.0.2.0/24": mmdb.city("SE", "Lund")}, ip_version=4)
    locations = Locations(tmp_path)

    assert find(locations, "192.0.2.1") == ("SE", "Lund", None)
    assert find(locations, "2001:db8::1") == NOWHERE


def test_a_database_that_is_replaced_comes_or_goes_is_taken_up(tmp_path: Path) -> None:
    """What was found before is forgotten."""
    locations = Locations(tmp_path)
    found = [find(locations, "192.0.2.1")]
    for name in ("Lund", "Malmö"):
        mmdb.write(tmp_path / "city.mmdb", {"192.0.2.0/24": mmdb.city("SE", name)})
        locations.refresh()
        found.append(find(locations, "192.0.2.1"))
    (tmp_path / "city.mmdb").unlink()
    locations.refresh()
    found.append(find(locations, "192.0.2.1"))

    assert [city for _, city, _ in found] == [None, "Lund", "Malmö", None]


def test_a_damaged_database_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named in the log, and the one before it stays in use until there is a good one."""
    path = tmp_path / "city.mmdb"
    mmdb.write(path, {"192.0.2.0/24": mmdb.city("SE", "Lund")})
    locations = Locations(tmp_path)
    (tmp_path / "half").write_bytes(path.read_bytes()[:100])
    (tmp_path / "half").replace(path)

    with caplog.at_level(logging.WARNING):
        locations.refresh()
        locations.refresh()

    assert [record.message for record in caplog.records] == ["Not a GeoIP database"]
    assert find(locations, "192.0.2.1") == ("SE", "Lund", None)


@pytest.mark.parametrize(
    ("record", "location"),
    [
        (None, NOWHERE),
        ("SE", NOWHERE),
        ({"country": "SE", "city": "Lund"}, NOWHERE),
        ({"country": {"iso_code": "SWE"}, "autonomous_system_number": 2**32}, NOWHERE),
        ({"country": {"iso_code": 7}, "city": {"names": ["Lund"]}}, NOWHERE),
        ({"city": {"names": {"en": "é" * 300}}}, (None, "é" * 255, None)),
        ({"registered_country": {"iso_code": "SE"}}, ("SE", None, None)),
        ({"autonomous_system_number": 2**32 - 1}, (None, None, 2**32 - 1)),
    ],
    ids=str,
)
def test_whatever_a_database_holds_the_columns_fit(record: object, location: Location) -> None:
    """A record of another shape says nothing."""
    assert location_in(record) == location

"""The settings of enrichment, and that each part of it can be off."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

import mmdb
from clean_consumer.columns import CleanRow
from clean_consumer.enrichment import Enrichment, enrichment
from clean_consumer.rows import Parsed, parse, referrer_id_of
from clean_consumer.settings import PARTS, EnrichmentSettings
from datastream.config import ConfigError, Environment
from datastream.privacy import hashed
from datastream.privacy_settings import PrivacySettings
from datastream.slices import DISGUISED, Slice
from datastream.streams import Stream

STREAM = Stream(9, "test", "host", "/var/log/access.log", "combined", 0)
LINE = (
    b"192.0.2.7 Xy12 ana@example.org [10/Oct/2026:13:55:36 +0200]"
    b' "GET http://example.net/a.css?b=c HTTP/1.1" 200 512'
    b' "https://www.google.com/?q=d" "curl/8.5.0"'
)


def asked(**settings: str) -> Enrichment:
    """Return the enrichment of these settings."""
    return enrichment(EnrichmentSettings.read(Environment(settings)))


def parsed(**settings: str) -> Parsed:
    """Return the line, parsed under these settings."""
    return parse(Slice(STREAM, 0, LINE, 1, 0, read_at_ms=0), asked(**settings))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder with a database of places."""
    mmdb.write(tmp_path / "city.mmdb", {"192.0.2.0/24": mmdb.city("SE", "Lund")})
    return str(tmp_path)


@pytest.mark.parametrize("off", PARTS)
def test_each_part_is_on_unless_it_is_left_out(folder: str, off: str) -> None:
    """What is off gives no columns; the others do."""
    wanted = ",".join(part for part in PARTS if part != off)

    def given(made: Enrichment) -> dict[str, object]:
        row = CleanRow._make(parse(Slice(STREAM, 0, LINE, 1, 0, read_at_ms=0), made).clean[0])
        return {
            "user_agent": made.agent and made.agent("curl/8.5.0"),
            "country": (row.country, row.city) if row.country else None,
            "referrer": made.referrer and made.referrer("https://www.google.com/"),
            "file_type": row.file_type,
            "url": parts if any(parts := (row.scheme, row.host, row.path, row.query)) else None,
            "session": row.session,
            "email": row.email_domain,
        }

    all_of_it = given(asked(GEOIP_DIR=folder))
    assert all_of_it == {
        "user_agent": ("curl", "8.5.0", None, None, True),
        "country": ("SE", "Lund"),
        "referrer": ("www.google.com", "search"),
        "file_type": "css",
        "url": ("http", "example.net", "/a.css", "b=c"),
        "session": "Xy12",
        "email": "example.org",
    }
    assert given(asked(GEOIP_DIR=folder, ENRICH=wanted)) == all_of_it | {off: None}
    assert set(given(asked(GEOIP_DIR=folder, ENRICH="none")).values()) == {None}


def test_what_is_left_out_leaves_the_rest_of_the_row_as_it_is() -> None:
    """The user and the URL are there in any case, and the type of the file needs no path."""
    whole = CleanRow._make(parsed().clean[0])
    bare = CleanRow._make(parsed(ENRICH="file_type").clean[0])

    assert (bare.user, bare.is_email) == ("ana@example.org", True)
    assert bare.url == "http://example.net/a.css?b=c"
    assert bare.file_type == "css"
    changed = {
        name
        for name, before, after in zip(CleanRow._fields, whole, bare, strict=True)
        if before != after
    }
    assert changed == {"session", "email_domain", "scheme", "host", "path", "query"}


def test_the_country_is_that_of_the_whole_address(folder: str) -> None:
    """It is looked up first; what is stored of the address is less."""
    for addresses, client in (("full", 7), ("truncated", 0)):
        row = CleanRow._make(parsed(GEOIP_DIR=folder, PRIVACY_ADDRESSES=addresses).clean[0])
        assert (row.client, row.country) == (bytes([192, 0, 2, client]), "SE")
    hidden = CleanRow._make(
        parsed(GEOIP_DIR=folder, PRIVACY_ADDRESSES="hashed", PRIVACY_KEY="k").clean[0]
    )
    assert hidden.client is not None
    assert (len(hidden.client), hidden.client[0], hidden.country) == (16, 0xFD, "SE")


def test_no_query_string_is_left() -> None:
    """Neither in the row nor among the referrers."""
    dropped = parsed(PRIVACY_QUERIES="drop")

    assert "?" in str(parsed().clean) + str(parsed().referrers)
    assert "?" not in str(dropped.clean) + str(dropped.referrers)
    assert dropped.referrers == {
        "https://www.google.com/": referrer_id_of("https://www.google.com/")
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ENRICH": "country,weather"}, "ENRICH names weather; it must be none, or some of"),
        ({"GEOIP_DIR": "/nowhere/at/all"}, "GEOIP_DIR is /nowhere/at/all; it must be a folder"),
        ({"PRIVACY_ADDRESSES": "hashed"}, "PRIVACY_KEY is not set"),
        ({"PRIVACY_ADDRESSES": "none"}, "PRIVACY_ADDRESSES is 'none'; it must be one of full"),
        ({"PRIVACY_QUERIES": "yes"}, "PRIVACY_QUERIES is 'yes'; it must be one of keep, drop"),
    ],
)
def test_a_setting_that_is_wrong_is_named(settings: dict[str, str], words: str) -> None:
    """In one line, before anything is consumed."""
    with pytest.raises(ConfigError, match=words):
        EnrichmentSettings.read(Environment(settings))


def test_the_key_is_shown_nowhere() -> None:
    """A settings object may end up in a log."""
    assert "secret" not in repr(EnrichmentSettings.read(Environment({"PRIVACY_KEY": "secret"})))


@pytest.mark.parametrize("addresses", ["truncated", "hashed"])
@pytest.mark.parametrize(
    "line", [LINE, LINE.replace(b"192.0.2.7", b"2001:db8:1:2::7"), b"no, 192.0.2.7"]
)
def test_a_line_that_was_disguised_before_gives_the_same_row(addresses: str, line: bytes) -> None:
    """A hash is not hashed again; with this producer or with that one, a visitor is the same."""
    settings = {
        "ENRICH": "none",
        "PRIVACY_ADDRESSES": addresses,
        "PRIVACY_KEY": "k",
        "PRIVACY_QUERIES": "drop",
    }
    made = asked(**settings)
    disguise = PrivacySettings.read(Environment(settings)).line_disguise
    assert disguise is not None
    whole = Slice(STREAM, 0, line, 1, 0, read_at_ms=0)
    kept = replace(whole, body=disguise(line), flags=DISGUISED, lengths=(len(line),))

    before, after = parse(whole, made), parse(kept, made)

    assert [row._replace(flags=0) for row in map(CleanRow._make, after.clean)] == before.clean
    assert [row._replace(flags=0) for row in after.rejected] == before.rejected
    assert after.referrers == before.referrers


def test_who_is_within_the_site_is_hashed_too() -> None:
    """An address of fd00::/8 in a line that was not disguised is a visitor's."""
    line = LINE.replace(b"192.0.2.7", b"fd00::1")
    made = asked(PRIVACY_ADDRESSES="hashed", PRIVACY_KEY="k")

    row = CleanRow._make(parse(Slice(STREAM, 0, line, 1, 0, read_at_ms=0), made).clean[0])

    assert row.client == hashed("k")(ip_address("fd00::1").packed)

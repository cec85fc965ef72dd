"""Single values: times, addresses, e-mail addresses, numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastream.parsing import Unparseable
from datastream.parsing.values import (
    decimal_total,
    email_domain,
    epoch_time,
    iso_time,
    number,
    packed_address,
    unmapped,
    utc_time,
)

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

ZONES = st.integers(-(24 * 60 - 1), 24 * 60 - 1).map(lambda m: timezone(timedelta(minutes=m)))


@pytest.mark.parametrize(
    ("logged", "utc"),
    [
        ("10/Oct/2000:13:55:36 -0700", "2000-10-10 20:55:36.000"),
        ("10/Oct/2000:13:55:36 +0530", "2000-10-10 08:25:36.000"),
        ("10/Oct/2000:13:55:36 +0000", "2000-10-10 13:55:36.000"),
        ("10/Oct/2000:13:55:36 -0000", "2000-10-10 13:55:36.000"),
        ("31/Dec/1999:23:59:59 -0100", "2000-01-01 00:59:59.000"),
        ("29/Feb/2024:00:00:00 +0100", "2024-02-28 23:00:00.000"),
        ("01/Jan/2000:00:00:00 +2359", "1999-12-31 00:01:00.000"),
        ("01/Jan/1000:00:00:00 +0000", "1000-01-01 00:00:00.000"),
        ("31/Dec/9999:23:59:59 +0000", "9999-12-31 23:59:59.000"),
    ],
)
def test_a_time_becomes_utc(logged: str, utc: str) -> None:
    """The zone is applied, and the text is what MySQL reads."""
    assert utc_time(logged) == utc


@pytest.mark.parametrize(
    ("read", "logged", "utc"),
    [
        (utc_time, "10/Oct/2000:13:55:36.1 -0700", "2000-10-10 20:55:36.100"),
        (utc_time, "10/Oct/2000:13:55:36.999999999 -0700", "2000-10-10 20:55:36.999"),
        (iso_time, "2000-10-10T13:55:36-07:00", "2000-10-10 20:55:36.000"),
        (iso_time, "2000-10-10T13:55:36-0700", "2000-10-10 20:55:36.000"),
        (iso_time, "2000-10-10T13:55:36.5Z", "2000-10-10 13:55:36.500"),
        (epoch_time, "971211336", "2000-10-10 20:55:36.000"),
        (epoch_time, "971211336.25", "2000-10-10 20:55:36.250"),
        (epoch_time, "971211336.123999", "2000-10-10 20:55:36.123"),
    ],
)
def test_a_fraction_is_cut_to_milliseconds(
    read: Callable[[str], str], logged: str, utc: str
) -> None:
    """In whichever form a time is logged."""
    assert read(logged) == utc


@settings(deadline=None)
@given(
    moment=st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001 -- the strategy adds zones
)
def test_every_time_that_a_server_can_log_becomes_utc(moment: datetime) -> None:
    """It is the same instant, whatever the zone."""
    moment = moment.replace(microsecond=0)
    logged = f"{moment:%d}/{MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S %z}"

    assert datetime.fromisoformat(utc_time(logged)).replace(tzinfo=UTC) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "10/Oct/2000:13:55:36",
        "10/Oct/2000:13:55:36 0700",
        "10/Oct/2000:13:55:36. -0700",
        "10/Oct/2000:13:55:36.1234567890 -0700",
        "10/Oct/2000:13:55:36 -07:00",
        "10/Oct/2000:13:55:36 GMT",
        "10/Oct/2000 13:55:36 -0700",
        "2000-10-10T13:55:36+00:00",
        "1/Oct/2000:13:55:36 -0700",
        "10/10/2000:13:55:36 -0700",
        "10/oct/2000:13:55:36 -0700",
        "10/Okt/2000:13:55:36 -0700",
        "\u0661\u0660/Oct/2000:13:55:36 -0700",
        "10/Oct/2000:13:55:36 -0700 ",
        "10/Oct/2000:13:55:36 -0700\n",
        "31/Apr/2000:13:55:36 -0700",
        "29/Feb/2023:13:55:36 -0700",
        "00/Oct/2000:13:55:36 -0700",
        "10/Oct/2000:24:00:00 -0700",
        "10/Oct/2000:13:60:36 -0700",
        "10/Oct/2000:13:55:60 -0700",
        "10/Oct/2000:13:55:36 -2400",
        "10/Oct/2000:13:55:36 +9999",
        "10/Oct/2000:13:55:36 +0760",
        "10/Oct/0000:13:55:36 -0700",
        "01/Jan/0001:00:00:00 +0100",
        "31/Dec/0999:23:59:59 +0000",
        "01/Jan/1000:00:00:00 +0001",
        "31/Dec/9999:23:59:59 -0001",
    ],
)
def test_what_is_no_time_is_rejected(text: str) -> None:
    """A wrong shape, a date or zone that does not exist, a year that MySQL does not take."""
    for _ in range(2):  # a reject is not remembered as a time
        with pytest.raises(Unparseable) as caught:
            utc_time(text)
        assert caught.value.reason == "time"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (iso_time, "2000-10-10"),
        (iso_time, "2000-13-10T13:55:36Z"),
        (iso_time, "2000-00-10T13:55:36Z"),
        (epoch_time, "yesterday"),
        (epoch_time, "253402300800"),
        (epoch_time, "999999999999"),
    ],
)
def test_what_is_no_time_of_another_shape_is_rejected(
    read: Callable[[str], str], text: str
) -> None:
    """A wrong shape, a month that does not exist, a year after 9999."""
    with pytest.raises(Unparseable) as caught:
        read(text)
    assert caught.value.reason == "time"


def test_the_last_second_that_a_column_holds() -> None:
    """It is none too late."""
    assert epoch_time("253402300799.999") == "9999-12-31 23:59:59.999"


def test_the_machine_s_own_zone_has_no_part_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer anywhere comes to the same time."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    try:
        read = utc_time("10/Oct/2000:13:55:37 -0700")
    finally:
        monkeypatch.undo()
        time.tzset()

    assert read == "2000-10-10 20:55:37.000"


def test_a_total_has_the_decimals_of_its_column() -> None:
    """Of what is not there none is counted."""
    assert decimal_total([0.0004, None, 0.0004]) == 0.001


def test_the_cache_of_times_is_bounded() -> None:
    """A log of years does not fill the memory."""
    assert utc_time.cache_parameters()["maxsize"] == 4096


@settings(deadline=None)
@given(address=st.ip_addresses())
def test_every_address_is_packed(address: IPv4Address | IPv6Address) -> None:
    """Its usual text gives its bytes."""
    packed = unmapped(address.packed)

    assert packed_address(str(address)) == packed
    assert packed_address(str(address).upper()) == packed


@settings(deadline=None)
@given(address=st.ip_addresses(), port=st.integers(0, 65535), quote=st.sampled_from(["", '"']))
def test_an_address_in_any_spelling_is_that_address(
    address: IPv4Address | IPv6Address, port: int, quote: str
) -> None:
    """In brackets, with a port, in quotes; an IPv4 address also within IPv6."""
    text = str(address)
    spelled = [f"[{text}]:{port}", f"[{text}]", text]
    if isinstance(address, IPv4Address):
        high, low = (address.packed[at : at + 2].hex() for at in (0, 2))
        spelled += [f"{text}:{port}", f"::ffff:{text}", f"[::ffff:{text}]:{port}"]
        spelled += [f"::FFFF:{high}:{low}", f"0:0:0:0:0:ffff:{text}"]

    assert {packed_address(f"{quote}{one}{quote}") for one in spelled} == {unmapped(address.packed)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "unix:",
        "localhost",
        "203.0.113",
        "203.0.113.256",
        "203.0.113.07",
        "203.0.113.7 ",
        "203.0.113.7\0",
        "0x7f.0.0.1",
        "2130706433",
        "\u0661.2.3.4",
        "[::1",
        "::1]",
        "[]",
        "[]:80",
        ":80",
        "203.0.113.7:",
        "203.0.113.7:65536",
        "203.0.113.7:x",
        "203.0.113.7:" + "9" * 5000,
        "[::1]x",
        "[::1]:",
        '"',
        '""',
        '"203.0.113.7',
        '""203.0.113.7""',
        "::1\0",
        "::1%lo",
        "1::2::3",
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    """Only the standard forms are addresses."""
    assert packed_address(text) is None


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("ana@example.org", "example.org"),
        ("Ana.Lopez+x@MAIL.Example.ORG", "mail.example.org"),
        ("ana@bücher.example", "bücher.example"),
        ("", None),
        ("ana", None),
        ("@example.org", None),
        ("ana@", None),
        ("ana@localhost", None),
        ("ana@example.", None),
        ("ana@.org", None),
        ("ana@example..org", None),
        ("ana@b@example.org", None),
        ("ana lopez@example.org", None),
        ("ana@example.org ", None),
        ("ana@exam\tple.org", None),
    ],
)
def test_the_domain_of_an_email_address(text: str, domain: str | None) -> None:
    """One "@", something before it, a domain with a dot after it, no white space."""
    assert email_domain(text) == domain


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("007", 7), ("99", 99), ("100", None), ("-", None), ("9" * 5000, None)],
)
def test_a_number_is_within_its_range(text: str, value: int | None) -> None:
    """More than the most is no number, however many digits it has."""
    assert number(text, 99) == value

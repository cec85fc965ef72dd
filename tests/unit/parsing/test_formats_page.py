"""docs/formats.md, columns.md and error-log.md say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datastream.parsing import (
    ERROR_LIMITS,
    EXTRA_LIMIT,
    LIMITS,
    PREFIXES,
    PRESETS,
    REJECT_MEANINGS,
    ErrorEvent,
    Event,
    canonical,
    compiled,
    detect,
    parser_for,
)
from datastream.parsing.access_log import AccessFormat
from datastream.parsing.fields import Fields
from datastream.parsing.variables import COLUMNS, KINDS, Kind, kind_of

ROOT = Path(__file__).parents[3]
FORMATS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
COLUMNS_PAGE = (ROOT / "docs" / "columns.md").read_text(encoding="utf-8")
ERROR_LOG = (ROOT / "docs" / "error-log.md").read_text(encoding="utf-8")
NGINX = (ROOT / "tests" / "data" / "nginx" / "variables.txt").read_text(encoding="ascii")


def table(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table below this heading, without its head."""
    below = re.split(rf"\n##+ {heading}\n", page, maxsplit=1)[1]
    rows = [line for line in re.split("\n##", below)[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in rows[2:]]


def example(cell: str) -> bytes:
    """Return the line that a cell of a table shows."""
    shown: str
    [shown] = re.findall(r"^`(.*)`(?: \(|$)", cell)
    return shown.replace("\\|", "|").replace("⇥", "\t").encode()


def name_in(cell: str) -> str:
    """Return the format that a cell of a table names first."""
    return cell.split("`")[1]


LINES = table(FORMATS, "My line looks like this")
SERVERS = table(FORMATS, "Other servers")
BEHIND = table(FORMATS, "Prefixes")
FIELDS = table(COLUMNS_PAGE, "What each field becomes")


def test_every_format_is_on_the_page() -> None:
    """The page lists the formats that there are, in two tables."""
    named = [name_in(row[1]) for row in [*LINES, *SERVERS]]

    assert [name for name in named if name in PRESETS] == list(PRESETS)


@pytest.mark.parametrize("row", [*LINES, *SERVERS, *BEHIND], ids=lambda row: name_in(row[1]))
def test_every_line_shown_is_read_by_its_format(row: list[str]) -> None:
    """With nothing odd in it; `auto` finds all of them but a directive."""
    line, named = example(row[0]), name_in(row[1])

    found = detect([line] * 20)
    form = found.name if named == "auto" else canonical(named)
    event = parser_for(form)(line)

    assert found.is_sure == (not named.startswith("log_format"))
    assert found.name == form or not found.is_sure
    assert event.client == b"\xcb\0q\x07"
    assert (event.extra or {}).keys().isdisjoint({*Event._fields, "cut"})


def test_every_prefix_is_on_the_page() -> None:
    """The page lists the prefixes that there are, in their order; so does the example file."""
    example = (Path(__file__).parents[3] / ".env.example").read_text(encoding="utf-8")
    [listed] = re.findall(r"rfc3164,[^.]+?, as in", example)

    assert re.findall(r"[a-z0-9_]+", listed.removesuffix(", as in").replace(" or ", " ")) == [
        *PREFIXES
    ]
    assert [name_in(row[1]).split()[0] for row in BEHIND] == list(PREFIXES)


@pytest.mark.parametrize("row", BEHIND, ids=lambda row: name_in(row[1]))
def test_the_time_behind_a_prefix_is_that_of_the_line(row: list[str]) -> None:
    """Whatever time stands in the prefix."""
    event = parser_for(name_in(row[1]))(example(row[0]))

    assert event.time == "2026-11-29 16:40:03.000"


def columns_of(variable: str) -> tuple[str, ...]:
    """Return what a variable fills in a format that has no other for the same."""
    others = [] if variable in COLUMNS["time"] else ["msec"]
    return Fields([variable, *others], None).columns_of(variable)


def test_every_variable_is_on_the_page() -> None:
    """Each column has those that fill it, in the order of the code; those of `extra` have types."""
    names = [name for names in COLUMNS.values() for name in names]
    named = {row[0].strip("`"): re.findall(r"`\$(\w+)`", row[2]) for row in FIELDS}
    kinds = {
        name: kind
        for kind, listed in table(COLUMNS_PAGE, "In extra")
        for name in re.findall(r"`\$(\w+)`", listed)
    }

    for column, listed in named.items():
        assert listed == [name for name in names if column in columns_of(name)], column
    assert kinds.keys() == KINDS.keys() - set(names)
    for name, kind in kinds.items():
        assert columns_of(name) == (f"extra.{name}",)
        assert kind == kind_of(name).value


def test_every_variable_of_nginx_has_its_kind() -> None:
    """What its modules name is typed, or text on purpose; so are the families, which are text."""
    head, _, names = NGINX.partition("\n")
    version = re.findall(r"nginx ([0-9.]+)", head)[0]
    variables = [name for name in names.splitlines() if not name.startswith("#")]
    families = tuple(name for name in variables if name.endswith("_"))
    columns = {name for names in COLUMNS.values() for name in names}
    said = COLUMNS_PAGE.split("\n## In extra\n", 1)[1].partition("\n|")[0]

    assert len(variables) > 150
    assert [
        name
        for name in variables
        if name not in KINDS and name not in columns and not name.startswith(families)
    ] == []
    assert f"nginx {version} " in said
    assert sorted(re.findall(r"`\$([a-z_]+_)NAME`", said)) == sorted(families)
    assert {kind_of(f"{family}name") for family in families} == {Kind.TEXT}


@pytest.mark.parametrize(
    ("variable", "value", "kept"),
    [
        ("upstream_cache_status", "HIT", "HIT"),
        ("upstream_cache_status", "-", None),
        ("upstream_last_server_name", "app.example.com", "app.example.com"),
        ("request_port", "8443", 8443),
        ("request_port", "", None),
        ("is_request_port", ":", ":"),
        ("ssl_sigalgs", "rsa_pss_rsae_sha256:0x0904", "rsa_pss_rsae_sha256:0x0904"),
        ("ssl_ech_outer_server_name", "public.example.com", "public.example.com"),
        ("upstream_cache_etag", '"a b"', '"a b"'),
        (
            "upstream_cache_last_modified",
            "Mon, 28 Sep 1970 06:00:00 GMT",
            "Mon, 28 Sep 1970 06:00:00 GMT",
        ),
        ("proxy_add_via", "1.0 a, 1.1 b", "1.0 a, 1.1 b"),
        ("bytes_received", "17", 17),
        ("session_time", "12.345", 12.345),
        ("protocol", "TCP", "TCP"),
        ("upstream_session_time", "0.001, 0.002", [0.001, 0.002]),
        ("upstream_first_byte_time", "-, 0.002", [None, 0.002]),
        ("ssl_preread_alpn_protocols", "h2,http/1.1", "h2,http/1.1"),
        ("binary_remote_addr", "\\xC0\\x00 \\x01", "\\xc0\0 \1"),
        ("geoip_latitude", "-33.8688", "-33.8688"),
        ("geoip_city", "New York", "New York"),
    ],
)
@pytest.mark.parametrize("between", [" ", "\t", "|"])
def test_what_the_values_of_a_variable_become(
    variable: str, value: str, kept: object, between: str
) -> None:
    """Before any separator, and with another field behind it."""
    form = compiled(f"$msec{between}${variable}{between}$status")
    assert isinstance(form, AccessFormat)
    line = between.join(["1700000000.123", value, "200"]).encode()

    for parse in (form.parse, form.careful):
        event = parse(line)
        assert (event.status, (event.extra or {}).get(variable)) == (200, kept)


@pytest.mark.parametrize(
    "form",
    [
        "$msec $request_method $request_uri $server_protocol $status",
        '$msec "$request_method $request_uri $server_protocol" $status',
        "$msec $request_method $request_uri $server_protocol;$status",
        "$msec $status $request_method $request_uri $server_protocol",
    ],
)
@pytest.mark.parametrize("blanks", [0, 1, 2, 7])
@pytest.mark.parametrize("uri", ["/a", "/a b"])
def test_a_protocol_with_blanks_behind_it(form: str, blanks: int, uri: str) -> None:
    """Those that a client sent are in the line: it is an event, and the version is what it is."""
    values = {
        "$msec": "1700000000.123",
        "$request_method": "GET",
        "$request_uri": uri,
        "$server_protocol": "HTTP/1.1" + " " * blanks,
        "$status": "505",
    }
    line = re.sub(r"\$[a-z_]+", lambda name: values[name[0]], form)

    event = parser_for(form)(line.encode())

    assert isinstance(event, Event)
    assert (event.http_version, event.status, event.extra) == ("1.1", 505, None)
    assert (event.method, event.url) == ("GET", uri)


def test_the_columns_of_a_stream() -> None:
    """The usual log_format of `stream {}` has a time, a client, a status and a size."""
    form = (
        "$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time"
        ' "$upstream_addr" "$upstream_bytes_sent" "$upstream_connect_time"'
    )
    line = (
        b"192.0.2.7 [10/Oct/2000:13:55:36 -0700] TCP 200 512 74 0.250"
        b' "198.51.100.1:80, 198.51.100.2:80" "0, 74" "-, 0.001"'
    )

    event = parser_for(form)(line)

    assert isinstance(event, Event)
    assert (event.client, event.status, event.size) == (b"\xc0\0\2\7", 200, 512)
    assert event.extra == {
        "protocol": "TCP",
        "bytes_received": 74,
        "session_time": 0.25,
        "upstream_addr": ["198.51.100.1:80", "198.51.100.2:80"],
        "upstream_bytes_sent": [0, 74],
        "upstream_connect_time": [None, 0.001],
    }


def test_every_field_of_the_error_log_is_on_the_page() -> None:
    """The page lists the fields of an error event, in their order, with their limits."""
    rows = table(ERROR_LOG, "What a line of the error log becomes")
    texts = {row[0].strip("`"): row[1] for row in rows if row[1].startswith("text")}

    assert [row[0] for row in rows] == [f"`{field}`" for field in ErrorEvent._fields]
    assert texts == {column: f"text, {limit}" for column, limit in ERROR_LIMITS.items()}


def test_every_column_is_on_the_page() -> None:
    """The page lists the fields of an event, in their order."""
    columns = [row[0] for row in FIELDS]

    assert columns == [f"`{column}`" for column in Event._fields]


def test_every_limit_is_on_the_page() -> None:
    """The page says how long each text can be."""
    types = {row[0].strip("`"): row[1] for row in FIELDS}
    texts = {column: kind for column, kind in types.items() if kind.startswith("text")}

    assert texts == {column: f"text, {limit}" for column, limit in LIMITS.items()}
    assert f"in `extra` longer than {EXTRA_LIMIT} characters" in COLUMNS_PAGE


def test_every_reason_is_on_the_page() -> None:
    """The page lists the reasons and their meanings, word for word."""
    reasons = {row[0].strip("`"): row[1] for row in table(FORMATS, "Why a line is rejected")}

    assert reasons == dict(REJECT_MEANINGS)

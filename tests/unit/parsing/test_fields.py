"""From the texts of variables to the columns of a row."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from datastream.parsing import EXTRA_LIMIT, LIMITS, Event, Unparseable
from datastream.parsing.fields import Fields
from datastream.parsing.proxies import TrustedProxies
from datastream.parsing.variables import COLUMNS
from parsed import access_parser

REQUEST = ("method", "url", "scheme", "host", "path", "query", "http_version")


def event_behind(trusted: TrustedProxies | None, **texts: str | None) -> Event:
    """Return the event of some variables' texts, and of a time."""
    return Fields(["msec", *texts], trusted).event({"msec": "971211336.250", **texts})


def event_of(**texts: str | None) -> Event:
    """Return the same where no proxy is trusted."""
    return event_behind(None, **texts)


def extra_of(**texts: str | None) -> dict[str, object] | None:
    """Return what is in no column of its own."""
    return event_of(**texts).extra


def test_the_request_line_goes_before_the_variables_it_is_made_of() -> None:
    """They are kept as they are."""
    parts: dict[str, str | None] = {
        "request_method": "PUT",
        "request_uri": "/r",
        "uri": "/u",
        "args": "a",
        "server_protocol": "HTTP/9.9",
    }
    event = event_of(request="GET /a?b HTTP/1.1", **parts)
    fields = Fields(["msec", "request", *parts], None)

    assert event[6:13] == ("GET", "/a?b", None, None, "/a", "b", "1.1")
    assert event.extra == parts
    assert fields.columns_of("request") == REQUEST
    assert [fields.columns_of(name) for name in parts] == [(f"extra.{name}",) for name in parts]


def test_the_target_goes_before_its_path_and_query() -> None:
    """Beside it these two are kept as they are."""
    event = event_of(request_method="GET", request_uri="/a?b", uri="/u", args="c")
    fields = Fields(["msec", "request_uri", "uri", "args"], None)

    assert event[6:13] == ("GET", "/a?b", None, None, "/a", "b", None)
    assert event.extra == {"uri": "/u", "args": "c"}
    assert fields.columns_of("request_uri") == ("url", "scheme", "host", "path", "query")
    assert fields.columns_of("uri") == ("extra.uri",)


@pytest.mark.parametrize(
    ("uri", "args", "url"),
    [("/a", "b", "/a?b"), ("/a", None, "/a"), (None, "b", None), ("", "", "?")],
)
def test_a_path_and_a_query_make_up_the_url(
    uri: str | None, args: str | None, url: str | None
) -> None:
    """Without a path there is none."""
    event = event_of(uri=uri, args=args)

    assert (event.url, event.path, event.query, event.extra) == (url, uri, args, None)


@pytest.mark.parametrize(
    ("protocol", "version"),
    [("HTTP/1.1", "1.1"), ("HTTP/2", "2"), ("RTSP/1.0", None), ("", None), (None, None)],
)
def test_the_version_of_a_protocol(protocol: str | None, version: str | None) -> None:
    """Another protocol than HTTP is kept as it is."""
    event = event_of(server_protocol=protocol)

    assert event.http_version == version
    kept = None if version or not protocol else {"server_protocol": protocol}
    assert event.extra == kept


def test_the_target_of_connect_is_a_host() -> None:
    """That of another method is a path or a URL, or neither."""
    connect = event_of(request_method="CONNECT", request_uri="www.example.com:443")
    other = event_of(request_method="GET", request_uri="www.example.com:443")

    assert (connect.host, connect.url) == ("www.example.com", "www.example.com:443")
    assert (other.host, other.url) == (None, "www.example.com:443")


def test_a_session_is_a_text() -> None:
    """It has a column as it is."""
    assert event_of(session="Xy12").session == "Xy12"


def test_scheme_and_host_are_in_lower_case_and_without_a_port() -> None:
    """What the variable said is kept where it is more than that."""
    event = event_of(scheme="HTTPS", host="Www.Example.com:8443")

    assert (event.scheme, event.host) == ("https", "www.example.com")
    assert event.extra == {"scheme": "HTTPS", "host": "Www.Example.com:8443"}
    assert extra_of(scheme="https", host="www.example.com") is None
    assert event_of(scheme="h:1", host="").scheme == "h:1"


def test_the_targets_own_host_goes_before_the_variable() -> None:
    """The variable's is kept unless it is the same."""
    event = event_of(request="GET http://a.example/ HTTP/1.1", scheme="https", host="b.example")

    assert (event.scheme, event.host) == ("http", "a.example")
    assert event.extra == {"scheme": "https", "host": "b.example"}
    assert extra_of(request="GET http://a/ HTTP/1.1", scheme="http", host="a") is None


def test_the_client_behind_a_trusted_proxy() -> None:
    """The proxy is kept under its variable; a list of nobody changes nothing."""
    trusted = TrustedProxies([ip_network("198.51.100.0/24")])
    chain = "192.0.2.7 ,198.51.100.2"
    event = event_behind(trusted, remote_addr="198.51.100.1", http_x_forwarded_for=chain)
    same = event_behind(trusted, remote_addr="203.0.113.1", http_x_forwarded_for=chain)
    none = event_behind(trusted, remote_addr="198.51.100.1", http_x_forwarded_for=None)
    unasked = event_of(remote_addr="198.51.100.1", http_x_forwarded_for=chain)

    assert event.client == bytes([192, 0, 2, 7])
    assert event.extra == {
        "remote_addr": "198.51.100.1",
        "http_x_forwarded_for": ["192.0.2.7", "198.51.100.2"],
    }
    assert same.client == bytes([203, 0, 113, 1])
    assert "remote_addr" not in (same.extra or {})
    assert (none.client, none.extra) == (bytes([198, 51, 100, 1]), None)
    assert unasked.client == bytes([198, 51, 100, 1])
    assert event_behind(trusted, remote_addr="198.51.100.1").client == bytes([198, 51, 100, 1])
    assert event_behind(trusted, http_x_forwarded_for=chain).client == bytes([192, 0, 2, 7])


def test_a_list_s_client_is_its_last_entry_and_the_list_is_kept() -> None:
    """What the nearest proxy saw, or who that said it was where it is trusted."""
    trusted = TrustedProxies([ip_network("198.51.100.0/24")])
    chain = "192.0.2.7, 203.0.113.9:51234, 198.51.100.1,"
    kept = {"http_x_forwarded_for": ["192.0.2.7", "203.0.113.9:51234", "198.51.100.1", ""]}
    nearest = event_of(http_x_forwarded_for=chain)
    behind = event_behind(trusted, http_x_forwarded_for=chain)

    assert (nearest.client, nearest.extra) == (bytes([198, 51, 100, 1]), kept)
    assert (behind.client, behind.extra) == (bytes([203, 0, 113, 9]), kept)
    assert event_of(http_x_forwarded_for="192.0.2.7, unknown").client is None
    assert extra_of(http_x_forwarded_for="unknown") == {"http_x_forwarded_for": ["unknown"]}
    fields = Fields(["msec", "http_x_forwarded_for"], None)
    assert fields.columns_of("http_x_forwarded_for") == ("client", "extra.http_x_forwarded_for")


@pytest.mark.parametrize("missing", range(len(COLUMNS["client"])))
def test_the_best_variable_that_there_is_says_who_the_client_was(missing: int) -> None:
    """The others are kept."""
    names = COLUMNS["client"][missing:]
    texts = {name: f"192.0.2.{at}" for at, name in enumerate(names)}
    event = event_of(**dict(reversed(texts.items())))
    chains = {name: [text] for name, text in texts.items() if "forwarded" in name}
    others = {name: text for name, text in texts.items() if name != names[0]}

    assert event.client == bytes([192, 0, 2, 0])
    assert (event.extra or {}) == others | chains


@pytest.mark.parametrize("name", COLUMNS["client"])
def test_a_client_that_is_not_there(name: str) -> None:
    """Only that of a connection has a dash; what is empty says nothing."""
    assert event_of(**{name: None})[1] is None
    assert event_of(**{name: ""})[1] is None
    assert extra_of(**{name: ""}) is None
    absent = access_parser(f'"${name}" $msec')(b'"-" 971211336.250')
    assert absent.client is None
    assert absent.extra == ({"client": "-"} if name == "remote_addr" else None)


@pytest.mark.parametrize(
    "name",
    ["proxy_protocol_addr", "http_cf_connecting_ip", "http_true_client_ip", "http_x_real_ip"],
)
def test_a_trusted_proxy_passes_the_client_on_in_another_way(name: str) -> None:
    """Where the format has no list, as with nginx's `real_ip_header`."""
    trusted = TrustedProxies([ip_network("198.51.100.0/24")])
    event = event_behind(trusted, **{name: "192.0.2.7"}, remote_addr="198.51.100.1")
    other = event_behind(trusted, **{name: "192.0.2.7"}, remote_addr="203.0.113.1")

    assert event.client == bytes([192, 0, 2, 7])
    assert event.extra == {"remote_addr": "198.51.100.1", name: "192.0.2.7"}
    assert (other.client, other.extra) == (bytes([203, 0, 113, 1]), {name: "192.0.2.7"})


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("upstream_status", "502, - : 200", [502, None, 200]),
        ("upstream_status", "502, ", [502, None]),
        ("upstream_status", "-", [None]),
        ("upstream_status", "502,200", "502,200"),
        ("upstream_status", "x", "x"),
        ("upstream_addr", "192.0.2.5:80, unix:/x", ["192.0.2.5:80", "unix:/x"]),
        ("upstream_addr", "unix:/x, -, ", ["unix:/x", None, None]),
        ("upstream_connect_time", "0.001 : -", [0.001, None]),
        ("http_x_forwarded_for", "a,b , c", ["a", "b", "c"]),
        ("connection", "7", 7),
        ("connection", "x", "x"),
        ("gzip_ratio", "2.50", 2.5),
        ("pipe", "p", "p"),
        ("pipe", "", None),
        ("connection", "", None),
        ("request_body", "", ""),
        ("http_x_custom", "", ""),
        ("http_x_custom", None, None),
        ("pipe", None, None),
    ],
)
def test_what_has_no_column_is_what_its_kind_is(
    variable: str, text: str | None, value: object
) -> None:
    """A value of another kind is kept as text; only a text may be empty."""
    assert extra_of(**{variable: text}) == (None if value is None else {variable: value})


def test_a_list_over_the_limit_is_a_text_that_is_cut() -> None:
    """At the limit it is a list."""
    items = "1," * (EXTRA_LIMIT // 2 - 1) + "12"

    assert extra_of(http_x_forwarded_for=items) == {"http_x_forwarded_for": items.split(",")}
    assert extra_of(http_x_forwarded_for=f"{items}3") == {
        "http_x_forwarded_for": items,
        "cut": ["http_x_forwarded_for"],
    }


def test_a_column_at_its_limit_and_over_it() -> None:
    """What is cut is named after what was there, columns first."""
    long = "a" * (EXTRA_LIMIT + 1)
    whole = event_of(http_user_agent="u" * LIMITS["user_agent"], http_x_custom=long[1:])
    cut = event_of(http_x_custom=long, http_user_agent="u" * (LIMITS["user_agent"] + 1))

    assert whole.extra == {"http_x_custom": long[1:]}
    assert cut.user_agent == whole.user_agent
    assert cut.extra == {"http_x_custom": long[1:], "cut": ["user_agent", "http_x_custom"]}
    assert extra_of(http_referer=long) == {"cut": ["referrer"]}


@pytest.mark.parametrize(
    ("logged", "total"),
    [
        ("9999999.999", 9_999_999.999),
        ("9999999.999, 0.001", None),
        ("0.001, - : 0.002", 0.003),
        ("x", None),
        ("-", None),
        ("", None),
        (None, None),
    ],
)
def test_the_total_time_of_the_upstream_servers(logged: str | None, total: float | None) -> None:
    """It is NULL where there is none, or more than the column holds."""
    assert event_of(upstream_response_time=logged).upstream_time == total


@pytest.mark.parametrize(
    ("texts", "values", "kept"),
    [
        (("200", "512", "0.042"), (200, 512, 0.042), None),
        (("65535", "0", "9999999.999"), (65535, 0, 9_999_999.999), None),
        (
            ("65536", str(2**63), "10000000.0"),
            (None, None, None),
            {"status": "65536", "size": str(2**63), "request_time": "10000000.0"},
        ),
        (("x", "y", "z"), (None, None, None), {"status": "x", "size": "y", "request_time": "z"}),
        (("", "", ""), (None, None, None), None),
        ((None, None, None), (None, None, None), None),
    ],
)
def test_a_number_that_its_column_cannot_hold_is_kept_as_text(
    texts: tuple[str | None, ...], values: tuple[object, ...], kept: dict[str, str] | None
) -> None:
    """Under the column's name."""
    event = event_of(status=texts[0], body_bytes_sent=texts[1], request_time=texts[2])

    assert (event.status, event.size, event.request_time) == values
    assert event.extra == kept


@pytest.mark.parametrize(
    ("user", "columns"),
    [
        ("ana@Mail.Example", ("ana@Mail.Example", True, "mail.example")),
        ("ana", ("ana", False, None)),
        ("@", ("@", False, None)),
        ('""', ("", False, None)),
        (None, (None, False, None)),
    ],
)
def test_a_user_may_be_an_e_mail_address(user: str | None, columns: tuple[object, ...]) -> None:
    """Its domain has a column. Apache writes an empty name as two quotes."""
    event = event_of(remote_user=user)

    assert (event.user, event.is_email, event.email_domain) == columns


@pytest.mark.parametrize("text", [None, "", "now"])
def test_a_row_needs_a_time(text: str | None) -> None:
    """Without one the line is rejected."""
    with pytest.raises(Unparseable) as caught:
        Fields(["msec"], None).event({"msec": text})

    assert caught.value.reason == "time"


def test_a_client_or_a_request_that_is_none_is_kept_as_text() -> None:
    """No column is filled then."""
    event = event_of(remote_addr="unix:", request="hello")

    assert event.client is None
    assert event[6:13] == (None,) * 7
    assert event.extra == {"client": "unix:", "request": "hello"}
    assert extra_of(request=None) == {"request": ""}

"""The request line: its method, target and version, and the parts of the target."""

from __future__ import annotations

import pytest

from datastream.parsing.request import split_request


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", None),
        ("/a/b?c=d&e=f?g", "/a/b", "c=d&e=f?g"),
        ("/a?", "/a", ""),
        ("//evil.example/x", "//evil.example/x", None),
        ("/http://example.com/", "/http://example.com/", None),
        ("/a b  c?d e", "/a b  c", "d e"),
        ("/a\nb?\n", "/a\nb", "\n"),
        (r"/caf\xC3\xA9?q=\"x\"", r"/caf\xC3\xA9", r"q=\"x\""),
    ],
)
def test_a_path_is_split_at_its_first_question_mark(
    target: str, path: str, query: str | None
) -> None:
    """The usual request has a path and perhaps a query, and no host."""
    fields = split_request(f"GET {target} HTTP/1.1")

    assert fields == ("GET", target, None, None, path, query, "1.1")


@pytest.mark.parametrize(
    ("target", "scheme", "host", "path", "query"),
    [
        ("http://example.com/", "http", "example.com", "/", None),
        ("HTTPS://Www.Example.COM:443/A?B", "https", "www.example.com", "/A", "B"),
        ("http://example.com", "http", "example.com", None, None),
        ("http://example.com?x=1", "http", "example.com", None, "x=1"),
        ("http://example.com?u=http://a/b", "http", "example.com", None, "u=http://a/b"),
        ("http://ana:se:cret@example.com:8080/x", "http", "example.com", "/x", None),
        ("http://a@b@example.com/", "http", "example.com", "/", None),
        ("http://[2001:DB8::7]:8080/x", "http", "2001:db8::7", "/x", None),
        ("http://[2001:db8::7]", "http", "2001:db8::7", None, None),
        ("http://[2001:db8::7", "http", "2001:db8::7", None, None),
        ("http:///x", "http", None, "/x", None),
        ("http://:80/x", "http", None, "/x", None),
        ("ws+unix://h/x y?z", "ws+unix", "h", "/x y", "z"),
    ],
)
def test_an_absolute_url_is_split(
    target: str, scheme: str, host: str | None, path: str | None, query: str | None
) -> None:
    """A proxy's request has scheme and host; user information and port stay in the URL."""
    fields = split_request(f"GET {target} HTTP/1.1")

    assert fields == ("GET", target, scheme, host, path, query, "1.1")


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("Example.com:443", "example.com"),
        ("203.0.113.7:22", "203.0.113.7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("example.com", "example.com"),
        (":443", None),
    ],
)
def test_connect_names_a_host(target: str, host: str | None) -> None:
    """A tunnel has a host and no path."""
    fields = split_request(f"CONNECT {target} HTTP/1.1")

    assert fields == ("CONNECT", target, None, host, None, None, "1.1")


@pytest.mark.parametrize("target", ["*", "index.html?a=b", "1http://x/", "HTTP/1.0", "?x"])
def test_a_target_of_no_known_form_has_no_parts(target: str) -> None:
    """`OPTIONS *` and what servers refuse are a URL only."""
    fields = split_request(f"OPTIONS {target} HTTP/1.1")

    assert fields == ("OPTIONS", target, None, None, None, None, "1.1")


@pytest.mark.parametrize("version", ["0.9", "1.0", "1.1", "2", "2.0", "3.0"])
def test_the_version_is_as_logged(version: str) -> None:
    """Servers write HTTP/2 in two ways."""
    assert split_request(f"GET / HTTP/{version}")[6] == version


@pytest.mark.parametrize("method", ["get", "PROPFIND", "M-SEARCH", "VERSION_CONTROL", "X!1"])
def test_a_method_is_any_token(method: str) -> None:
    """Methods are an open set."""
    assert split_request(f"{method} / HTTP/1.1")[0] == method


@pytest.mark.parametrize("text", ["GET  /a b  HTTP/1.1", "GET /a b HTTP/1.1  "])
def test_spaces_around_the_target_are_no_part_of_it(text: str) -> None:
    """Servers accept more spaces than one, and log them."""
    assert split_request(text) == ("GET", "/a b", None, None, "/a b", None, "1.1")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("GET /x", ("GET", "/x", None, None, "/x", None, "0.9")),
        ("GET /x?y ", ("GET", "/x?y", None, None, "/x", "y", "0.9")),
        ("GET http://h/x", ("GET", "http://h/x", "http", "h", "/x", None, "0.9")),
    ],
)
def test_a_request_without_a_version_is_http_0_9(text: str, fields: tuple[str | None, ...]) -> None:
    """The oldest HTTP has GET and a target, no more."""
    assert split_request(text) == fields


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        " ",
        "GET",
        "GET ",
        "GET HTTP/1.1",
        "GET  HTTP/1.1",
        " GET / HTTP/1.1",
        "POST /x",
        "GET x",
        "GET /a b",
        "GET / HTTP/",
        "GET / HTTP/x",
        "GET / HTTP/1.",
        "GET / HTTP/11.1",
        "GET / HTTP/\u0661.\u0661",
        "GET / http/1.1",
        "GET / SIP/2.0",
        "GET\t/\tHTTP/1.1",
        "G\u00cbT / HTTP/1.1",
        "G(T / HTTP/1.1",
        r"\x16\x03 / HTTP/1.1",
        "t3 12.1.2",
        "SSH-2.0-Go",
    ],
)
def test_what_is_no_request_line_has_no_parts(text: str) -> None:
    """Nothing is made up from binary, another protocol, or half a request."""
    assert split_request(text) == (None,) * 7

"""Fields of a line that are not wanted, each by itself."""

from __future__ import annotations

import pytest

from clean_consumer.left_out import without_email_domain, without_session, without_url_parts
from datastream.parsing import Event
from parsed import access_parser

TIME = "[10/Oct/2026:13:55:36 +0200]"


def event(request: str, name: str = "vhost_combined") -> Event:
    """Return the event of a line with this request."""
    host = "www.example.com:443 " if name == "vhost_combined" else ""
    line = f'{host}192.0.2.7 Xy12 ana@example.org {TIME} "{request}" 200 5 "-" "example/1.0"'
    return access_parser(name)(line.encode())


def test_without_the_parts_of_the_url() -> None:
    """The URL stays as it was logged; the method and the version are none of its parts."""
    whole = event("GET http://example.net/a?b=c HTTP/1.1", "combined")

    assert without_url_parts(whole) == whole._replace(scheme=None, host=None, path=None, query=None)
    assert whole.path == "/a"


@pytest.mark.parametrize(
    "request_line", ["GET /a?u=http://example.net HTTP/1.1", "-", "OPTIONS * HTTP/1.1"]
)
def test_a_host_beside_the_url_stays(request_line: str) -> None:
    """It is a field of its own."""
    whole = event(request_line)

    assert whole.host == "www.example.com"
    assert without_url_parts(whole) == whole._replace(path=None, query=None)


def test_the_host_of_a_tunnel_is_of_its_url() -> None:
    """CONNECT names nothing else."""
    whole = event("CONNECT example.net:443 HTTP/1.1", "combined")

    assert whole.host == "example.net"
    assert without_url_parts(whole) == whole._replace(host=None)


def test_without_the_session() -> None:
    """And with all else."""
    whole = event("GET / HTTP/1.1")

    assert whole.session == "Xy12"
    assert without_session(whole) == whole._replace(session=None)


def test_without_the_email_domain() -> None:
    """The user is who it was, and it is still known to be an address."""
    whole = event("GET / HTTP/1.1")

    assert (whole.is_email, whole.email_domain) == (True, "example.org")
    assert without_email_domain(whole) == whole._replace(email_domain=None)

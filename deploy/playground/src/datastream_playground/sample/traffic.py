"""The endless requests of the site's visitors.

Only `Random.random()` is drawn from, because it alone is promised to give the same numbers for the
same seed in every version of Python.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import NamedTuple

from datastream_playground.sample.site import (
    ASSETS,
    BOTS,
    BROWSERS,
    CONNECT_HOSTS,
    CRAWLED_FILES,
    MAIL_DOMAINS,
    ORIGIN_FORM,
    PAGES,
    PROXIED,
    REFERRING_SITES,
    SCANNED,
    SCANNERS,
    USER_NAMES,
    Origin,
    Resource,
    Weighted,
)

PEOPLE, CRAWLERS, SCANNING_HOSTS = 2_000, 60, 40
IPV4_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
IPV6_NETWORK = 0x20010DB8 << 96
BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
#: What nginx's log module writes as it is; every other byte becomes \xHH.
PLAIN = frozenset(range(0x20, 0x7F)) - {0x22, 0x5C}


class Client(NamedTuple):
    """An address as the log has it, and as it is to be understood."""

    logged: str
    address: str


class User(NamedTuple):
    """A user's name, and the domain in lower case if the name is an e-mail address."""

    name: str | None
    email_domain: str | None


class Visitor(NamedTuple):
    """A person or a program that sends requests."""

    client: Client
    session: str | None
    user: User
    agent: str | None


class Target(NamedTuple):
    """The target of a request: its text in the log, and its parts."""

    url: str | None
    scheme: str | None
    host: str | None
    path: str | None
    query: str | None


class Request(NamedTuple):
    """One request and its answer. A junk request has only `junk`, the bytes as sent."""

    visitor: Visitor
    method: str | None
    target: Target
    http_version: str | None
    junk: bytes | None
    status: int
    size: int | None
    referrer: str | None

    @property
    def text(self) -> str:
        """The request line as nginx logs it."""
        if self.junk is not None:
            return nginx_escape(self.junk)
        if self.http_version == "0.9":
            return f"{self.method} {self.target.url}"
        return f"{self.method} {self.target.url} HTTP/{self.http_version}"


ANONYMOUS = User(None, None)
NOTHING = Target(None, None, None, None, None)

PAGE_STATUS = Weighted(
    [(200, 900), (304, 40), (301, 15), (302, 12), (404, 18), (499, 6), (403, 4), (500, 4), (502, 1)]
)
ASSET_STATUS = Weighted([(200, 620), (304, 370), (206, 4), (404, 5), (499, 2)])
API_STATUS = Weighted([(200, 900), (401, 30), (422, 15), (429, 15), (500, 8), (503, 4), (499, 12)])
SCAN_STATUS = Weighted([(404, 76), (403, 14), (301, 8), (200, 2)])
#: The length of the answer where it is not the resource itself.
STATUS_SIZE = {
    301: 162,
    302: 138,
    304: 0,
    401: 172,
    403: 146,
    404: 146,
    405: 150,
    422: 95,
    429: 162,
    499: 0,
    500: 170,
    502: 150,
    503: 190,
}
HTTP_VERSIONS = Weighted([("2.0", 55), ("1.1", 40), ("3.0", 4), ("1.0", 1)])
API_METHODS = Weighted(
    [("GET", 70), ("POST", 20), ("PUT", 4), ("OPTIONS", 4), ("DELETE", 3), ("PATCH", 2)]
)


def origin_target(origin: Origin, path: str, query: str | None) -> Target:
    """Return the target that asks `origin` for a path."""
    url = f"{origin.text}{path}" if query is None else f"{origin.text}{path}?{query}"
    return Target(url, origin.scheme, origin.host, path, query)


def nginx_escape(sent: bytes) -> str:
    r"""Return what nginx writes into its log for bytes from a client, `\xHH` where not plain."""
    return "".join(chr(byte) if byte in PLAIN else f"\\x{byte:02X}" for byte in sent)


class Traffic:
    """An endless, seeded stream of requests.

    `proxy` says whose log it is: a proxy's, with absolute URLs, sessions and many named users, or
    a web server's.
    """

    def __init__(self, seed: int, *, proxy: bool) -> None:
        self.random = random.Random(seed).random  # noqa: S311 - a reproducible sample, no secret
        self._proxy = proxy
        self._people = [self._person() for _ in range(PEOPLE)]
        self._crawlers = [self._program(BOTS) for _ in range(CRAWLERS)]
        self._scanners = [self._program(SCANNERS) for _ in range(SCANNING_HOSTS)]
        self._asked: list[Request] = []  # what open pages still have to fetch
        self._arrivals: Weighted[Callable[[], Request]] = Weighted(
            [
                (self._page_view, 62),
                (self._api_call, 18),
                (self._crawl, 12),
                (self._scan, 3),
                (self._junk_request, 1.2),
                (self._campaign_click, 1),
                (self._http_09, 0.4),
                (self._whole_server, 0.4),
                (self._tunnel, 6 if proxy else 0.4),
                (self._probe_for_open_proxy, 0.4),
            ]
        )

    def next_request(self) -> Request:
        """Return the next request."""
        # The more there is to fetch the likelier one of it is next, so the list stays short and
        # the files of several pages mix as they do on a busy server.
        waiting = len(self._asked)
        if self.random() * (waiting + 20) < waiting:
            chosen = self.below(waiting)
            self._asked[chosen], self._asked[-1] = self._asked[-1], self._asked[chosen]
            return self._asked.pop()
        return self._arrivals.pick(self.random())()

    def below(self, bound: int) -> int:
        """Return a whole number from 0 to below `bound`."""
        return int(self.random() * bound)

    # Visitors

    def _client(self) -> Client:
        if self.random() < 0.65:
            text = f"{IPV4_NETWORKS[self.below(3)]}.{1 + self.below(254)}"
            return Client(text, text)
        network = IPV6_NETWORK | self.below(40) << 64
        interface = self.below(0xFFFF) if self.random() < 0.3 else self.below(1 << 52)
        address = IPv6Address(network | interface)
        text = str(address)
        # Some proxies pass addresses on in full and in capitals.
        return Client(address.exploded.upper() if self.random() < 0.05 else text, text)

    def _user(self) -> User:
        named, mail = (0.2, 0.6) if self._proxy else (0.03, 0.04)
        name = f"{USER_NAMES[self.below(len(USER_NAMES))]}{self.below(90) or ''}"
        chance = self.random()
        if chance < named:
            # A name may hold spaces, and servers log them as they are.
            return User(f"{name} at work" if self.random() < 0.1 else name, None)
        if chance < named + mail:
            domain = MAIL_DOMAINS.pick(self.random())
            tag = "+news" if self.random() < 0.1 else ""
            return User(f"{name}{tag}@{domain}", domain.lower())
        return ANONYMOUS

    def _person(self) -> Visitor:
        session = self._token(15) if self.random() < (0.85 if self._proxy else 0.01) else None
        return Visitor(self._client(), session, self._user(), BROWSERS.pick(self.random()))

    def _program(self, agents: Weighted[str | None] | Weighted[str]) -> Visitor:
        return Visitor(self._client(), None, ANONYMOUS, agents.pick(self.random()))

    def _somebody(self) -> Visitor:
        # Squared, so that some people visit far more often than others.
        return self._people[int(self.random() ** 2 * PEOPLE)]

    def _token(self, length: int) -> str:
        return "".join([BASE36[int(self.random() * 36)] for _ in range(length)])

    # Requests

    def _origin(self) -> Origin:
        return PROXIED.pick(self.random()) if self._proxy else ORIGIN_FORM

    def _size(self, status: int, full: int) -> int | None:
        size = STATUS_SIZE.get(status, full)
        # Apache writes "-" for an empty answer, nginx "0"; the samples have both.
        return None if size == 0 and self.random() < 0.2 else size

    def _answered(
        self,
        visitor: Visitor,
        method: str,
        target: Target,
        status: int,
        full_size: int,
        referrer: str | None = None,
    ) -> Request:
        size = self._size(status, 0 if method == "HEAD" else full_size)
        version = HTTP_VERSIONS.pick(self.random())
        return Request(visitor, method, target, version, None, status, size, referrer)

    def _page_view(self) -> Request:
        visitor, origin, page = self._somebody(), self._origin(), PAGES.pick(self.random())
        return self._view(visitor, origin, page)

    def _view(self, visitor: Visitor, origin: Origin, page: Resource) -> Request:
        """Return the request for a page; what it embeds is asked for later, with it as referrer."""
        chance = self.random()
        referrer = REFERRING_SITES.pick(self.random()) if chance < 0.3 else None
        target = origin_target(origin, page.path, page.query)
        here = target.url if origin.host else f"https://www.example.com{target.url}"
        for _ in range(self.below(6)):
            asset = ASSETS.pick(self.random())
            asset_target = origin_target(origin, asset.path, asset.query)
            status = ASSET_STATUS.pick(self.random())
            self._asked.append(
                self._answered(visitor, "GET", asset_target, status, asset.size, here)
            )
        if page.path == "/login" and chance > 0.6:
            return self._answered(visitor, "POST", target, 302, 0, here)
        status = PAGE_STATUS.pick(self.random())
        return self._answered(visitor, "GET", target, status, page.size, referrer)

    def _campaign_click(self) -> Request:
        """Return the request for a page whose URL tracking made long, up to some 1,800 letters."""
        click = f"utm_source=mail&utm_medium=click&clid={self._token(40 + self.below(1_640))}"
        page = PAGES.pick(self.random())
        query = click if page.query is None else f"{page.query}&{click}"
        return self._view(self._somebody(), self._origin(), Resource(page.path, query, page.size))

    def _api_call(self) -> Request:
        visitor, origin = self._somebody(), self._origin()
        method = API_METHODS.pick(self.random())
        status = API_STATUS.pick(self.random())
        size = 180 + self.below(4_000)
        if method == "POST":
            target = origin_target(origin, "/api/v1/events", None)
            status, size = (202, 0) if status == 200 else (status, size)
        elif method == "GET" and self.random() < 0.3:
            target = origin_target(origin, "/api/v1/items", f"limit=50&cursor={self._token(8)}")
        else:
            target = origin_target(origin, f"/api/v1/items/{1_000 + self.below(90_000)}", None)
        referrer = None if self._proxy else "https://www.example.com/cart"
        return self._answered(visitor, method, target, status, size, referrer)

    def _crawl(self) -> Request:
        visitor, origin = self._crawlers[self.below(CRAWLERS)], self._origin()
        chance = self.random()
        page = (CRAWLED_FILES if chance < 0.15 else PAGES).pick(self.random())
        target = origin_target(origin, page.path, page.query)
        method = "HEAD" if chance > 0.95 else "GET"
        return self._answered(visitor, method, target, PAGE_STATUS.pick(self.random()), page.size)

    def _scan(self) -> Request:
        visitor, origin = self._scanner(), self._origin()
        probe = SCANNED.pick(self.random())
        target = origin_target(origin, probe.path, probe.query)
        method = "POST" if self.random() < 0.15 else "GET"
        status = SCAN_STATUS.pick(self.random())
        return self._answered(visitor, method, target, status, probe.size)

    def _scanner(self) -> Visitor:
        return self._scanners[self.below(SCANNING_HOSTS)]

    def _http_09(self) -> Request:
        target = origin_target(self._origin(), SCANNED.pick(self.random()).path, None)
        return Request(self._scanner(), "GET", target, "0.9", None, 400, 150, None)

    def _whole_server(self) -> Request:
        """Return a request for no path: a health check's, or of HTTP/2 sent to an older server."""
        target = Target("*", None, None, None, None)
        if self.random() < 0.5:
            return self._answered(self._scanner(), "OPTIONS", target, 200, 0)
        visitor = self._scanner()._replace(agent=None)
        return Request(visitor, "PRI", target, "2.0", None, 400, 150, None)

    def _tunnel(self) -> Request:
        """Return a CONNECT: what browsers send to a proxy, and scanners to any server."""
        visitor = self._somebody() if self._proxy else self._scanner()
        host = CONNECT_HOSTS.pick(self.random())
        target = Target(f"{host}:443", None, host.lower(), None, None)
        status, size = (200, 2_000 + self.below(900_000)) if self._proxy else (405, 150)
        return self._answered(visitor, "CONNECT", target, status, size)

    def _probe_for_open_proxy(self) -> Request:
        target = origin_target(PROXIED.pick(self.random()), "/", None)
        return self._answered(self._scanner(), "GET", target, 405, 150)

    def _junk_request(self) -> Request:
        junk, size = self._junk(), 0 if self.random() < 0.3 else 150
        # What cannot be read has no user agent either, as nothing after it is read.
        visitor = self._scanner()._replace(agent=None)
        return Request(visitor, None, NOTHING, None, junk, 400, size, None)

    def _junk(self) -> bytes:
        """Return what was sent instead of a request."""
        chance = self.random()
        if chance < 0.35:
            return b""
        if chance < 0.7:
            hello = bytes([self.below(256) for _ in range(20 + self.below(120))])
            # nginx reads a request up to the first newline.
            sent = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + hello
            return sent.partition(b"\n")[0]
        if chance < 0.85:
            # Magellan tells the address it calls, and its port.
            return f"MGLNDD_{IPV4_NETWORKS[self.below(3)]}.{1 + self.below(254)}_443".encode()
        if chance < 0.93:
            return b"\x03\x00\x00/*\xe0\x00\x00\x00\x00\x00Cookie: mstshash=Administr"
        return b"SSH-2.0-Go"

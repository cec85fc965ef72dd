"""The made-up site of the samples: what it serves, and the words its visitors use.

Constants only, except `Weighted`. Addresses are from the ranges kept for documentation (RFC 5737
and RFC 3849) and domains are example.com, .org and .net; the URL in a bot's user agent too.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable
from itertools import accumulate
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")


class Weighted(Generic[Value]):
    """Values, each with the weight it is picked by."""

    __slots__ = ("_last", "_sums", "_total", "_values")

    def __init__(self, pairs: Iterable[tuple[Value, float]]) -> None:
        values, weights = zip(*pairs, strict=True)
        self._values: tuple[Value, ...] = values
        self._sums = list(accumulate(weights))
        self._total = self._sums[-1]
        self._last = len(self._sums) - 1

    def pick(self, chance: float) -> Value:
        """Return the value at `chance`, a number in [0, 1), of the total weight."""
        return self._values[bisect(self._sums, chance * self._total, 0, self._last)]


def zipf(values: Iterable[Value]) -> Weighted[Value]:
    """Weigh values by their rank: the first twice as often as the second, and so on."""
    return Weighted((value, 1 / rank) for rank, value in enumerate(values, start=1))


class Resource(NamedTuple):
    """What the site serves at a path, and the size of the whole answer in bytes."""

    path: str
    query: str | None
    size: int


class Origin(NamedTuple):
    """What stands before the path in a request's target, as logged and as understood."""

    text: str
    scheme: str | None
    host: str | None


def _page(path: str, query: str | None = None) -> Resource:
    # Any size will do, as long as a page has the same one each time.
    return Resource(path, query, 3_000 + sum(path.encode()) * 7_919 % 60_000)


SLUGS = (
    "red-kettle",
    "blue-lamp",
    "oak-table",
    "wool-blanket",
    "garden-chair",
    "tin-mug",
    "bread-knife",
    "paper-lantern",
    "wall-clock",
    "door-bell",
    "rain-coat",
    "hand-saw",
    "desk-fan",
    "picture-frame",
    "salt-mill",
    "book-shelf",
)
TOPICS = (
    "install",
    "upgrade",
    "configuration",
    "backups",
    "accounts",
    "billing",
    "limits",
    "security",
    "webhooks",
    "exports",
    "imports",
    "troubleshooting",
)

PAGES = zipf(
    [
        _page("/"),
        _page("/products/"),
        _page("/search", "q=kettle"),
        _page("/login"),
        _page("/blog/"),
        _page("/cart"),
        *(_page(f"/products/{slug}") for slug in SLUGS),
        _page("/about"),
        _page("/search", "q=garden+chair&sort=price"),
        _page("/docs/"),
        *(_page(f"/docs/{topic}") for topic in TOPICS),
        _page("/products/", "page=2"),
        _page("/products/", ""),
        _page("/products/", "page=3&sort=new"),
        _page("/caf%C3%A9/men%C3%BC"),
        _page("/contact"),
        _page("/search", "q=th%C3%A9i%C3%A8re&lang=fr"),
        *(
            _page(f"/blog/2025/{month:02}/{slug}-of-the-month")
            for month in range(12, 0, -1)
            for slug in SLUGS[:6]
        ),
        _page("/legal/terms"),
        _page("/legal/privacy"),
        _page("/index.php", "option=content&view=article&id=17"),
    ]
)

ASSETS = zipf(
    [
        Resource("/static/app.3f9a1c7e.css", None, 48_211),
        Resource("/static/app.8b02d4f1.js", None, 182_944),
        Resource("/favicon.ico", None, 15_086),
        Resource("/static/logo.svg", None, 3_418),
        Resource("/static/vendor.d41c55aa.js", None, 402_118),
        Resource("/static/fonts/sans-400.woff2", None, 23_580),
        Resource("/static/fonts/sans-700.woff2", None, 24_112),
        Resource("/static/print.css", "v=1.4.2", 2_204),
        *(Resource(f"/img/{slug}.webp", "w=640", 30_000 + 977 * len(slug)) for slug in SLUGS),
        *(Resource(f"/img/{slug}@2x.webp", None, 90_000 + 977 * len(slug)) for slug in SLUGS),
        Resource("/static/manual.pdf", None, 5_242_880),
    ]
)

SCANNED = zipf(
    [
        _page("/wp-login.php"),
        _page("/.env"),
        _page("/.git/config"),
        _page("/xmlrpc.php"),
        _page("/phpmyadmin/index.php"),
        _page("/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php"),
        _page("/wp-admin/setup-config.php", "step=1"),
        _page("/cgi-bin/luci/;stok=/locale", "form=country&operation=write&country=$(id)"),
        _page("/actuator/health"),
        _page("/.aws/credentials"),
        _page("/index.php", "s=/index/think/app/invokefunction&function=phpinfo"),
        _page("//admin//config.php"),
        _page("/solr/admin/info/system", "wt=json"),
        _page("/cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh"),
        _page("/boaform/admin/formLogin", "username=admin&psd=admin"),
    ]
)

CRAWLED_FILES = zipf([_page("/robots.txt"), _page("/feed.xml"), _page("/sitemap.xml")])

#: Requests with origin-form targets, which is what a web server's own log has.
ORIGIN_FORM = Origin("", None, None)

#: Where the users of the proxy go; some hosts in capitals, some with a port.
PROXIED = Weighted(
    [
        (Origin("https://www.example.com", "https", "www.example.com"), 30),
        (Origin("http://www.example.com", "http", "www.example.com"), 20),
        (Origin("http://library.example.org:80", "http", "library.example.org"), 15),
        (Origin("https://journals.example.net:443", "https", "journals.example.net"), 15),
        (Origin("http://Archive.Example.ORG", "http", "archive.example.org"), 8),
        (Origin("https://cdn.example.net:8443", "https", "cdn.example.net"), 8),
        (Origin("HTTP://Mirror.Example.COM:8080", "http", "mirror.example.com"), 4),
        (Origin("http://[2001:db8::50]:8080", "http", "2001:db8::50"), 2),
    ]
)

CONNECT_HOSTS = zipf(
    [
        "www.example.com",
        "journals.example.net",
        "Login.Example.ORG",
        "api.example.com",
        "mail.example.net",
    ]
)

REFERRING_SITES = zipf(
    [
        "https://search.example.net/",
        "https://search.example.net/find?q=red+kettle&hl=en",
        "https://news.example.org/2025/12/kettles",
        "https://social.example.net/t/8f3a",
        "http://forum.example.org/viewtopic.php?t=1207&start=40",
    ]
)

MAIL_DOMAINS = zipf(
    ["example.com", "example.org", "mail.example.net", "Students.Example.ORG", "EXAMPLE.COM"]
)
USER_NAMES = (
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank",
    "grace",
    "heidi",
    "ivan",
    "judy",
    "editor",
    "monitor",
    "deploy",
    "reader",
)

_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
_ANDROID = "Mozilla/5.0 (Linux; Android {}; K)"
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0"

BROWSERS = Weighted(
    [
        *(
            (f"{_WINDOWS} {_CHROME.format(version)} Safari/537.36", 50 / (132 - version))
            for version in range(118, 132)
        ),
        *(
            (f"{_ANDROID.format(10)} {_CHROME.format(version)} Mobile Safari/537.36", 36)
            for version in range(128, 132)
        ),
        *((f"{_MAC} {_CHROME.format(version)} Safari/537.36", 9.0) for version in range(125, 132)),
        *(
            (
                f"Mozilla/5.0 (iPhone; CPU iPhone OS {major}_{minor} like Mac OS X) "
                f"AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{major}.{minor} "
                "Mobile/15E148 Safari/604.1",
                12.0,
            )
            for major, minor in ((16, 6), (17, 4), (17, 5), (17, 6), (18, 0), (18, 1))
        ),
        *(
            (
                "Mozilla/5.0 (X11; Linux x86_64; "
                f"rv:{version}.0) Gecko/20100101 Firefox/{version}.0",
                7.0,
            )
            for version in range(128, 134)
        ),
        *(
            (f"{_WINDOWS} {_CHROME.format(version)} Safari/537.36 Edg/{version}.0.0.0", 9.0)
            for version in range(127, 132)
        ),
        ("Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", 2.0),
        ("ExampleShop/4.2.1 (iOS 18.1; iPhone15,3)", 8.0),
    ]
)

BOTS = Weighted(
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.example.com/bot.html)", 30),
        ("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.example.com/bingbot.htm)", 20),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; GPTBot/1.2; "
            "+https://example.com/gptbot",
            15,
        ),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; "
            "+claudebot@example.com)",
            10,
        ),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://example.com/robot/)", 8),
        ("Mozilla/5.0 (compatible; YandexBot/3.0; +http://example.com/bots)", 5),
        ("curl/8.5.0", 8),
        ("python-requests/2.32.3", 6),
        ("Go-http-client/2.0", 5),
        ("Wget/1.21.4", 2),
    ]
)

SCANNERS = Weighted(
    [
        ("Mozilla/5.0 zgrab/0.x", 20),
        ("Go-http-client/1.1", 15),
        ("curl/7.88.1", 8),
        (None, 30),
        ("Mozilla/5.0 (compatible; Nmap Scripting Engine; https://example.org/nse)", 5),
        ("() { :; }; /bin/cat /etc/passwd", 2),
        # The log module escapes the quotes, the backslash and the accent.
        ('Mozilla/5.0 ("probe"; C:\\tools; caf\u00e9)', 10),
    ]
)

#: Text that no web server wrote, but that ends up in its log.
STRAY_TEXTS = (
    "--MARK--",
    'nginx: [warn] conflicting server name "www.example.com" on 0.0.0.0:443, ignored',
    "logrotate: renamed access.log",
    "Killed",
    "Segmentation fault (core dumped)",
    "# log opened by www.example.com",
)
STRAY_BYTES = (
    b"caf\xe9 ferm\xe9",
    b"\xff\xfe\x00l\x00o\x00g",
    b"\x80\x81\x82 \xc3\x28 \xa0\xa1",
    b"\xf0\x28\x8c\xbc half a rune",
)

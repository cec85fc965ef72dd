"""Lines that other servers wrote: tests/data/servers has them, and what each was asked.

Each real program answered the same ten requests on the loopback interface; only its addresses were
replaced. A server's oddities are named here; everything else must be what was asked and answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.parsing import Event, FormatError, Unparseable, canonical, detect, parser_for
from datastream.parsing.error_log import zone
from datastream.parsing.servers import BUNDLES, REFUSED, SERVERS
from parsed import access_format

DATA = Path(__file__).parents[2] / "data" / "servers"
ASKED = json.loads((DATA / "asked.json").read_text(encoding="utf-8"))
CLIENT = bytes([192, 0, 2, 7])


class Answer(NamedTuple):
    """What the client saw."""

    #: None where nothing was sent.
    status: int | None
    #: Bytes.
    body: int
    #: The header of that name.
    content_length: int | None
    #: Bytes, headers included.
    whole: int
    #: When it asked, in seconds since the epoch.
    at: float


class Log(NamedTuple):
    """A file, and what is odd about the server that wrote it."""

    file: str
    preset: str
    #: Which of an Answer the size is; None where the line has another one, or none.
    size: str | None = "body"
    has_no_query: bool = False
    has_no_version: bool = False
    has_no_referrer_and_agent: bool = False
    has_no_user: bool = False
    #: The path was decoded before it was logged.
    is_decoded: bool = False
    #: Headers were taken for Latin-1.
    is_latin: bool = False
    #: What is asked of a proxy: as it is, or without scheme and host, or all others with them.
    absolute: str = "kept"
    host: str | None = None
    #: Seconds.
    is_late_by: int = 0


LOGS = [
    Log("apache-2.4.71-combined", "combined", size="whole"),
    Log("apache-2.4.71-common", "common", size="whole", has_no_referrer_and_agent=True),
    Log("apache-2.4.71-vhost_combined", "vhost_combined", size="whole", host="www.example.com"),
    Log("gunicorn-27.0.1", "combined", is_latin=True),
    Log("morgan-1.12.1-combined", "combined", size="content_length", is_latin=True),
    Log("morgan-1.12.1-common", "common", size="content_length", has_no_referrer_and_agent=True),
    Log("varnishncsa-7.1.1", "combined", absolute="all", host="www.example.com"),
    Log("tomcat-10.1.60-common", "common", None, has_no_referrer_and_agent=True, absolute="cut"),
    Log("tomcat-10.1.60-combined", "combined", None, is_latin=True, absolute="cut"),
    Log("jetty-9.4.57", "combined", None, is_latin=True, has_no_user=True),
    Log(
        "paste-3.10.1",
        "combined",
        size="content_length",
        is_latin=True,
        has_no_user=True,
        absolute="//",
        is_late_by=-3600,
    ),
    *(
        Log(f"lighttpd-{version}", "lighttpd", absolute="cut", host="www.example.com")
        for version in ("1.4.69", "1.4.79")
    ),
    Log(
        "hypercorn-0.18.0",
        "hypercorn",
        size="content_length",
        has_no_query=True,
        has_no_user=True,
        is_decoded=True,
        is_latin=True,
    ),
    Log(
        "cherrypy-18.10.0",
        "cherrypy Europe/Paris",
        None,
        is_decoded=True,
        is_latin=True,
        absolute="cut",
    ),
    Log(
        "daphne-4.2.3",
        "daphne Europe/Paris",
        has_no_version=True,
        has_no_referrer_and_agent=True,
        has_no_user=True,
    ),
    Log("aiohttp-3.14.5", "aiohttp", size="whole", has_no_user=True, absolute="cut"),
    Log(
        "granian-2.8.9",
        "granian",
        None,
        has_no_query=True,
        has_no_referrer_and_agent=True,
        has_no_user=True,
        is_decoded=True,
        absolute="cut",
    ),
    Log("uwsgi-2.0.31", "uwsgi Europe/Paris", has_no_referrer_and_agent=True, has_no_user=True),
    *(
        Log(
            f"haproxy-{version}-{file}",
            preset,
            None,
            has_no_referrer_and_agent=True,
            has_no_user=True,
        )
        for version in ("2.6.12", "3.0.11")
        for file, preset in [
            ("http", "haproxy_http Europe/Paris"),
            ("http-captures", "haproxy_http Europe/Paris"),
            ("clf", "haproxy_clf"),
            ("clf-captures", "haproxy_clf"),
        ]
    ),
    *(
        Log(
            f"squid-5.7-{file}",
            preset,
            size="whole",
            has_no_query=True,
            has_no_user=True,
            absolute="all",
            host="www.example.com",
            has_no_referrer_and_agent=has_none,
            has_no_version=preset == "squid",
        )
        for file, preset, has_none in [
            ("native", "squid", True),
            ("combined", "squid_combined", False),
            ("written_out", "squid_combined", False),
            ("common", "squid_common", True),
        ]
    ),
    Log("caddy-2.6.2", "caddy", host="www.example.com"),
]
NAMED = {log.file: log for log in LOGS}


def lines(file: str) -> list[bytes]:
    """Return the lines of a file."""
    return (DATA / f"{file}.log").read_bytes().splitlines()


def as_latin(text: str | None) -> str | None:
    """Return a text whose bytes were taken for Latin-1."""
    return None if text is None else text.encode().decode("latin-1")


def target_of(log: Log, asked: dict[str, Any]) -> tuple[str, str | None]:
    """Return path and query."""
    target = asked["target"].removeprefix("http://www.example.com")
    if log.absolute == "//" and target != asked["target"]:
        target = "//www.example.com" + target
    path, mark, query = target.partition("?")
    if log.is_decoded:
        path = unquote(path)
    if log.has_no_query:  # Squid leaves the mark
        return path, "" if mark and log.absolute == "all" else None
    return path, query if mark else None


@pytest.mark.parametrize("file", NAMED)
def test_each_line_is_what_was_asked_and_answered(file: str) -> None:
    """Method, target, version, status, size, referrer, agent, user, host, client and time."""
    log = NAMED[file]
    form = access_format(log.preset)
    for line, asked, answered in zip(
        lines(file), ASKED["requests"], ASKED["answers"][file], strict=False
    ):
        event, answer = form.parse(line), Answer(*answered)
        assert event.client == CLIENT or (asked is None and event.client is None)
        assert event.session is None
        if asked is None:
            assert event.path is None or file.startswith("aiohttp")
            assert event.status in (400, 500)
            continue
        check(log, event, asked, answer)


def check(log: Log, event: Event, asked: dict[str, Any], answer: Answer) -> None:
    """Compare an event with what was asked and answered."""
    assert (event.method, event.path, event.query) == (asked["method"], *target_of(log, asked))
    version = {"granian-2.8.9": {"1.0": "1"}}.get(log.file, {}).get(
        asked["version"], asked["version"]
    )
    assert event.http_version == (None if log.has_no_version else version)
    assert event.status == (answer.status or 503)
    if log.size is not None:
        assert (event.size or 0) == (getattr(answer, log.size) or 0)
    referrer, agent = asked["referrer"], asked["agent"]
    if log.has_no_referrer_and_agent:
        referrer = agent = None
    if log.is_latin:
        referrer, agent = as_latin(referrer), as_latin(agent)
    if log.file.startswith("cherrypy"):  # it writes nothing for no header
        referrer, agent = referrer or "", agent or ""
    if log.file.startswith("tomcat"):  # it escapes them as Java does
        referrer, agent = (
            None if text is None else text.replace("Ã©", r"\u00c3\u00a9")
            for text in (referrer, agent)
        )
    assert (event.referrer, event.user_agent) == (referrer, agent)
    is_asked_of_proxy = asked["target"].startswith("http:") and log.absolute == "kept"
    assert event.host == ("www.example.com" if is_asked_of_proxy else log.host)
    if asked["user"] and log.preset not in ("common", "combined"):
        assert event.user == (None if log.has_no_user else asked["user"])
    elif not asked["user"]:
        assert event.user is None
    moment = datetime.fromisoformat(event.time).replace(tzinfo=UTC).timestamp()
    assert -1.5 <= moment - answer.at - log.is_late_by <= 3.5


@pytest.mark.parametrize("name", ["hypercorn", "daphne"])
@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("192.0.2.7:51234", CLIENT),
        ("2001:db8::7:4395", bytes.fromhex("20010db8000000000000000000000007")),
        ("::1:51234", bytes(15) + b"\1"),
        ("None", None),
    ],
)
def test_a_peer_is_an_address_and_a_port(name: str, peer: str, client: bytes | None) -> None:
    """Without brackets; on a unix socket it is none."""
    form = access_format(name)
    line = lines(f"{name}-{'0.18.0' if name == 'hypercorn' else '4.2.3'}")[0]
    found = re.sub(rb"192\.0\.2\.7:[0-9]+", peer.encode(), line)

    assert form.parse(found) == form.careful(found)
    assert form.parse(found).client == client


@pytest.mark.parametrize("file", NAMED)
def test_both_parsers_say_the_same_of_them(file: str) -> None:
    """The one for usual lines, and the careful one."""
    form = access_format(NAMED[file].preset)
    for line in lines(file):
        assert form.parse(line) == form.careful(line)


@pytest.mark.parametrize("file", NAMED)
def test_auto_finds_the_server(file: str) -> None:
    """By its preset, and no other is as good."""
    found = detect(lines(file) * 2)

    assert (found.name, found.is_sure) == (NAMED[file].preset.split()[0], True)


@pytest.mark.parametrize(
    ("file", "server"),
    [
        ("uvicorn-0.54.0", "uvicorn"),
        ("tornado-6.6.1", "tornado"),
        ("morgan-1.12.1-tiny", "morgan"),
        ("morgan-1.12.1-short", "morgan"),
        ("morgan-1.12.1-dev", "morgan"),
    ],
)
def test_a_server_whose_lines_make_no_row_is_refused_by_name(file: str, server: str) -> None:
    """By auto, and as a format: with what to do."""
    found = detect(lines(file))

    assert (found.name, found.is_sure) == (server, False)
    assert str(found) == found.refusal == REFUSED[server].message
    assert server in found.refusal
    with pytest.raises(FormatError, match=server):
        parser_for(server)


@pytest.mark.parametrize("file", NAMED)
def test_no_server_that_is_read_is_refused(file: str) -> None:
    """Nor is a log of several servers for the few lines of one that is not."""
    assert not detect(lines(file) + lines("uvicorn-0.54.0")[:3]).refusal


@pytest.mark.parametrize(
    ("file", "form"),
    [
        ("twisted-26.10.0", "combined"),
        ("gunicorn-27.0.1-unix", "combined"),
        ("haproxy-2.6.12-clf-syslog", "rfc3164 haproxy_clf"),
        ("haproxy-3.0.11-clf-syslog", "rfc3164 haproxy_clf"),
    ],
)
def test_lines_of_other_forms_are_read(file: str, form: str) -> None:
    """Addresses in quotes or empty, a prefix in front."""
    parse = parser_for(form)
    events = [event for event in map(parse, lines(file)) if isinstance(event, Event)]

    answers = [Answer(*answer) for answer in ASKED["answers"][file]]
    assert [event.status for event in events] == [answer.status or 503 for answer in answers]
    assert {event.client for event in events} == {None if "unix" in file else CLIENT}
    assert not any("client" in (event.extra or {}) for event in events)
    found = detect(lines(file) * 2)
    assert (found.name, found.is_sure) == (form, True)


WHEN = st.integers(10**8, 7 * 10**9).map(
    lambda seconds: datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
)
ZONES = st.sampled_from(["Europe/Paris", "America/St_Johns", "+05:45", "-09:30", "UTC", ""])


@given(moment=WHEN, zone=ZONES)
def test_a_time_without_a_zone_is_in_the_zone_that_is_given(moment: datetime, zone: str) -> None:
    """In UTC where none is given, and says so; the first of the two where an hour comes twice."""
    local = zone_of(zone)
    expected = moment.replace(tzinfo=local).astimezone(UTC)
    text = f"{moment:%d/%b/%Y:%H:%M:%S}"
    short = f'192.0.2.7 - - [{text}] "GET / HTTP/1.1" 200 5 "" ""'
    long = (
        f"[pid: 7|app: 0|req: 1/1] 192.0.2.7 () {{2 vars in 9 bytes}} [{moment.ctime()}] GET / =>"
    )
    long += (
        " generated 5 bytes in 2 msecs (HTTP/1.1 200) 1 headers in 9 bytes (1 switches on core 0)"
    )
    for name, line in (("cherrypy", short), ("uwsgi", long)):
        form = access_format(f"{name} {zone}")
        event = form.parse(line.encode())
        assert event == form.careful(line.encode())
        assert event.time == f"{expected:%Y-%m-%d %H:%M:%S}.000"
        assert bool(form.remarks) is (not zone)


def zone_of(name: str) -> tzinfo:
    """Return the zone of a name."""
    return ZoneInfo(name) if "/" in name else zone(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("combined Europe/Paris", "the times of combined have a zone"),
        ("cherrypy Europe/Nowhere", "'Europe/Nowhere' is no time zone"),
        ("cherrypy Europe/Paris UTC", "this is no format"),
        ("hello Europe/Paris", "this is no format"),
        ("log_format x escape=html '$msec';", "escape= is one of"),
    ],
)
def test_a_zone_stands_where_it_says_something(text: str, message: str) -> None:
    """After a preset whose times have none."""
    with pytest.raises(FormatError, match=message):
        parser_for(text)


def test_a_zone_and_trusted_proxies_may_both_be_named() -> None:
    """The zone first; the canonical text has both."""
    text = " cherrypy  Europe/Paris   set_real_ip_from 192.0.2.0/24; "

    assert canonical(text) == "cherrypy Europe/Paris set_real_ip_from 192.0.2.0/24;"
    assert not access_format(canonical(text)).assumes_utc


HAPROXY = (
    "192.0.2.7:51234 [29/Nov/2026:17:40:03.123] web~ app/s1 0/0/1/2/3 200 512 - - ---- "
    '1/1/0/0/0 0/0 {}"{}"'
)


@given(
    captures=st.lists(st.text(max_size=9), max_size=4),
    braces=st.integers(0, 2),
    path=st.text(st.characters(codec="utf-8", exclude_characters=" ?\n"), max_size=9),
)
def test_what_haproxy_escapes_is_read_as_it_was(
    captures: list[str], braces: int, path: str
) -> None:
    """In captures and requests; nothing that a client sends ends a field."""
    texts = [text for text in captures if text.encode()]
    blocks = "".join(f"{{{'|'.join(map(escaped, texts))}}} " for _ in range(braces))
    line = HAPROXY.format(blocks, f"GET /{escaped(path)} HTTP/1.1")
    event = access_format("haproxy_http").parse(line.encode())

    assert event.path == f"/{path}"
    expected: list[str | None] = [*texts] * braces or [None] * braces
    assert (event.extra or {}).get("haproxy_captures", []) == expected
    assert (event.time, event.request_time) == ("2026-11-29 17:40:03.123", 0.003)


@pytest.mark.parametrize(
    ("name", "line", "size", "request_time"),
    [
        (
            "haproxy_http",
            "192.0.2.7:38128 [30/Nov/2026:16:44:23.639] asap app/s1 0/0/0/4/+4 200 +132 - - ---- "
            '1/1/1/0/0 0/0 "GET /asap HTTP/1.1"',
            "+132",
            "+4",
        ),
        (
            "haproxy_clf",
            '192.0.2.7 - - [30/Nov/2026:15:44:23 +0000] "GET /asap HTTP/1.1" 200 +119 "" "" 36472 '
            '658 "asapclf" "app" "s1" 0 0 0 0 +0 ---- 1 1 1 1 0 0 0 "" "" ',
            "+119",
            "+0",
        ),
    ],
)
def test_what_haproxy_logs_before_the_end_is_no_final_figure(
    name: str, line: str, size: str, request_time: str
) -> None:
    """HAProxy 3.0.11 wrote these under `option logasap`; columns hold no part of a sum."""
    form = access_format(name)
    event = form.parse(line.encode())

    assert event == form.careful(line.encode())
    assert (event.status, event.size, event.request_time) == (200, None, None)
    extra = event.extra or {}
    assert (extra["size"], extra["request_time"]) == (size, request_time)
    assert detect([line.encode()] * 10).name == name


def escaped(text: str) -> str:
    """Return a text as HAProxy writes it."""
    return "".join(
        chr(byte) if 32 < byte < 127 and chr(byte) not in '#"{|}' else f"#{byte:02X}"
        for byte in text.encode()
    )


@given(st.integers(0, 10**12), st.integers(0, 9), st.sampled_from(["e", "E", "e+", "e-", "E-0"]))
def test_a_number_in_json_may_have_an_exponent(digits: int, power: int, mark: str) -> None:
    """It is the number that it would be without, wherever a number stands."""
    text = f"{digits}{mark}{power}"
    value = Decimal(text.replace("E", "e"))
    parse = access_format("caddy").parse
    line = '{{"ts":{0},"request":{{"uri":"/1e3"}},"size":{0},"duration":{0},"status":2e2}}'
    plain = f"{value:.9f}".rstrip("0").rstrip(".")

    assert outcome(parse, line.format(text)) == outcome(parse, line.format(plain))
    own = '{{"t":{0},"s":{0},"u":"1e3"}}'
    parse = access_format('log_format j escape=json \'{"t":$msec,"s":$status,"u":"$args"}\';').parse
    assert outcome(parse, own.format(text)) == outcome(parse, own.format(plain))


def outcome(parse: Callable[[bytes], Event], line: str) -> object:
    """Return the event of a line, or why it is rejected."""
    try:
        return parse(line.encode())
    except Unparseable as reject:
        return reject.reason


#: Made up, with the keys that later versions of Caddy, and Traefik 3, are documented to write.
DOCUMENTED = [
    (
        "caddy",
        '{"level":"info","ts":1795974702.5103717,"logger":"http.log.access","msg":"request",'
        '"request":{"remote_ip":"198.51.100.9","remote_port":"41342","client_ip":"192.0.2.7",'
        '"proto":"HTTP/2.0","method":"GET","host":"www.example.com","uri":"/a?b=c","headers":'
        '{"User-Agent":["curl/8.0"],"Accept":["*/*"]},"tls":{"resumed":false,"version":772}},'
        '"bytes_read":0,"user_id":"ana","duration":2.5e-3,"size":512,"status":200,'
        '"resp_headers":{"Server":["Caddy"]}}',
    ),
    (
        "traefik",
        '{"ClientAddr":"192.0.2.7:41342","ClientHost":"192.0.2.7","ClientPort":"41342",'
        '"ClientUsername":"ana","DownstreamContentSize":512,"DownstreamStatus":200,'
        '"Duration":2500000,"OriginContentSize":512,"OriginDuration":2400000,"OriginStatus":200,'
        '"Overhead":100000,"RequestAddr":"www.example.com","RequestContentSize":0,"RequestCount":7,'
        '"RequestHost":"www.example.com","RequestMethod":"GET","RequestPath":"/a?b=c",'
        '"RequestPort":"-","RequestProtocol":"HTTP/2.0","RequestScheme":"https","RetryAttempts":0,'
        '"RouterName":"shop@docker","ServiceAddr":"192.0.2.9:8080","ServiceName":"shop@docker",'
        '"ServiceURL":"http://192.0.2.9:8080","StartLocal":"2026-11-29T18:51:42.510371700+01:00",'
        '"StartUTC":"2026-11-29T17:51:42.510371700Z","entryPointName":"https","level":"info",'
        '"msg":"","request_User-Agent":"curl/8.0","time":"2026-11-29T18:51:42+01:00"}',
    ),
]


@pytest.mark.parametrize(("name", "line"), DOCUMENTED)
def test_lines_as_documented_are_read(name: str, line: str) -> None:
    """Of servers, or versions, that were not run."""
    event = access_format(name).parse(line.encode())

    assert (event.time, event.client) == ("2026-11-29 17:51:42.510", CLIENT)
    assert (event.method, event.path, event.query) == ("GET", "/a", "b=c")
    assert (event.host, event.http_version, event.user) == ("www.example.com", "2.0", "ana")
    assert (event.status, event.size, event.request_time) == (200, 512, 0.0025)
    assert (event.referrer, event.user_agent) == (None, "curl/8.0")
    assert detect([line.encode()] * 10).name == name


COMBINED_END = '[10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 5 "-" "curl/8.0"'


@given(
    name=st.sampled_from(["combined", "main", "host_main", "vhost_combined"]),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
)
def test_blanks_around_the_dash_of_no_user_are_no_user(name: str, before: int, after: int) -> None:
    """Old Jettys write two on both sides."""
    start = {"host_main": "example.com ", "vhost_combined": "example.com:80 "}.get(name, "")
    end = ' "-"' if "main" in name else ""
    form = access_format(name)

    def line(user: str) -> bytes:
        return f"{start}192.0.2.7 - {user} {COMBINED_END}{end}".encode()

    padded = line(" " * before + "-" + " " * after)
    assert form.parse(padded) == form.careful(padded) == form.parse(line("-"))


@pytest.mark.parametrize("variable", ["remote_addr", "realip_remote_addr"])
@pytest.mark.parametrize("length", range(2045, 2051))
def test_a_line_cut_within_the_address_is_no_line_of_another(variable: str, length: int) -> None:
    """A line that ends with the client's address may have been cut at 2,048 bytes."""
    form = access_format(f'$msec "$http_x" ${variable}')
    line = '971211336.250 "" 192.0.2.12'
    line = line.replace('""', f'"{"x" * (length - len(line))}"')

    assert len(line) == length
    for parse in (form.parse, access_format(f'$msec "$http_x" ${variable};').parse):
        text = line if parse == form.parse else f"{line[:16]}{line[17:]};"
        is_cut = length in (2047, 2048) and parse == form.parse
        assert (outcome(parse, text) == "truncated") is is_cut


BUNDLED = {
    "host_main": f'www.example.com 192.0.2.7 - ana {COMBINED_END} "198.51.100.3, 203.0.113.9"',
    "nginx_proxy": f'www.example.com 192.0.2.7 - ana {COMBINED_END} "198.51.100.3:8080"',
    "nginx_proxy_manager": (
        "[10/Oct/2000:13:55:36 -0700] MISS 200 200 - GET https www.example.com "
        '"/" [Client 192.0.2.7] [Length 5] [Gzip 2.30] [Sent-to shop] "curl/8.0" "-"'
    ),
    "nginx_proxy_manager_standard": (
        "[10/Oct/2000:13:55:36 -0700] 200 - GET https www.example.com "
        '"/" [Client 192.0.2.7] [Length 5] [Gzip -] "curl/8.0" "-"'
    ),
    "upstreaminfo_real_ip": (
        f"192.0.2.7 - [192.0.2.7] - ana {COMBINED_END} 312 0.042 [shop-web-80] 198.51.100.3:8080 "
        "5 0.040 200 a3c1"
    ),
    "upstreaminfo_real_ip_alternative": (
        f"192.0.2.7 - [192.0.2.7] - ana {COMBINED_END} 312 0.042 [shop-web-80] [] "
        "198.51.100.3:8080 5 0.040 200 a3c1"
    ),
    "bunkerweb": f"www.example.com 192.0.2.7 - {'0123456789abcdef' * 2} ana {COMBINED_END}",
}


@pytest.mark.parametrize("name", BUNDLES)
def test_what_programs_with_nginx_in_them_write_is_known_by_name(name: str) -> None:
    """Each is read, found, and no other is as good, also where the last field is a dash."""
    line = BUNDLED[name].encode()
    event = access_format(name).parse(line)

    assert (event.time, event.client) == ("2000-10-10 20:55:36.000", CLIENT)
    assert (event.path, event.status, event.size) == ("/", 200, 5)
    assert (event.referrer, event.user_agent) == (None, "curl/8.0")
    assert event.host == (None if name.startswith("upstreaminfo") else "www.example.com")
    assert event.user == (None if "manager" in name else "ana")
    found = detect([line] * 20)
    assert (found.name, found.sureness) == (name, "certain")


def test_a_host_in_front_of_main_is_no_nginx_proxy_where_nothing_tells() -> None:
    """Most who write no address at the end have no upstream server in their format."""
    line = BUNDLED["host_main"].replace("198.51.100.3, 203.0.113.9", "-").encode()

    assert detect([line] * 20).name == "host_main"


def test_every_server_has_lines() -> None:
    """That it wrote, or that its documentation shows."""
    seen = {log.preset.split()[0] for log in LOGS} | {name for name, _ in DOCUMENTED}

    assert seen >= SERVERS.keys()
    assert BUNDLED.keys() == BUNDLES.keys()


@pytest.mark.parametrize("key", ["time", "ts", "StartUTC", "timestamp"])
@pytest.mark.parametrize(
    "others",
    [
        {"remote_addr": "192.0.2.149", "request": "GET /a HTTP/1.1", "status": 200},
        {"level": "info", "msg": "hello"},
        {"ip": "192.0.2.7", "path": "/a", "status": 200, "size": 17, "duration": 12},
        {"request": "GET /a HTTP/1.1", "status": 200, "duration": 0.1},
    ],
)
@pytest.mark.parametrize("time", ["2026-11-29T12:00:00+01:00", 1795953600.25])
def test_an_object_with_a_time_is_no_server_s_for_that(
    key: str, others: dict[str, object], time: object
) -> None:
    """The keys of its request tell a server, since every log has a time."""
    found = detect([json.dumps({key: time, **others}).encode()] * 60)

    assert not found.fit or found.name.startswith("log_format json ")


@pytest.mark.parametrize(
    "line", [b'{"level":"info","ts":1795953600.25,"msg":"using config"}', b'{"ts":1.5}']
)
def test_another_message_of_a_server_is_no_request(line: bytes) -> None:
    """It holds none of the keys of the format but the time's."""
    with pytest.raises(Unparseable, match="format"):
        parser_for("caddy")(line)

"""The parser of usual lines and the careful one say the same."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nginx
from datastream.parsing import EXTRA_LIMIT, LIMITS, PRESETS, Event, Unparseable
from datastream.parsing.access_log import AccessFormat
from datastream.parsing.log_format import log_format
from datastream.parsing.nginx_conf import directives
from datastream.parsing.variables import COLUMNS, Kind, kind_of
from datastream_playground import sample
from parsed import access_format

FORMATS = {
    **{name: name for name in PRESETS},
    **nginx.formats(),
    "trusted": "main set_real_ip_from 192.0.2.0/24;",
    "no remote_addr": (
        "log_format x '$http_x_forwarded_for - $remote_user [$time_local] \"$http_x_real_ip\"';"
    ),
    "its last entry": (
        "log_format x '$proxy_protocol_port|$proxy_add_x_forwarded_for|$realip_remote_addr|$msec';"
        " set_real_ip_from 192.0.2.0/24; set_real_ip_from unix:;"
    ),
    "another header": (
        "log_format x '$proxy_protocol_addr $msec \"$http_cf_connecting_ip\"';"
        " set_real_ip_from 0.0.0.0/0;"
    ),
    "path and query": '$msec $request_method $scheme "$host" "$uri" "$args"',
}

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12)
MESS = st.sampled_from(
    ['"', "\\", " ", " [", "] ", "|", "\t", ", ", " : ", "-", ":", ";", "/", "?"]
)
VALUES = {
    Kind.REQUEST: ["GET /a?b HTTP/1.1", "GET http://H:1/x HTTP/1.0", "CONNECT h:1 HTTP/1.1", "x"],
    Kind.TIME_LOCAL: ["10/Oct/2000:13:55:36 -0700", "31/Feb/2000:13:55:36 -0700"],
    Kind.TIME_ISO: ["2000-10-10T13:55:36-07:00"],
    Kind.TIME_SECONDS: ["971211336.250"],
    Kind.TIME_SPACED: ["2000-10-10 13:55:36 -0700"],
    Kind.TIME_NO_ZONE: ["10/Oct/2000:13:55:36", "10/Oct/2000:13:55:36.123"],
    Kind.TIME_C: ["Tue Oct 10 13:55:36 2000"],
    Kind.INTEGER: ["200", "0", "18446744073709551615", "-5", "+5", "1_0", "1e3"],
    Kind.DECIMAL: ["0.001", "12.5", "1", ".5"],
    Kind.CHAIN: ["192.0.2.9, 198.51.100.3", "x", "203.0.113.9:80, [2001:db8::7]:1,192.0.2.1, "],
    Kind.TEXTS: ["192.0.2.5:80", "192.0.2.5:80, [2001:db8::7]:80 : unix:/x"],
    Kind.INTEGERS: ["200", "502, 200 : 404", "-, 200"],
    Kind.DECIMALS: ["0.001", "0.001, 0.002 : -", "12345678.000"],
    Kind.CAPTURES: ["{a|b#7C} {} ", ' "a" ""', ""],
    Kind.WORD: [
        *("192.0.2.7", "2001:db8::7", "unix:", "www.example.com", "", "https", "HTTP/1.1"),
        *("192.0.2.7:51234", "[2001:db8::7]:443", "::ffff:192.0.2.7", '"192.0.2.7"'),
    ],
    Kind.REST: ['"-" 0.042 "www.example.com"', "0.042", ""],
    Kind.TEXT: [
        *("Mozilla/5.0 (X11; Linux)", "/a?b=c", "ana", "ana lopez", "a@b.example", ""),
        *("203.0.113.9", "203.0.113.9, 192.0.2.1"),
    ],
}
#: Of each kind, four times in seven a likely value. Made once: that takes longer than a draw.
DRAWN = {
    kind: st.one_of(*[st.sampled_from(likely)] * 4, st.just("-"), TEXT, MESS)
    for kind, likely in VALUES.items()
}
ENDS = st.sampled_from(["", "", "\r", " "])


def outcome(form: AccessFormat, line: bytes, *, carefully: bool) -> object:
    """Return the event of a line, or why it is rejected."""
    try:
        return form.careful(line) if carefully else form.parse(line)
    except Unparseable as reject:
        return reject.reason


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_both_say_the_same(name: str, data: st.DataObject) -> None:
    """Of likely values, odd ones, and texts that look like the format's own."""
    form = access_format(FORMATS[name])
    line = form.template.before
    for part in form.template.parts:
        line += data.draw(DRAWN[kind_of(part.variable)]) + part.after
    encoded = (line + data.draw(ENDS)).encode()

    assert outcome(form, encoded, carefully=False) == outcome(form, encoded, carefully=True)


def long_values(kind: Kind, length: int) -> list[str]:
    """Return values that are so long, or of which a part is."""
    text = "a" * length
    if kind is Kind.REQUEST:
        methods = [f"{text.upper()} /a HTTP/1.1"]
        targets = [f"/{text[1:]}", f"/a?{text}", f"/a?{text[3:]}", f"http://{text}/a"]
        return methods + [f"GET {target} HTTP/1.1" for target in targets]
    words = "a " * (length // 2) + "a" * (length % 2)
    return [text, f"{words[:-1]}a", f"/{text[1:]}", f"a@{text}", f"{text[2:]}@a"]


@pytest.mark.parametrize("name", FORMATS)
def test_both_say_the_same_at_the_limits(name: str) -> None:
    """Of texts as long as a column holds, and of longer ones, wherever they stand in a line."""
    form = access_format(FORMATS[name])
    parts = form.template.parts
    usual = [VALUES[kind_of(part.variable)][0] + part.after for part in parts]
    lengths = [limit + more for limit in {*LIMITS.values(), EXTRA_LIMIT} for more in (0, 1)]
    for at, part in enumerate(parts):
        before = form.template.before + "".join(usual[:at])
        after = part.after + "".join(usual[at + 1 :])
        for length in lengths:
            for value in long_values(kind_of(part.variable), length):
                line = f"{before}{value}{after}".encode()
                carefully = outcome(form, line, carefully=True)
                assert outcome(form, line, carefully=False) == carefully, line


@pytest.mark.parametrize(
    ("path", "query"), [(1023, 1024), (1024, 1023), (1024, 1024), (2048, 1), (1, 2048)]
)
def test_a_url_of_two_variables_keeps_to_its_limit(path: int, query: int) -> None:
    """Each of the two fits its own column, and the URL that they make up is cut, and says so."""
    form = access_format(FORMATS["path and query"])
    parts = "/" + "p" * (path - 1), "q" * query
    line = f'971211336.250 GET https "example.com" "{parts[0]}" "{parts[1]}"'.encode()
    event = form.parse(line)

    assert event == form.careful(line)
    assert event.url == "?".join(parts)[: LIMITS["url"]]
    assert (event.path, event.query) == parts
    cut = (event.extra or {}).get("cut", [])
    assert cut == (["url"] if path + 1 + query > LIMITS["url"] else [])


def alone(variable: str) -> AccessFormat:
    """Return a format of a variable and a time."""
    return access_format(f'$msec "${variable}"' if variable != "msec" else "$time_local $msec")


@pytest.mark.parametrize("variable", [name for names in COLUMNS.values() for name in names])
def test_both_fill_the_column_of_each_variable(variable: str) -> None:
    """Whether or not any format of the tests has it."""
    form = alone(variable)
    values = [VALUES[kind_of(part.variable)][0] + part.after for part in form.template.parts]
    line = (form.template.before + "".join(values)).encode()

    assert outcome(form, line, carefully=False) == outcome(form, line, carefully=True)


def test_every_column_has_a_variable() -> None:
    """None is always NULL."""
    variables = [name for names in COLUMNS.values() for name in names]
    filled = {column for name in variables for column in alone(name).fields.columns_of(name)}

    assert set(Event._fields) - filled == {"extra"}


def test_both_say_the_same_where_a_digit_follows_a_number() -> None:
    """Where the number ends nobody can tell: the first place at which the rest fits it is."""
    form = access_format("${msec}1$args x")
    line = b"971211336.2501- x"

    assert outcome(form, line, carefully=False) == outcome(form, line, carefully=True)


class LeftToTheCarefulError(Exception):
    """The parser of usual lines does not read this one."""


class Usual(AccessFormat):
    """A format without its careful parser."""

    def __init__(self, text: str) -> None:
        directive = text if text.startswith("log_format ") else f"log_format x '{text}';"
        super().__init__(log_format(next(directives(directive)).words), directive)
        self.source = directive

    def careful(self, line: bytes) -> Event:
        """Read nothing."""
        raise LeftToTheCarefulError(line)


USUAL_START = '192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 512'
USUAL_PRESETS = [
    ("common", USUAL_START),
    ("common", USUAL_START.replace("- - [", "- ana [")),
    ("common", USUAL_START.replace("- - [", "- ana maria lopez [")),
    ("common", USUAL_START.replace("- - [", "- ana@example.com [")),
    ("common", USUAL_START.replace("GET /", "GET /a/b?c=d&e=%20")),
    ("common", USUAL_START.replace("GET /", "GET HTTPS://Www.Example.com:443/a?b")),
    ("common", USUAL_START.replace("GET /", "GET http://www.example.com/?a=http://b/?c")),
    ("common", USUAL_START.replace("GET /", "CONNECT www.example.com:443")),
    ("common", f"{USUAL_START}\r"),
    ("combined", f'{USUAL_START} "https://www.example.com/" "Mozilla/5.0 (X11; Linux)"'),
    ("combined", f'{USUAL_START} "-" "-"'),
    ("combined", f'{USUAL_START} "" ""'),
    ("main", f'{USUAL_START} "-" "curl/8.0" "192.0.2.9, 198.51.100.3"'),
    ("main", f'{USUAL_START} "-" "curl/8.0" "-"'),
    ("proxy", f"{USUAL_START} -"),
    (
        "upstreaminfo",
        f'{USUAL_START} "-" "curl/8.0" 312 0.042 [shop] [] 192.0.2.5:80 512 0.040 200 a3c1',
    ),
    ("upstreaminfo", f'{USUAL_START} "-" "curl/8.0" 312 0.042 [shop] [] - - - - -'),
    ("vhost_combined", f'www.example.com:443 {USUAL_START} "-" "curl/8.0"'),
    ("host_combined", f'www.example.com {USUAL_START} "-" "curl/8.0"'),
    ("combined_plus", f'{USUAL_START} "-" "curl/8.0" "-" 0.042 "www.example.com" -'),
    ("common_plus", f"{USUAL_START} 0.042 www.example.com"),
    ("common_plus", f"{USUAL_START} "),
]
JSON = "log_format x escape=json "
NONE = "log_format x escape=none "


@pytest.mark.parametrize(
    ("text", "line"),
    [
        *((PRESETS[name], line) for name, line in USUAL_PRESETS),
        ("$status $time_local", "200 10/Oct/2000:13:55:36 -0700"),
        ("[$time_local] $status", "[10/Nov/2000:13:55:36 -0700] 200"),
        ('$msec "$pipe", "$host"', '971211336.250 "X", "XX"'),
        ("$time_local $status", "10/Oct/2000:13:55:36 -0700 200"),
        ("$time_local, $status", "10/Oct/2000:13:55:36 -0700, 200"),
        ('"$time_iso8601" $status', '"2000-10-10T13:55:36-07:00" 200'),
        ("$time_iso8601|$status", "2000-10-10T13:55:36-07:00|200"),
        ("$status;$msec", "200;971211336.250"),
        ("$msec,$status,$connection", "971211336.250,200,7"),
        ("$msec $upstream_status", "971211336.250 502"),
        ("$msec $gzip_ratio $remote_port", "971211336.250 - -"),
        ("$msec $upstream_bytes_sent", f"971211336.250 {'9' * 18}"),
        ("$msec $server_protocol", "971211336.250 HTTP/2.0"),
        ("$msec $server_protocol", "971211336.250 -"),
        ("$msec $host $status", '971211336.250 "a" 200'),
        ('$msec "$host" $scheme', '971211336.250 "Www.Example.com:80" https'),
        ('$msec "$host" $scheme', '971211336.250 "-" -'),
        ("$msec $request_method $request_uri", "971211336.250 GET /a?b"),
        ("$msec $request_method $request_uri", "971211336.250 CONNECT www.example.com:443"),
        ("$msec $request_method|$request_uri|$host", "971211336.250 GET|/a?b|www.example.com"),
        ('$msec "$request_uri"', '971211336.250 "/a?b"'),
        ('$msec $request_method "$uri"', '971211336.250 GET "/a b"'),
        ('$msec "$uri" "$args"', '971211336.250 "/a" "b=c d"'),
        ('$msec "$uri" "$args"', '971211336.250 "/a" "-"'),
        ('$msec "$remote_user"', '971211336.250 "ana"'),
        ('$msec [$upstream_addr] "$upstream_addr"', '971211336.250 [192.0.2.5:80] "unix:/x"'),
        ("$msec $http_x_custom|end", "971211336.250 a b c|end"),
        ("$msec $http_x_custom|-$host;", "971211336.250 a b|-www-1.example.com;"),
        ("$msec a=$http_x_custom", "971211336.250 a=b c"),
        (f"{JSON}'$msec \"$http_referer\" $status';", '971211336.250 "" 200'),
        (
            f'{JSON}\'{{"t":$msec,"u":$upstream_status,"r":"$args","h":"$host","q":"$request"}}\';',
            '{"t":971211336.250,"u":,"r":"","h":"","q":"GET /a HTTP/1.1"}',
        ),
        (
            f'{JSON}\'{{"t":$msec,"p":"$server_protocol","n":$upstream_response_time,"a":"$pipe",'
            '"x":"$http_x_forwarded_for","l":"$upstream_addr"}\';',
            '{"t":971211336.250,"p":"","n":0.123,"a":".","x":"192.0.2.9","l":""}',
        ),
        (f"{NONE}'$msec \"$http_user_agent\"|';", '971211336.250 "a \\d b"|'),
        (f"{NONE}'$msec|$http_user_agent|$http_referer|';", '971211336.250|a "b" c|\\|'),
        (f"{NONE}'$remote_user [$msec]';", "ana [971211336.250]"),
    ],
)
def test_a_usual_line_needs_no_careful_parser(text: str, line: str) -> None:
    """It is read by one match, and becomes what the careful parser would make of it."""
    assert Usual(text).parse(line.encode()) == access_format(Usual(text).source).careful(
        line.encode()
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("$msec ${body_bytes_sent}-$args|", "971211336.250 --5|"),
        ("$msec ${request_time}.$args|", "971211336.250 1.500.x|"),
        ("$msec ${status}0$args|", "971211336.250 20000|"),
        ("$msec $status $session|", "971211336.250 200 |"),
        ("$msec $status $remote_addr|", "971211336.250 200 |"),
        ("$msec $status", "971211336.250 -"),
        ("$msec $status", "971211336.250 65536"),
        ("$msec $request_method $status", "971211336.250 - 200"),
        ('$msec "$http_user_agent"', f'971211336.250 "{"u" * 1025}"'),
        ('$msec "$uri" "$args"', f'971211336.250 "/{"p" * 1500}" "{"q" * 600}"'),
        ('$msec "$uri" "$args"', f'971211336.250 "/{"p" * 600}" "{"q" * 1500}"'),
        ("$msec $scheme", "971211336.250 HTTPS"),
        ("$msec $host", "971211336.250 www.example.com:80"),
        ('$msec "$upstream_addr"', '971211336.250 ""'),
        ('$msec "$upstream_addr"', '971211336.250 "a b"'),
        ('$msec "$upstream_addr"', '971211336.250 "192.0.2.5:80, 192.0.2.6:80"'),
        ("$msec $upstream_status|", "971211336.250 200, 502|"),
        ("$msec $upstream_bytes_sent|", f"971211336.250 {2**63}|"),
        ('$msec "$host"', '971211336.250 "a b"'),
        ('$msec "$host"', '971211336.250 "a"b"'),
        ("$msec $host|", '971211336.250 a"b|'),
        ("$msec $http_x_custom|$host;", "971211336.250 x|a|b;"),
        ("$msec $http_x_custom|$remote_user;", "971211336.250 x|a|b;"),
        ("$remote_user|$msec", 'ana "x|971211336.250'),
        ("$remote_user [$msec]", "a [971211336.250] [971211336.251]"),
        ("$msec $remote_user", f"971211336.250 {'u' * 256}"),
        ("$msec $http_x_custom", "971211336.250 a\rb"),
        ("$msec $http_x_custom", '971211336.250 a"b'),
        ("$msec $http_x_custom", "971211336.250 a\r"),
        ("$msec $http_x_custom", "971211336.250 a "),
        ("$msec $rest", "971211336.250 a\rb"),
        ("$msec $rest|", "971211336.250 a|b|"),
        ("$msec $http_x_forwarded_for", "971211336.250 "),
        ("$msec $http_x_forwarded_for|", "971211336.250 192.0.2.9,x ,  y|"),
        ("$msec $request_uri|$status", "971211336.250 /a|b|200"),
        ("$msec $request_uri;$status", "971211336.250 http://a;b/c;200"),
        ("$msec $request_uri", "971211336.250 www.example.com:443"),
        ("$msec $request_method $request_uri", "971211336.250 GET www.example.com:443"),
        ("$msec $request_method $request_uri", "971211336.250 - www.example.com:443"),
        ('$msec "$request" $host', '971211336.250 "GET http://A/ HTTP/1.1" -'),
        ('$msec "$request"', '971211336.250 "GET /a HTTP/1.1" x'),
        ("$msec $server_protocol", "971211336.250 http/1.1"),
        ("$time_local,$status", "10/Oct/2000:13:55:36,-0700,200"),
        ("[$time_local] $status", "[10/Oct/2000:13:55:36 -0700 x] 200"),
        (f'{JSON}\'$msec "$pipe" "$args" "$http_x_custom"\';', '971211336.250 "" "" ""'),
        (f"{JSON}'$msec \"$args\"';", '971211336.250 "\\u00e9"'),
        (f"{NONE}'$msec \"$args\"|';", '971211336.250 "a"|"b"|'),
        (f"{NONE}'$msec|$http_referer|$status';", "971211336.250||200"),
        (f"{NONE}'$remote_user [$msec]';", "a b [971211336.250]"),
        ("$http_x_forwarded_for:$http_x $msec", "192.0.2.9:: 971211336.250"),
        ("$upstream_addr:$http_x $msec", "192.0.2.5:80:: 971211336.250"),
        ("$upstream_addr:$time_iso8601", "-:2000-10-10T13:55:36-07:00"),
        ("$msec $time_iso8601 $status", '971211336.250 " 200'),
        ("$msec $request_uri/$http_x", "971211336.250 //"),
        ("$msec $request_uri:$http_x", "971211336.250 http://a/b:c"),
        ("$msec ${request_uri}h$http_x", "971211336.250 http://a/bhc"),
        ("$msec $request_uri?$http_x", "971211336.250 /a?b?c"),
        ("$msec $server_protocol $http_x", "971211336.250 HTTP/1.1  x"),
        ("$msec $status $server_protocol $http_x", "971211336.250 200 -  x"),
        (f"{JSON}'$msec $server_protocol $http_x';", "971211336.250 HTTP/1.1  x"),
        ("$msec ${host}0$server_port ", "971211336.250 00 "),
        (
            "$http_x $msec $time_iso8601 $http_x_forwarded_for;$host ",
            "a 971211336.250 -x 192.0.2.9;a;b ",
        ),
        ("$msec\r$http_x", "971211336.250\r"),
    ],
)
def test_both_say_the_same_of_an_odd_line(text: str, line: str) -> None:
    """Where a value may end in two places, is empty, or is not what its variable's values are."""
    form = access_format(text)

    assert outcome(form, line.encode(), carefully=False) == outcome(
        form, line.encode(), carefully=True
    )


@pytest.mark.parametrize("name", sample.FORMATS)
def test_both_say_the_same_of_a_sample(name: sample.Format) -> None:
    """Of the lines of a whole site."""
    form = access_format(name)
    for line, _ in sample.generate(3000, name, seed=5):
        assert outcome(form, line, carefully=False) == outcome(form, line, carefully=True), line


#: What may stand between two variables: some values hold it, some begin with it or end so.
SEPARATORS = [*"\t\r |;,:-/_.%?]#=1x", "  ", ", ", ": ", " : ", '" "']
#: Variables of which each says in its own way where its values end.
JUDGED = [
    *("server_protocol", "http_x_forwarded_for", "upstream_addr", "upstream_status", "request_uri"),
    *("request", "host", "status", "server_port", "request_time", "http_x", "time_iso8601"),
]


@pytest.mark.parametrize("usual", SEPARATORS)
@given(draw=st.randoms(use_true_random=True))
def test_both_say_the_same_where_what_follows_may_be_in_the_value(usual: str, draw: Random) -> None:
    """Of values that hold what stands between them, in formats of two of them and a time."""
    names = draw.sample(JUDGED, 2)
    names.insert(draw.randrange(3), draw.choice(["time_local", "time_iso8601", "msec"]))
    between = [draw.choice([usual, usual, *SEPARATORS]) for _ in names[1:]]
    between.append(draw.choice(["", " ", usual]))
    text = "".join(f"${{{name}}}{after}" for name, after in zip(names, between, strict=True))
    form = access_format(f"log_format x escape={draw.choice(['default', 'json'])} '{text}';")
    for _ in range(8):
        line = form.template.before
        for part in form.template.parts:
            values = VALUES[kind_of(part.variable)]
            pieces = [*values, *between, "-", "/", "http://h:1/x"]
            line += draw.choice([*values[:2], "".join(draw.choices(pieces, k=2))]) + part.after
        encoded = (line + draw.choice(["", "\r"])).encode()
        carefully = outcome(form, encoded, carefully=True)

        assert outcome(form, encoded, carefully=False) == carefully, (text, encoded)

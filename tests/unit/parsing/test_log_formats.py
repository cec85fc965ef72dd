"""The compiler of log_format: what is a format, what is none, and where it stops being one."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastream.parsing import (
    PRESETS,
    FormatError,
    Unparseable,
    canonical,
    compiled,
    marked,
    parser_for,
)
from datastream.parsing.nginx_conf import directives
from parsed import access_format, access_parser


def refused(text: str) -> FormatError:
    """Return why a text is no format."""
    with pytest.raises(FormatError) as caught:
        compiled(text)
    return caught.value


@pytest.mark.parametrize(
    ("text", "message", "before_the_caret"),
    [
        (
            "log_format x '[$time_local] $request_time$pipe';",
            "nothing stands between $request_time and $pipe",
            "log_format x '[$time_local] $request_time",
        ),
        ("log_format x '${msec}${status}';", "nothing stands between", "log_format x '${msec}"),
        ("log_format x '$msec' '$status';", "nothing stands between", "log_format x '$msec' '"),
        ("$msec $$status", "this $ begins no variable", "$msec "),
        ("log_format x '$msec $';", "this $ begins no variable", "log_format x '$msec "),
        ("log_format x '$msec ${status';", "this $ begins no variable", "log_format x '$msec "),
        ("log_format x '$msec ${sta' 'tus}';", "this $ begins no variable", "log_format x '$msec "),
        ("log_format x '$msec $' 'status';", "this $ begins no variable", "log_format x '$msec "),
        ("log_format x '$msec ${}';", "this $ begins no variable", "log_format x '$msec "),
        ("log_format x '$msec ${a-b}';", "this $ begins no variable", "log_format x '$msec "),
        ("log_format x '$remote_addr", "this quote has no end", "log_format x "),
        ("log_format x '$msec'", "there is none", "log_format x '$msec'"),
        ("log_format x escape=xml '$msec';", "escape= is one of", "log_format x escape="),
        ("log_format x;", "has no format after its name", "log_format x"),
        ("log_format;", "log_format has no name", "log_format"),
        ("log_format x 'text';", "the format has no variable", "log_format x '"),
        (
            "log_format x '$status';",
            "needs one: add one of $time_local, $time_iso8601, $msec",
            "log_format x '$status",
        ),
        ("log_format x '$msec'; gzip on;", "after a format only", "log_format x '$msec'; "),
    ],
)
def test_what_is_no_format_is_refused_with_the_place(
    text: str, message: str, before_the_caret: str
) -> None:
    """A person sees in the text itself what is wrong."""
    error = refused(text)
    shown, caret = error.marked.splitlines()[-2:]

    assert message in str(error)
    assert "\n" not in str(error)
    assert shown.strip() == text
    assert caret == " " * (4 + len(before_the_caret)) + "^"


@pytest.mark.parametrize("text", ["", "unheard-of", "nginx", "error Mars/Base", "error +25:00"])
def test_what_is_no_name_is_refused(text: str) -> None:
    """The message says what there is."""
    with pytest.raises(FormatError):
        parser_for(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("combind", "combined"), ("Combined", "combined"), ("proxi", "proxy"), ("eror", "error")],
)
def test_a_misspelt_name_is_told_with_the_one_that_is_near(text: str, meant: str) -> None:
    """What is far from every name is told without."""
    assert f"(did you mean {meant}?)" in str(refused(text))
    assert "did you mean" not in str(refused("unheard-of"))


def test_the_place_is_shown_in_its_line() -> None:
    """Of a directive in several lines the one with the place, and of a long line what is near."""
    error = refused("log_format x '$msec '\n    '$host$status' '" + "x" * 200 + "';")

    assert error.marked.splitlines()[1].strip().startswith("'$host$status'")
    assert error.marked.splitlines()[1].endswith("…")


@pytest.mark.parametrize(
    ("text", "offset", "shown", "line", "column"),
    [
        ("abc", 1, 60, "abc", 1),
        ("abc", 3, 60, "abc", 3),
        ("abcdefgh", 4, 2, "…cdef…", 3),
        ("abcdefgh", 2, 2, "abcd…", 2),
        ("abcdefgh", 6, 2, "…efgh", 3),
        ("ab\ncd\nef", 4, 60, "cd", 1),
        ("ab\ncd\nef", 2, 60, "ab", 2),
        ("ab\ncd\nef", 7, 60, "ef", 1),
        ("\nab", 0, 60, "", 0),
        ("\nab", 1, 60, "ab", 0),
        ("a\tb\x00c", 4, 60, r"a\tb\x00c", 8),
        ("é\x85\u2028ü", 3, 60, r"é\x85\u2028ü", 11),
    ],
)
def test_the_caret_stands_below_the_offset(
    text: str, offset: int, shown: int, line: str, column: int
) -> None:
    """Of the offset's own line what is near is shown, and what is no letter as its escape."""
    assert marked(text, offset, shown) == f"    {line}\n    {' ' * column}^"


def test_a_directive_is_read_as_nginx_reads_it() -> None:
    """Strings are joined, comments left out, escapes undone; braces may hold a variable."""
    form = access_format(
        "log_format x  '$remote_addr'  # one\n\t\" \\\"${time_local}\\\" \"'\\'\\\\$status\\t' end;"
    )

    assert form.variables == ("remote_addr", "time_local", "status")
    assert [part.after for part in form.template.parts] == [' "', "\" '\\", "\tend"]


@pytest.mark.parametrize(
    "text",
    [
        *PRESETS,
        *(
            text if text.startswith("log_format ") else f"log_format x '{text}';"
            for text in PRESETS.values()
        ),
        "cherrypy Europe/Paris",
        "daphne +02:00 set_real_ip_from 192.0.2.0/24;",
        "error",
        "error +02:00",
        "combined set_real_ip_from 192.0.2.0/24; set_real_ip_from ::1;",
        'log_format x escape=json \'{"t":"$msec"}\'; set_real_ip_from 192.0.2.1;',
        "log_format x '\\'\\\\$msec\\t\\n\"';",
        '$msec\t"$request" \'\\',
        "log_format x '$msec\r\n$status\n';",
    ],
)
def test_the_canonical_text_is_the_same_format(text: str) -> None:
    """It is one line, and it is its own canonical text: a slice can carry it."""
    once = canonical(text)

    assert canonical(once) == once
    assert once.isprintable()
    first, second = compiled(text), compiled(once)
    assert type(first) is type(second)
    assert first.destinations() == second.destinations()


#: Texts between variables; with no quotes around it, an argument may hold the plain ones only.
PLAIN = st.text(st.sampled_from("_aZ09-:|="), min_size=1, max_size=4)
ANY = st.text(st.sampled_from("_aZ09- \t\n;{}'\"\\#é"), min_size=1, max_size=4)
NAMES = st.sampled_from(["msec", "status", "request_time", "http_x_real_ip", "remote_addr"])


@st.composite
def split_directives(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]]]:
    """Draw a log_format in several arguments: it, the text before its first variable, its parts."""
    quote = draw(st.sampled_from(["'", '"', ""]))
    texts = ANY if quote else PLAIN
    names = ["msec", *draw(st.lists(NAMES, max_size=5))]
    before, parts = draw(st.just("") | texts), [(name, draw(texts)) for name in names]
    arguments = [before]
    for name, after in parts:
        spelled = "".join(draw(st.sampled_from([char, char.upper()])) for char in name)
        ends_here = draw(st.booleans())  # the argument, and so the name
        goes_on = re.match("[A-Za-z0-9_]", after) is not None
        if (goes_on and not ends_here) or draw(st.booleans()):
            spelled = f"{{{spelled}}}"
        if draw(st.booleans()):
            arguments.append("")
        arguments[-1] += f"${spelled}"
        if ends_here:
            arguments += [""] * draw(st.integers(1, 3))
        arguments[-1] += after
    if quote:
        arguments = [re.sub(rf"[\\{quote}]", r"\\\g<0>", text) for text in arguments]
    return f"log_format x {' '.join(f'{quote}{text}{quote}' for text in arguments)};", before, parts


@given(split_directives())
def test_the_name_of_a_variable_ends_where_its_argument_does(
    drawn: tuple[str, str, list[tuple[str, str]]],
) -> None:
    """However a format is split and spelled; its canonical text is one argument, read the same."""
    directive, before, parts = drawn
    once = canonical(directive)

    for text in (directive, once):
        found = access_format(text).template
        assert (found.before, [part[:2] for part in found.parts]) == (before, parts)
    assert canonical(once) == once
    assert len(next(directives(once)).words) == 3


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("log_format x '$msec rt=$Request_Time' 'uct=$upstream_connect_time';",
         "log_format x '$msec rt=${request_time}uct=$upstream_connect_time';"),
        ("log_format x escape=none '$msec' 'a';", "log_format x escape=none '${msec}a';"),
        ("log_format x $msec '' _1;", "log_format x '${msec}_1';"),
        ("log_format x '$MSEC' ' ' '${Status}';", "log_format x '$msec ${status}';"),
        ("$MSEC $HTTP_Referer", "log_format custom '$msec $http_referer';"),
        ("log_format 'my own' '$msec';", "log_format 'my own' '$msec';"),
        ("log_format \"it's;\" '$msec';", "log_format 'it\\'s;' '$msec';"),
        ("log_format '' '$msec';", "log_format '' '$msec';"),
    ],
)  # fmt: skip
def test_what_is_written_is_read_again(text: str, written: str) -> None:
    """Braces stand only where the name would go on; names of variables are in lower case."""
    assert canonical(text) == written
    assert canonical(written) == written


@pytest.mark.parametrize("escape", ["default", "json", "none"])
def test_names_of_variables_are_case_insensitive(escape: str) -> None:
    """As for nginx: the columns are filled, the types are kept, and `extra` has lower case."""
    usual = "$remote_addr|$status|$http_x_forwarded_for|$my_map|${http_referer}|[$time_local]"
    shouted = usual.upper()
    line = b"192.0.2.7|200|203.0.113.9, 198.51.100.1|x|/r|[10/Oct/2000:13:55:36 -0700]"
    one, other = (
        access_parser(f"log_format x escape={escape} '{text}';")(line) for text in (usual, shouted)
    )

    assert one == other
    assert (one.client, one.status, one.referrer) == (b"\xc0\0\2\7", 200, "/r")
    assert one.extra == {
        "http_x_forwarded_for": ["203.0.113.9", "198.51.100.1"],
        "my_map": "x",
    }


@given(st.text(max_size=60))
def test_any_text_is_a_format_or_refused(text: str) -> None:
    """Nothing but FormatError is raised, and what is a format has a canonical text."""
    for form in (text, f"log_format x {text}", f"log_format x '$msec{text}';", f"$msec {text}"):
        try:
            once = canonical(form)
        except FormatError:
            continue
        assert canonical(once) == once


def test_a_format_is_compiled_once() -> None:
    """The memory for compiled formats has a bound."""
    assert parser_for("combined") is parser_for("combined")
    assert compiled.cache_parameters()["maxsize"] == 64


def test_unknown_variables_are_text() -> None:
    """Whatever a map or a module calls its variable, it is in `extra` under that name."""
    parse = access_parser('$msec $geoip2_city_name|$my_map|"$http_x_custom"')
    event = parse(b'1700000000.123 New York|0042|"a \\x22b\\x22"')

    assert event.time == "2023-11-14 22:13:20.123"
    assert event.extra == {
        "geoip2_city_name": "New York",
        "my_map": "0042",
        "http_x_custom": 'a "b"',
    }


@pytest.mark.parametrize(
    ("logged", "items", "total"),
    [
        ("0.001", [0.001], 0.001),
        ("0.001, 0.002", [0.001, 0.002], 0.003),
        ("0.001, 0.002 : 0.003", [0.001, 0.002, 0.003], 0.006),
        ("-, 0.002", [None, 0.002], 0.002),
        ("-", None, None),
        ("", None, None),
        ("-, -", [None, None], None),
        ("soon", "soon", None),
    ],
)
def test_an_upstream_list_in_full_and_as_a_total(
    logged: str, items: object, total: float | None
) -> None:
    """Each server that was tried is there, and the total has a column."""
    for form, line in (
        ("$msec $upstream_response_time end", f"1700000000.123 {logged} end"),
        ('$msec "$upstream_response_time"', f'1700000000.123 "{logged}"'),
        ("$msec urt=$upstream_response_time", f"1700000000.123 urt={logged}"),
    ):
        event = access_parser(form)(line.encode())
        assert event.upstream_time == total
        assert (event.extra or {}).get("upstream_response_time") == items


def test_numbers_to_the_limits_of_their_columns() -> None:
    """What a column cannot hold is kept as text."""
    parse = access_parser("$msec $body_bytes_sent $request_time $connection")

    event = parse(b"1700000000.123 9223372036854775807 9999999.999 9223372036854775807")
    assert (event.size, event.request_time) == (2**63 - 1, 9999999.999)
    assert event.extra == {"connection": 2**63 - 1}
    event = parse(b"1700000000.123 9223372036854775808 10000000.000 9223372036854775808")
    assert (event.size, event.request_time) == (None, None)
    assert event.extra == {
        "size": "9223372036854775808",
        "request_time": "10000000.000",
        "connection": "9223372036854775808",
    }


@pytest.mark.parametrize(
    ("form", "line", "columns"),
    [
        (
            '$msec $request_method $scheme $http_host "$request_uri" $server_protocol',
            b'1700000000.123 GET https Example.com:8443 "/a?b=c" HTTP/2.0',
            ("GET", "/a?b=c", "https", "example.com", "/a", "b=c", "2.0"),
        ),
        (
            "$msec $request_method $uri ?$args",
            b"1700000000.123 GET /a ?b=c",
            ("GET", "/a?b=c", None, None, "/a", "b=c", None),
        ),
        (
            '$msec "$request" $host $scheme',
            b'1700000000.123 "GET http://One.example/x HTTP/1.1" two.example https',
            ("GET", "http://One.example/x", "http", "one.example", "/x", None, "1.1"),
        ),
        (
            '$msec "$request" $server_name',
            b'1700000000.123 "GET /x HTTP/1.1" www.example.com',
            ("GET", "/x", None, "www.example.com", "/x", None, "1.1"),
        ),
    ],
)
def test_the_request_from_its_parts(
    form: str, line: bytes, columns: tuple[str | None, ...]
) -> None:
    """A format may log the request whole or in parts; host and scheme may stand beside it."""
    assert access_parser(form)(line)[6:13] == columns


def test_a_variable_that_says_something_else_is_kept() -> None:
    """The target's own host goes before `$host`, which is in `extra` then."""
    event = access_parser('$msec "$request" $host $scheme')(
        b'1700000000.123 "GET http://one.example/x HTTP/1.1" two.example https'
    )

    assert event.extra == {"host": "two.example", "scheme": "https"}


def test_the_most_precise_time_is_taken() -> None:
    """The other one is kept as it is."""
    event = access_parser("[$time_local] $msec")(b"[10/Oct/2000:13:55:36 -0700] 971211336.250")

    assert event.time == "2000-10-10 20:55:36.250"
    assert event.extra == {"time_local": "10/Oct/2000:13:55:36 -0700"}


@pytest.mark.parametrize("escape", ["default", "json", "none"])
def test_unquoted_texts_end_where_the_rest_fits(escape: str) -> None:
    """Spaces in them do not matter as long as what follows can be told."""
    parse = access_parser(
        f"log_format x escape={escape} '$http_user_agent $status [$time_iso8601]';"
    )
    event = parse(b"Mozilla/5.0 (X11; Linux 404) x 200 [2000-10-10T13:55:36-07:00]")

    assert event.user_agent == "Mozilla/5.0 (X11; Linux 404) x"
    assert event.status == 200


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("192.0.2.7", "198.51.100.1"),
        ("203.0.113.9, 192.0.2.7", "198.51.100.1"),
        ("-", "198.51.100.1"),
    ],
)
def test_nobody_is_trusted_by_default(text: str, client: str) -> None:
    """Whatever a client claims, the address is that of the connection."""
    event = access_parser('$msec $remote_addr "$http_x_forwarded_for"')(
        f'1700000000.123 {client} "{text}"'.encode()
    )

    assert event.client == bytes([198, 51, 100, 1])
    if text != "-":
        assert event.extra == {"http_x_forwarded_for": text.split(", ")}


@pytest.mark.parametrize(
    ("address", "chain", "client"),
    [
        ("198.51.100.1", "203.0.113.9", "203.0.113.9"),
        ("198.51.100.1", "203.0.113.9, 198.51.100.2", "203.0.113.9"),
        ("198.51.100.1", "192.0.2.1, 203.0.113.9, 198.51.100.2", "203.0.113.9"),
        ("198.51.100.1", "198.51.100.3, 198.51.100.2", "198.51.100.3"),
        ("198.51.100.1", "2001:db8::9,2001:db8:1::2", "2001:db8::9"),
        ("198.51.100.1", "unknown", "198.51.100.1"),
        ("203.0.113.1", "192.0.2.1", "203.0.113.1"),
        ("198.51.100.1", "-", "198.51.100.1"),
    ],
)
def test_the_client_behind_trusted_proxies(address: str, chain: str, client: str) -> None:
    """From the right, the first address that is no trusted proxy's; the proxy's is kept."""
    parse = access_parser(
        "log_format x '$msec $remote_addr \"$http_x_forwarded_for\"';"
        "set_real_ip_from 198.51.100.0/24; set_real_ip_from 2001:db8:1::/48;"
    )
    plain = access_parser("$msec $remote_addr")(f"1700000000.123 {client}".encode())

    event = parse(f'1700000000.123 {address} "{chain}"'.encode())

    assert event.client == plain.client
    assert ((event.extra or {}).get("remote_addr") == address) == (client != address)


def test_json_in_another_spelling() -> None:
    """Keys in another order, other spaces, new keys, numbers as numbers: the same event."""
    parse = access_parser(
        'log_format x escape=json \'{"t":"$msec","s":$status,"r":{"q":"$request"},'
        '"u":["$upstream_addr","$upstream_status"],"h":"$scheme://$host"}\';'
    )
    usual = parse(
        b'{"t":"1700000000.123","s":200,"r":{"q":"GET /\\"x\\u00e9 HTTP/1.1"},'
        b'"u":["192.0.2.5:80","502, 200"],"h":"https://www.example.com"}'
    )
    other = parse(
        b'{"h": "https://www.example.com", "u": ["192.0.2.5:80", "502, 200"], "new": [1, {}],'
        b' "r": {"q": "GET /\\"x\\u00e9 HTTP/1.1"}, "s": 200, "t": 1700000000.123}'
    )

    assert usual == other
    assert usual.url == '/"xé'
    assert usual.extra == {"upstream_addr": ["192.0.2.5:80"], "upstream_status": [502, 200]}


def test_what_is_absent_is_absent_in_any_spelling() -> None:
    """A dash, an empty text, null, or no key at all."""
    parse = access_parser(
        'log_format x escape=json \'{"t":"$msec","r":"$http_referer","c":"$remote_addr"}\';'
    )
    usual = parse(b'{"t":"1700000000.123","r":"","c":"-"}')

    assert (usual.referrer, usual.extra) == (None, {"client": "-"})
    for referrer in (b',"r":"-"', b',"r":""', b',"r":null', b""):
        assert parse(b'{"c":"-","t":"1700000000.123"%b}' % referrer) == usual


def test_a_rest_makes_raw_quotes_no_part_of_a_value() -> None:
    """Such a quote could not be told from the end of a field."""
    line = b'1700000000.123 "a"b" c'

    assert access_parser('$msec "$http_referer" $http_x')(line).referrer == 'a"b'
    with pytest.raises(Unparseable, match="format"):
        access_parser('$msec "$http_referer" $rest')(line)


def test_a_backslash_escapes_a_quote_beside_raw_ones() -> None:
    """What looks like the end of a field is none after a backslash."""
    event = access_parser('$msec "$http_referer"x"$http_user_agent"')(
        rb'1700000000.123 "a\"x"b"x"c"d"'
    )

    assert (event.referrer, event.user_agent) == ('a"x"b', 'c"d')


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"{}",
        b"1",
        b"null",
        b'{"t":{}}',
        b"[" * 100_000,
        b'{"t":' * 50_000,
        b'{"t":1e999}',
    ],
)
def test_json_that_has_no_time(line: bytes) -> None:
    """It is rejected like any other line, however deep it is."""
    parse = access_parser('log_format x escape=json \'{"t":"$msec","s":$status}\';')

    with pytest.raises(Unparseable):
        parse(line)


def test_a_missing_number_leaves_no_json_and_yet_parses() -> None:
    """Of a variable that is not there nginx writes nothing: `"u":,`."""
    parse = access_parser(
        'log_format x escape=json \'{"t":$msec,"u":$upstream_status,"s":$status}\';'
    )
    event = parse(b'{"t":1700000000.123,"u":,"s":404}')

    assert (event.status, event.extra) == (404, None)


@pytest.mark.parametrize("host", ["host", "http_host", "server_name"])
@pytest.mark.parametrize(
    "uri", ["request_uri", "uri$is_args$args", "document_uri$is_args$query_string"]
)
def test_a_url_of_variables_without_anything_between(host: str, uri: str) -> None:
    """The host ends where the URI begins, and `$uri$is_args$args` is read as `$request_uri`."""
    form = access_format(f'$msec "$request_method $scheme://${host}:$server_port${uri}"')
    event = form.parse(b'971211336.250 "GET https://www.Example.com:443/a/b?c=d"')

    assert event == form.careful(b'971211336.250 "GET https://www.Example.com:443/a/b?c=d"')
    assert (event.method, event.scheme, event.host) == ("GET", "https", "www.example.com")
    assert (event.url, event.path, event.query) == ("/a/b?c=d", "/a/b", "c=d")


@pytest.mark.parametrize("mark", ["|", ";", ",", "\t", "/", "=", ")", ":", "_", "-"])
@pytest.mark.parametrize("referrer", ["http://a/b:8/c", "b:80/c", "b:\\x22"])
def test_a_colon_behind_the_port_is_not_before_it(mark: str, referrer: str) -> None:
    """What ends the port is not in the host."""
    form = access_format(f"$msec {mark}$host:${{server_port}}{mark}$http_referer {mark}$status")
    line = f"971211336.250 {mark}www.example.com:443{mark}{referrer} {mark}200".encode()
    event = form.parse(line)

    assert event == form.careful(line)
    assert (event.host, event.extra, event.status) == ("www.example.com", {"server_port": 443}, 200)
    assert event.referrer == referrer.replace("\\x22", '"')


def test_a_carriage_return_is_of_no_url() -> None:
    """Where the URI ends the line, and where the format says that one does."""
    line = b"971211336.250 /a\r"

    assert access_format("$msec $request_uri").parse(line).url == "/a"
    assert access_format("$msec $request_uri\r").careful(line).url == "/a"


@pytest.mark.parametrize("kind", ["time_no_zone", "time_spaced", "time_c"])
@pytest.mark.parametrize("after", ["-", "/", ":", "+", ".", "|"])
def test_both_read_what_follows_a_time_of_others(kind: str, after: str) -> None:
    """Where it may be in the time, the fast parser leaves the line."""
    times = {
        "time_no_zone": "10/Oct/2000:13:55:36",
        "time_spaced": "2000-10-10 13:55:36 -0700",
        "time_c": "Tue Oct 10 13:55:36 2000",
    }
    form = access_format(f'"${kind}{after}$http_x=')
    line = f'"{times[kind]}{after}a='.encode()

    assert outcome(form.parse, line) == outcome(form.careful, line)


def test_an_empty_time_beside_the_one_of_the_row() -> None:
    """It is not kept."""
    form = access_format('[$time_iso8601] "$msec"')
    line = b'[] "971211336.250"'

    assert form.parse(line) == form.careful(line)
    assert form.parse(line).extra is None


def outcome(parse: Callable[[bytes], object], line: bytes) -> object:
    """Return the event of a line, or why it is rejected."""
    try:
        return parse(line)
    except Unparseable as reject:
        return reject.reason


@pytest.mark.parametrize("host", ["host", "http_host", "server_name"])
@pytest.mark.parametrize("name", ["www.example.com", "[2001:db8::7]"])
@pytest.mark.parametrize("path", ["/a/http://b/c", "/a:/b", "/a:80/b", "/a\\x22:/b"])
def test_a_colon_in_the_path_is_not_before_the_port(host: str, name: str, path: str) -> None:
    """The port stands before the first slash."""
    form = access_format(f"$msec $scheme://${host}:$server_port$request_uri $status")
    line = f"971211336.250 https://{name}:443{path} 200".encode()
    event = form.parse(line)

    assert event == form.careful(line)
    assert (event.host, event.url) == (name.strip("[]"), path.replace("\\x22", '"'))
    assert (event.extra or {})["server_port"] == 443


@pytest.mark.parametrize("escape", ["default", "json", "none"])
@pytest.mark.parametrize(
    ("path", "args", "url"),
    [
        ("/a", None, "/a"),
        ("/a-", None, "/a-"),
        ("/", None, "/"),
        ("/a-", "-", "/a-?-"),
        ("/a", "b=c-", "/a?b=c-"),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("other", ["", '"$request" '])
@pytest.mark.parametrize("host", ["", "www.example.com", "-"])
def test_the_dash_of_absent_arguments_is_no_part_of_the_path(
    host: str, other: str, url: str | None, path: str | None, args: str | None, escape: str
) -> None:
    """Without arguments nginx writes nothing for `$is_args` and a dash for `$args`."""
    absent = "-" if escape == "default" else ""
    name = "$scheme://$http_host" if host else ""
    form = access_format(
        f"log_format x escape={escape} '$msec {other}{name}$uri$is_args$args $status';"
    )
    line = '971211336.250 "- -" ' if other else "971211336.250 "
    line += f"http://{absent if host == '-' else host}" if host else ""
    line += absent if path is None else path
    line += absent if args is None else f"?{args}"
    event = form.parse(f"{line} 200".encode())

    assert event == form.careful(f"{line} 200".encode())
    assert ((event.extra or {}).get("request_uri") if other else event.url) == url
    assert event.status == 200


@pytest.mark.parametrize("line", ["http://-- 400", "http://- 400"])
def test_a_request_of_which_neither_host_nor_uri_is_known(line: str) -> None:
    """Its URL is two dashes, or one where the host's variable is empty instead."""
    form = access_format("$msec $scheme://$http_host$request_uri $status")
    event = form.parse(f"971211336.250 {line}".encode())

    assert (event.scheme, event.host, event.url, event.status) == ("http", None, None, 400)


@pytest.mark.parametrize(
    "text", ["$status$pipe", "$request_uri$host", "$http_a$uri", "$uri$args", "$is_args$args"]
)
def test_other_variables_without_anything_between_are_refused(text: str) -> None:
    """With a way to read the lines that are there: one name for both."""
    first, second = text[1:].split("$")
    error = refused(f"$msec {text}")

    assert f"${first}_and_{second}" in str(error)
    assert access_format(f"$msec ${first}_and_{second}").parse(b"971211336.250 ab").extra == {
        f"{first}_and_{second}": "ab"
    }


def test_no_directive_stands_after_error() -> None:
    """The message does not ask whether error was meant."""
    assert "only a time zone" in str(refused("error set_real_ip_from 192.0.2.0/24;"))

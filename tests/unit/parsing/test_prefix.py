"""What carries a line: its prefix is cut off, and the line behind it is read as without it."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from datastream.parsing import (
    PREFIXES,
    ErrorEvent,
    Event,
    FormatError,
    Unparseable,
    canonical,
    compiled,
    is_error_log,
    parser_for,
    prefix,
)
from datastream.privacy import LineDisguise, truncated
from steps import Steps

LINE = rb'192.0.2.7 - ana [10/Oct/2000:13:55:36 -0700] "GET /\x22a?b HTTP/1.1" 200 5 "-" "x\\y"'
ERROR = b"2000/10/10 13:55:36 [error] 31#31: *7 x, client: 192.0.2.7, server: _"
TIME = b"2026-11-29T17:40:03.123456789Z"

WRITTEN = [
    ("rfc3164", b"Nov 29 17:40:03 web1 nginx[2869]: "),
    ("rfc3164", b"Nov 29 17:40:03 web1 nginx: "),
    ("rfc3164", b"Nov  9 17:40:03 web1 nginx: "),
    ("rfc3164", b"Nov 9 17:40:03 web1.example.com nginx_access: "),
    ("rfc3164", b"Nov 09 17:40:03 2001:db8::9 docker/shop-web[7]: "),
    ("rfc3164", b"Nov 29 17:40:03 web1 nginx[]: "),
    ("rfc3164", b"<190>Nov 29 17:40:03 web1 nginx: "),
    ("rfc3164", b"<190>Nov 29 17:40:03 nginx: "),
    ("rfc3164", b"Nov 29 17:40:03 192.0.2.9 haproxy[7]: "),
    ("rfc3164", b"Nov 29 17:40:03 web1  nginx: "),
    ("rfc3164", b"<189>Nov 29 17:40:03  nginx: "),
    ("rfc3164", b"Nov 29 17:40:03 web1 nginx "),
    ("rfc3164", b"2026-11-29T17:40:03.123456+01:00 web1 nginx "),
    ("rfc3164", b"2026-11-29T17:40:03.123456+01:00 web1 nginx[2869]: "),
    ("rfc3164", b"<190>2026-11-29T17:40:03Z web1 nginx: "),
    ("rfc5424", b"<190>1 2026-11-29T17:40:03.123456+01:00 web1 nginx 2869 - - "),
    ("rfc5424", b"1 2026-11-29T17:40:03Z web1 nginx - access - "),
    ("rfc5424", b"<190>1 2026-11-29T17:40:03+01:00 web1 nginx - - -  "),
    ("rfc5424", b'<13>1 - - - - - [t@0 a="1" b="\\"]\\]"][u] '),
    ("rfc5424", b"<13>1 2026-11-29T17:40:03Z web1 nginx - - - \xef\xbb\xbf"),
    ("journald", b"Nov 29 17:40:03 web1 nginx[2869]: "),
    ("journald", b"Nov 29 17:40:03.123456 web1 nginx[2869]: "),
    ("journald", b"2026-11-29T17:40:03+0100 web1 nginx[2869]: "),
    ("journald", b"2026-11-29T17:40:03,123456+01:00 web1 nginx[2869]: "),
    ("journald", b"Sun 2026-11-29 17:40:03 CET web1 nginx.service[2869]: "),
    ("journald", b"1795974003.123456 web1 nginx[2869]: "),
    ("journald", b"[ 1234.567890] web1 nginx[2869]: "),
    ("journald", b"[ 1234.567890 <    0.000123 >] web1 nginx[2869]: "),
    ("journald", b"Sun 2026-11-29 17:40:03 UTC nginx[2869]: "),
    ("cri", TIME + b" stdout F "),
    ("cri", b"2026-11-29T17:40:03.1234567+01:00 stderr F "),
    ("cri", TIME + b" stdout F:a:b "),
    ("compose", b"web-1  | "),
    ("compose", b"shop_web.1 | "),
    ("compose", b"\x1b[36mweb-1  | \x1b[0m"),
    ("compose", b"web-1  | " + TIME + b" "),
    ("heroku", b"2026-11-29T17:40:03.123456+00:00 app[web.1]: "),
    ("timestamp", TIME + b" "),
    ("timestamp", b"2026-11-29T17:40:03.123456789+01:00 "),
]


def record(line: bytes, **others: object) -> bytes:
    """Return a line in a record of Docker's json-file."""
    text = {"log": line.decode("utf-8", "surrogateescape"), "stream": "stdout", **others}
    as_json = json.dumps(text | {"time": TIME.decode()}, ensure_ascii=False, separators=(",", ":"))
    return as_json.encode("utf-8", "surrogateescape")


def reason(form: str, line: bytes) -> str:
    """Return why a line is rejected."""
    with pytest.raises(Unparseable) as caught:
        parser_for(form)(line)
    return caught.value.reason


@pytest.mark.parametrize(("name", "begin"), WRITTEN)
@pytest.mark.parametrize(("form", "line"), [("combined", LINE), ("error Europe/Paris", ERROR)])
def test_the_line_behind_a_prefix(name: str, begin: bytes, form: str, line: bytes) -> None:
    """It is read as without it, and stops fitting at the same place of the line."""
    parse = parser_for(f"{name} {form}")

    assert parse(begin + line) == parser_for(form)(line)
    assert parse(begin + line + b"\r") == parser_for(form)(line)
    broken = line[:20]
    found, alone = (
        compiled(text).misfit(text_line)
        for text, text_line in ((f"{name} {form}", begin + broken), (form, broken))
    )
    shift = len(begin.decode())
    assert found == (alone.offset + shift, alone.expected)


@pytest.mark.parametrize("name", PREFIXES)
def test_a_line_without_its_prefix(name: str) -> None:
    """It is a reject, and it is said what should stand there."""
    form = compiled(f"{name} combined")

    assert reason(f"{name} combined", LINE) == "format"
    assert reason(f"{name} combined", b" \r") == "empty"
    found = form.misfit(LINE)
    assert (found.offset, PREFIXES[name].example in found.expected) == (0, True)


@pytest.mark.parametrize(("name", "begin"), WRITTEN)
def test_an_empty_line_behind_a_prefix(name: str, begin: bytes) -> None:
    """It holds nothing, also where the space at its end was taken off."""
    assert reason(f"{name} combined", begin) == "empty"
    assert reason(f"{name} combined", begin.rstrip(b" ")) == "empty"


def test_a_line_that_stands_for_several_is_none() -> None:
    """The count that rsyslog writes of the same line would be a request with other columns."""
    for name in ("rfc3164", "journald"):
        line = b"Nov 29 17:40:03 web1 nginx: message repeated 2 times: [ " + LINE + b"]"
        assert reason(f"{name} combined", line) == "format"


def test_a_record_of_docker() -> None:
    """Its escapes are undone once; those of the line in it are read as without it."""
    parse, alone = parser_for("docker_json combined"), parser_for("combined")(LINE)

    assert parse(record(LINE + b"\n")) == alone
    assert parse(record(LINE + b"\r\n", attrs={"tag": "web"})) == alone
    spaced = json.dumps(json.loads(record(LINE + b"\n")), indent=1).encode()
    assert parse(spaced.replace(b"\n", b" ")) == alone
    as_json = parser_for('docker_json log_format x escape=json \'{"t":$msec,"u":"$uri"}\';')
    event = as_json(record(b'{"u":"/\\"\\u00e9", "t":971211336.5}\n'))
    assert isinstance(event, Event)
    assert event.path == '/"é'
    assert parser_for("docker_json error UTC")(record(ERROR + b"\n")) == parser_for("error")(ERROR)
    escaped = record(LINE + b"\n").replace(b"GET", rb"\u0047\u0045T")
    assert parse(escaped) == alone


def test_a_record_of_docker_that_was_disguised() -> None:
    """It is a record, and its line says the same but for what is hidden."""
    disguised = LineDisguise(truncated, drops_queries=True)(record(LINE + b"\n"))
    expected = LineDisguise(truncated, drops_queries=True)(LINE)

    assert b"192.0.2.0" in disguised
    assert parser_for("docker_json combined")(disguised) == parser_for("combined")(expected)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"7",
        b"null",
        b'{"log":7,"stream":"stdout","time":""}',
        b'{"log":"x\\n"}',
        b"{",
    ],
)
def test_what_is_no_record_of_docker(line: bytes) -> None:
    """It is a reject."""
    assert reason("docker_json combined", line) == "format"


def test_a_part_of_a_line_is_not_read() -> None:
    """What it says would be half the truth: a text that is cut, or the columns of another line."""
    rest = "$remote_addr [$time_local] $rest"
    line = b"192.0.2.7 [10/Oct/2000:13:55:36 -0700] a"
    for form, part in (
        (f"cri {rest}", TIME + b" stdout P " + line),
        (f"cri {rest}", TIME + b" stdout P:a " + line),
        (f"docker_json {rest}", record(line)),
    ):
        assert reason(form, part) == "truncated"
        assert compiled(form).misfit(part) == (0, "a whole line: this is one part of a long one")


def test_where_a_line_in_a_record_stops_fitting() -> None:
    """The place is that of the record, whose escapes are longer than what they stand for."""
    broken = r'192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET \x22é" 200'.encode()
    line = record(broken + b" 5 x\n")
    found = compiled("docker_json common").misfit(line)

    assert line.decode()[found.offset :].startswith(" x")
    assert found.expected == compiled("common").misfit(broken + b" 5 x").expected


def test_where_an_odd_line_behind_a_prefix_stops_fitting() -> None:
    """In characters, of which a byte that is no UTF-8 has four; whatever else the line holds."""
    begin, broken = b"\x1b[1mweb  | ", b'192.0.2.7 "log":"\xff'
    found = compiled("compose combined").misfit(begin + broken)
    alone = compiled("combined").misfit(broken)

    assert found == (len(begin) + alone.offset, alone.expected)


@given(
    line=st.text(st.characters(codec="utf-8")).map(str.encode) | st.binary(max_size=40),
    names=st.lists(st.sampled_from(WRITTEN), min_size=1, max_size=3),
)
@example(line=b"\xff\\\xc3\xa9", names=[("cri", TIME + b" stdout F ")])
def test_any_bytes_behind_any_prefix(line: bytes, names: list[tuple[str, bytes]]) -> None:
    """A prefix takes nothing of the line, and several may stand one behind the other."""
    # The timestamp that Compose can write is part of its prefix.
    assume(("compose", "timestamp") not in pairwise(name for name, _ in names))
    line = b"971211336.5 " + line.replace(b"\n", b"")
    form, whole = "$msec $rest", line
    for name, begin in reversed(names):
        form, whole = f"{name} {form}", begin + whole

    assert parser_for(form)(whole) == parser_for("$msec $rest")(line)
    if len(names) < 3:
        assert parser_for(f"docker_json {form}")(record(whole + b"\n")) == parser_for(form)(whole)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("rfc3164 combined", "rfc3164 combined"),
        (" compose\n rfc3164  error  Europe/Paris ", "compose rfc3164 error Europe/Paris"),
        (
            "cri main set_real_ip_from 192.0.2.0/24;",
            "cri main set_real_ip_from 192.0.2.0/24;",
        ),
        ("heroku $msec $status", "heroku log_format custom '$msec $status';"),
        ("cri log_format x '$msec' ' $uri';", "cri log_format x '$msec $uri';"),
    ],
)
def test_a_format_with_a_prefix_as_slices_carry_it(text: str, written: str) -> None:
    """It is one line, which is read as the same."""
    assert canonical(text) == written
    assert canonical(written) == written
    assert is_error_log(text) == ("error" in text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rfc3164", "name their format behind it, as in rfc3164 combined"),
        ("cri rfc3164 ", "name their format behind it, as in rfc3164 combined"),
        ("cri combinde", "did you mean combined"),
        ("cri $host", "the format has no time"),
        ("syslog combined", "what comes by syslog is rfc3164 or rfc5424"),
        ("sys combined", "sys is no prefix; there are rfc3164, rfc5424, "),
        ("rfc3146", "did you mean rfc3164"),
        ("cri " * 4 + "combined", "more than 3 prefixes"),
        ("cri " * 1000 + "combined", "more than 3 prefixes"),
        ("", "this is no format"),
    ],
)
def test_what_is_no_format_with_a_prefix(text: str, said: str) -> None:
    """It is said why, and what there is."""
    with pytest.raises(FormatError, match=said):
        compiled(text)


def test_what_each_field_is_stays() -> None:
    """The prefix is no field, and fills no column."""
    assert compiled("cri combined").destinations() == compiled("combined").destinations()
    event = parser_for("cri error")(TIME + b" stderr F " + ERROR)
    assert isinstance(event, ErrorEvent)
    assert is_error_log("cri error")
    assert not is_error_log("cri combined")


@pytest.mark.parametrize(
    "repeated",
    [b" ", b"a ", b"[a", b'[a b="c"]', b'[a b="', b"1", b":", b"a: ", b"\\", b"<1>", b"\x1b["],
)
@pytest.mark.parametrize("begin", [b"", *(begin for _, begin in WRITTEN[::3])])
@pytest.mark.parametrize("name", sorted(PREFIXES.keys() - {"docker_json"}))
def test_a_hostile_line_takes_no_longer(name: str, begin: bytes, repeated: bytes) -> None:
    """The steps are in proportion to its length."""
    pattern = prefix._PATTERNS[name].decode("latin-1")  # noqa: SLF001 - only counted

    def steps(times: int) -> int:
        counted = Steps(pattern, re.VERBOSE | re.DOTALL)
        counted.end((begin + repeated * times).decode("latin-1"), 0)
        return counted.taken

    one, two, four = (steps(20 * times) for times in (1, 2, 4))
    assert four - two <= 2.5 * (two - one) + 100

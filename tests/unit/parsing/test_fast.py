"""The parser of usual lines and the careful one say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nginx
from datastream.parsing import EXTRA_LIMIT, LIMITS, PRESETS, Unparseable
from datastream.parsing.access_log import AccessFormat
from datastream.parsing.variables import Kind, kind_of
from datastream_playground import sample
from parsed import access_format

FORMATS = {
    **{name: name for name in PRESETS},
    **nginx.formats(),
    "trusted": "main set_real_ip_from 192.0.2.0/24;",
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
    Kind.INTEGER: ["200", "0", "18446744073709551615", "-5", "1_0"],
    Kind.DECIMAL: ["0.001", "12.5", "1", ".5"],
    Kind.CHAIN: ["192.0.2.9, 198.51.100.3", "x"],
    Kind.TEXTS: ["192.0.2.5:80", "192.0.2.5:80, [2001:db8::7]:80 : unix:/x"],
    Kind.INTEGERS: ["200", "502, 200 : 404", "-, 200"],
    Kind.DECIMALS: ["0.001", "0.001, 0.002 : -", "12345678.000"],
    Kind.WORD: ["192.0.2.7", "2001:db8::7", "unix:", "www.example.com", "", "https", "HTTP/1.1"],
    Kind.REST: ['"-" 0.042 "www.example.com"', "0.042", ""],
    Kind.TEXT: ["Mozilla/5.0 (X11; Linux)", "/a?b=c", "ana", "ana lopez", "a@b.example", ""],
}


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
        likely = st.sampled_from(VALUES[kind_of(part.variable)])
        value = data.draw(st.one_of(likely, likely, likely, likely, st.just("-"), TEXT, MESS))
        line += value + part.after
    encoded = (line + data.draw(st.sampled_from(["", "", "\r", " "]))).encode()

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


def test_both_say_the_same_where_a_digit_follows_a_number() -> None:
    """Where the number ends nobody can tell: the first place at which the rest fits it is."""
    form = access_format("${msec}1$args x")
    line = b"971211336.2501- x"

    assert outcome(form, line, carefully=False) == outcome(form, line, carefully=True)


@pytest.mark.parametrize("name", sample.FORMATS)
def test_both_say_the_same_of_a_sample(name: sample.Format) -> None:
    """Of the lines of a whole site."""
    form = access_format(name)
    for line, _ in sample.generate(3000, name, seed=5):
        assert outcome(form, line, carefully=False) == outcome(form, line, carefully=True), line

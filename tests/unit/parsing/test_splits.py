"""Every value of a line is found again, whatever stands between the fields of its format."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from datastream.parsing.access_log import AccessFormat
from parsed import access_format

SEPARATORS = ["\t", "  ", "|", ";", " - ", " | ", "; ", " ", ",", '" "', " [", "] ", '"', ": "]
TIMES = {
    "msec": ["971211336.250"],
    "time_iso8601": ["2000-10-10T13:55:36-07:00"],
    "time_local": ["10/Oct/2000:13:55:36 -0700"],
}
ADDRESSES = st.sampled_from(
    ["192.0.2.9:80", "192.0.2.10:8080", "[2001:db8::7]:80", "unix:/run/a.sock", "backend", "-"]
)
WORDS = st.text(st.sampled_from("abcxyzA/.%"), min_size=1, max_size=8)
ESCAPED = st.sampled_from([r"\x22", r"\xC3\xA9", r"\x5C", "é"])


@st.composite
def lists(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    """Draw what nginx writes of several upstream servers."""
    joints = st.sampled_from([", ", ", ", " : "])
    text = draw(items)
    for item in draw(st.lists(items, max_size=4)):
        text += draw(joints) + item
    return text


VALUES = {
    "remote_addr": st.sampled_from(["192.0.2.7", "2001:db8::7"]),
    "request_id": st.sampled_from(["f0a1", "0"]),
    "status": st.sampled_from(["200", "404", "499"]),
    "body_bytes_sent": st.sampled_from(["0", "5120", "-"]),
    "request_time": st.sampled_from(["0.000", "12.345"]),
    "upstream_addr": lists(ADDRESSES),
    "upstream_status": lists(st.sampled_from(["200", "502", "-"])),
    "upstream_response_time": lists(st.sampled_from(["0.001", "12.046", "-"])),
    "upstream_cache_status": st.sampled_from(["HIT", "MISS", "-"]),
    "http_x_forwarded_for": st.sampled_from(
        ["192.0.2.1", "192.0.2.1, 2001:db8::1", "192.0.2.1,192.0.2.2", "-"]
    ),
}
REQUESTS = st.builds(
    lambda words, version: f"GET /{words} HTTP/{version}",
    st.lists(st.one_of(WORDS, ESCAPED), min_size=1, max_size=3).map("".join),
    st.sampled_from(["1.1", "2.0", "3.0"]),
)
#: The texts a client sends, unquoted: of several words, with escapes.
TEXTS = st.lists(st.one_of(WORDS, ESCAPED), min_size=1, max_size=3).map(" ".join)


@dataclass
class Line:
    """A line, and what it was made of."""

    form: AccessFormat
    text: str
    values: list[str]


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """Draw a line of a format with typed fields, and one text of a client among them."""
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=2, max_size=7, unique=True))
    time = draw(st.sampled_from(sorted(TIMES)))
    names.insert(draw(st.integers(0, len(names))), time)
    values = {name: draw(VALUES[name]) for name in names if name != time}
    values[time] = draw(st.sampled_from(TIMES[time]))
    free = draw(st.sampled_from(["", "http_host", "request_uri", "remote_user", "request"]))
    if free:
        names.insert(draw(st.integers(0, len(names))), free)
        values[free] = draw(REQUESTS if free == "request" else TEXTS)
    usual = draw(st.sampled_from(SEPARATORS))
    between = [
        usual if draw(st.integers(0, 3)) else draw(st.sampled_from(SEPARATORS)) for _ in names
    ]
    template, text = "", ""
    for name, separator in zip(names, between, strict=True):
        template += f"${{{name}}}{separator}"
        text += values[name] + separator
        # Proxies may join addresses by a bare comma, which is then no separator of fields.
        assume(separator != "," or ("," not in values[name].replace(", ", "")))
    form = access_format(f"log_format x '{template}';")
    return Line(form, text, [values[name] for name in names])


@settings(max_examples=5 * settings().max_examples)
@given(lines())
def test_every_value_is_found_again(line: Line) -> None:
    """By the careful parser, and the fast one says the same."""
    found = line.form.match(line.text)

    assert found is not None
    assert list(found.groups()) == line.values
    encoded = line.text.encode()
    assert line.form.parse(encoded) == line.form.careful(encoded)

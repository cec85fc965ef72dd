"""What holds for every format that can be compiled, and every line."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from datastream.parsing import LIMITS, Event, FormatError, Unparseable
from datastream.parsing.access_log import AccessFormat
from datastream.parsing.variables import COLUMNS, KINDS
from parsed import access_format

VARIABLES = st.sampled_from(
    [*KINDS, *COLUMNS["client"], "http_user_agent", "http_referer", "http_x", "my_map"]
)
TRUSTED = st.sampled_from(
    ["", " set_real_ip_from 192.0.2.0/24; set_real_ip_from ::/0; set_real_ip_from unix:;"]
)
LITERALS = st.one_of(
    st.sampled_from([" ", "\t", "  ", "|", ";", " - ", ", ", ": ", " : ", '" "', '"', "] "]),
    st.text(st.sampled_from(' "|;,:-[]=/.\t{}1x'), min_size=1, max_size=4),
)
JOINED = st.builds(
    lambda host, uri, after: f"${{{host}}}${{{uri}}}{after}",
    st.sampled_from(["host", "http_host", "server_port"])
    | st.sampled_from(["host", "http_host", "server_addr"]).map("{}}}:${{server_port".format),
    st.sampled_from(["request_uri", "uri", "uri}${is_args}${args"]),
    LITERALS,
)
VALUES = st.one_of(
    st.sampled_from(["-", "", "200", "0.001", "0.001, 0.002 : 0.003", "192.0.2.7", "2001:db8::7"]),
    st.sampled_from(["192.0.2.5:80", "192.0.2.5:80, unix:/x : backend", "192.0.2.1, 192.0.2.2"]),
    st.sampled_from(["[2001:db8::7]:443", '"192.0.2.7"', "203.0.113.9:80, ::ffff:192.0.2.7, "]),
    st.sampled_from(["GET /a?b HTTP/1.1", "GET http://h/x HTTP/1.0", "Mozilla/5.0 (X11; Linux)"]),
    st.sampled_from(["/a", "/a?b=c", "www.example.com", "8080", "www.example.com/a", "a b"]),
    st.sampled_from(["/a-", "--", "/a/http://b:80/c", "/a:/b", "h:80/a:/b", "::1:80/a:/b"]),
    st.sampled_from(["10/Oct/2000:13:55:36 -0700", "2000-10-10T13:55:36-07:00", "971211336.250"]),
    st.text(st.sampled_from(' "|;,:-[]=/.\\tx1é\0'), max_size=8),
    st.text(max_size=8),
)


@st.composite
def formats(draw: st.DrawFn) -> AccessFormat:
    """Draw a format of any variables with any texts between them."""
    escape = draw(st.sampled_from(["default", "json", "none"]))
    names = draw(st.lists(VARIABLES, min_size=1, max_size=6))
    names.insert(draw(st.integers(0, len(names))), draw(st.sampled_from(["msec", "time_local"])))
    text = draw(st.just("") | LITERALS)
    for name in names:
        text += draw(st.just("") | st.just("") | JOINED)
        text += f"${{{name}}}{draw(LITERALS)}"
    text = text.replace("\\", "").replace("'", "")
    return access_format(f"log_format x escape={escape} '{text}';{draw(TRUSTED)}")


def outcome(form: AccessFormat, line: bytes, *, carefully: bool) -> object:
    """Return the event of a line, or why it is rejected; nothing else may be raised."""
    try:
        return form.careful(line) if carefully else form.parse(line)
    except Unparseable as reject:
        form.misfit(line)
        return reject.reason


@settings(max_examples=3 * settings().max_examples)
@given(form=formats(), data=st.data())
def test_any_line_of_any_format(form: AccessFormat, data: st.DataObject) -> None:
    """It is an event that can be stored, or a reject, and both parsers say the same of it."""
    line = form.template.before
    for part in form.template.parts:
        line += data.draw(VALUES) + part.after
    encoded = line.encode("utf-8", "surrogatepass").replace(b"\n", b"")
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(encoded)))
        encoded = encoded[:at] + data.draw(st.binary(max_size=6)).replace(b"\n", b"") + encoded[at:]

    fast = outcome(form, encoded, carefully=False)
    careful = outcome(form, encoded, carefully=True)

    assert fast == careful
    if isinstance(fast, str):
        assert fast in ("empty", "format", "time")
        return
    assert isinstance(fast, Event)
    for name, value in fast._asdict().items():
        if isinstance(value, str):
            value.encode("utf-8")
            assert len(value) <= LIMITS.get(name, len(value))
    json.dumps(fast[-1]).encode("utf-8")


@settings(max_examples=3 * settings().max_examples)
@given(form=formats(), line=st.binary(max_size=120))
def test_any_bytes_in_any_format(form: AccessFormat, line: bytes) -> None:
    """Nothing but Unparseable is raised."""
    line = line.replace(b"\n", b"")

    assert outcome(form, line, carefully=False) == outcome(form, line, carefully=True)


@given(st.text(st.sampled_from("$${}abc_ '\";\\#\t\n[]|1"), max_size=40))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    """Nothing but FormatError is raised, and it shows the place."""
    for form in (text, f"log_format x '$msec {text}", f'log_format x "{text}" $msec;'):
        try:
            access_format(form)
        except FormatError as error:
            assert str(error) in error.marked  # noqa: PT017 - most texts are none, some are

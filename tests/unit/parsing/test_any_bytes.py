"""What holds for every line, friendly or hostile."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastream.parsing import EXTRA_LIMIT, LIMITS, Event, Unparseable
from parsed import access_parser

MEBIBYTE = 2**20
TIME = "[10/Oct/2000:13:55:36 -0700]"

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=60)
WORD = TEXT.map(lambda text: text.replace(" ", "_") or "-")
REQUESTS = TEXT | TEXT.map(lambda target: f"GET /{target} HTTP/1.1")
NUMBERS = st.integers(0, 2**63 - 1).map(str) | st.just("-")
FIELDS = st.tuples(WORD, WORD, TEXT, st.just(TIME), REQUESTS, NUMBERS, NUMBERS, TEXT, TEXT)
TAILS = {"combined": ' "{}" "{}"', "common": "", "proxy": " -"}


def apache_escape(text: str) -> str:
    """Write a text as Apache does, between quotes."""
    return text.replace("\\", r"\\").replace('"', r"\"")


def written(fields: tuple[str, ...], name: str) -> bytes:
    """Write the fields as a line of this format."""
    client, session, user, time, request, status, size, referrer, agent = map(apache_escape, fields)
    tail = TAILS[name].format(referrer, agent)
    return f'{client} {session} {user} {time} "{request}" {status} {size}{tail}'.encode()


def texts_of(event: Event) -> list[str]:
    """Return every text of an event, those in `extra` too."""
    texts = [value for value in event if isinstance(value, str)]
    return texts + [value for value in (event.extra or {}).values() if isinstance(value, str)]


def check(name: str, line: bytes) -> None:
    """Check what holds for any bytes."""
    reason = None
    try:
        event = access_parser(name)(line)
    except Unparseable as reject:
        reason = reject.reason
    if reason is not None:
        assert reason in ("empty", "format", "time")
        return
    for text in texts_of(event):
        text.encode("utf-8")
        assert len(text) <= EXTRA_LIMIT
    for column, limit in LIMITS.items():
        assert len(getattr(event, column) or "") <= limit
    assert event.client is None or len(event.client) in (4, 16)
    assert (event.client is None) == ("client" in (event.extra or {}))
    assert (event.method is None) == ("request" in (event.extra or {}))
    assert event.is_email == (event.email_domain is not None)
    json.dumps(event.extra)


@pytest.mark.parametrize("name", TAILS)
@settings(deadline=None)
@given(line=st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_reject(name: str, line: bytes) -> None:
    """Nothing else can be raised, and every text can be stored."""
    check(name, line)


@pytest.mark.parametrize("name", TAILS)
@settings(deadline=None)
@given(fields=FIELDS, place=st.floats(0, 1), junk=st.binary(max_size=300), eaten=st.integers(0, 9))
def test_a_damaged_line_is_an_event_or_a_reject(
    name: str, fields: tuple[str, ...], place: float, junk: bytes, eaten: int
) -> None:
    """The same when a line begins well."""
    line = written(fields, name)
    at = int(place * len(line))
    check(name, line[:at] + junk + line[at + eaten :])


@pytest.mark.parametrize("name", TAILS)
@settings(deadline=None)
@given(fields=FIELDS)
def test_fields_come_back_as_written(name: str, fields: tuple[str, ...]) -> None:
    """Each field is found where it was written, whatever is in the others."""
    client, session, user, _, request, status, size, referrer, agent = fields
    event = access_parser(name)(written(fields, name))
    extra = event.extra or {}

    assert event.time == "2000-10-10 20:55:36.000"
    assert event.client is not None or extra["client"] == client
    assert event.session == (None if session == "-" else session)
    assert event.user == (None if user.strip(" ") == "-" else user)
    if event.method is None:
        assert extra["request"] == request
    else:
        assert (event.method, event.url, event.http_version) == (
            "GET",
            request.removeprefix("GET ").removesuffix(" HTTP/1.1").strip(" "),
            "1.1",
        )
    if event.status is None and status != "-":
        assert extra["status"] == status
    assert event.size == (None if size == "-" else int(size))
    if name == "combined":
        assert event.referrer == (None if referrer == "-" else referrer)
        assert event.user_agent == (None if agent == "-" else agent)
    else:
        assert (event.referrer, event.user_agent) == (None, None)


@pytest.mark.parametrize("name", TAILS)
@settings(deadline=None)
@given(fields=FIELDS)
def test_no_line_fits_two_formats(name: str, fields: tuple[str, ...]) -> None:
    """A format never claims a line of another."""
    line = written(fields, name)
    for other in TAILS.keys() - {name}:
        with pytest.raises(Unparseable):
            access_parser(other)(line)


@settings(deadline=None)
@given(fields=FIELDS)
def test_an_escape_in_one_field_changes_no_other(fields: tuple[str, ...]) -> None:
    """Lines with and without a backslash are read by the same rules."""
    *others, agent = fields
    plain = tuple(field.replace("\\", "/").replace('"', "'") for field in others)
    agent = "agent " + agent.replace("\\", "/").replace('"', "'")
    without = access_parser("combined")(written((*plain, agent), "combined"))
    with_escape = access_parser("combined")(written((*plain, agent + r"\x41"), "combined"))

    assert with_escape == without._replace(user_agent=agent + r"\x41")


START = f'203.0.113.7 - - {TIME} "'
HOSTILE = {
    "one word": ("", "a", ""),
    "spaces": ("", " ", ""),
    "words": ("", "a ", ""),
    "quotes": ("", '"', ""),
    "backslashes": ("", "\\", ""),
    "open brackets in the user": ("203.0.113.7 - ", " [", ""),
    "brackets in the user": ("203.0.113.7 - ", " [x]", ""),
    "brackets and spaces in the user": ("203.0.113.7 - ", " [x] ", ""),
    "escapes in the user": ("203.0.113.7 - ", r"\" [x] \"", ""),
    "empty names": ("203.0.113.7 - ", '"" [', ""),
    "requests": ("203.0.113.7 - ", ' [x] "', ""),
    "a time without an end": ("203.0.113.7 - - [", "1", ""),
    "a request without an end": (START, "a", ""),
    "escapes without an end": (START, r"\x", ""),
    "escaped quotes without an end": (START, r"\"", ""),
    "escaped backslashes without an end": (START, r"\\", ""),
    "digits": (START + 'GET / HTTP/1.1" 200 ', "1", " x"),
    "a referrer without an end": (START + 'GET / HTTP/1.1" 200 1 "', r"\" ", ""),
    "texts without an end": (START + 'GET / HTTP/1.1" 200 1', ' "a"', ""),
    "lines": ("", START + 'GET / HTTP/1.1" 200 1 ', ""),
    "times": ("203.0.113.7 - - ", TIME + ' "', ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TAILS)
@pytest.mark.parametrize("case", HOSTILE)
def test_a_huge_hostile_line_is_rejected(case: str, name: str) -> None:
    """Were the time to grow with the square of the line, this would take hours."""
    start, repeated, end = HOSTILE[case]
    line = start + repeated * (MEBIBYTE // len(repeated)) + end
    with pytest.raises(Unparseable):
        access_parser(name)(line.encode())


HUGE = {
    "client": ("", "c", f' - - {TIME} "GET / HTTP/1.1" 200 1'),
    "session": ("203.0.113.7 ", "s", f' - {TIME} "GET / HTTP/1.1" 200 1'),
    "user": ("203.0.113.7 - ", "u [", f'u {TIME} "GET / HTTP/1.1" 200 1'),
    "escaped user": ("203.0.113.7 - ", r"\" [x] ", f'u {TIME} "GET / HTTP/1.1" 200 1'),
    "e-mail": ("203.0.113.7 - ", "a@", f'b.c {TIME} "GET / HTTP/1.1" 200 1'),
    "e-mail domain": ("203.0.113.7 - a@", "b.", f'c {TIME} "GET / HTTP/1.1" 200 1'),
    "method": (START, "M", ' / HTTP/1.1" 200 1'),
    "target": (START + "GET /", "a ?", ' HTTP/1.1" 200 1'),
    "spaces": (START + "GET", " ", '/ HTTP/1.1" 200 1'),
    "more spaces": (START + "GET /", " ", 'HTTP/1.1" 200 1'),
    "only spaces": (START + "GET", " ", '" 200 1'),
    "trailing spaces": (START + "GET / HTTP/1.1", " ", 'x" 200 1'),
    "versions": (START + "GET /", " HTTP/1.", '" 200 1'),
    "scheme": (START + "GET ", "a+", '://h/ HTTP/1.1" 200 1'),
    "schemes": (START + "GET a", "a:/", '" 200 1'),
    "host": (START + "GET http://", "@[:", ']/ HTTP/1.1" 200 1'),
    "escaped request": (START, r"\"\\ ", '" 200 1'),
    "digits": (START + 'GET / HTTP/1.1" ', "1", " 1"),
}


@pytest.mark.parametrize("case", HUGE)
def test_a_huge_field_is_no_reject(case: str) -> None:
    """A line of a mebibyte that fits is an event of bounded size, in bounded time."""
    start, repeated, end = HUGE[case]
    line = (start + repeated * (MEBIBYTE // len(repeated)) + end).encode()

    check("common", line)
    assert (
        sum(map(len, texts_of(access_parser("common")(line))))
        < sum(LIMITS.values()) + 4 * EXTRA_LIMIT
    )

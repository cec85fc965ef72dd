"""What a real nginx writes, in twenty-three formats, against what nginx says each value was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import chain
from pathlib import Path

import pytest

import nginx
from datastream.parsing import EXTRA_LIMIT, LIMITS, ErrorEvent, Event, detect, parser_for
from datastream.parsing.variables import Kind, kind_of
from parsed import access_format

Truth = Mapping[str, str]
#: What is compared, what it is, and what it should be.
Compared = tuple[str, object, object]

FORMATS = {**nginx.formats(), "combined": "combined"}


class Written:
    """The logs of a server that was asked everything, and what is true of each line."""

    def __init__(self, folder: Path) -> None:
        with nginx.serving(folder) as server:
            for sent in nginx.requests():
                server.ask(sent)
        self.truth = server.truth()
        self.lines = server.lines


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Logs that nginx wrote just now."""
    folder = tmp_path_factory.mktemp("nginx")
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(0o755)  # nginx's workers are another user
    return Written(folder)


def split_list(text: str) -> list[str]:
    """Return the items of an upstream list."""
    return text.replace(" : ", ", ").split(", ") if text else []


def numbers(text: str) -> list[float | None]:
    """Return the numbers of an upstream list."""
    return [None if item == "-" else float(item) for item in split_list(text)]


def whole(text: str) -> int | None:
    """Return a number."""
    return int(text) if text and text != "-" else None


def time_of(truth: Truth) -> str:
    """Return the time of a request in UTC."""
    moment = datetime.fromtimestamp(float(truth["msec"]), UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def address_of(text: str) -> str | bytes:
    """Return an address as the column has it; what is none as it is."""
    try:
        return ip_address(text).packed
    except ValueError:
        return text


def total(text: str) -> float | None:
    """Return the sum of an upstream list."""
    known = [number for number in numbers(text) if number is not None]
    return round(sum(known), 3) if known else None


def text_or_none(text: str) -> str | None:
    """Return a text; a dash and nothing are the same as none."""
    return None if text in ("", "-") else text


#: The statuses of requests that nginx did not understand.
REFUSED = ("400", "405", "414", "494", "505")

#: What must be in a column when the format has the variable.
COLUMNS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "status": ("status", whole),
    "request_time": ("request_time", float),
    "upstream_response_time": ("upstream_time", total),
    "http_user_agent": ("user_agent", text_or_none),
    "http_referer": ("referrer", text_or_none),
    "remote_user": ("user", text_or_none),
}

#: What must be in `extra`.
EXTRA: Mapping[str, Callable[[str], object]] = {
    "upstream_addr": split_list,
    "upstream_cache_status": text_or_none,
    **dict.fromkeys(("upstream_status", "upstream_response_length"), numbers),
    **dict.fromkeys(
        ("upstream_response_time", "upstream_connect_time", "upstream_header_time"), numbers
    ),
    **dict.fromkeys(("request_length", "connection", "connection_requests", "remote_port"), whole),
    "gzip_ratio": lambda text: float(text) if text_or_none(text) else None,
    "request_id": text_or_none,
    "pipe": text_or_none,
    "server_addr": text_or_none,
    "http_cookie": text_or_none,
    "http_x_custom": text_or_none,
    "sent_http_content_type": text_or_none,
    "request_completion": text_or_none,
    "http_x_forwarded_for": lambda text: [item.strip() for item in text.split(",")],
    "proxy_add_x_forwarded_for": lambda text: [item.strip() for item in text.split(",")],
}


def differences(name: str, event: Event, truth: Truth) -> Iterator[str]:
    """Yield how an event differs from what nginx says."""
    form = access_format(FORMATS[name])
    for what, is_so, should_be in chain(
        variables(form.variables, event, truth), columns(form.fields.chosen, event, truth)
    ):
        limited = should_be
        if isinstance(should_be, str):
            limited = should_be[: LIMITS.get(what, EXTRA_LIMIT)]
        if (is_so or None) != (limited or None):
            yield f"{name}: {what} is {is_so!r}, not {limited!r}"


def variables(names: Iterable[str], event: Event, truth: Truth) -> Iterator[Compared]:
    """Yield what each variable became, and what it was."""
    extra = event.extra or {}
    for variable in names:
        if variable in COLUMNS:
            column, convert = COLUMNS[variable]
            yield column, getattr(event, column), convert(truth[variable])
        if variable in EXTRA:
            yield variable, extra.get(variable), known(EXTRA[variable](truth[variable]))


def columns(chosen: Mapping[str, str], event: Event, truth: Truth) -> Iterator[Compared]:
    """Yield what is in the columns that several variables may fill, and what should be."""
    yield "time", event.time[:19], time_of(truth)
    if "client" in chosen:
        found = event.client or (event.extra or {})["client"]
        yield "client", found, address_of(truth[chosen["client"]])
    if "size" in chosen:
        yield "size", event.size, whole(truth[chosen["size"]])
    if "request" in chosen:
        yield from request(event, truth)
    elif "url" in chosen:
        yield "url", event.url, text_or_none(truth["request_uri"])
        yield "method", event.method, text_or_none(truth["request_method"])


def known(value: object) -> object:
    """Return a value; None for a list that has none."""
    if isinstance(value, list) and all(item in (None, "", "-") for item in value):
        return None
    return value


def request(event: Event, truth: Truth) -> Iterator[Compared]:
    """Yield what the request line is, and what nginx made of it."""
    extra = event.extra or {}
    if event.method is None:
        yield "request", extra["request"], truth["request"] or extra["request"]
    elif "cut" not in extra:
        version = "" if event.http_version == "0.9" else f" HTTP/{event.http_version}"
        yield "request", f"{event.method} {event.url}{version}", truth["request"].strip()
        if truth["status"] not in REFUSED:
            yield "method", event.method, truth["request_method"]
            if event.path is not None and event.scheme is None:
                yield "url", event.url, truth["request_uri"]
                yield "query", event.query, truth["args"]


def is_told_apart(name: str, truth: Truth) -> bool:
    """Whether no value holds what follows it in the format, where nothing escapes it."""
    form = access_format(FORMATS[name])
    if form.escape != "none":
        return True
    return all(
        not slice_.after or slice_.after not in truth[slice_.variable]
        for slice_ in form.template.parts
        if kind_of(slice_.variable) in (Kind.TEXT, Kind.REQUEST)
    )


@pytest.mark.parametrize("name", FORMATS)
def test_every_line_parses_to_what_nginx_says(name: str, written: Written) -> None:
    """No line is rejected, and every column and every part of `extra` is nginx's own value."""
    parse = access_format(FORMATS[name]).parse
    lines = written.lines(name)
    events = [parse(line) for line in lines]  # raises nothing

    assert len(events) == len(written.truth) > 250
    compared = [
        difference
        for event, truth in zip(events, written.truth, strict=True)
        if is_told_apart(name, truth)
        for difference in differences(name, event, truth)
    ]
    assert compared == []
    told_apart = sum(is_told_apart(name, truth) for truth in written.truth)
    assert told_apart > len(events) * 0.95


def test_the_requests_are_odd(written: Written) -> None:
    """The corpus has what it is there for."""
    everything = b"\n".join(written.lines("combined"))
    lists = {truth["upstream_response_time"] for truth in written.truth}

    assert any(", " in text for text in lists)
    assert any(" : " in text for text in lists)
    assert {truth["remote_addr"] for truth in written.truth} >= {"127.0.0.1", "::1", "unix:"}
    for part in (rb"\x16\x03\x01", rb"caf\xC3\xA9", rb"\x22", b"CONNECT ", b'"OPTIONS * '):
        assert part in everything, part


def test_every_line_of_the_error_log_parses(written: Written) -> None:
    """Messages with and without a connection, a client, an upstream."""
    parse = parser_for("error")
    events = [parse(line) for line in written.lines("error")]

    assert all(isinstance(event, ErrorEvent) for event in events)
    found = [event for event in events if isinstance(event, ErrorEvent)]
    upstream = [event for event in found if event.upstream]
    assert upstream
    assert all(
        event.upstream.startswith("http://127.0.0.1:") for event in upstream if event.upstream
    )
    assert {event.level for event in found} >= {"error", "info"}
    limited = [event.extra for event in found if event.extra and "zone" in event.extra]
    assert limited
    assert all(extra["zone"] == "one" and isinstance(extra["excess"], float) for extra in limited)
    clients = {event.client for event in found}
    assert {ip_address("127.0.0.1").packed, ip_address("::1").packed} <= clients
    assert any(event.host == "www.example.com" and event.request for event in found)
    assert not any(", client: " in event.message for event in found)


@pytest.mark.parametrize("name", ["combined", "main", "upstreaminfo", "vhost_combined", "error"])
def test_auto_finds_the_format(name: str, written: Written) -> None:
    """It is sure, though these are the oddest lines there are: some users and hosts are none."""
    found = detect(written.lines(name))

    assert found.name == name
    assert found.is_sure
    assert found.fit + found.half_way == found.lines

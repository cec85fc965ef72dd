"""The lines: a sample log in any format that has a name, the same bytes in every run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from datastream.parsing import ERROR
from datastream_playground.sample.lines import Expected, Format, generate

SEED = 1


class Log(NamedTuple):
    """A log file that was written, for ever as it is."""

    path: Path
    lines: int
    #: The offset of its last line.
    last: int

    @property
    def line_bytes(self) -> float:
        """The mean length of a line, its newline included."""
        return self.path.stat().st_size / self.lines


class _Layout(NamedTuple):
    """How a preset's line is made out of a line of the sample."""

    sample: Format
    text: bytes = b"%(line)s"
    #: Whether nginx's dash is in the format itself, so that no line may have an ident there.
    has_no_session: bool = False


_LAYOUTS: Mapping[str, _Layout] = MappingProxyType(
    {
        "combined": _Layout("combined"),
        "common": _Layout("common"),
        "main": _Layout("combined", b'%(line)s "-"', has_no_session=True),
        "upstreaminfo": _Layout(
            "combined",
            b"%(line)s 312 0.005 [shop-web-80] [] 192.0.2.5:8080 5120 0.004 200 %(number)032x",
            has_no_session=True,
        ),
        "vhost_combined": _Layout("combined", b"www.example.com:443 %(line)s"),
        "proxy": _Layout("proxy"),
        "host_combined": _Layout("combined", b"www.example.com %(line)s"),
        "combined_plus": _Layout("combined", b'%(line)s "-" 0.005 0.004'),
        "common_plus": _Layout("common", b"%(line)s 0.005"),
    }
)

#: The presets that have lines here.
SAMPLED = tuple(_LAYOUTS)

#: What an error log says of requests, in turn.
_ERRORS = (
    '[error] 17#17: *{number} open() "/srv/www{path}" failed (2: No such file or directory), '
    'client: {client}, server: www.example.com, request: "{request}", host: "www.example.com"',
    "[error] 17#17: *{number} connect() failed (111: Connection refused) while connecting to "
    'upstream, client: {client}, server: www.example.com, request: "{request}", '
    'upstream: "http://192.0.2.5:8080{path}", host: "www.example.com", '
    'referrer: "https://www.example.com/"',
    '[error] 18#18: *{number} limiting requests, excess: 20.480 by zone "visitors", '
    'client: {client}, server: www.example.com, request: "{request}", host: "www.example.com"',
    "[warn] 18#18: *{number} an upstream response is buffered to a temporary file "
    "/var/cache/nginx/proxy_temp/1/00/0000000001 while reading upstream, client: {client}, "
    'server: www.example.com, request: "{request}", '
    'upstream: "http://192.0.2.5:8080{path}", host: "www.example.com"',
    "[info] 17#17: *{number} client {client} closed keepalive connection",
)
#: Every 200th line of an error log goes on with the message before it, as those of Lua do.
_CONTINUED = 200


def write(path: Path, lines: int, *, form: str = "combined", skip: int = 0) -> Log:
    """Write that many lines of a preset, or of the error log, to a new file.

    The first `skip` lines of the sample are left out.
    """
    last = end = 0
    with path.open("wb") as file:
        for line in islice(sample(form), skip, skip + lines):
            last = end
            end += file.write(line + b"\n")
    return Log(path, lines, last)


def sample(form: str, *, junk: bool = True) -> Iterator[bytes]:
    """Yield lines of a preset, or of the error log, without end and without their newlines.

    Most presets get lines about the same requests. Junk lines, which fit no format, are among them
    as in every real log, about one in two hundred, unless `junk` is false.
    """
    if form == ERROR:
        yield from _error_log(junk=junk)
        return
    layout = _LAYOUTS[form]
    for number, (line, truth) in enumerate(generate(sys.maxsize, layout.sample, SEED)):
        if truth.event is None:
            if junk:
                yield line
        elif not (layout.has_no_session and truth.event.session):
            yield layout.text % {b"line": line, b"number": number}


def _error_log(*, junk: bool) -> Iterator[bytes]:
    errors = cycle(_ERRORS)
    for number, (_, truth) in enumerate(generate(sys.maxsize, "combined", SEED)):
        if number % _CONTINUED == _CONTINUED - 1:
            if junk:
                yield b"stack traceback:"
        elif truth.event is not None and truth.event.path is not None:
            yield _error(next(errors), number, truth.event).encode()


def _error(text: str, number: int, event: Expected) -> str:
    """Return a line of the error log about a request; `number` is that of its connection."""
    time = event.time.partition(".")[0].replace("-", "/")
    fields = {
        "client": event.client,
        "path": event.path,
        "request": f"{event.method} {event.url} HTTP/{event.http_version}",
    }
    return f"{time} {text.format(number=number, **fields)}"

"""Measures parsing, from a line's bytes to its finished row: `make bench-parse`.

The yardstick is what no parser can do without: a single re.match with nine groups, and a time that
is read once for each second. The lower one is the same with the pattern's own match method, which
spares the call of re.match. All is measured in one process on one core; each figure is the best of
several rounds, in microseconds a line, and as a multiple of both yardsticks, of lines as a site
writes them and with a user agent in each that no other line has.

At the end both parsers of each preset: the fast one, the careful one when it reads every line, and
the share of lines that the fast one leaves to it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from itertools import islice
from types import FunctionType
from unittest.mock import patch

from bench.corpus import SAMPLED, sample
from clean_consumer.rows import parse as make_rows
from datastream.parsing import PRESETS, Event, Unparseable, canonical, parser_for
from datastream.slices import Slice
from datastream.streams import Stream
from parsed import access_format

LINES = 50_000
ROUNDS = 7

YARDSTICK = re.compile(
    rb'([^ ]+) ([^ ]+) ([^ ]+) \[([^\]]+)\] "([^"]*)" ([0-9]+) ([0-9]+|-) "([^"]*)" "([^"]*)"'
)
JSON = """log_format json escape=json '{"time":"$time_iso8601","remote_addr":"$remote_addr",'
    '"remote_user":"$remote_user","request":"$request","status":$status,'
    '"body_bytes_sent":$body_bytes_sent,"referrer":"$http_referer","agent":"$http_user_agent"}';"""


@lru_cache(maxsize=4096)
def moment(text: bytes) -> datetime:
    """Return the time that a text of the usual form is."""
    return datetime.strptime(text.decode(), "%d/%b/%Y:%H:%M:%S %z")


def yardstick(lines: Iterable[bytes]) -> None:
    """Match each line and look up its time."""
    for line in lines:
        found = re.match(YARDSTICK, line)
        if found is not None:
            moment(found.groups()[3])


def bare_yardstick(lines: Iterable[bytes]) -> None:
    """Do the same without the function of the module."""
    match = YARDSTICK.match
    for line in lines:
        found = match(line)
        if found is not None:
            moment(found.groups()[3])


def parse(name: str) -> Callable[[Iterable[bytes]], None]:
    """Return what parses each line."""
    parse_line = parser_for(name)

    def run(lines: Iterable[bytes]) -> None:
        for line in lines:
            try:
                parse_line(line)
            except Unparseable:
                continue

    return run


def carefully(name: str) -> Callable[[Iterable[bytes]], None]:
    """Return what parses each line with the careful parser."""
    parse_line = access_format(name).careful

    def run(lines: Iterable[bytes]) -> None:
        for line in lines:
            parse_line(line)

    return run


def share_left(name: str, lines: list[bytes]) -> float:
    """Return the share of lines that the fast parser leaves to the careful one."""
    fast = access_format(name).parse
    assert isinstance(fast, FunctionType)
    left: list[bytes] = []
    with patch.dict(fast.__globals__, careful=left.append):
        for line in lines:
            fast(line)
    return len(left) / len(lines)


def as_json(lines: Iterable[bytes]) -> list[bytes]:
    """Return the requests of combined lines in a format that is JSON."""
    written = []
    for line in lines:
        found = YARDSTICK.fullmatch(line)
        if found is None or b"\\" in line:
            continue
        client, _, user, local, request, status, size, referrer, agent = (
            group.decode() for group in found.groups()
        )
        fields = [moment(local.encode()).isoformat(), client, user, request]
        texts = [json.dumps("" if text == "-" else text) for text in [*fields, referrer, agent]]
        written.append(
            '{{"time":{},"remote_addr":{},"remote_user":{},"request":{},"status":{},'
            '"body_bytes_sent":{},"referrer":{},"agent":{}}}'.format(
                *texts[:4], status, "0" if size == "-" else size, *texts[4:]
            ).encode()
        )
    return written


def say(text: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")


def microseconds(run: Callable[[Iterable[bytes]], None], lines: list[bytes]) -> float:
    """Return the least time of some rounds, for one line."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        run(lines)
        times.append(time.process_time() - began)
    return min(times) / len(lines) * 1e6


def each_with_its_own_agent(lines: list[bytes]) -> list[bytes]:
    """Return lines of which no two have the same user agent, where there is one."""
    return [_AGENT.sub(rb"\1 %d\2" % at, line) for at, line in enumerate(lines)]


#: A user agent is the second quoted text after the request.
_AGENT = re.compile(rb'^((?:[^"]*"){5}[^"\\]*)("(?: |$))')


def rows(name: str) -> Callable[[Iterable[bytes]], None]:
    """Return what makes the rows of clean_log, the ids of agents and referrers included."""
    stream = Stream(1, "bench", "host", "access.log", name, 0)

    def run(lines: Iterable[bytes]) -> None:
        for some in batched(lines, 1000):
            make_rows(Slice(stream, 0, b"\n".join(some), len(some), 0, read_at_ms=0))

    return run


def batched(lines: Iterable[bytes], size: int) -> Iterator[tuple[bytes, ...]]:
    """Yield so many lines at a time."""
    remaining = iter(lines)
    while some := tuple(islice(remaining, size)):
        yield some


HEAD = "  {:15} {:>8} {:>11} {:>9} {:>9} {:>9} {:>9}   {}"
ROW = "  {:15} {:8.2f} {:9.1f} x {:7.1f} x {:9.2f} {:9.2f} {:9.2f}   {:.2f} x the preset"


def compare_parsers(by_preset: dict[str, list[bytes]]) -> None:
    """Print what both parsers of each preset take for its lines."""
    say(f"both parsers; µs/line:{'fast':>12}{'careful':>10}{'':14}left to the careful one")
    for name, lines in by_preset.items():
        fast, careful = microseconds(parse(name), lines), microseconds(carefully(name), lines)
        left = share_left(name, lines)
        say(f"  {name:22}{fast:10.2f}{careful:10.2f}{careful / fast:8.1f} x{left:12.1%}")


def main() -> None:
    """Print the figures."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    by_preset = {name: list(islice(sample(name, junk=False), LINES)) for name in SAMPLED}
    unit = microseconds(yardstick, by_preset["combined"])
    own_unit = microseconds(bare_yardstick, by_preset["combined"])
    say(f"yardstick: re.match with nine groups, a cached time   {unit:5.2f} µs/line")
    say(f"lower one: the same with the pattern's own match      {own_unit:5.2f} µs/line")
    say("parsing to the finished event, and with the ids of agent and referrer to the row;")
    say("then both with every agent distinct; µs/line:")
    say(
        HEAD.format(
            "", "event", "yardstick", "lower", "row", "event", "row", "as a custom log_format"
        )
    )
    figures = {}
    for name in SAMPLED:
        lines = by_preset[name]
        distinct = each_with_its_own_agent(lines)
        figures[name] = microseconds(parse(name), lines)
        say(
            ROW.format(
                name,
                figures[name],
                figures[name] / unit,
                figures[name] / own_unit,
                microseconds(rows(name), lines),
                microseconds(parse(name), distinct),
                microseconds(rows(name), distinct),
                microseconds(parse(canonical(PRESETS[name])), lines) / figures[name],
            )
        )
    lines = as_json(by_preset["combined"])
    assert all(isinstance(parser_for(JSON)(line), Event) for line in lines[:1000])
    figure = microseconds(parse(JSON), lines)
    say(
        f"  {'custom JSON':15} {figure:8.2f} {figure / unit:9.1f} x {figure / own_unit:7.1f} x"
        f"{'':33}{figure / figures['combined']:.2f} x combined"
    )
    compare_parsers(by_preset)


if __name__ == "__main__":
    main()

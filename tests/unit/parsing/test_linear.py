"""A line takes steps in proportion to its length, be it hostile: counted, not timed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nginx
from datastream.parsing import PRESETS
from datastream.parsing.fast import fast
from datastream.parsing.pattern import Rules, line_pattern, raw_tries
from parsed import access_format
from steps import Steps

FORMATS = {
    **{name: name for name in PRESETS},
    **nginx.formats(),
    "free texts": "$msec $http_cookie;$status|$http_x $host:$server_port,$upstream_addr;$args x",
    "free texts, none": "log_format x escape=none '$args;$status|$http_x $upstream_addr $msec';",
    "free and lists": '$http_cookie $upstream_addr "$request" $upstream_status $http_x $msec',
    "free and chains": "$http_x, $upstream_addr; $http_x_forwarded_for $upstream_status $msec",
    "bare requests": "$http_x $request $http_host $upstream_addr: $request $msec",
    "joined": "$msec|$http_x|$host$request_uri $scheme://$http_host:$server_port$uri$is_args$args",
    "free and times": "$http_cookie $time_local|$http_x $time_iso8601",
}
#: How long the shortest of the lines is that are compared, in characters, about.
UNIT = 50
#: The same where a list is tried again and again: it takes up to 32 items each time, and from there
#: on the steps are in proportion.
UNIT_OF_LISTS = 120


OTHER_PARTS = ("a", "1", " ", '"', "\\", r"\"", "[", "]", ", ", " : ", "-", "x ")


@cache
def patterns(name: str) -> list[str]:
    """Return every pattern that a format's lines are read by."""
    return list(_patterns(name))


def _patterns(name: str) -> Iterator[str]:
    form = access_format(FORMATS[name])
    for is_strict in (True, False):
        for has_escapes in (False, True) if form.escape != "none" else (False,):
            rules = Rules(form.escape, is_strict, has_escapes)
            yield line_pattern(form.template, rules)
            if is_strict and re.search(r"\$(request|\w+_forwarded_for)[^\w\"]", FORMATS[name]):
                yield line_pattern(form.template, rules._replace(trusts_clients=False))
    for rules in raw_tries(has_escapes=True) if form.escape != "none" else ():
        yield line_pattern(form.template, rules)
    yield fast(form.template, form.escape, form.fields).pattern


def parts(name: str) -> list[str]:
    """Return what hostile lines are made of: the format's own texts, and what values hold."""
    template = access_format(FORMATS[name]).template
    texts = {template.before, *(part.after for part in template.parts)} - {""}
    pairs = {f"{text}1" for text in texts} | {f"a{text}" for text in texts}
    return [*sorted(texts | pairs), *OTHER_PARTS]


def steps(pattern: str, text: str) -> int:
    """Return how many steps a match takes. Fails when the library's engine says otherwise."""
    counted = Steps(pattern)
    found = counted.fits(text)
    assert found == (re.compile(pattern, re.DOTALL).fullmatch(text) is not None)
    return counted.taken


@pytest.fixture(autouse=True)
def deep() -> Iterator[None]:
    """Let the counter go as deep as a line is long."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    yield
    sys.setrecursionlimit(limit)


def check(name: str, start: str, repeated: str, end: str) -> None:
    """Check that a longer line of a kind takes steps in proportion.

    Of lines of one, two and four lengths the last one takes twice as many more than the second as
    that one took more than the first. Were it the square of the length, it would be four times.
    """
    unit = UNIT_OF_LISTS if name == "free and chains" else UNIT
    few = max(unit // len(repeated), 4)
    for pattern in patterns(name):
        one, two, four = (
            steps(pattern, start + repeated * few * times + end) for times in (1, 2, 4)
        )
        assert four - two <= 2.5 * (two - one) + 100, pattern


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_hostile_line_takes_steps_in_proportion(name: str) -> None:
    """Of every part that there is, again and again, from the start and within the line."""
    template = access_format(FORMATS[name]).template
    begun = template.before
    starts = [begun]
    for part in template.parts:
        begun += f"1{part.after}"
        starts.append(begun)
    for repeated in parts(name):
        for start in (starts[0], starts[len(starts) // 2]):
            check(name, start, repeated, "")


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=settings().max_examples // 4)
@given(data=st.data())
def test_a_line_of_any_parts_takes_steps_in_proportion(name: str, data: st.DataObject) -> None:
    """Of several parts in turn, after a beginning that fits, with an end that does not."""
    part = st.sampled_from(parts(name))
    start = "".join(data.draw(st.lists(part, max_size=3)))
    repeated = "".join(data.draw(st.lists(part, min_size=1, max_size=3)))
    check(name, start, repeated, "".join(data.draw(st.lists(part, max_size=2))))


def test_the_counter_counts() -> None:
    """A pattern that takes the square of a line's length is found out."""
    assert steps(r"(?:a*?)b*?c", "a" * 100) < 2_000
    few, many = (steps(r"[ab]*?[ab]*?c", "ab" * count) for count in (10, 40))
    assert many > few * 10

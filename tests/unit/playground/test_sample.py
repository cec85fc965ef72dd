"""The samples: reproducible, harmless, with every kind of line, and with a truth that fits."""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path

import pytest

from datastream_playground import sample
from datastream_playground.sample import FORMATS, Expected, Format, Truth

LINES = 20_000
#: Where the first ones tell as much.
FEW = 5_000
DOCUMENTATION_NETWORKS = [
    ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]

Pairs = list[tuple[bytes, Truth]]


@pytest.fixture(scope="module", params=FORMATS)
def log_format(request: pytest.FixtureRequest) -> Format:
    """Each format in turn."""
    chosen: Format = request.param
    return chosen


@pytest.fixture(scope="module")
def pairs(log_format: Format) -> Pairs:
    """Make a sample of each format: lines and their truth."""
    return list(sample.generate(LINES, log_format, seed=7))


@pytest.fixture(scope="module")
def events(pairs: Pairs) -> list[Expected]:
    """Give what the lines of the sample say, without those to reject."""
    return [truth.event for _, truth in pairs if truth.event is not None]


def run(*arguments: str) -> int:
    """Run the command as the command line does."""
    parser = argparse.ArgumentParser(prog="datastream sample")
    sample.add_arguments(parser)
    return sample.run(parser.parse_args(arguments))


def test_the_same_seed_gives_the_same_lines(log_format: Format, pairs: Pairs) -> None:
    """A seed is a sample."""
    assert list(sample.generate(FEW, log_format, seed=7)) == pairs[:FEW]


def test_another_seed_gives_other_lines(log_format: Format, pairs: Pairs) -> None:
    """Seeds differ from the first lines on."""
    assert list(sample.generate(50, log_format, seed=8)) != pairs[:50]


def test_a_longer_sample_begins_with_the_shorter_one(log_format: Format, pairs: Pairs) -> None:
    """The number of lines decides only where the sample ends."""
    assert list(sample.generate(700, log_format, seed=7)) == pairs[:700]


def test_an_unknown_format_is_refused() -> None:
    """It says which formats there are."""
    with pytest.raises(ValueError, match="combined, common, proxy"):
        sample.generate(1, "json", seed=1)  # type: ignore[arg-type]


def test_offsets_are_where_the_lines_begin(
    tmp_path: Path, log_format: Format, pairs: Pairs
) -> None:
    """The truth read back finds each line in the bytes of the file."""
    log = tmp_path / "access.log"

    summary = sample.write(log, FEW, log_format, seed=7)

    stored = log.read_bytes()
    truths = list(sample.read_truth(log))
    ends = [truth.offset for truth in truths[1:]] + [len(stored)]
    found = [stored[truth.offset : end] for truth, end in zip(truths, ends, strict=True)]
    assert found == [line + b"\n" for line, _ in pairs[:FEW]]
    assert truths == [truth for _, truth in pairs[:FEW]]
    assert (summary.lines, summary.bytes) == (FEW, len(stored))
    assert summary.reasons == Counter(t.reject for t in truths if t.reject)
    assert summary.junk == sum(t.reject is not None for t in truths)


def test_the_truth_has_the_fields_of_an_event_in_order(tmp_path: Path) -> None:
    """Consumers in other languages read the file by these names."""
    log = tmp_path / "access.log"
    sample.write(log, 1_000, "combined", seed=7)

    rows = [json.loads(row) for row in sample.truth_path(log).read_text().splitlines()]

    assert {tuple(row) for row in rows if row["reject"] is None} == {
        ("offset", "reject", *Expected._fields)
    }
    assert {tuple(row) for row in rows if row["reject"]} == {("offset", "reject")}


def test_about_one_line_in_two_hundred_is_junk_for_each_reason(pairs: Pairs) -> None:
    """Each reason is there, and several times."""
    reasons = Counter(truth.reject for _, truth in pairs if truth.reject)

    assert 60 <= sum(reasons.values()) <= 140
    assert set(reasons) == {"empty", "format", "time"}
    assert min(reasons.values()) >= 5


def test_each_kind_of_junk_line_occurs(pairs: Pairs) -> None:
    """Torn and stray lines, the error log's, impossible dates, bytes that are not UTF-8."""
    junk = [line for line, truth in pairs if truth.reject]
    unreadable = [line for line in junk if b"\xff" in line or b"\xe9" in line or b"\x80" in line]

    assert b"" in junk
    assert any(line.isspace() for line in junk)
    assert any(b"[error]" in line for line in junk)
    assert any(b"/Feb/" in line for line in junk)
    assert any(re.fullmatch(rb'[\w.:]+ [^"]*\[\d[^"]*("[^"]*)?', line) for line in junk), (
        "torn head"
    )
    assert any(re.match(rb'[^\[]*" \d{3} (\d+|-)', line) for line in junk), "torn tail"
    assert unreadable
    for line in unreadable:
        with pytest.raises(UnicodeDecodeError):
            line.decode()


def test_lines_of_another_format_occur() -> None:
    """A line of the common format in a combined log, and a combined one in the others."""
    common = re.compile(rb'[^"]+"[^"]*" \d{3} (\d+|-)')
    combined = re.compile(rb'[^"]+"[^"]*" \d{3} (\d+|-) "[^"]*" "[^"]*"')
    others: list[tuple[Format, re.Pattern[bytes]]] = [
        ("combined", common),
        ("common", combined),
        ("proxy", combined),
    ]
    for log_format, other in others:
        lines = sample.generate(LINES, log_format, seed=7)

        assert any(other.fullmatch(line) for line, truth in lines if truth.reject == "format")


def test_each_kind_of_junk_request_occurs(events: list[Expected]) -> None:
    """They parse, with nothing known but the text that was sent."""
    junk = [event for event in events if event.extra is not None]
    texts = [event.extra["request"] for event in junk if event.extra is not None]

    assert "" in texts
    assert any(text.startswith("\x16\x03\x01") for text in texts)
    assert any(text.startswith("MGLNDD_") for text in texts)
    assert any("mstshash" in text for text in texts)
    for event in junk:
        assert event.status == 400
        assert (event.method, event.url, event.path, event.http_version) == (None,) * 4


def test_what_nginx_cannot_write_is_escaped(pairs: Pairs) -> None:
    """A well-formed line is printable ASCII, and a quoted field has no quote in it."""
    for line, truth in pairs:
        if truth.reject is None:
            assert re.fullmatch(rb"[ -~]+", line)
            assert line.count(b'"') in (2, 6)


def test_each_kind_of_visitor_occurs(log_format: Format, events: list[Expected]) -> None:
    """IPv6, named users, e-mail users; bots where the format has user agents."""
    agents = " ".join({event.user_agent or "" for event in events})

    assert 0.2 < sum(":" in event.client for event in events) / LINES < 0.6
    assert any(event.user and not event.is_email for event in events)
    assert any(" " in (event.user or "") for event in events)
    assert any(event.user is None for event in events)
    assert any(event.session for event in events)
    for event in events:
        assert event.is_email == ("@" in (event.user or ""))
        assert event.email_domain == (event.email_domain or "").lower() or not event.is_email
    if log_format == "combined":
        for bot in ("Googlebot", "bingbot", "GPTBot", "curl", "zgrab"):
            assert bot in agents
        assert any(event.user_agent is None for event in events)
        assert any(event.referrer for event in events)
    else:
        assert not any(event.referrer or event.user_agent for event in events)


def test_each_kind_of_request_occurs(log_format: Format, events: list[Expected]) -> None:
    """Pages, files, scans, errors, long URLs, HTTP/0.9, tunnels, absolute URLs."""
    urls = [event.url or "" for event in events]

    assert {event.status for event in events} >= {200, 301, 304, 400, 403, 404, 499, 500}
    assert {event.method for event in events} >= {"GET", "POST", "HEAD", "CONNECT", "OPTIONS"}
    assert {event.http_version for event in events} >= {"0.9", "1.0", "1.1", "2.0", "3.0"}
    assert {event.size for event in events if event.status == 304} == {0, None}
    for path in ("/wp-login.php", "/.env"):
        assert any(url.endswith(path) for url in urls)
    assert 1_500 < max(map(len, urls)) < 1_900
    assert any(re.search(r":\d+/", url) for url in urls)
    assert any(url.endswith(":443") for url in urls)
    if log_format == "proxy":
        assert len({event.host for event in events}) > 5
        assert all(event.host for event in events if event.path)


def test_popular_paths_are_far_ahead_of_the_rest(events: list[Expected]) -> None:
    """The most wanted tenth of the paths gets most of the requests, and there are many paths."""
    counts = sorted(Counter(event.path for event in events).values(), reverse=True)

    assert len(counts) > 500
    assert sum(counts[: len(counts) // 10]) > 0.7 * len(events)


def test_equal_lines_follow_each_other_in_the_same_second(pairs: Pairs) -> None:
    """Identity cannot come from the text of a line."""
    equal = [
        (before, after)
        for (line, before), (other, after) in pairwise(pairs)
        if line == other and before.event is not None
    ]

    assert len(equal) > 50
    assert all(before.event == after.event for before, after in equal)


def test_time_goes_on_at_some_hundred_lines_a_second(events: list[Expected]) -> None:
    """Times never go back, are UTC in the truth, and seconds hold many lines."""
    times = [event.time for event in events]

    assert times == sorted(times)
    assert times[0] == "2025-12-31 23:50:00.000"
    assert 200 < len(times) / len(set(times)) < 400


def test_the_log_is_written_in_another_zone_than_utc(pairs: Pairs) -> None:
    """The first line is of another year than its UTC time."""
    line, _ = next(pair for pair in pairs if pair[1].event is not None)

    assert b"[01/Jan/2026:00:50:00 +0100]" in line


def test_nothing_points_outside_what_is_kept_for_documentation(pairs: Pairs) -> None:
    """All addresses and hosts are from the ranges for documentation."""
    # Torn lines are left out, as half a domain is another domain, and so is binary junk.
    text = b"\n".join(
        line for line, truth in pairs if truth.event is not None and rb"\x" not in line
    ).decode()
    addresses = {truth.event.client for _, truth in pairs if truth.event is not None}
    addresses |= set(re.findall(r"MGLNDD_([\d.]+)_", text))
    addresses |= set(re.findall(r"://\[([^\]]+)\]", text))
    hosts = set(re.findall(r"(?:https?://|@|CONNECT )([\w.-]+)", text, re.IGNORECASE))
    hosts.discard("2x.webp")  # pictures for dense screens: lamp@2x.webp

    for address in addresses:
        assert any(ip_address(address) in network for network in DOCUMENTATION_NETWORKS), address
    for host in hosts:
        assert re.search(r"(^|\.)example\.(com|org|net)$", host.lower()), host


def test_writing_leaves_nothing_but_the_log_and_its_truth(tmp_path: Path) -> None:
    """A log from before is replaced whole, its truth too."""
    log = tmp_path / "access.log"
    sample.write(log, 300, "common", seed=1)
    sample.write(log, 200, "common", seed=2)

    assert len(log.read_bytes().splitlines()) == 200
    assert len(list(sample.read_truth(log))) == 200
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "access.log",
        "access.log.truth.jsonl",
    ]


def test_a_failure_leaves_the_log_from_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a sample is never there under its name."""
    log = tmp_path / "access.log"
    sample.write(log, 100, "common", seed=1)
    before = log.read_bytes()

    def breaks_off(*_arguments: object) -> Iterator[tuple[bytes, Truth]]:
        yield from sample.generate(5_000, "common", 2)
        raise OSError("disk full")

    monkeypatch.setattr("datastream_playground.sample.files.generate", breaks_off)
    with pytest.raises(OSError, match="disk full"):
        sample.write(log, 9_000, "common", seed=2)

    assert log.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_with_a_rate_whole_lines_are_appended(tmp_path: Path) -> None:
    """Truth and offsets go on where the log from before ended."""
    log = tmp_path / "access.log"
    sample.write(log, 100, "combined", seed=1)
    before = log.read_bytes()

    summary = sample.write(log, 250, "combined", seed=2, rate=100_000)

    stored = log.read_bytes()
    truths = list(sample.read_truth(log))
    assert stored.startswith(before)
    assert stored.endswith(b"\n")
    assert (summary.lines, summary.bytes) == (250, len(stored) - len(before))
    assert len(truths) == stored.count(b"\n") == 350
    assert truths[100].offset == len(before)
    assert all(stored[truth.offset - 1 : truth.offset] == b"\n" for truth in truths[1:])


def test_with_a_rate_the_sample_has_the_same_bytes(tmp_path: Path) -> None:
    """The pace changes when lines are written, not what they are."""
    whole, paced = tmp_path / "whole.log", tmp_path / "paced.log"
    # The truth of a log that is gone must not stay in front of the new one's.
    sample.truth_path(paced).write_text("old\n")

    sample.write(whole, 120, "proxy", seed=3)
    sample.write(paced, 120, "proxy", seed=3, rate=1_000)

    assert paced.read_bytes() == whole.read_bytes()
    assert sample.truth_path(paced).read_bytes() == sample.truth_path(whole).read_bytes()


def test_with_a_rate_writing_ends_when_asked_to(tmp_path: Path) -> None:
    """What is there by then is whole, and so is its truth."""
    log = tmp_path / "access.log"
    answers = iter([False, False, False, True])

    summary = sample.write(
        log, 1_000, "common", seed=1, rate=50, stopping=lambda: next(answers, True)
    )

    assert 0 < summary.lines < 1_000
    assert log.read_bytes().count(b"\n") == summary.lines
    assert len(list(sample.read_truth(log))) == summary.lines


def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line: how much, how much of it junk, and where."""
    log = tmp_path / "sample.log"

    assert run("--lines", "2000", "--format", "proxy", "--seed", "4", "--output", str(log)) == 0

    truths = list(sample.read_truth(log))
    size = f"{log.stat().st_size / 1000:.1f} kB"
    junk = sum(1 for truth in truths if truth.reject)
    assert capsys.readouterr().out == (
        f"Wrote 2,000 lines ({size}, {junk} of them junk) to {log}, "
        f"the truth to {log}.truth.jsonl\n"
    )


def test_the_command_appends_at_a_pace(tmp_path: Path) -> None:
    """With a rate the log grows."""
    log = tmp_path / "sample.log"
    for _ in range(2):
        assert run("--lines", "20", "--rate", "5000", "--output", str(log)) == 0

    assert log.read_bytes().count(b"\n") == 40


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lines", "0"],
        ["--lines", "-5"],
        ["--lines", "many"],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--rate", "fast"],
        ["--format", "json"],
        ["--seed", "x"],
    ],
    ids=" ".join,
)
def test_bad_arguments_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line names the argument; the exit code is that of a wrong use."""
    with pytest.raises(SystemExit) as exit_:
        run(*arguments)

    assert exit_.value.code == 2
    assert f"argument {arguments[0]}: " in capsys.readouterr().err.splitlines()[-1]


def test_a_place_to_write_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is missing, a folder instead of a file, half a line to append to."""
    torn = tmp_path / "torn.log"
    torn.write_bytes(b"half a li")
    cases = {
        tmp_path / "missing" / "sample.log": "there is no folder",
        tmp_path: "not a regular file",
        torn: "unfinished",
    }
    for path, message in cases.items():
        assert run("--lines", "5", "--rate", "100", "--output", str(path)) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "\nexit code 2: the command is wrong, or OUTPUT cannot be the sample's\n" in error

    assert torn.read_bytes() == b"half a li"


def test_a_full_disk_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is the system's, the exit code that of an error of input or output."""

    def full(*_arguments: object) -> Iterator[tuple[bytes, Truth]]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("datastream_playground.sample.files.generate", full)

    assert run("--output", str(tmp_path / "sample.log")) == os.EX_IOERR
    assert "sample.log: No space left on device\n" in capsys.readouterr().err


def test_an_interrupted_sample_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C before the end leaves no file behind."""

    def interrupted(*_arguments: object) -> Iterator[tuple[bytes, Truth]]:
        yield from sample.generate(5_000, "common", 2)
        raise KeyboardInterrupt

    monkeypatch.setattr("datastream_playground.sample.files.generate", interrupted)

    assert run("--output", str(tmp_path / "sample.log")) == 130
    assert capsys.readouterr().err == (
        "datastream sample: interrupted\nexit code 130: interrupted\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_help_tells_junk_requests_from_junk_lines() -> None:
    """The help alone says what must be rejected."""
    parser = argparse.ArgumentParser()
    sample.add_arguments(parser)

    text = " ".join(parser.format_help().split())

    assert "A junk request" in text
    assert "A junk line" in text

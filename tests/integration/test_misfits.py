"""A format that does not fit the log: it is said everywhere, and mended without starting over."""

from __future__ import annotations

import re
from pathlib import Path

from deployment import Deployment, eventually

LINE = '192.0.2.7 - - [30/Nov/2026:00:29:32 +0000] "GET /{} HTTP/1.1" 200 12 "-" "example/1.0"\n'
JSON = '{{"at":"2026-11-30T00:29:32+00:00","by":"192.0.2.7","of":"GET /{} HTTP/1.1"}}\n'
FORMAT = (
    'log_format json escape=json \'{"at":"$time_iso8601","by":"$remote_addr","of":"$request"}\';'
)
LINES = 400


def written(log: Path, line: str) -> Path:
    """Return a log of such lines."""
    log.write_text("".join(line.format(number) for number in range(LINES)))
    return log


def test_lines_that_do_not_fit_are_told_and_mended(deployment: Deployment, tmp_path: Path) -> None:
    """By the clean consumer, its metrics and verify, each with the command that does it."""
    log = written(tmp_path / "access.log", JSON)
    _, clean = deployment.start_consumers()
    deployment.publish_once(log, FORMAT="combined")
    deployment.assert_settled(LINES)
    [(number,)] = deployment.query("SELECT stream_id FROM log_stream")

    def told() -> None:
        assert "rejected='400 of 400', format=combined, look_like=JSON" in clean.text()
        assert clean.metric("datastream_stream_rejected_ratio", path=str(log)) == 1

    eventually(told)
    bad = deployment.operate("verify", str(log))
    found = re.search(r"datastream (replay --rejected --stream \w+ --format) '…'", clean.text())
    assert found is not None, clean.text()
    replayed = deployment.operate(*found[1].split(), FORMAT)

    def mended() -> None:
        assert deployment.count("clean_log") == LINES
        assert deployment.count("rejected_log") == 0

    eventually(mended)
    good = deployment.operate("verify", str(log))

    assert (bad.returncode, bad.stderr) == (0, "")
    assert bad.stdout == (
        f"{log}: exact, but 0 of 400 parsed: FORMAT is combined, the lines look like JSON\n"
        f"  to parse them again: datastream replay --stream {number:016x} --format '…'\n"
    )
    assert replayed.returncode == 0, replayed.stderr
    assert good.stdout == f"{log}: exact: 400 lines, each stored once, byte for byte\n"


def test_a_prefix_that_no_format_names_is_told(deployment: Deployment, tmp_path: Path) -> None:
    """All lines fit, with their client in another column: each says so, and how to mend it."""
    log = written(tmp_path / "access.log", f"Nov 30 00:29:32 web nginx: {LINE}")
    _, clean = deployment.start_consumers()
    deployment.publish_once(log, FORMAT="combined")
    deployment.assert_settled(LINES)
    [(number,)] = deployment.query("SELECT stream_id FROM log_stream")

    bad = deployment.operate("verify", str(log))

    def told() -> None:
        assert "Lines have their client in another column" in clean.text()

    eventually(told)
    again = ("replay", "--stream", f"{number:016x}", "--format", "rfc3164 combined")
    replayed = deployment.operate(*again)

    def mended() -> None:
        assert deployment.count("clean_log WHERE client = INET6_ATON('192.0.2.7')") == LINES

    eventually(mended)
    good = deployment.operate("verify", str(log))

    assert bad.returncode == 0
    assert bad.stdout == (
        f"{log}: exact, but with the client in another column: FORMAT is combined, the lines look "
        "like rfc3164 combined\n  to parse them again: datastream replay --stream "
        f"{number:016x} --format 'rfc3164 combined'\n"
    )
    assert replayed.returncode == 0, replayed.stderr
    assert good.stdout == f"{log}: exact: 400 lines, each stored once, byte for byte\n"

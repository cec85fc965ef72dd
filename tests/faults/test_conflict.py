"""Two logs claim one stream: what exactly is in the tables then, what shows it, what mends it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from deployment import Deployment, eventually, lines_of
from faults.installation import assert_stored

ROOT = Path(__file__).parents[2]
LINE = b'192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET %s HTTP/1.1" 200 1 "-" "-"'
#: Lines of a slice.
SLICE = 5


def content(paths: list[bytes]) -> bytes:
    """Return a log."""
    return b"".join(LINE % path + b"\n" for path in paths)


def keyed(data: bytes) -> dict[int, bytes]:
    """Return the lines of a log by their offsets."""
    lines = {}
    offset = 0
    for line in data.removesuffix(b"\n").split(b"\n"):
        lines[offset] = line
        offset += len(line) + 1
    return lines


FIRST = content([b"/same", *(b"/of/the/first/%d" % n for n in range(300))])
SECOND = content([b"/same", *(b"/of/the/second/log/%d" % n for n in range(600))])


def statements(stream: int) -> list[str]:
    """Return what the runbook says that removes the second log's lines from the old stream."""
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    section = page.partition("## IdentityConflict")[2].partition("\n## ")[0]
    block = "\n".join(re.findall(r"^    (.*)$", section, re.MULTILINE))
    return [part for part in block.replace("ID", f"{stream:016x}").split(";") if part.strip()]


def test_two_logs_that_claim_one_stream(deployment: Deployment, tmp_path: Path) -> None:
    """Nothing stored is changed, what was mixed is known to the byte, shown, and can be mended."""
    log = tmp_path / "access.log"
    log.write_bytes(FIRST)
    deployment.start_consumers()
    deployment.publish_once(log, MAX_SLICE_LINES=str(SLICE))
    assert_stored(deployment, log)
    [(stream,)] = deployment.query("SELECT stream_id FROM log_stream")
    backup = tmp_path / "backup"
    log.rename(backup)
    shutil.rmtree(tmp_path / "state")
    log.write_bytes(SECOND)
    deployment.publish_once(log, MAX_SLICE_LINES=str(SLICE))

    first, second = keyed(FIRST), keyed(SECOND)
    offsets = list(second)
    apart = {o for n, o in enumerate(offsets) if offsets[n - n % SLICE] < len(FIRST)}
    beyond = {offset: line for offset, line in second.items() if offset not in apart}
    assert apart
    assert beyond

    def settled() -> None:
        """Dead letters, and what is beyond the end of the first log under its stream."""
        assert deployment.queue_depth("queue-data-lake-dead") == len(apart) / SLICE
        assert raw(deployment, stream) == first | beyond
        assert clean(deployment, stream) == dict.fromkeys(second.keys(), b"second") | dict.fromkeys(
            first.keys(), b"first"
        ) | {0: b"same"}

    eventually(settled)
    result = deployment.operate("verify", str(log))
    assert result.returncode == 1
    assert "line 2, byte 78: raw_log holds another line" in result.stdout

    state = {"STATE_DIR": str(tmp_path / "state")}
    done = deployment.operate("rewind", "--stream", f"{stream:016x}", "--as-new-stream", **state)
    assert done.returncode == 0, done.stderr
    deployment.publish_once(log)

    def exact() -> None:
        assert deployment.operate("verify", str(log)).returncode == 0

    eventually(exact)

    rotated = tmp_path / "access.log.1"
    backup.rename(rotated)
    os.utime(rotated, (1, 1))
    both = deployment.operate("verify", f"{log}*")
    assert both.returncode == 1
    assert "where no line begins" in both.stdout

    with (
        deployment.database.connect(deployment.mysql.database) as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements(stream):
            cursor.execute(statement)
        connection.commit()

    assert raw(deployment, stream) == first
    assert clean(deployment, stream).keys() == first.keys()
    both = deployment.operate("verify", f"{log}*")
    assert both.returncode == 0, both.stdout
    assert sorted(deployment.raw_lines(log)) == sorted([*lines_of(rotated), *lines_of(log)])


def raw(deployment: Deployment, stream: int) -> dict[int, bytes]:
    """Return the lines of a stream in raw_log by their offsets."""
    return dict(
        deployment.query("SELECT line_offset, line FROM raw_log WHERE stream_id = %s", stream)
    )


def clean(deployment: Deployment, stream: int) -> dict[int, bytes]:
    """Return which log each row of a stream in clean_log is of, by its offset."""
    rows = deployment.query("SELECT line_offset, path FROM clean_log WHERE stream_id = %s", stream)
    return {
        offset: str(path).removeprefix("/of/the/").removeprefix("/").split("/")[0].encode()
        for offset, path in rows
    }

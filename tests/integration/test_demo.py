"""The demo, as a person runs it: the report, the second time, and nothing left behind."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datastream_playground import sample
from datastream_playground.local import processes
from datastream_playground.local.database import Database
from datastream_playground.local.packages import ensure
from deployment import PATIENCE, eventually

LINES = 2_000


class Demo:
    """One folder, in which the demo or follow is run, again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def started(
        self, command: str, *arguments: str, output: int = subprocess.PIPE
    ) -> Iterator[subprocess.Popen[str]]:
        """Start the command with its data in this folder; it has ended after the block."""
        command_line = [sys.executable, "-m", "datastream_operator", command]
        with subprocess.Popen(
            [*command_line, "--folder", str(self.folder), *arguments],
            env=os.environ | {"SOURCE": "test"},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the demo to its end; return the exit code and what it said."""
        with self.started("demo", *arguments) as process:
            output, _ = process.communicate(timeout=PATIENCE)
        assert self.left_behind() == []
        return process.returncode, output

    def look(self, command: str, *arguments: str) -> tuple[int, str]:
        """Run a command that looks at the tables; return its exit code and what it said."""
        with self.started(command, *arguments) as process:
            output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def left_behind(self) -> list[int]:
        """Return the ids of the processes that still run on this folder."""
        folders = (self.folder, self.folder / "rabbitmq", self.folder / "database")
        return [pid for folder in folders for pid in processes.marked(folder)]

    def process_of(self, module: str) -> int:
        """Return the id of the process that runs a service."""
        wanted = f"\0{module}\0".encode()
        return next(
            pid for pid in self.left_behind() if wanted in Path(f"/proc/{pid}/cmdline").read_bytes()
        )

    def wait_for_services(self) -> None:
        """Return once the producer runs, and with it all the others."""

        def runs() -> None:
            names = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in self.left_behind()]
            assert any(b"\0producer\0" in name for name in names)

        eventually(runs)

    def change(self, statement: str) -> None:
        """Run a statement on the tables while no demo runs."""
        with Database(self.folder / "database", ensure()) as database:
            connected = database.connect("datastream")
            with connected as connection, connection.cursor() as cursor:
                cursor.execute(statement)
                connection.commit()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demo, int, str]:
    """One folder for the tests of this file, and what the first run in it ended with and said."""
    made = Demo(tmp_path_factory.mktemp("demo"))
    return (made, *made.run("--lines", str(LINES)))


@pytest.fixture
def demo(first: tuple[Demo, int, str]) -> Demo:
    """A folder that holds the sample; tests leave it so, and run in any order."""
    return first[0]


def test_the_sample_is_exact_and_a_second_run_adds_nothing(first: tuple[Demo, int, str]) -> None:
    """Both runs end with 0 and the same counts; the second one finds all lines there."""
    demo, first_code, begun = first
    second_code, second = demo.run("--lines", str(LINES))

    assert (first_code, second_code) == (0, 0), begun + second
    for output in (begun, second):
        assert "rows in raw_log  2,000  = lines" in output
        assert "parsed + rejected  2,000  = lines" in output
        assert "1,000 rows, field by field" in output
        assert "Exact: every line is there" in output
        assert "\x1b" not in output
    assert "new lines  2,000 in" in begun
    assert "none: 2,000 lines, all there already" in second


def test_the_tables_of_an_ended_demo_are_looked_at(demo: Demo, tmp_path: Path) -> None:
    """Its database is started for the answer and stopped after it; a folder without one is told."""
    of_the_sample = "raw_log JOIN log_stream USING (stream_id) WHERE path LIKE '%/sample-%'"
    code, output = demo.look(
        "sql", f"SELECT COUNT(*) AS n FROM {of_the_sample}; DELETE FROM raw_log"
    )
    assert output.startswith(f"n\n{LINES}\ndatastream: error 1792: nothing is changed here")
    assert code == 1
    assert demo.left_behind() == []

    code, output = demo.look("streams")
    assert f"  {LINES:,} lines: " in output
    assert code == 0
    assert demo.left_behind() == []

    code, output = Demo(tmp_path).look("streams")
    assert (code, output) == (66, f"datastream: {tmp_path} holds no tables of `demo` or `follow`\n")


def test_a_log_of_ones_own(demo: Demo, tmp_path: Path) -> None:
    """The format is found out; a last line without a newline counts; odd bytes are no matter."""
    log = tmp_path / "access.log"
    summary = sample.write(log, 500, "proxy", seed=3)
    with log.open("ab") as file:
        file.write(b"\x00\xff\xfe \x1b[2J\n\nthe last line has no newline")

    code, output = demo.run("--log", str(log))

    assert code == 0, output
    found = re.search(
        r"Format: proxy fits ([0-9.]+) % of the first 503 lines.*; ([0-9]+) have", output
    )
    assert found is not None, output
    # Users with blanks in them have the format's shape alone.
    whole = 500 - summary.junk - int(found[2])
    assert found[1] == f"{whole * 1000 // 503 / 10:.1f}"
    assert "lines in the file  503" in output
    assert "rows in raw_log  503  = lines" in output


def test_a_pattern_of_several_logs(demo: Demo, tmp_path: Path) -> None:
    """Each is compared; the counts are those of all of them."""
    for seed, name in ((1, "it's.log.1"), (2, "it's.log")):
        sample.write(tmp_path / name, 300, "combined", seed=seed)
        sample.truth_path(tmp_path / name).unlink()

    code, output = demo.run("--log", str(tmp_path / "it's.log*"))

    assert code == 0, output
    assert "lines in 2 files  600" in output
    assert "rows in raw_log  600  = lines" in output
    assert "parsed + rejected  600  = lines" in output


def test_a_format_that_does_not_fit_is_said_and_mended(demo: Demo, tmp_path: Path) -> None:
    """It is exact and not well; another FORMAT reads the same lines again, from the tables."""
    log = tmp_path / "json.log"
    log.write_text('{"at":"2026-11-30T00:29:32+00:00","by":"192.0.2.7"}\n' * 400)
    form = 'log_format json escape=json \'{"at":"$time_iso8601","by":"$remote_addr"}\';'

    first_code, first = demo.run("--log", str(log), "--format", "combined")
    second_code, second = demo.run("--log", str(log), "--format", form)

    assert (first_code, second_code) == (0, 0), first + second
    bad = "Exact, but 0 of 400 parsed: FORMAT is combined, the lines look like JSON.\n"
    assert bad in first
    assert "Parsing the stored lines again" in second
    assert "rows in clean_log  400" in second
    assert "Exact: every line is there" in second


def test_a_log_that_is_missing(demo: Demo, tmp_path: Path) -> None:
    """It is named before anything is started, with the exit code, which `make` hides."""
    code, output = demo.run("--log", str(tmp_path / "missing.log"))

    assert code == 66
    assert output == (
        f"{tmp_path / 'missing.log'} cannot be read: No such file or directory\n"
        "exit code 66: the log cannot be read\n"
    )


def test_a_log_that_is_empty(demo: Demo, tmp_path: Path) -> None:
    """It is told as such, with what waits for its lines; nothing is started."""
    log = tmp_path / "empty.log"
    log.touch()

    code, output = demo.run("--log", str(log))

    assert code == 0
    assert output.endswith(
        f"{log} is empty: there is nothing to show yet.\n"
        f"To wait for its lines:  make follow LOG={log}\n"
    )


def test_a_row_that_differs_is_found(demo: Demo) -> None:
    """The report says which line is not as in the log, and the exit code is 1."""
    first_stored = "ORDER BY stored_at, stream_id, line_offset LIMIT 1"
    demo.change(f"UPDATE raw_log SET line = CONCAT('x', line) {first_stored}")

    code, output = demo.run("--lines", str(LINES))

    demo.change(f"UPDATE raw_log SET line = SUBSTRING(line, 2) {first_stored}")

    assert code == 1
    assert "NOT exact:\n  line 1, byte 0: raw_log holds another line\n" in output


def test_an_interrupted_demo_leaves_nothing_running(demo: Demo) -> None:
    """The servers and services it started end with it, on a second Ctrl-C too."""
    with demo.started("demo", "--lines", str(LINES)) as process:
        demo.wait_for_services()
        running = len(demo.left_behind())

        def stopping() -> None:
            assert len(demo.left_behind()) < running

        process.send_signal(signal.SIGINT)
        eventually(stopping)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130, output
    assert "Everything that was started is stopped" in output
    assert demo.left_behind() == []


def test_a_database_that_goes_away_in_the_middle(demo: Demo) -> None:
    """The demo fails as it does where a service fails, with 1, and says that it is the database."""
    with demo.started("demo", "--lines", str(LINES)) as process:
        demo.wait_for_services()
        for pid in processes.marked(demo.folder / "database"):
            os.kill(pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1, output
    assert "\nThe database: " in output
    assert demo.left_behind() == []


def test_a_killed_demo_leaves_nothing_running(demo: Demo) -> None:
    """Even without a chance to tidy up: the kernel ends its children."""
    with demo.started("demo", "--lines", str(LINES)) as process:
        demo.wait_for_services()
        process.kill()
        process.communicate(timeout=PATIENCE)

    def gone() -> None:
        assert demo.left_behind() == []

    eventually(gone)


def test_follow_stores_what_is_appended_until_it_is_interrupted(demo: Demo, tmp_path: Path) -> None:
    """A log that is not there yet is waited for; Ctrl-C ends with the totals and 0."""
    log = tmp_path / "later.log"
    with demo.started("follow", "--log", str(log)) as process:
        said = read_until(process, "Following")
        summary = sample.write(log, 300, "combined", seed=9)
        parsed = f"{300 - summary.junk} parsed, {summary.junk} rejected"
        said += read_until(process, f"300 lines published, 300 kept raw, {parsed};")
        verified = demo.look("verify", str(log))
        asked = demo.look("sql", "--tsv", f"SELECT path FROM log_stream WHERE path = '{log}'")
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, said + rest
    assert verified == (0, f"{log}: exact: 300 lines, each stored once, byte for byte\n")
    assert asked == (0, f"path\n{log}\n")
    assert "is waited for" in said
    assert f"Stopped. In this run: 300 lines published, 300 kept raw, {parsed}." in rest
    assert demo.left_behind() == []


def test_follow_counts_the_slices_that_a_consumer_holds(demo: Demo, tmp_path: Path) -> None:
    """A consumer that hangs has nothing ready in its queue: the slices are in hand."""
    log = tmp_path / "held.log"
    log.touch()
    terminal, follows = os.openpty()
    fcntl.ioctl(follows, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    drawn = b""

    def shown(pattern: bytes) -> None:
        nonlocal drawn
        drawn += os.read(terminal, 65_536)
        assert re.search(pattern, drawn), drawn[-3_000:].decode()

    with demo.started("follow", "--log", str(log), output=follows) as process:
        os.close(follows)
        eventually(lambda: shown(rb"clean_consumer .*ready 2/2"))
        lake = demo.process_of("lake_consumer")
        os.kill(lake, signal.SIGSTOP)
        sample.write(log, 100, "combined", seed=4)
        eventually(lambda: shown(rb"queue-data-lake +([1-9]\d*) +\1 +[1-9][0-9.]* k?B +1\s"))
        os.kill(lake, signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        eventually(lambda: shown(rb"Everything that was started is stopped"))
        assert process.wait(PATIENCE) == 0
    os.close(terminal)
    assert demo.left_behind() == []


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Return what a process says, up to the line with these words; fail when it takes too long."""
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if words in line or said.count("\n") > 30:
            break
    assert words in said, said
    return said

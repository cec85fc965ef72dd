"""Looking at the tables: `datastream sql` and `datastream streams`, as a person types them."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

from datastream_playground import sample
from deployment import Deployment, eventually

LINES = 500


def filled(deployment: Deployment, folder: Path) -> Path:
    """Return a sample log that is in the tables."""
    log = folder / "access.log"
    sample.write(log, LINES, "combined", seed=5)
    deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(LINES)
    return log


def test_statements_are_answered_and_nothing_is_changed(deployment: Deployment) -> None:
    """An argument or what is piped in; ids as SQL takes them; a refusal has its words, and 1."""
    deployment.change(
        "INSERT INTO raw_log (stream_id, line_offset, flags, line)"
        " VALUES (18446744073709551615, 0, 0, %s)",
        b"GET /\tx \xff",
    )
    deployment.change(
        "INSERT INTO clean_log (stream_id, line_offset, parser_version, flags, time, client,"
        " is_email, request_time) VALUES (1, 0, 1, 0, '2026-01-01 00:00:00.5', %s, 0, 0.120)",
        bytes([192, 0, 2, 7]),
    )
    row = "SELECT time, client, user, request_time, stream_id FROM clean_log"

    piped = deployment.operate("sql", words=f"{row}; -- the last; one\nSELECT line FROM raw_log")
    as_json = deployment.operate("sql", "--json", row)
    vertical = deployment.operate("sql", f"{row}\\G")

    assert piped.stdout == (
        "time\tclient\tuser\trequest_time\tstream_id\n"
        "2026-01-01 00:00:00.500\t0xC0000207\tNULL\t0.120\t1\n"
        "line\nGET /\\tx \\\\xff\n"
    )
    assert json.loads(as_json.stdout) == [
        {
            "time": "2026-01-01 00:00:00.500",
            "client": "0xC0000207",
            "user": None,
            "request_time": 0.12,
            "stream_id": 1,
        }
    ]
    assert "\n      client: 0xC0000207\n" in vertical.stdout
    for statement, words in (
        ("DELETE FROM raw_log", "error 1792: nothing is changed here"),
        ("DROP TABLE raw_log", "error 1792: nothing is changed here"),
        ("SELECT nonsense", "error 1054: Unknown column 'nonsense'"),
        (" ; ", "there is no statement"),
        ("SELECT 1 AS a, 2 AS a", "two columns have the name a"),
    ):
        refused = deployment.operate("sql", "--json", statement)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"datastream: {words}"), refused.stderr
    assert deployment.count("raw_log") == 1
    away = deployment.operate("sql", "SELECT 1", MYSQL_PORT="1")
    assert away.returncode == 69
    assert "no session with 127.0.0.1:1" in away.stderr


def test_an_answer_that_nobody_reads_on_ends_quietly(deployment: Deployment) -> None:
    """As into `head`: no traceback, and the exit code of SIGPIPE."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)"
    statement = f"{numbers} SELECT a.i FROM n AS a, n AS b, n AS c"
    with subprocess.Popen(
        [sys.executable, "-m", "datastream_operator", "sql", statement],
        env=deployment.env(),
        cwd=deployment.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"i\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_the_shell_goes_on_after_errors_and_ctrl_c(deployment: Deployment, tmp_path: Path) -> None:
    """Several lines, a vertical answer, an error, Ctrl-C at the prompt and in a statement."""
    prompt = "datastream> "
    with Terminal(deployment, tmp_path) as shell:
        shell.types("SELECT 'a;\n", "... ")
        shell.types("b' AS x, 40 + 2 AS y;\n", r"a;\nb  42", prompt)
        shell.types("SELECT 7 AS seven \\G\n", "seven: 7", prompt)
        shell.types("SELECT nonsense;\n", "error 1054", prompt)
        shell.types("SELECT 'half\n", "... ")
        shell.presses_ctrl_c(prompt)
        shell.types("SELECT SLEEP(1000);\n", "SLEEP(1000);")
        eventually(lambda: _assert_sleeps(deployment, 1))
        shell.presses_ctrl_c("interrupted", prompt)
        eventually(lambda: _assert_sleeps(deployment, 0))
        shell.types("SELECT 'still ' AS a, 'here' AS b;\n", "still   here", prompt)
        shell.types("\x04")
    assert "SELECT 7 AS seven" in (tmp_path / ".datastream_history").read_text()


def _assert_sleeps(deployment: Deployment, number: int) -> None:
    running = (
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info = 'SELECT SLEEP(1000)'"
    )
    assert deployment.query(running)[0][0] == number


def test_streams_say_what_is_stored_of_each_log(deployment: Deployment, tmp_path: Path) -> None:
    """By id, decimal and hexadecimal, each of which --stream takes; counts as in the tables."""
    log = filled(deployment, tmp_path)
    [(number,)] = deployment.query("SELECT stream_id FROM log_stream")
    parsed, rejected = deployment.count("clean_log"), deployment.count("rejected_log")

    told = deployment.operate("streams")
    [as_json] = json.loads(deployment.operate("streams", "--json").stdout)

    assert told.returncode == 0, told.stderr
    assert f"{log}\n" in told.stdout
    assert f"stream {number} ({number:016x})" in told.stdout
    counts = f"{LINES} lines: {parsed} parsed, {rejected} rejected; {log.stat().st_size:,} bytes"
    assert counts in told.stdout
    assert as_json["last"].startswith(
        str(deployment.query("SELECT MAX(time) FROM clean_log")[0][0])
    )
    for name in (as_json["stream_id"], as_json["hexadecimal"]):
        sent = deployment.operate("replay", "--stream", str(name))
        assert sent.stdout.startswith(f"{LINES} lines of 1 stream"), sent.stderr


class Terminal:
    """The shell on a terminal of its own."""

    def __init__(self, deployment: Deployment, home: Path) -> None:
        self._environment = deployment.env(HOME=str(home), TERM="dumb", COLUMNS="80")
        self._said = b""

    def __enter__(self) -> Terminal:
        """Start it."""
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(self._environment["HOME"])
            command = [sys.executable, "-m", "datastream_operator", "sql"]
            os.execve(sys.executable, command, self._environment)  # noqa: S606 - this test's own
        self._wait_for("datastream> ")
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for its end; it must have ended well, unless the test has failed already."""
        if any(error):
            os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        os.close(self._terminal)
        assert status == 0 or any(error)

    def types(self, text: str, *shown: str) -> None:
        """Type a text and wait until each of the words is shown after it, in their order."""
        os.write(self._terminal, text.encode())
        for words in shown:
            self._wait_for(words)

    def presses_ctrl_c(self, *shown: str) -> None:
        """Press it until it is noticed.

        One that comes between the prompt and the wait for what is typed wakes nothing.
        """
        while shown[0].encode() not in self._said:
            os.write(self._terminal, b"\x03")
            while select.select([self._terminal], [], [], 1)[0]:
                self._said += os.read(self._terminal, 65_536)
        for words in shown:
            self._wait_for(words)

    def _wait_for(self, words: str) -> None:
        while words.encode() not in self._said:
            self._said += os.read(self._terminal, 65_536)
        self._said = self._said.partition(words.encode())[2]

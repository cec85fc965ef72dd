"""What is typed at make reaches the command as it was typed, and what make itself says of it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: Stands in for the command: it prints its arguments, a line each.
STAND_IN = "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"
COMBINED = ("--format", "combined")


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        (("demo", "LOG=/srv/it's $x.log"), ["demo", "--log", "/srv/it's $x.log"]),
        (("follow", "LOG=/var/log/*.log"), ["follow", "--log", "/var/log/*.log"]),
        (
            ("sql", "SQL=SELECT 'a$b', \"c\"", "FOLDER=it's"),
            ["sql", "--folder", "it's", "--", "SELECT 'a$b', \"c\""],
        ),
        (
            ("sample", "OUTPUT=it's $x.log", "LINES=2"),
            ["sample", "--output", "it's $x.log", "--lines", "2", *COMBINED],
        ),
        (("sample",), ["sample", "--output", "sample.log", "--lines", "100000", *COMBINED]),
        (("sql",), ["sql", "--folder", ".run/demo"]),
    ],
)
def test_quotes_and_dollars_stay(
    tmp_path: Path, arguments: tuple[str, ...], typed: list[str]
) -> None:
    """Neither make nor the shell reads anything into them."""
    stand_in = tmp_path / "datastream"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)

    options = ("--no-print-directory", "--old-file", "venv", f"BIN={tmp_path}")
    done = subprocess.run(
        ["/usr/bin/make", *options, *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines() == typed


#: Works until Ctrl-C, tidies up until make, which leads the session, has begun with its handler, in
#: which SIGINT is blocked, and ends with a code. GNU make 4.3 awaits twice a child that is gone
#: before that.
UNTIL_INTERRUPTED = """#!/bin/sh
read -r _ _ _ _ _ make _ <"/proc/$$/stat"
is_told() {{ grep -q '^SigBlk:.*[2367abef]$' "/proc/$make/status"; }}
trap 'until is_told; do :; done; echo tidied; exit {code}' INT
echo began
while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("target", ["follow", "logs"])
@pytest.mark.parametrize("code", [0, 130])
def test_an_interruption_is_no_failure(tmp_path: Path, target: str, code: int) -> None:
    """Ctrl-C, which everything in the terminal gets, is not followed by words of make's own."""
    stand_ins(tmp_path, UNTIL_INTERRUPTED.format(code=code))

    with subprocess.Popen(
        command_of(tmp_path, target),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # What runs in the background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "began\n"
        os.killpg(running.pid, signal.SIGINT)
        said, complained = running.communicate()

    assert (said, complained) == ("tidied\n", "")


@pytest.mark.parametrize("target", ["follow", "logs"])
def test_a_failure_is_one(tmp_path: Path, target: str) -> None:
    """With its own exit code."""
    stand_ins(tmp_path, "#!/bin/sh\nexit 78\n")

    ended = subprocess.run(
        command_of(tmp_path, target), capture_output=True, text=True, check=False
    )

    assert "Error 78" in ended.stderr


@pytest.mark.parametrize("failing", ["producer", "consumers"])
def test_consumers_are_brought_up_to_date_before_the_producer(tmp_path: Path, failing: str) -> None:
    """They know what a newer producer sends, which stays the former one where they fail."""
    units = tmp_path / "deploy" / "bin" / "units"
    units.parent.mkdir(parents=True)
    units.write_text(f'#!/bin/sh\necho "$*"; [ "$2" != {failing} ]\n')
    units.chmod(0o755)

    ended = subprocess.run(
        [*command_of(tmp_path, "install"), "--jobs=2"], capture_output=True, text=True, check=False
    )

    both = ["install consumers", "install producer"]
    assert ended.returncode != 0
    assert ended.stdout.splitlines() == (both if failing == "producer" else both[:1])


def stand_ins(folder: Path, text: str) -> None:
    """Put a script in place of what the targets run."""
    (folder / "deploy" / "bin").mkdir(parents=True)
    for path in (folder / "datastream", folder / "deploy" / "bin" / "logs"):
        path.write_text(text)
        path.chmod(0o755)


def command_of(folder: Path, target: str) -> list[str]:
    """Return the command that makes a target with those in place."""
    options = ["--no-print-directory", "--old-file", "venv", f"BIN={folder}", "LOG=a.log"]
    return ["/usr/bin/make", f"--file={ROOT}/Makefile", f"--directory={folder}", *options, target]

"""Breaks the code in known ways, each on a copy, and shows which test turns red: `make sabotage`.

A test that stays green while the promise it holds is broken would be worth nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDERS = ("shared", "services", "deploy", "migrations", "tests")


class Change(NamedTuple):
    """In a file, some text in the place of another."""

    file: str
    old: str
    new: str


class Sabotage(NamedTuple):
    """One way to break the code."""

    name: str
    #: The test that must turn red.
    test: str
    changes: tuple[Change, ...]


CONSUMING = "shared/src/datastream/consuming.py"
PIPELINE = "services/producer/src/producer/pipeline.py"
LAKE_STORE = "services/lake_consumer/src/lake_consumer/store.py"
QUEUE = "shared/src/datastream/rabbitmq/queue.py"
STREAMS = "shared/src/datastream/streams.py"
FILES = "services/producer/src/producer/files.py"
HISTORY = "services/producer/src/producer/history.py"
STATE = "services/producer/src/producer/state.py"
OPEN_FILES = "services/producer/src/producer/open_files.py"
READER = "services/producer/src/producer/reader.py"
IDENTITY = "tests/unit/producer/test_log_identity.py"

SABOTAGES = (
    Sabotage(
        "acknowledge before the commit",
        "tests/faults/test_database.py::test_consumer_killed_before_its_commit",
        (
            Change(CONSUMING, "            queue.ack(batch)\n", ""),
            Change(
                CONSUMING,
                "            prepared = [item for",
                "            queue.ack(batch)\n            prepared = [item for",
            ),
        ),
    ),
    Sabotage(
        "checkpoint before the confirm",
        "tests/faults/test_broker.py::test_producer_killed_while_the_broker_is_away",
        (
            Change(PIPELINE, "                tailer.confirm()\n", ""),
            Change(
                PIPELINE,
                "                _publish(publisher, slice_.stream.source, parts)\n",
                "                tailer.confirm()\n"
                "                checkpoint.save(tailer.state())\n"
                "                _publish(publisher, slice_.stream.source, parts)\n",
            ),
        ),
    ),
    Sabotage(
        "unsorted rows",
        "tests/faults/test_database.py::test_consumers_that_overlap_never_deadlock",
        (Change(LAKE_STORE, "sorted(slices, key=IN_KEY_ORDER)", "list(slices)"),),
    ),
    Sabotage(
        "automatic acknowledgement",
        "tests/faults/test_killed.py::test_consumer_killed",
        (
            Change(QUEUE, "self._on_message)\n", "self._on_message, auto_ack=True)\n"),
            Change(QUEUE, "self._channel.basic_ack(batch[-1].tag, multiple=True)", "pass"),
        ),
    ),
    Sabotage(
        "INSERT IGNORE",
        "tests/faults/test_poison.py::test_a_row_that_the_database_refuses",
        (
            Change(LAKE_STORE, "    INSERT INTO raw_log", "    INSERT IGNORE INTO raw_log"),
            Change(LAKE_STORE, "\n    ON DUPLICATE KEY UPDATE line_offset = line_offset", ""),
        ),
    ),
    Sabotage(
        "a position under a path instead of an identity",
        "tests/faults/test_tailing.py::test_renamed_and_created",
        (
            Change(STREAMS, ", first_line):", "):"),
            Change(STREAMS, "    digest.update(generation.to_bytes(8))\n", ""),
        ),
    ),
    Sabotage(
        "a position in an inode instead of an identity",
        "tests/faults/test_tailing.py::test_another_file_in_its_place",
        (
            Change(
                STATE,
                "return fingerprint(head[: self.prefix_length]) == self.prefix",
                "return True",
            ),
            Change(
                FILES,
                "HOLDS if fingerprint(before) == entry.marker else",
                "HOLDS if self.identity == entry.identity else",
            ),
            Change(
                STATE,
                "alike += [entry for entry in entries if entry.prefix == prefix]",
                "alike += [entry for entry in entries if prefix]",
            ),
            Change(READER, "if fingerprint(self._marker) != entry.marker:", "if False:"),
        ),
    ),
    Sabotage(
        "a name instead of an identity",
        f"{IDENTITY}::test_rotated_to_any_name_while_the_producer_was_down",
        (
            Change(
                HISTORY,
                "for stream in file.holds if stream not in taken)",
                "for stream in file.holds if entries[stream].path == file.path)",
            ),
        ),
    ),
    Sabotage(
        "the clock taken for the truth",
        f"{IDENTITY}::test_a_clock_that_steps_while_the_producer_is_down",
        (
            Change(
                OPEN_FILES,
                "        if self.is_sighted or path in self._looker.asked:\n",
                "        if self.is_sighted:\n"
                "            return status.st_mtime > time.time() - 86_400\n"
                "        if path in self._looker.asked:\n",
            ),
        ),
    ),
    Sabotage(
        "generations forgotten",
        f"{IDENTITY}::test_generations_never_return",
        (
            Change(
                STATE,
                "highest = self._generations.highest.get(first, -1)",
                "highest = -1",
            ),
        ),
    ),
)


def copy(folder: Path) -> None:
    """Copy the tree, without what is made from it."""
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)


def apply(sabotage: Sabotage, folder: Path) -> None:
    """Break the copy. Raises SystemExit when the code is no longer what it was."""
    for change in sabotage.changes:
        file = folder / change.file
        text = file.read_text(encoding="utf-8")
        if text.count(change.old) != 1:
            raise SystemExit(f"{change.file} has not once what was to be broken: {change.old!r}")
        file.write_text(text.replace(change.old, change.new), encoding="utf-8")


def run(folder: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run some tests on the code of a copy."""
    sources = [
        *folder.glob("services/*/src"),
        folder / "shared/src",
        folder / "deploy/operator/src",
        folder / "deploy/playground/src",
    ]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": ":".join(map(str, sources))},
        capture_output=True,
        text=True,
        check=False,
    )


def is_red(done: subprocess.CompletedProcess[str], test: str) -> bool:
    """Say whether a test failed; an error before it, or nothing collected, is no proof."""
    return done.returncode == 1 and f"FAILED {test}" in done.stdout


def main() -> int:
    """Show that each test is green on the code and red on the broken code."""
    with tempfile.TemporaryDirectory(prefix="sabotage-") as name:
        folder = Path(name)
        copy(folder)
        whole = run(folder, *dict.fromkeys(sabotage.test for sabotage in SABOTAGES))
        if whole.returncode:
            sys.stdout.write(whole.stdout + whole.stderr)
            return 1
    sys.stdout.write("the code as it is: all of these tests are green\n")
    survived = 0
    for sabotage in SABOTAGES:
        with tempfile.TemporaryDirectory(prefix="sabotage-") as name:
            folder = Path(name)
            copy(folder)
            apply(sabotage, folder)
            done = run(folder, sabotage.test)
        caught = is_red(done, sabotage.test)
        survived += not caught
        verdict = "red  " if caught else "GREEN"
        sys.stdout.write(f"{verdict} {sabotage.name}: {sabotage.test}\n")
        sys.stdout.flush()
        if not caught:
            sys.stdout.write(done.stdout[-2_000:] + done.stderr[-2_000:])
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())

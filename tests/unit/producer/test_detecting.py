"""FORMAT=auto, in the producer."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from threading import Event, Thread

import pytest

from datastream.config import ConfigError
from datastream_playground import sample
from deployment import eventually
from producer.settings import detected_format

LINES = [line for line, truth in sample.generate(40, "common", seed=3) if truth.event]


def write(path: Path, lines: list[bytes]) -> str:
    """Append lines to a log; return its path."""
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines)
    return str(path)


def test_the_format_is_found_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Which one, and how many lines fit."""
    caplog.set_level(logging.INFO)
    log = write(tmp_path / "access.log", LINES[:20])

    assert detected_format([log], Event(), once=False) == "common"
    assert (
        "FORMAT=auto is common, which is certain: common fits all of the first 20 lines"
        in caplog.text
    )


def test_too_few_lines_are_waited_for(tmp_path: Path) -> None:
    """A log that is empty, or not there, tells nothing yet; a last line may be half a line."""
    log = tmp_path / "access.log"
    found: list[str | None] = []
    thread = Thread(target=lambda: found.append(detected_format([str(log)], Event(), once=False)))
    thread.start()
    write(log, LINES[:9])
    with log.open("ab") as file:
        file.write(b"half a li")
    thread.join(1.5)
    assert thread.is_alive()
    assert found == []

    with log.open("ab") as file:
        file.write(b"ne\n")

    def told() -> None:
        assert found == ["common"]

    eventually(told)
    thread.join()


def test_a_stop_ends_the_waiting(tmp_path: Path) -> None:
    """There is no format then."""
    stop = Event()
    stop.set()

    assert detected_format([str(tmp_path / "access.log")], stop, once=False) is None


def test_rotated_files_tell_as_well(tmp_path: Path) -> None:
    """Just after a rotation the live file is short."""
    log = write(tmp_path / "access.log", LINES[:2])
    with gzip.open(tmp_path / "access.log.2.gz", "wb") as file:
        file.writelines(line + b"\n" for line in LINES)

    assert detected_format([log], Event(), once=False) == "common"


@pytest.mark.parametrize("lines", [[b"no", b"log", b"at all"] * 5, []])
def test_lines_that_do_not_tell(tmp_path: Path, lines: list[bytes]) -> None:
    """Nothing is guessed: a person says what the format is."""
    log = write(tmp_path / "access.log", lines)

    with pytest.raises(ConfigError, match="FORMAT=auto cannot tell the format"):
        detected_format([log], Event(), once=True)


def test_a_few_lines_do_where_there_will_be_no_more(tmp_path: Path) -> None:
    """With `once` the file is what it is."""
    log = write(tmp_path / "access.log", LINES[:3])

    assert detected_format([log], Event(), once=True) == "common"

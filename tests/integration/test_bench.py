"""What the bench asks real servers, and another build's installation on them."""

from __future__ import annotations

import sys
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from bench import reading
from bench.corpus import write
from bench.installation import OfBuild
from bench.revisions import Build
from bench.rows import room
from bench.tables import Tables
from bench.usage import of_processes
from datastream_playground.local.servers import Broker, Database
from deployment import Deployment

LINES = 2_000


def test_lines_are_read_back_and_their_room_is_told(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the log and no others: a table of other lines is no figure."""
    monkeypatch.setattr(reading, "SECONDS", 0.1)
    log = write(tmp_path / "access.log", LINES)
    usage = of_processes(lambda: deployment.database.pids)
    deployment.start_consumers()
    deployment.publish_once(log.path)
    deployment.assert_settled(LINES)

    found = reading.measure(deployment, usage, log)
    size = room(deployment.database, deployment.mysql.database, "raw_")
    views = room(deployment.database, deployment.mysql.database, "clean_log_flat")

    assert found.lines_per_s > 0
    assert found.key_cpu_ms >= 0
    assert size > log.path.stat().st_size
    assert views == 0

    deployment.change("UPDATE raw_log SET line = CONCAT(line, ' ') WHERE line_offset = 0")
    with pytest.raises(ValueError, match="those of the log"):
        reading.measure(deployment, usage, log)


def test_a_table_that_a_revision_has_not_is_not_looked_at(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Error logs once had none of their own."""
    log = write(tmp_path / "access.log", 10)
    deployment.start_consumers()
    deployment.publish_once(log.path)
    deployment.assert_settled(log.lines)
    deployment.change("DROP TABLE error_log")

    with closing(Tables(deployment)) as tables:
        assert tables.last() == tables.last_parsed() == log.last


def test_a_build_makes_its_own_queues_and_tables(
    servers: tuple[Broker, Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its commands, with its Python; what this process has in PYTHONPATH is not its own."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "of-today"))
    said = tmp_path / "said"
    python = tmp_path / "python"
    tell = f"echo \"$3 ${{PYTHONPATH-none}}\" >>'{said}'"
    python.write_text(f'#!/bin/sh\n{tell}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)

    with closing(OfBuild(Build("v0", python), _name(), *servers, tmp_path)) as deployment:
        assert deployment.count("raw_log") == 0
        assert deployment.queue_depth("queue-data-lake") == 0
        deployment.start_consumers()

    assert said.read_text().split("\n")[:2] == ["topology none", "migrate none"]
    assert said.read_text().count("none") == 4


def test_a_build_whose_commands_fail_says_their_words(
    servers: tuple[Broker, Database], tmp_path: Path
) -> None:
    """Such as one that is too old for these servers."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'too old'; exit 1\n")
    python.chmod(0o755)

    with pytest.raises(RuntimeError, match=r"datastream topology: too old"):
        OfBuild(Build("v0", python), _name(), *servers, tmp_path)


def _name() -> str:
    return f"t_bench_{uuid.uuid4().hex[:6]}"

"""What the demo is about: the name of the log, the log itself, and its format."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest
from rich.console import Console

from datastream.config import Environment
from datastream_operator.lines import Unreadable
from datastream_playground import sample
from datastream_playground.demo.subject import own_log, sample_log, source_name


@pytest.fixture
def console() -> Console:
    """A console whose text can be read."""
    return Console(file=io.StringIO(), markup=False, width=300)


def said(console: Console) -> str:
    """Return what was printed."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_source_that_is_set_is_kept(tmp_path: Path, console: Console) -> None:
    """Nothing is written and nothing said."""
    dotenv = tmp_path / ".env"

    assert source_name(Environment({"SOURCE": "web1"}), console, dotenv) == "web1"
    assert not dotenv.exists()
    assert said(console) == ""


def test_a_source_is_made_up_once(tmp_path: Path, console: Console) -> None:
    """It is written to a new .env that only its owner reads, and found there the next time."""
    dotenv = tmp_path / ".env"

    made = source_name(Environment({}), console, dotenv)

    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o600
    assert dotenv.read_text().splitlines()[-1] == f"SOURCE={made}"
    assert said(console).count(f"SOURCE={made}") == 1
    assert Environment.load(dotenv).find("SOURCE") == made


@pytest.mark.parametrize("before", ["A=1\n", "A=1", "SOURCE=\nA=1\n", "#\n\n"])
def test_a_source_is_added_to_an_env_file(tmp_path: Path, console: Console, before: str) -> None:
    """What is there stays, the mode included, and an empty SOURCE counts as none."""
    dotenv = tmp_path / ".env"
    dotenv.write_text(before)
    dotenv.chmod(0o640)

    made = source_name(Environment({}), console, dotenv)

    assert dotenv.read_text().startswith(before)
    assert stat.S_IMODE(dotenv.stat().st_mode) == 0o640
    assert Environment.load(dotenv).find("SOURCE") == made


def test_a_source_is_fit_for_a_routing_key(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine of any name."""
    for hostname, source in (("web 1#é", "web-1"), ("-", "web"), ("a" * 200, "a" * 64)):
        monkeypatch.setattr("socket.gethostname", lambda name=hostname: name)

        assert source_name(Environment({}), console, tmp_path / "new.env") == source


def test_a_sample_is_written_once(tmp_path: Path, console: Console) -> None:
    """The second time the existing file is taken, unless its truth is gone."""
    first = sample_log(tmp_path, "web", 50, "common", console)
    written = first.log.stat().st_mtime_ns
    second = sample_log(tmp_path, "web", 50, "common", console)

    assert first == second
    assert first.log.stat().st_mtime_ns == written
    assert said(console).count("Wrote a sample log: 50 lines") == 1

    sample.truth_path(first.log).unlink()
    sample_log(tmp_path, "web", 50, "common", console)

    assert len(list(sample.read_truth(first.log))) == 50


@pytest.mark.parametrize("name", sample.FORMATS)
def test_the_format_is_the_one_that_the_lines_fit(
    tmp_path: Path, console: Console, name: sample.Format
) -> None:
    """It is said which, and how many lines fit."""
    log = tmp_path / "access.log"
    sample.write(log, 300, name, seed=2)

    subject = own_log(log, "web", None, console, may_be_missing=False)

    assert (subject.format, subject.is_sample) == (name, False)
    assert f"Format: {name} fits " in said(console)
    assert "Most lines fit no format" not in said(console)


def test_lines_of_no_known_format_are_warned_of(tmp_path: Path, console: Console) -> None:
    """They are taken all the same; it is said what to set."""
    log = tmp_path / "access.log"
    log.write_text("no\nlog\nat all\n")

    own_log(log, "web", None, console, may_be_missing=False)

    assert "fits none of the first 3 lines" in said(console)
    assert "FORMAT=" in said(console)


def test_a_format_that_was_asked_for_is_taken(tmp_path: Path, console: Console) -> None:
    """The lines are not looked at."""
    log = tmp_path / "access.log"
    sample.write(log, 20, "combined", seed=2)

    assert own_log(log, "web", "proxy", console, may_be_missing=False).format == "proxy"
    assert said(console) == ""


def test_a_log_that_is_missing_is_an_error_or_waited_for(tmp_path: Path, console: Console) -> None:
    """As the caller says."""
    log = tmp_path / "access.log"

    with pytest.raises(Unreadable, match="No such file"):
        own_log(log, "web", None, console, may_be_missing=False)
    assert own_log(log, "web", None, console, may_be_missing=True).format == "combined"
    assert "is waited for" in said(console)


def test_a_pattern_is_refused(tmp_path: Path, console: Console) -> None:
    """Even where a missing log is waited for: a pattern is never one file."""
    for may_be_missing in (False, True):
        with pytest.raises(Unreadable, match="one file is taken here, no pattern"):
            own_log(tmp_path / "*.log", "web", None, console, may_be_missing=may_be_missing)


def test_a_symbolic_link_keeps_its_name(tmp_path: Path, console: Console) -> None:
    """The path is part of the lines' identity, and what it points to may be switched."""
    (tmp_path / "today.log").write_text("x\n")
    link = tmp_path / "access.log"
    link.symlink_to("today.log")

    assert own_log(link, "web", "common", console, may_be_missing=False).log == link

"""What the demo is about: the name of the log, the log itself, and its format."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest
from rich.console import Console

from datastream.config import ConfigError, Environment
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


def test_a_prefix_is_part_of_the_format(tmp_path: Path, console: Console) -> None:
    """It is found with it."""
    log = tmp_path / "access.log"
    lines = [b"web-1  | " + line for line, _ in sample.generate(300, "combined", seed=2)]
    log.write_bytes(b"\n".join(lines) + b"\n")

    subject = own_log(log, "web", None, console, may_be_missing=False)

    assert subject.format == "compose combined"


def test_lines_of_no_known_format_are_refused(tmp_path: Path, console: Console) -> None:
    """It is said what to set, before anything is started."""
    log = tmp_path / "access.log"
    log.write_text("no\nlog\nat all\n")

    with pytest.raises(ConfigError, match=r"no format that has a name fits .*access\.log\. FORMAT"):
        own_log(log, "web", None, console, may_be_missing=False)
    # Where more lines may come these are too few to tell.
    assert own_log(log, "web", None, console, may_be_missing=True).format == "auto"


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
    assert own_log(log, "web", None, console, may_be_missing=True).format == "auto"
    assert "is waited for" in said(console)


def test_lines_that_no_format_can_read_are_a_matter_of_settings(
    tmp_path: Path, console: Console
) -> None:
    """As they are for `check` and the producer: the log can be read."""
    log = tmp_path / "uvicorn.log"
    log.write_text('INFO:     192.0.2.7:51234 - "GET / HTTP/1.1" 200 OK\n' * 20)

    with pytest.raises(ConfigError, match="uvicorn writes no time"):
        own_log(log, "web1", None, console, may_be_missing=False)


def test_a_pattern_stands_for_several_logs(tmp_path: Path, console: Console) -> None:
    """Those that are there when it is looked at, the oldest of a log first; none is missing."""
    pattern = tmp_path / "access.log*"
    with pytest.raises(Unreadable, match="no file matches"):
        own_log(pattern, "web", None, console, may_be_missing=False)
    subject = own_log(pattern, "web", "common", console, may_be_missing=True)
    assert "is waited for" in said(console)

    for age, name in ((9, "access.log.1"), (1, "access.log")):
        (tmp_path / name).write_text("x\n")
        os.utime(tmp_path / name, (1_800_000_000 - age,) * 2)

    assert [file.name for file in subject.files()] == ["access.log.1", "access.log"]


def test_logs_of_two_formats_are_named(tmp_path: Path, console: Console) -> None:
    """A demo reads all in one, and would reject every line of the other log."""
    sample.write(tmp_path / "access.log", 300, "combined", seed=2)
    sample.write(tmp_path / "shop.log", 30, "combined", seed=3)
    error = b"2000/10/10 13:55:36 [error] 7#7: *1 open() failed, client: 192.0.2.7\n"
    (tmp_path / "error.log").write_bytes(error * 20)
    words = rf"{tmp_path}/access\.log is in combined, {tmp_path}/error\.log is in error"

    with pytest.raises(ConfigError, match=words):
        own_log(tmp_path / "*.log", "web", None, console, may_be_missing=True)
    assert own_log(tmp_path / "[as]*.log", "web", None, console, may_be_missing=False).format == (
        "combined"
    )


def test_a_symbolic_link_keeps_its_name(tmp_path: Path, console: Console) -> None:
    """The path is part of the lines' identity, and what it points to may be switched."""
    (tmp_path / "today.log").write_text("x\n")
    link = tmp_path / "access.log"
    link.symlink_to("today.log")

    assert own_log(link, "web", "common", console, may_be_missing=False).log == link

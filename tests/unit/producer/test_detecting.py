"""FORMAT=auto, in the producer."""

from __future__ import annotations

import gzip
import json
import logging
from contextlib import closing
from pathlib import Path

import pytest

from datastream.config import ConfigError, Environment
from datastream_playground import sample
from producer.__main__ import tailer_of
from producer.checkpoint import Checkpoint, RaiseOnFailure
from producer.detecting import Pace, detected_format
from producer.settings import ProducerSettings
from producer.state import State
from producer.tailer import Tailer

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

    assert detected_format([log]) == "common"
    assert (
        "FORMAT=auto is common, which is certain: common fits all of the first 20 lines"
        in caplog.text
    )


def test_the_prefix_is_part_of_it(tmp_path: Path) -> None:
    """Slices then carry both."""
    log = write(tmp_path / "access.log", [b"Nov 29 17:40:03 web1 nginx: " + line for line in LINES])

    assert detected_format([log]) == "rfc3164 common"


def test_a_shifted_format_is_not_taken(tmp_path: Path) -> None:
    """A word too many in front would stand in another column of every row."""
    log = write(tmp_path / "access.log", [b"web1 " + line for line in LINES])

    with pytest.raises(ConfigError, match="FORMAT=auto cannot tell the format"):
        detected_format([log])


def test_a_server_that_is_refused_is_named(tmp_path: Path) -> None:
    """With what to do."""
    line = b'INFO:     192.0.2.7:51234 - "GET / HTTP/1.1" 200 OK'
    log = write(tmp_path / "access.log", [line] * 20)

    with pytest.raises(ConfigError, match="uvicorn writes no time"):
        detected_format([log])


def test_a_few_lines_that_are_not_plain_are_too_few(tmp_path: Path) -> None:
    """A line in between is no reason to stop, and what has more fields may be another format."""
    for few in ([b"hello", *LINES[:8]], [line + b" 0.042" for line in LINES[:9]]):
        log = tmp_path / "access.log"
        log.unlink(missing_ok=True)
        assert detected_format([write(log, few)]) is None
        assert detected_format([write(log, few)])


def test_logs_of_two_formats_are_told_apart(tmp_path: Path) -> None:
    """A producer reads one: by the other one's every line would be rejected."""
    write(tmp_path / "access.log", LINES)
    write(tmp_path / "error.log", [b"2026/11/29 17:57:46 [error] 31#31: *7 x"] * 10)

    with pytest.raises(ConfigError, match=r"access\.log is in common, \S+error\.log is in error"):
        detected_format([str(tmp_path / "*.log")])


def settings_of(log: Path, **env: str) -> ProducerSettings:
    """Return the settings of a log that a producer without an end reads."""
    state = str(log.parent / "state")
    return ProducerSettings.read(
        Environment({"SOURCE": "web", "STATE_DIR": state} | env), [str(log)], once=False
    )


def formats(settings: ProducerSettings) -> list[str]:
    """Start, confirm what can be read, and end; return the formats of the slices."""
    found = []
    with (
        closing(Checkpoint(settings.state_dir, "web", RaiseOnFailure())) as checkpoint,
        closing(tailer_of(settings, checkpoint)) as tailer,
    ):
        try:
            for slice_ in tailer.slices():
                if slice_ is None:
                    break
                found.append(slice_.stream.format)
                tailer.confirm()
        finally:
            checkpoint.save(tailer.state())
    return found


def test_what_was_found_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is logged later, through restarts and rotations, until a person names a format."""
    caplog.set_level(logging.INFO)
    log = tmp_path / "access.log"
    write(log, LINES)
    assert formats(settings_of(log)) == ["common"]

    log.rename(tmp_path / "access.log.1")
    write(log, [line + b' "-" "x"' for line in LINES])
    assert formats(settings_of(log, FORMAT="")) == ["common"]
    assert "FORMAT=auto is common, as was found before" in caplog.text

    write(log, [b"x"])
    assert formats(settings_of(log, FORMAT="main")) == ["main"]
    write(log, [b"x"])
    (tmp_path / "access.log.1").unlink()
    assert formats(settings_of(log, FORMAT="auto")) == ["combined"]


@pytest.mark.parametrize(("env", "form"), [({}, "combined"), ({"FORMAT": "auto"}, "common")])
def test_a_checkpoint_of_a_former_version(tmp_path: Path, env: dict[str, str], form: str) -> None:
    """To it no FORMAT meant combined, and that stays so; its streams are read on."""
    log = tmp_path / "access.log"
    write(log, LINES)
    assert formats(settings_of(log, FORMAT="combined")) == ["combined"]
    file = tmp_path / "state" / "checkpoint.json"
    content = json.loads(file.read_text())
    del content["format"]
    file.write_text(json.dumps(content))
    [before] = content["places"]

    for _ in range(2):
        write(log, LINES[:1])
        assert formats(settings_of(log, **env)) == [form]
    [after] = json.loads(file.read_text())["places"]
    assert (after["stream_id"], after["position"]) == (before["stream_id"], log.stat().st_size)


def test_what_no_variable_names_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By a sample, but where lines are disguised before they leave the host."""
    log = tmp_path / "access.log"
    write(log, [line + b" 0.042 ana@example.com" for line in LINES])
    secret = {"PRIVACY_BEFORE": "lake", "PRIVACY_QUERIES": "drop", "STATE_DIR": str(tmp_path / "s")}

    assert formats(settings_of(log, **secret)) == ["common_plus"]
    assert "ana@example.com" not in caplog.text
    assert formats(settings_of(log)) == ["common_plus"]
    assert "which extra.rest holds as it is: 0.042 ana@example.com. The" in caplog.text


def test_a_format_that_is_found_must_be_one_that_can_be_disguised(tmp_path: Path) -> None:
    """As one that FORMAT names: a query string that does not look like one would leave the host."""
    log = tmp_path / "access.log"
    line = (
        b'{"time":"2026-11-29T12:00:00+01:00","client":"192.0.2.7","status":200,'
        b'"request_uri":"/","query_string":"email=a"}'
    )
    write(log, [line] * 10)
    secret = {"PRIVACY_BEFORE": "lake", "PRIVACY_QUERIES": "drop"}

    with pytest.raises(ConfigError, match=r"has \$args, which PRIVACY_BEFORE=lake cannot find"):
        formats(settings_of(log, **secret))
    [form] = formats(settings_of(log))
    assert '"query_string":"$args"' in form
    with pytest.raises(ConfigError, match=r"has \$args, which PRIVACY_BEFORE=lake cannot find"):
        formats(settings_of(log, **secret))


def test_the_first_line_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that is not there, or empty, tells nothing yet; a last line may be half a line."""
    monkeypatch.setattr("producer.detecting.SEARCH_EVERY", 0)
    monkeypatch.setattr("producer.tailer.EXPAND_EVERY", 0)
    log = tmp_path / "access.log"
    tailer = Tailer([str(log)], settings_of(log).source, State())
    slices = tailer.slices()
    for part in (b"", LINES[0][:50]):
        assert next(slices) is None
        with log.open("ab") as file:
            file.write(part)
    assert next(slices) is None

    with log.open("ab") as file:
        file.write(LINES[0][50:] + b"\n")
    slice_ = next(slice_ for slice_ in slices if slice_)
    assert (slice_.stream.format, slice_.body) == ("common", LINES[0])
    assert tailer.state().format == "common"
    tailer.close()


def test_what_is_rotated_before_the_format_is_known_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the producer waits, even if it is deleted, and while that waits for a person."""
    monkeypatch.setattr("producer.detecting.SEARCH_EVERY", 0)
    log = tmp_path / "access.log"
    write(log, [b"odd", b"other"])
    settings = settings_of(log)
    tailer = Tailer([str(log)], settings.source, State())
    slices = tailer.slices()
    assert [next(slices), next(slices)] == [None, None]
    log.unlink()
    write(log, LINES)
    assert next(slice_ for slice_ in slices if slice_).body == b"odd\nother"
    tailer.close()

    log.write_bytes(b"odd\n" * 10)
    with pytest.raises(ConfigError, match="cannot tell the format"):
        formats(settings)
    log.rename(tmp_path / "access.log.1")
    write(log, LINES)
    assert formats(settings_of(log, FORMAT="common")) == ["common", "common"]


def test_rotated_files_tell_as_well(tmp_path: Path) -> None:
    """Just after a rotation the live file is short."""
    log = write(tmp_path / "access.log", LINES[:2])
    with gzip.open(tmp_path / "access.log.2.gz", "wb") as file:
        file.writelines(line + b"\n" for line in LINES)

    assert detected_format([log]) == "common"


def test_lines_that_do_not_tell(tmp_path: Path) -> None:
    """Nothing is guessed: a person says what the format is."""
    log = write(tmp_path / "access.log", [b"no", b"log", b"at all"] * 5)

    with pytest.raises(ConfigError, match="FORMAT=auto cannot tell the format"):
        detected_format([log], once=True)


def test_a_few_lines_do_where_there_will_be_no_more(tmp_path: Path) -> None:
    """With `once` the file is what it is."""
    log = write(tmp_path / "access.log", LINES[:3])

    assert detected_format([log], once=True) == "common"


def test_an_empty_log_is_read_to_its_end(tmp_path: Path) -> None:
    """With `once` there is no line to wait for, and nothing to send; a half one is a line."""
    log = tmp_path / "access.log"
    log.touch()
    settings = settings_of(log, ONCE="yes")
    assert formats(settings) == []

    log.write_bytes(LINES[0])
    assert formats(settings) == ["common"]


def test_what_was_found_of_other_logs_is_not_that_of_these(tmp_path: Path) -> None:
    """Even after a stop before these had a line."""
    write(tmp_path / "access.log", LINES)
    assert formats(settings_of(tmp_path / "access.log")) == ["common"]

    other = tmp_path / "other.log"
    other.touch()
    assert formats(settings_of(other)) == []
    write(other, [line + b' "-" "x"' for line in LINES])
    assert formats(settings_of(other)) == ["combined"]


def test_a_line_that_is_longer_than_what_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not passed over as if the log were empty."""
    monkeypatch.setattr("producer.detecting._LOOKED_AT", 100)
    log = write(tmp_path / "access.log", [b"x" * 200])

    with pytest.raises(ConfigError, match="FORMAT=auto cannot tell the format"):
        detected_format([log], once=True)


def test_a_search_that_takes_long_is_not_repeated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand logs without lines must not take a third of a core until there are some."""
    now = {"monotonic": 100.0, "thread_time": 5.0}
    for clock in now:
        monkeypatch.setattr(f"producer.detecting.time.{clock}", lambda clock=clock: now[clock])
    pace = Pace()
    for took, is_due in ((0.001, True), (0.5, False)):
        with pace.searching():
            now["thread_time"] += took
        assert pace.is_due is is_due

    now["monotonic"] += 10
    assert pace.is_due

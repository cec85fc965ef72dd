"""The producer's settings."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from datastream.config import ConfigError, Environment
from producer.__main__ import tailer_of
from producer.checkpoint import Checkpoint, RaiseOnFailure
from producer.settings import ProducerSettings


def read(paths: list[str] | None = None, *, once: bool = False, **env: str) -> ProducerSettings:
    """Return the settings of an environment that has a SOURCE."""
    return ProducerSettings.read(Environment({"SOURCE": "web"} | env), paths or [], once=once)


def test_the_defaults() -> None:
    """A SOURCE is all that it takes."""
    settings = read()

    assert settings.patterns == ["web-server-nginx.log"]
    assert (settings.source.name, settings.source.format, settings.source.once) == (
        "web",
        "auto",
        False,
    )
    assert settings.state_dir == Path("state")
    assert settings.source.limits.line_bytes == 1024**2


def test_the_command_line_goes_first() -> None:
    """Its paths replace LOG_PATH, and --once is once whatever ONCE says."""
    settings = read(["a.log", "b.log"], once=True, LOG_PATH="c.log", ONCE="no")

    assert settings.patterns == ["a.log", "b.log"]
    assert settings.source.once


def test_a_list_of_paths() -> None:
    """Commas separate, and spaces around them do not count."""
    assert read(LOG_PATH="a.log, /var/log/*.log,").patterns == ["a.log", "/var/log/*.log"]
    assert read(ONCE="yes").source.once


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SOURCE", ""),
        ("SOURCE", "x" * 101),
        ("SOURCE", "a\nb"),
        ("SOURCE", "a#b"),
        ("FORMAT", "unheard-of"),
        ("ONCE", "perhaps"),
        ("LOG_PATH", "/var/log/" + "x/" * 600 + "access.log"),
        ("MAX_SLICE_LINES", "0"),
        ("MAX_SLICE_BYTES", "many"),
        ("MAX_LINE_BYTES", "5000000000"),
    ],
)
def test_a_value_that_cannot_be(name: str, value: str) -> None:
    """The setting is named, in one line."""
    env = Environment({"SOURCE": "web"} | {name: value})

    with pytest.raises(ConfigError, match=name) as raised:
        ProducerSettings.read(env, [], once=False)

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["MAX_SLICE_LINES", "MAX_SLICE_BYTES", "MAX_LINE_BYTES"])
@pytest.mark.parametrize("value", ["-1", "0", "1.5", "1e3", "999999999"])
def test_a_limit_is_a_whole_number_in_its_range(name: str, value: str) -> None:
    """Anything else is refused with its name."""
    env = Environment({"SOURCE": "web", name: value})

    with pytest.raises(ConfigError, match=f"{name} is .*it must be a whole number from"):
        ProducerSettings.read(env, [], once=False)


def test_the_limits_are_those_that_are_set() -> None:
    """Each has its own variable, and an empty one counts as not set."""
    limits = read(MAX_SLICE_LINES="7", MAX_SLICE_BYTES="2048", MAX_LINE_BYTES="64").source.limits

    assert (limits.slice_lines, limits.slice_bytes, limits.line_bytes) == (7, 2048, 64)
    assert read(MAX_SLICE_LINES="").source.limits == read().source.limits


def test_a_list_without_a_path() -> None:
    """It is not taken for the default: whoever set it meant something."""
    with pytest.raises(ConfigError, match="LOG_PATH names no log"):
        read(LOG_PATH=" , ,")


def test_a_missing_source() -> None:
    """Every log needs a name for ever, which nobody can guess."""
    with pytest.raises(ConfigError, match="SOURCE is not set"):
        ProducerSettings.read(Environment({}), [], once=False)


def test_a_source_of_many_bytes() -> None:
    """The limit is of bytes, since the broker's is: 100 letters may be too many."""
    assert read(SOURCE="é" * 50).source.name == "é" * 50
    with pytest.raises(ConfigError, match="SOURCE"):
        read(SOURCE="é" * 51)


def test_the_folder_of_the_state() -> None:
    """It is taken as it stands."""
    assert read(STATE_DIR="/var/lib/datastream").state_dir == Path("/var/lib/datastream")


def test_a_source_that_is_no_text() -> None:
    """Bytes of the environment that are not UTF-8 are named like any other wrong value."""
    with pytest.raises(ConfigError, match="SOURCE must be"):
        read(SOURCE="caf\udce9")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("combined", []),
        ("error", ["are taken for UTC"]),
        ("error UTC", []),
        ("$msec $status", ["the format has no client"]),
        ("common set_real_ip_from 192.0.2.1;", ["set_real_ip_from changes nothing"]),
        ("main set_real_ip_from 192.0.2.1;", []),
        ("compose $msec $http_host $request_uri", ["it cannot always be told", "the format has"]),
    ],
)
def test_what_to_know_of_the_format_is_said_once_at_start(
    form: str, words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every row would lack it, and no line is rejected for it."""
    log = tmp_path / "access.log"
    log.touch()
    settings = read([str(log)], FORMAT=form)

    with (
        closing(Checkpoint(tmp_path, "web", RaiseOnFailure())) as checkpoint,
        closing(tailer_of(settings, checkpoint)),
    ):
        pass
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == len(words)
    assert all(expected in text for expected, text in zip(words, said, strict=True))

"""The producer's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastream.config import ConfigError, Environment
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
        "combined",
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

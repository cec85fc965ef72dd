"""The units of systemd agree with the code that they run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from datastream.config import EX_CONFIG
from datastream.shutdown import GRACE
from producer.__main__ import EX_DATAERR, EX_NOINPUT

FOLDER = Path(__file__).parents[3] / "deploy" / "systemd"
SERVICES = {
    "datastream-producer.service": "producer.env",
    "datastream-lake-consumer.service": "consumers.env",
    "datastream-clean-consumer@.service": "consumers.env",
}
UNITS = SERVICES | {"datastream-migrate.service": "consumers.env"}


def lines(unit: str) -> list[str]:
    """Return the settings of a unit, as they stand there."""
    text = (FOLDER / unit).read_text()
    return [line for line in text.splitlines() if "=" in line and not line.startswith("#")]


def value(unit: str, setting: str) -> str:
    """Return what a unit says of a setting."""
    return dict(line.split("=", 1) for line in lines(unit))[setting]


@pytest.mark.parametrize("unit", SERVICES)
def test_what_only_a_person_can_mend_is_not_tried_again(unit: str) -> None:
    """A checkpoint, an unreadable log or a setting stays as it is; all else may pass."""
    prevented = {int(code) for code in value(unit, "RestartPreventExitStatus").split()}
    of_producer = {EX_DATAERR, EX_NOINPUT} if "producer" in unit else set()

    assert value(unit, "Restart") == "on-failure"
    assert prevented == {EX_CONFIG} | of_producer


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_given_the_time_it_takes_to_stop(unit: str) -> None:
    """It is killed only when it has not left by itself as it promises."""
    assert int(value(unit, "TimeoutStopSec")) > GRACE


@pytest.mark.parametrize(("unit", "settings"), UNITS.items())
def test_the_settings_on_a_host_are_read_as_everywhere(unit: str, settings: str) -> None:
    """By the program, as `.env` is: an EnvironmentFile of systemd has another grammar."""
    assert not any(line.startswith("EnvironmentFile") for line in lines(unit))
    assert f"Environment=ENV_FILE=%d/{settings}" in lines(unit)
    assert f"LoadCredential={settings}:/etc/datastream/{settings}" in lines(unit)


@pytest.mark.parametrize("unit", UNITS)
def test_a_service_is_handed_each_file_that_it_is_told_of(unit: str) -> None:
    """Each credential is named by one variable, and each variable's file is a credential."""
    handed = {line.partition("=")[2].partition(":")[0] for line in lines(unit) if "LoadC" in line}
    told = {line.partition("=%d/")[2] for line in lines(unit) if "=%d/" in line}

    assert handed == told


@pytest.mark.parametrize("name", ["producer.env", "consumers.env"])
def test_the_settings_on_a_host_are_settings(name: str) -> None:
    """Each name in the file is one of .env.example, and so is each default shown there."""
    pattern = re.compile(r"^(#?)([A-Z_]+?)(?:_FILE)?=(.*)$", re.MULTILINE)
    example = pattern.findall((FOLDER.parents[1] / ".env.example").read_text())
    on_a_host = pattern.findall((FOLDER / name).read_text())
    defaults = {(name, value) for hidden, name, value in example if hidden and value}
    shown = {(name, value) for hidden, name, value in on_a_host if hidden and value}

    assert {name for _, name, _ in on_a_host} <= {name for _, name, _ in example}
    of_service = {("METRICS_PORT", "9101"), ("DATASTREAM_CONFIG", "/etc/datastream/logs.toml")}
    assert shown <= defaults | of_service

"""The unit of the producer agrees with the code it runs."""

from __future__ import annotations

import re
from pathlib import Path

from datastream.config import EX_CONFIG
from datastream.shutdown import GRACE
from producer.__main__ import EX_DATAERR, EX_NOINPUT

FOLDER = Path(__file__).parents[3] / "deploy" / "systemd"
TEXT = (FOLDER / "datastream-producer.service").read_text()
UNIT = dict(
    line.split("=", 1) for line in TEXT.splitlines() if "=" in line and not line.startswith("#")
)


def test_what_only_a_person_can_mend_is_not_tried_again() -> None:
    """A checkpoint, an unreadable log or a setting stays as it is; all else may pass."""
    prevented = {int(code) for code in UNIT["RestartPreventExitStatus"].split()}

    assert UNIT["Restart"] == "on-failure"
    assert prevented == {EX_DATAERR, EX_NOINPUT, EX_CONFIG}


def test_the_producer_is_given_the_time_it_takes_to_stop() -> None:
    """It is killed only when it has not left by itself as it promises."""
    assert int(UNIT["TimeoutStopSec"]) > GRACE


def test_the_settings_on_a_host_are_read_as_everywhere() -> None:
    """By the program, as `.env` is: an EnvironmentFile of systemd has another grammar."""
    assert "EnvironmentFile" not in UNIT
    assert "Environment=ENV_FILE=%d/producer.env" in TEXT.splitlines()
    assert "LoadCredential=producer.env:/etc/datastream/producer.env" in TEXT.splitlines()


def test_the_settings_on_a_host_are_settings() -> None:
    """Each name in producer.env is one of .env.example, and so is each default shown there."""
    pattern = re.compile(r"^(#?)([A-Z_]+)=(.*)$", re.MULTILINE)
    example = pattern.findall((FOLDER.parents[1] / ".env.example").read_text())
    on_a_host = pattern.findall((FOLDER / "producer.env").read_text())
    defaults = {(name, value) for hidden, name, value in example if hidden and value}

    assert {name for _, name, _ in on_a_host} <= {name for _, name, _ in example}
    assert {(name, value) for hidden, name, value in on_a_host if hidden} <= defaults | {
        ("METRICS_PORT", "9101")  # which differs from service to service
    }

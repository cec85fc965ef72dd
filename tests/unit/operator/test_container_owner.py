"""The account that a person names in .env."""

from __future__ import annotations

import pytest

from datastream.config import ConfigError, Environment
from datastream_operator.containers import broker, owner
from datastream_operator.containers.database import TAKEN

PAIR = {"MYSQL_USER": "alice", "MYSQL_PASSWORD": "secret"}


@pytest.mark.parametrize(("settings", "person"), [({}, None), (PAIR, ("alice", "secret"))])
def test_both_settings_name_it_or_neither(
    settings: dict[str, str], person: tuple[str, str] | None
) -> None:
    """Without them there is no such account."""
    assert owner.read(Environment(settings), "MYSQL", TAKEN) == person


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (PAIR | {"MYSQL_USER": "root"}, "Leave MYSQL_USER out, or choose another name"),
        (PAIR | {"MYSQL_USER": "lake"}, "Leave MYSQL_USER out, or choose another name"),
        ({"MYSQL_USER": "alice"}, "an account needs both"),
        ({"MYSQL_PASSWORD": "secret"}, "an account needs both"),
    ],
)
def test_what_cannot_be_is_refused_in_words(settings: dict[str, str], words: str) -> None:
    """A name of the deployment's own, and half a pair."""
    with pytest.raises(ConfigError, match=words):
        owner.read(Environment(settings), "MYSQL", TAKEN)


def test_a_misspelt_setting_stops_a_deployment() -> None:
    """No container would see it: each is given settings by their names."""
    env = Environment({"MYSQL_DATABASE": "logs", "WRITTEN_SETTINGS": "SOURCE PRIVACY_ADRESSES "})

    with pytest.raises(ConfigError, match=r"in \.env .*did you mean PRIVACY_ADDRESSES\?"):
        broker.run(env)

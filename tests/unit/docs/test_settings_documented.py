"""`.env.example` names the settings that the code reads, no more and no fewer."""

from __future__ import annotations

import re
from pathlib import Path

from clean_consumer.settings import EnrichmentSettings
from datastream.config import Environment, MysqlSettings, RabbitSettings, ServiceSettings
from datastream_operator.doctor.management import Management
from producer.settings import ProducerSettings

ROOT = Path(__file__).parents[3]
DOCUMENTED = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
COMMON = {
    "SOURCE": "example",
    "MYSQL_DATABASE": "datastream",
    "MYSQL_USER": "u",
    "MYSQL_PASSWORD": "p",
    "RABBIT_USER": "u",
    "RABBIT_PASSWORD": "p",
}


def read_everything(env: Environment) -> None:
    """Read every setting of every service and of the operator's command."""
    ProducerSettings.read(env, [], once=False)
    EnrichmentSettings.read(env)
    ServiceSettings.read(env, 0)
    for service in ("PRODUCER", "LAKE", "CLEAN", "OPERATOR"):
        RabbitSettings.read(env, service)
    Management.read(env, RabbitSettings.read(env, "OPERATOR"))
    for service in ("LAKE", "CLEAN", "OPERATOR", "MIGRATOR"):
        MysqlSettings.read(env, service)


def test_every_setting_is_documented_and_every_documented_one_is_read() -> None:
    """The example file and the code agree on the names."""
    env = Environment(COMMON)

    read_everything(env)

    assert env.asked == DOCUMENTED


def test_the_example_shows_the_defaults() -> None:
    """A commented-out setting with a value says what holds without it."""
    shown = dict(
        re.findall(r"^#([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    )
    by_default = Environment(COMMON)
    as_shown = Environment(COMMON | shown)

    assert ProducerSettings.read(by_default, [], once=False) == ProducerSettings.read(
        as_shown, [], once=False
    )
    assert RabbitSettings.read(by_default, "LAKE") == RabbitSettings.read(as_shown, "LAKE")
    assert MysqlSettings.read(by_default, "LAKE") == MysqlSettings.read(as_shown, "LAKE")
    assert ServiceSettings.read(by_default, 0) == ServiceSettings.read(as_shown, 0)
    assert EnrichmentSettings.read(by_default) == EnrichmentSettings.read(as_shown)

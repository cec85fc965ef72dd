"""`.env.example` and `datastream.known` name the settings that the code reads, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clean_consumer.settings import EnrichmentSettings
from datastream.config import Environment, MysqlSettings, RabbitSettings, ServiceSettings
from datastream.known import DEPLOYMENT, SETTINGS, is_known
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
    for service in ("PRODUCER", "LAKE", "CLEAN", "OPERATOR", "ADMIN"):
        RabbitSettings.read(env, service)
    Management.read(env, RabbitSettings.read(env, "OPERATOR"))
    for service in ("LAKE", "CLEAN", "OPERATOR", "READER", "MIGRATOR", "ADMIN"):
        MysqlSettings.read(env, service)


def test_every_setting_is_documented_and_every_documented_one_is_read() -> None:
    """The example file and the code agree on the names."""
    env = Environment(COMMON)

    read_everything(env)

    # DATASTREAM_CONFIG is read before there is an Environment: it names a file with the others.
    assert env.asked == DOCUMENTED - {"DATASTREAM_CONFIG"} == SETTINGS


@pytest.mark.parametrize("commented", [r"^#(?=\w)", r"^$"], ids=["in use", "commented out"])
def test_the_example_of_several_logs(commented: str, tmp_path: Path) -> None:
    """It can be read as it stands, and with every setting in it that is commented out."""
    config, password = tmp_path / "logs.toml", tmp_path / "password"
    password.write_text("p")
    example = (ROOT / "logs.example.toml").read_text()
    example = example.replace("/etc/datastream/rabbit_password", str(password))
    config.write_text(re.sub(commented, "", example, flags=re.MULTILINE))
    env = Environment.load(tmp_path / "none", config)

    read = ProducerSettings.read(env, [], once=False)

    assert [(source.name, source.format.split()[0]) for source in read.own.values()] == [
        ("web-1", "main"),
        ("web-1", "error"),
        ("web-1", "log_format"),
        ("legacy", "common"),
    ]
    assert RabbitSettings.read(env, "PRODUCER").host == "mq.example.com"


def test_every_name_in_the_code_is_known() -> None:
    """Those of the containers and of deploy/bin too: none is taken for a mistake."""
    asked = re.compile(r"""env\.(?:find|text|number|flag|choice|secret)\(\s*["']([A-Z_]+)["']""")
    sources = [
        path
        for folder in ("shared", "services", "deploy")
        for path in (ROOT / folder).rglob("*.py")
        if ".venv" not in path.parts
    ]
    named = {name for path in sources for name in asked.findall(path.read_text(encoding="utf-8"))}
    compose = (ROOT / "deploy" / "docker-compose.yml").read_text(encoding="utf-8")
    named |= set(re.findall(r"\$\{([A-Z_]+):-", compose))
    table = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").partition("\n## Settings")[2]
    rows = re.findall(r"^\| (`[A-Z].*?) \|", table.partition("\n## ")[0], re.MULTILINE)
    of_deployment = set(re.findall(r"`([A-Z_]+)`", " ".join(rows)))

    assert len(named) > len(DEPLOYMENT)
    assert {name for name in named | of_deployment if not is_known(name)} == set()
    assert DEPLOYMENT - named - of_deployment == {
        # deploy/bin makes their passwords; each process reads the last one before any file.
        "GRAFANA_MYSQL_PASSWORD",
        "EXPORTER_MYSQL_PASSWORD",
        "ENV_FILE",
    }


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

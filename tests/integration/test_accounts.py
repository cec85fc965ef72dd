"""`datastream accounts` on real servers: each account does its work, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest

from administrators import run_shell, run_sql
from datastream import rabbitmq
from datastream.config import RabbitSettings, Secret
from datastream.errors import Unavailable
from datastream.topology import CLEAN_QUEUE, DEAD_LETTER_EXCHANGE, EXCHANGE, LAKE_QUEUE
from datastream_playground import sample
from deployment import Deployment, eventually

DATABASE = ("MIGRATOR", "LAKE", "CLEAN", "OPERATOR")
BROKER = ("PRODUCER", "LAKE", "CLEAN", "OPERATOR")
#: What a password may hold, and what a shell and SQL would make of it.
PASSWORD = 'it\'s a $ecret \\ `#1`, "really" %s'
#: The numbers by which MySQL says that an account may not.
DENIED = {1044, 1142, 1143, 1227, 1370}


class Fresh:
    """Servers that have just been installed: no schema, no virtual host and no account of ours."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.name = f"{deployment.rabbit.vhost}_n"
        self.env = {
            "MYSQL_DATABASE": self.name,
            "RABBIT_VHOST": self.name,
            "MYSQL_USER": "",
            "MYSQL_PASSWORD": "",
            "RABBIT_USER": "",
            "RABBIT_PASSWORD": "",
        }
        for services, kind in ((DATABASE, "MYSQL"), (BROKER, "RABBIT")):
            for service in services:
                self.env[f"{service}_{kind}_USER"] = self.account(service)
                self.env[f"{service}_{kind}_PASSWORD"] = PASSWORD

    def account(self, service: str) -> str:
        """Return the name of a service's account."""
        return f"{service}_{self.name[-8:]}".lower()

    @property
    def administrators(self) -> dict[str, str]:
        """The settings that name both servers' own."""
        broker, database = self.deployment.broker, self.deployment.database
        return {
            "ADMIN_RABBIT_USER": broker.user,
            "ADMIN_RABBIT_PASSWORD": broker.password,
            "ADMIN_MYSQL_USER": database.user,
            "ADMIN_MYSQL_PASSWORD": database.password,
        }

    def operate(self, *arguments: str, **changes: str) -> str:
        """Run a command that must succeed, and return what it says."""
        done = self.deployment.operate(*arguments, **self.env | changes)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def denied(self, service: str, statement: str) -> int:
        """Return the number by which the database refuses a statement."""
        database = self.deployment.database
        with (
            pymysql.connect(
                host=database.host,
                port=database.port,
                user=self.account(service),
                password=PASSWORD,
                database=self.name,
            ) as connection,
            connection.cursor() as cursor,
            pytest.raises(pymysql.MySQLError) as refused,
        ):
            cursor.execute(statement)
        return int(refused.value.args[0])

    def refused(self, service: str, exchange: str, key: str, queue: str) -> tuple[str, str]:
        """Return what the broker says to a message, and to a look at a queue."""
        broker = self.deployment.broker
        settings = RabbitSettings(
            broker.host, broker.port, self.name, self.account(service), Secret(PASSWORD)
        )
        said = []
        with rabbitmq.connect(settings, "test") as connection:
            acts: list[Callable[[Any], object]] = [
                lambda channel: channel.basic_publish(exchange, key, b"x", mandatory=True),
                lambda channel: channel.basic_get(queue),
            ]
            for act in acts:
                with pytest.raises(Unavailable) as refused, rabbitmq.session.translated():
                    channel = connection.channel()
                    channel.confirm_delivery()
                    act(channel)
                said.append(str(refused.value))
        return said[0], said[1]

    def close(self) -> None:
        """Remove all of it."""
        with self.deployment.database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {self.name}")
            for service in DATABASE:
                cursor.execute("DROP USER IF EXISTS %s@'%%'", (self.account(service),))
        with suppress(OSError):
            self.deployment.broker.delete_vhost(self.name)
        for service in BROKER:
            with suppress(OSError):
                self.deployment.broker.api("DELETE", f"users/{self.account(service)}")


@pytest.fixture
def fresh(deployment: Deployment) -> Iterator[Fresh]:
    """Servers without anything of ours."""
    servers = Fresh(deployment)
    yield servers
    servers.close()


def test_each_service_works_with_an_account_of_its_own(fresh: Fresh, tmp_path: Path) -> None:
    """Apply, migrate, apply: then all work, the doctor is content, and the rest is denied."""
    first = fresh.operate("accounts", "--apply", **fresh.administrators)
    fresh.operate("migrate")
    fresh.operate("topology")
    second = fresh.operate("accounts", "--apply", **fresh.administrators)
    log = tmp_path / "access.log"
    sample.write(log, 1000, "combined", seed=5)
    for service in ("lake_consumer", "clean_consumer"):
        fresh.deployment.start(service, **fresh.env).wait_ready()
    fresh.deployment.publish_once(log, **fresh.env)

    def stored() -> None:
        rows = fresh.deployment.query(f"SELECT COUNT(*) FROM {fresh.name}.raw_log")
        parsed = fresh.deployment.query(
            f"SELECT (SELECT COUNT(*) FROM {fresh.name}.clean_log)"
            f" + (SELECT COUNT(*) FROM {fresh.name}.rejected_log)"
        )
        assert [*rows, *parsed] == [(1000,), (1000,)]

    eventually(stored)
    assert "run `datastream migrate`, and then this again" in first
    assert "run `datastream topology`, and then this again" in first
    assert second.count("Every account has its rights") == 2
    fresh.operate("verify", str(log))
    doctor = fresh.operate("doctor")
    assert "what is needed and no more" in doctor
    assert PASSWORD not in first + second + doctor
    assert fresh.denied("LAKE", "DELETE FROM raw_log LIMIT 0") in DENIED
    assert fresh.denied("CLEAN", "SELECT 1 FROM raw_log LIMIT 0") in DENIED
    assert fresh.denied("OPERATOR", "DELETE FROM raw_log LIMIT 0") in DENIED
    assert fresh.denied("MIGRATOR", "CREATE USER mallory") in DENIED
    for service, exchange, key, queue in (
        ("PRODUCER", EXCHANGE, "elsewhere.x", LAKE_QUEUE),
        ("LAKE", EXCHANGE, "lake.x", CLEAN_QUEUE),
        ("CLEAN", DEAD_LETTER_EXCHANGE[:4], "x", LAKE_QUEUE),
    ):
        for said in fresh.refused(service, exchange, key, queue):
            assert "ACCESS_REFUSED" in said
            assert "datastream accounts --print --rabbitmq" in said


def test_what_is_printed_makes_one_account_for_everything(fresh: Fresh) -> None:
    """In one round, which may be repeated; the tables and the queues can be made with it."""
    everything = {f"{s}_{kind}_{part}": "" for s in {*DATABASE, *BROKER}
                  for kind in ("MYSQL", "RABBIT") for part in ("USER", "PASSWORD")}  # fmt: skip
    account = {"MYSQL_USER": fresh.account("LAKE"), "MYSQL_PASSWORD": PASSWORD,
               "RABBIT_USER": fresh.account("LAKE"), "RABBIT_PASSWORD": PASSWORD}  # fmt: skip
    fresh.env |= everything | account

    for _ in range(2):
        words = run_sql(fresh.deployment, fresh.operate("accounts", "--print", "--mysql"))
        run_shell(fresh.deployment, fresh.operate("accounts", "--print", "--rabbitmq"))
        assert words == "Every account has its rights"

    fresh.operate("migrate")
    fresh.operate("topology")
    fresh.operate("doctor")


def test_what_is_printed_makes_an_account_for_each(fresh: Fresh) -> None:
    """The lines of rabbitmqctl give the rights that the API gives; the SQL asks for the tables."""
    words = run_sql(fresh.deployment, fresh.operate("accounts", "--print", "--mysql"))
    run_shell(fresh.deployment, fresh.operate("accounts", "--print", "--rabbitmq"))
    fresh.operate("topology")
    run_shell(fresh.deployment, fresh.operate("accounts", "--print", "--rabbitmq"))
    printed = fresh.deployment.broker.api("GET", f"vhosts/{fresh.name}/permissions")
    topics = fresh.deployment.broker.api("GET", f"vhosts/{fresh.name}/topic-permissions")
    fresh.operate("accounts", "--apply", "--rabbitmq", **fresh.administrators)

    assert "run `datastream migrate`" in words
    assert [fresh.deployment.broker.api("GET", f"vhosts/{fresh.name}/{kind}")
            for kind in ("permissions", "topic-permissions")] == [printed, topics]  # fmt: skip
    assert len(printed) == len(BROKER)
    assert [one["user"] for one in topics] == [fresh.account("PRODUCER")]


@pytest.mark.parametrize("password", ["wrong", ""], ids=["1045", "1044"])
def test_a_refusal_of_the_database_names_the_command(fresh: Fresh, password: str) -> None:
    """Of an account that is not there, and of one without rights on the schema."""
    user = {"MIGRATOR_MYSQL_USER": "nobody", "MIGRATOR_MYSQL_PASSWORD": password}
    if not password:
        account = fresh.account("MIGRATOR")
        fresh.deployment.change("CREATE USER %s@'%%' IDENTIFIED BY 'x'", account)
        user = {"MIGRATOR_MYSQL_USER": account, "MIGRATOR_MYSQL_PASSWORD": "x"}

    done = fresh.deployment.operate("migrate", **fresh.env | user)

    assert done.returncode == 69
    assert f"error {1045 if password else 1044}" in done.stderr
    assert "`datastream accounts --print --mysql | sudo mysql`" in done.stderr


def test_without_an_administrator_it_says_what_to_do(fresh: Fresh) -> None:
    """Before anything is changed."""
    done = fresh.deployment.operate("accounts", "--apply", **fresh.env)

    assert done.returncode == 78
    assert "ADMIN_MYSQL_USER" in done.stderr
    assert "datastream accounts --print --mysql | sudo mysql" in done.stderr

"""What `datastream accounts --print` says, without any server."""

from __future__ import annotations

import argparse
import sys

import pytest

from datastream.config import Environment
from datastream_operator.accounts import broker, command, database

ENV = {
    "MYSQL_DATABASE": "logs",
    "MYSQL_USER": "all",
    "MYSQL_PASSWORD": "secret",
    "RABBIT_USER": "all",
    "RABBIT_PASSWORD": "secret",
}


@pytest.mark.parametrize(
    ("servers", "is_terminal", "is_shown"),
    [
        (["--mysql"], False, True),
        (["--rabbitmq"], False, True),
        (["--mysql"], True, False),
        (["--rabbitmq"], True, False),
        ([], False, False),
    ],
)
def test_a_password_is_in_no_terminal(
    servers: list[str],
    is_terminal: bool,
    is_shown: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only in what goes on to one server; else the setting is named, where nothing can be run."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    monkeypatch.setattr(Environment, "load", lambda: Environment(ENV))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)

    assert command.run(parser.parse_args(["--print", *servers])) == 0

    said = capsys.readouterr().out
    assert ("secret" in said) is is_shown
    assert (("<MYSQL_PASSWORD>" in said) or ("<RABBIT_PASSWORD>" in said)) is not is_shown


def test_the_servers_own_accounts_are_left_as_they_are() -> None:
    """Neither's password nor its rights are changed."""
    env = Environment(ENV | {"MYSQL_USER": "root", "RABBIT_USER": "guest"})

    sql = list(database.lines("logs", database.read(env), shows=True))
    shell = list(broker.lines(broker.read(env), shows=True))

    assert not any("USER" in line or "GRANT" in line for line in sql if not line.startswith("--"))
    assert not any("rabbitmqctl" in line for line in shell)


def test_an_account_of_two_services_may_do_what_either_needs() -> None:
    """At the broker the patterns and the routing keys are put together."""
    env = Environment(ENV | {"OPERATOR_RABBIT_USER": "op", "OPERATOR_RABBIT_PASSWORD": "x"})

    said = "\n".join(broker.lines(broker.read(env), shows=True))

    assert (
        "set_permissions -p / all '^producer[.]' '^logs$|^logs-dead$'"
        " '^queue-data-clean$|^queue-data-lake$'" in said
    )
    assert "set_topic_permissions -p / all logs '^(lake|clean)[.].+' '^$'" in said
    assert "set_user_tags op monitoring policymaker" in said

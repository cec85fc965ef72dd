"""What a person types: deploy, scale, status, mysql, migrate, down."""

from __future__ import annotations

from pathlib import Path

import pika.exceptions
import pytest

from deploy.stack import SERVICES, Stack, docker
from deployment import lines_of

pytestmark = pytest.mark.timeout(600)

REPLICAS = 3


def test_status_shows_it_all_on_one_screen(stack: Stack) -> None:
    """What runs, each process with its rate, the lag, the queues."""
    screen = stack.script("status")

    for words in (*SERVICES, "rabbitmq", "mysql", "lines/s", "behind", "queue-data-clean-dead"):
        assert words in screen
    assert len(screen.splitlines()) <= 40


def test_the_shell_on_the_tables_reads_and_no_more(stack: Stack) -> None:
    """`make mysql` takes SQL from a pipe, as an account that changes nothing."""
    shell = stack.try_script("mysql")
    assert shell.returncode == 0, shell.stderr


def test_the_migration_job_may_run_again(stack: Stack) -> None:
    """`make migrate` changes nothing where all is as it should be."""
    assert "Applied" not in stack.script("migrate")


def test_a_second_deploy_changes_no_container_and_no_password(stack: Stack) -> None:
    """`make deploy` where all is up to date leaves it running, as many replicas as there are."""
    stack.script("scale", N=str(REPLICAS))
    before = {c["Name"]: c["Id"] for c in stack.inspect() if c["State"]["Running"]}
    secrets = {path.name: path.read_text() for path in stack.secrets.iterdir()}

    stack.script("deploy")

    assert {c["Name"]: c["Id"] for c in stack.inspect() if c["State"]["Running"]} == before
    assert {path.name: path.read_text() for path in stack.secrets.iterdir()} == secrets


def test_a_log_that_may_not_be_read_is_said_in_words(stack: Stack, tmp_path: Path) -> None:
    """`make deploy` says which file, and whose it would have to be."""
    secret = tmp_path / "access.log"
    secret.touch(mode=0o600)
    tmp_path.chmod(0o755)

    ended = stack.try_script("deploy", LOG_PATH=str(secret))

    assert ended.returncode == 1
    assert f"may not read {secret}" in ended.stderr


def test_a_person_s_new_password_holds_after_the_next_deploy(stack: Stack) -> None:
    """It is changed on the broker and in the database, and neither is restarted."""
    servers = [stack.containers(name) for name in ("rabbitmq", "mysql")]
    settings = stack.env_file.read_text()
    stack.env_file.write_text(f"{settings}RABBIT_PASSWORD=another\nMYSQL_PASSWORD=another\n")

    stack.script("deploy")

    stack.env_file.write_text(settings)
    stack.broker("aoulia", "another").close()
    stack.connect("rachid", "another").close()
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        stack.broker("aoulia", 'it is a $ecret: #1, "really"')
    assert [stack.containers(name) for name in ("rabbitmq", "mysql")] == servers


def test_it_goes_on_after_down_where_it_was(stack: Stack, log: Path) -> None:
    """What was written while nothing ran is stored as well, and nothing twice."""
    stopped = [container for name in SERVICES for container in stack.containers(name)]
    docker("stop", *stopped)
    codes = {
        container["Name"]: container["State"]["ExitCode"]
        for name in SERVICES
        for container in stack.inspect(name)
    }
    assert set(codes.values()) == {0}, codes
    stack.script("down")
    assert stack.containers() == []
    with log.open("ab") as file:
        file.writelines([line + b"\n" for line in lines_of(log)][:500])

    stack.script("deploy")

    stack.assert_settled(sum(1 for _ in lines_of(log)))

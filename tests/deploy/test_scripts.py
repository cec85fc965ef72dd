"""What a person types: deploy, scale, status, mysql, migrate, down."""

from __future__ import annotations

from pathlib import Path

import pika.exceptions
import pymysql
import pytest

from deploy.stack import SERVICES, Stack, docker
from deployment import eventually, lines_of

REPLICAS = 3


def test_status_shows_it_all_on_one_screen(stack: Stack) -> None:
    """What runs, each service with its rate, the lag, the queues; replicas take no more room."""
    stack.script("scale", N="4")
    eventually(lambda: _all_ready(stack, 4))
    screen = stack.script("status")

    for words in (*SERVICES, "rabbitmq", "mysql", "lines/s", "behind", "queue-data-clean-dead"):
        assert words in screen
    assert "\N{MULTIPLICATION SIGN}4 ready 4/4" in screen
    assert "migrate" not in screen
    assert len(screen.splitlines()) <= 24
    assert max(len(line) for line in screen.splitlines()) <= 80


def _all_ready(stack: Stack, replicas: int) -> None:
    assert len(stack.ready("clean_consumer")) == replicas


def test_the_shell_on_the_tables_reads_and_no_more(stack: Stack) -> None:
    """`make mysql` takes SQL from a pipe, as an account that changes nothing."""
    lines = stack.count("raw_log")

    shell = stack.try_script("mysql", sql="SELECT COUNT(*) > 0 FROM raw_log;")
    assert shell.returncode == 0, shell.stderr
    assert shell.stdout.splitlines()[-1] == "1"

    shell = stack.try_script("mysql", sql="DELETE FROM raw_log;")
    assert shell.returncode != 0
    assert "DELETE command denied" in shell.stderr
    assert "make migrate" not in shell.stderr
    assert stack.count("raw_log") == lines


def test_the_migration_job_may_run_again(stack: Stack) -> None:
    """`make migrate` changes nothing where all is as it should be."""
    assert "Applied" not in stack.script("migrate")


def test_a_second_deploy_changes_no_container_and_no_password(stack: Stack) -> None:
    """`make deploy` where all is up to date leaves it running, as many replicas as there are."""
    stack.script("scale", N=str(REPLICAS))
    before = {c["Name"]: c["Id"] for c in stack.inspect() if c["State"]["Running"]}
    # Beside them are deploy's own notes of what it was told, in hidden files.
    secrets = {path.name: path.read_text() for path in stack.secrets.glob("[!.]*")}

    stack.script("deploy")
    assert "Nothing has changed" in stack.script("deploy")

    assert {c["Name"]: c["Id"] for c in stack.inspect() if c["State"]["Running"]} == before
    assert {path.name: path.read_text() for path in stack.secrets.glob("[!.]*")} == secrets


def test_deploy_ends_with_the_doctor(stack: Stack) -> None:
    """Where all is well it looked at all that its container sees; what is broken fails it."""
    unseen = {
        "database disk": "not looked at",  # SQL does not show it
        "checkpoint": "not looked at",  # the volume is the producer's
    }
    said = stack.script("deploy")
    rows = said[said.index("\nsettings ") :].splitlines()
    states = {row[:14].strip(): row[14:28].strip() for row in rows if row[:14].strip()}
    assert {name: state for name, state in states.items() if state != "ok"} == unseen, said

    with stack.broker("operator") as connection:
        connection.channel().queue_unbind("queue-data-lake", "logs", "lake.#")
    try:
        ended = stack.try_script("deploy")
    finally:
        with stack.broker("operator") as connection:
            connection.channel().queue_bind("queue-data-lake", "logs", "lake.#")
    assert ended.returncode == 1, ended.stdout
    assert "queue-data-lake is not bound to logs by lake.#" in " ".join(ended.stdout.split())
    assert "all is up, and something is broken" in ended.stderr


def test_a_changed_rule_is_loaded_by_the_next_deploy(stack: Stack) -> None:
    """What is mounted into a container is in force after `make deploy`, and all else stays."""
    others = [stack.containers(name) for name in ("rabbitmq", "mysql", "producer")]
    rules = stack.checkout / "deploy" / "prometheus" / "recording.rules.yml"
    with rules.open("a") as file:
        file.write("      - record: datastream:test:up\n        expr: max(up)\n")

    stack.script("deploy")

    def loaded() -> None:
        assert stack.value("datastream:test:up")

    eventually(loaded)
    assert [stack.containers(name) for name in ("rabbitmq", "mysql", "producer")] == others


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
    stack.broker("alice", "another").close()
    stack.connect("bob", "another").close()
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        stack.broker("alice", 'it is a $ecret: #1, "really"')
    assert [stack.containers(name) for name in ("rabbitmq", "mysql")] == servers


def test_a_person_s_former_account_is_gone_after_the_next_deploy(stack: Stack) -> None:
    """Whoever is named in its place is let in; an account that somebody else made stays."""
    with (
        stack.connect("root", stack.secret("mysql_root_password")) as root,
        root.cursor() as cursor,
    ):
        cursor.execute("CREATE USER IF NOT EXISTS guest IDENTIFIED BY 'secret'")
        cursor.execute("GRANT SELECT ON datastream.* TO guest")
    settings = stack.env_file.read_text()
    stack.env_file.write_text(f"{settings}RABBIT_USER=ada\nMYSQL_USER=grace\n")

    stack.script("deploy")

    stack.env_file.write_text(settings)
    stack.broker("ada", 'it is a $ecret: #1, "really"').close()
    stack.connect("grace", "it's a $ecret too; #2 %s").close()
    stack.connect("guest", "secret").close()
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        stack.broker("alice", 'it is a $ecret: #1, "really"')
    with pytest.raises(pymysql.MySQLError) as refused:
        stack.connect("bob", "it's a $ecret too; #2 %s")
    assert refused.value.args[0] == 1045


def test_it_goes_on_after_down_where_it_was(stack: Stack, log: Path) -> None:
    """What was written while nothing ran is stored as well, nothing twice; replicas come back."""
    replicas = len(stack.containers("clean_consumer"))
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

    assert len(stack.containers("clean_consumer")) == replicas
    stack.assert_settled(sum(1 for _ in lines_of(log)))

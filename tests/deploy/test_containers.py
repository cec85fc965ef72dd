"""Datastream in containers, for real: nothing lost or doubled, and each does only its work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import expressions
import pika
import pika.exceptions
import pymysql
import pytest

from datastream_operator import sample
from deploy.stack import PATIENCE, SERVICES, Stack, docker, run
from deployment import eventually, lines_of

pytestmark = pytest.mark.timeout(600)

HISTORY = 200_000
REPLICAS = 3
INSERT_LINE = "INSERT INTO raw_log (stream_id, line_offset, flags, line) VALUES (%s, %s, %s, %s)"
#: The numbers by which MySQL says that an account may not.
DENIED = {1044, 1045, 1142, 1143, 1227, 1370}
#: In an expression without its texts: a metric, the labels that group, and where no metric stands.
NAME = re.compile(r"\b(?:datastream|rabbitmq|mysql|process)_\w+|\b\w+:\w+(?::\w+)?\b|\bup\b")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring) ?\(([^)]*)\)")
NO_NAMES = re.compile(r"\{[^}]*\}|\[[^]]*\]|" + GROUPING.pattern)


@contextmanager
def growing(log: Path, lines: list[bytes]) -> Iterator[None]:
    """Append lines to a log, over and over, some at a time, for the length of the block."""
    stop = Event()

    def grow() -> None:
        with log.open("ab", buffering=0) as file:
            at = 0
            while not stop.wait(0.01):
                file.write(b"".join(lines[at : at + 5]))
                at = (at + 5) % len(lines)

    with ThreadPoolExecutor(1) as pool:
        growth = pool.submit(grow)
        try:
            yield
        finally:
            stop.set()
            growth.result()


def ready(stack: Stack, service: str) -> list[str]:
    """Return the containers of a service that consume or tail."""
    return [
        container
        for container in stack.containers(service)
        if run("docker", "exec", container, "python3", "-m", "datastream.ready").returncode == 0
    ]


def test_nothing_is_lost_or_doubled_while_it_is_scaled_killed_and_restarted(
    stack: Stack, log: Path, tmp_path: Path
) -> None:
    """A history and a growing log are stored exactly, through all that an operator may do."""
    history = tmp_path / "history.log"
    sample.write(history, HISTORY, "combined", seed=7)
    more = [line + b"\n" for line in lines_of(history)][:1_000]

    with log.open("ab") as file:
        file.write(history.read_bytes())
    with growing(log, more):
        stack.script("scale", N=str(REPLICAS))

        def all_consume() -> None:
            assert len(ready(stack, "clean_consumer")) == REPLICAS

        eventually(all_consume, PATIENCE)
        stack.crash(stack.containers("clean_consumer")[0])
        docker("restart", *stack.containers("rabbitmq"))
        docker("restart", *stack.containers("mysql"))
        stack.crash(stack.containers("producer")[0])
        eventually(all_consume, PATIENCE)
        rows = stack.count("raw_log")

        def flows() -> None:
            assert stack.count("raw_log") > rows

        eventually(flows, PATIENCE)

    written = list(lines_of(log))
    stack.assert_settled(len(written))
    stored = stack.query("SELECT line FROM raw_log ORDER BY line_offset")
    assert stack.query("SELECT COUNT(DISTINCT stream_id) FROM raw_log") == [(1,)]
    assert [line for (line,) in stored] == written
    assert stack.value("sum(increase(datastream_dead_letters_total[1h])) > 0") == []


def test_prometheus_finds_every_replica(stack: Stack) -> None:
    """Each process of each service is scraped, and so are the broker and the database."""
    stack.script("scale", N=str(REPLICAS))

    def all_are_up() -> None:
        up = {
            sample["metric"]["job"]: int(sample["value"][1])
            for sample in stack.value("sum by (job) (up)")
        }
        assert up == {
            "producer": 1,
            "lake_consumer": 1,
            "clean_consumer": REPLICAS,
            "rabbitmq": 1,
            "rabbitmq_queues": 1,
            "mysql": 1,
        }

    eventually(all_are_up, PATIENCE)


def test_every_expression_of_the_boards_and_the_rules_has_data(stack: Stack, log: Path) -> None:
    """And every metric and every label that they name is in the scrapes."""
    expected = expressions.promql()

    def all_have_data() -> None:
        assert [where for where, text in expected if not stack.value(text)] == []

    with growing(log, [line + b"\n" for line in lines_of(log)][:1_000]):
        # Failed attempts are counted from the first one on.
        docker("restart", *stack.containers("rabbitmq"), *stack.containers("mysql"))
        eventually(all_have_data, 240)

    metrics = set(stack.prometheus("label/__name__/values"))
    labels = set(stack.prometheus("labels"))
    for where, text in expected:
        bare = re.sub(r'"[^"]*"', '""', text)
        named = NAME.findall(NO_NAMES.sub("", bare))
        assert set(named) <= metrics, where
        grouped = " ".join(GROUPING.findall(bare))
        wanted = re.findall(r"(\w+) ?(?:=~|!~|!=|=)\"", bare) + re.findall(r"\w+", grouped)
        assert set(wanted) <= labels, where


def test_every_query_of_the_boards_returns_rows_to_their_account(stack: Stack) -> None:
    """Each panel and each variable has something to show, read as the account grafana."""
    empty = [where for where, text in expressions.sql() if not stack.query(text, account="grafana")]

    assert empty == []


def test_the_demo_s_web_server_is_followed(
    images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`make deploy DEMO=1` fills the tables with no log at hand, and writes down what it is."""
    demo = Stack(
        tmp_path_factory.mktemp("demo"), images, "grafana prometheus mysqld_exporter", settings={}
    )
    try:
        demo.script("deploy", DEMO="1")
        assert "COMPOSE_PROFILES=demo" in demo.env_file.read_text()

        def parsed() -> None:
            assert demo.count("clean_log") > 100

        eventually(parsed, PATIENCE)
    finally:
        demo.destroy()

    assert demo.left_over() == []


# --- accounts


@pytest.mark.parametrize(
    ("account", "statement"),
    [
        ("lake", "UPDATE raw_log SET line = 'x' LIMIT 1"),
        ("lake", "UPDATE raw_log SET flags = 1 LIMIT 1"),
        ("lake", "DELETE FROM raw_log LIMIT 1"),
        ("lake", "DROP TABLE raw_log"),
        ("lake", "CREATE TABLE t (a INT)"),
        ("lake", "SELECT * FROM clean_log LIMIT 1"),
        ("clean", "SELECT * FROM raw_log LIMIT 1"),
        ("clean", "DELETE FROM raw_log LIMIT 1"),
        ("clean", "UPDATE clean_log SET status = 200 LIMIT 1"),
        ("clean", "DELETE FROM user_agent LIMIT 1"),
        ("clean", "ALTER TABLE clean_log ADD COLUMN a INT"),
        ("clean", "TRUNCATE clean_log"),
        ("operator", "INSERT INTO rejected_log VALUES (1, 1, 1, 0, 'x')"),
        ("operator", "DELETE FROM raw_log LIMIT 1"),
        ("grafana", "DELETE FROM clean_log LIMIT 1"),
        ("grafana", "CREATE TABLE t (a INT)"),
        ("grafana", "SHOW GRANTS FOR root"),
        ("migrator", "CREATE USER mallory"),
        ("migrator", "GRANT SELECT ON datastream.* TO grafana"),
        ("rachid", "CREATE USER mallory"),
    ],
)
def test_an_account_of_the_database_is_refused_what_is_not_its_work(
    stack: Stack, account: str, statement: str
) -> None:
    """Each does its work and no more."""
    password = "it's a $ecret too; #2 %s" if account == "rachid" else None

    with (
        stack.connect(account, password) as connection,
        connection.cursor() as cursor,
        pytest.raises(pymysql.MySQLError) as refused,
    ):
        cursor.execute(statement)

    assert refused.value.args[0] in DENIED


def test_a_line_that_is_whole_stays_as_it_is_whoever_asks(stack: Stack) -> None:
    """The one way for the lake's account to change a line completes a beginning, and that alone."""
    stream, offset, line = stack.query("SELECT stream_id, line_offset, line FROM raw_log LIMIT 1")[
        0
    ]
    beginning = (stream, 2**40, 1, b"GET /")
    with stack.connect("lake") as connection, connection.cursor() as cursor:
        cursor.execute(INSERT_LINE, beginning)
        changed = [
            cursor.execute("CALL complete_line(%s, %s, %s, %s)", asked)
            for asked in (
                (stream, offset, 0, line + b" and more"),
                (stream, 2**40, 0, b"POST / HTTP/1.1"),
                (stream, 2**40, 0, b"GET / HTTP/1.1\x00\xff"),
            )
        ]
        cursor.execute("SELECT flags, line FROM raw_log WHERE line_offset = %s", (2**40,))
        completed = cursor.fetchone()
        connection.rollback()

    assert changed == [0, 0, 1]
    assert completed == (0, b"GET / HTTP/1.1\x00\xff")


def test_the_exporter_s_account_sees_no_row(stack: Stack) -> None:
    """The account that tells Prometheus of the server may not even use the schema."""
    with pytest.raises(pymysql.MySQLError) as refused:
        stack.connect("exporter")

    assert refused.value.args[0] == 1044


def test_the_accounts_that_a_person_names_are_the_person_s(stack: Stack) -> None:
    """RABBIT_USER, MYSQL_USER and their awkward passwords, as in the .env of old, work."""
    password = "it's a $ecret too; #2 %s"
    with stack.connect("rachid", password) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM raw_log")
        assert cursor.fetchone()[0] > 0
    with stack.broker("aoulia", 'it is a $ecret: #1, "really"') as connection:
        assert connection.channel().queue_declare("queue-data-lake", passive=True)


Act = Callable[[Any], object]


def publish(exchange: str, key: str) -> Act:
    """Return the act of publishing a message and waiting for its confirm."""

    def act(channel: Any) -> None:  # noqa: ANN401 - pika's
        channel.confirm_delivery()
        channel.basic_publish(exchange, key, b"x", mandatory=True)

    return act


def consume(queue: str) -> Act:
    """Return the act of looking at a queue."""
    return lambda channel: channel.basic_get(queue)


def declare(queue: str) -> Act:
    """Return the act of making a queue."""
    return lambda channel: channel.queue_declare(queue, durable=True)


@pytest.mark.parametrize(
    ("account", "act"),
    [
        ("producer", publish("logs", "elsewhere.x")),
        ("producer", publish("logs-dead", "queue-data-lake")),
        ("producer", publish("", "queue-data-lake")),
        ("producer", consume("queue-data-lake")),
        ("producer", declare("queue-of-its-own")),
        ("producer", lambda channel: channel.queue_delete("queue-data-clean")),
        ("lake", consume("queue-data-clean")),
        ("lake", consume("queue-data-lake-dead")),
        ("lake", publish("logs", "lake.x")),
        ("lake", lambda channel: channel.queue_purge("queue-data-clean")),
        ("clean", consume("queue-data-lake")),
        ("clean", publish("logs", "clean.x")),
        ("clean", declare("queue-of-its-own")),
        ("clean", lambda channel: channel.exchange_delete("logs")),
    ],
)
def test_an_account_of_the_broker_is_refused_what_is_not_its_work(
    stack: Stack, account: str, act: Act
) -> None:
    """The producer writes to the exchange; a consumer reads its queue and writes dead letters."""
    with (
        stack.broker(account) as connection,
        pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused,
    ):
        act(connection.channel())

    assert refused.value.reply_code == 403


def test_there_is_no_guest_on_the_broker(stack: Stack) -> None:
    """The account that everybody knows is not there."""
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        stack.broker("guest", "guest")


# --- the containers


def test_every_container_is_confined(stack: Stack) -> None:
    """None is root, writes its image, has capabilities or may gain any, or is without a limit."""
    for container in stack.inspect():
        name, host = container["Name"], container["HostConfig"]
        assert container["Config"]["User"].split(":")[0] not in ("", "0", "root"), name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert host["SecurityOpt"] == ["no-new-privileges:true"], name
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["LogConfig"]["Config"].keys() == {"max-size", "max-file"}, name
        assert not host["Privileged"], name


def test_a_process_of_each_container_is_no_root(stack: Stack) -> None:
    """What runs is what was asked for."""
    for container in stack.inspect():
        if container["State"]["Running"]:
            processes = docker("top", container["Id"], "-eo", "pid,uid").splitlines()[1:]
            assert "0" not in {line.split()[1] for line in processes}, container["Name"]


def test_every_port_is_this_machine_s_alone(stack: Stack) -> None:
    """What is published is published on the loopback interface."""
    for container in stack.inspect():
        for bindings in container["HostConfig"]["PortBindings"].values():
            assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


def test_the_images_are_small_and_say_what_they_are(stack: Stack) -> None:
    """Each is well under 200 MB and has the labels of the Open Container Initiative."""
    for name in ("producer", "lake-consumer", "clean-consumer"):
        image = f"{stack.project}/{name}"
        assert int(docker("image", "inspect", "--format", "{{.Size}}", image)) < 200_000_000
        labels = docker("image", "inspect", "--format", "{{json .Config.Labels}}", image)
        assert "org.opencontainers.image.revision" in labels


def test_no_secret_is_to_be_seen(stack: Stack) -> None:
    """No password is in what docker tells, in an image, a log, a command line or the settings."""
    containers = stack.containers()
    images = docker("image", "ls", "--quiet", f"{stack.project}/*").split()
    logs = [run("docker", "logs", container) for container in containers]
    shown = {
        "docker inspect": docker("inspect", *containers, *images),
        "docker history": "".join(docker("history", "--no-trunc", image) for image in images),
        "the logs": "".join(log.stdout + log.stderr for log in logs),
        "the command lines": run("ps", "-eww", "-o", "args").stdout,
        "the scripts' output": stack.script("status") + stack.script("logs", FOLLOW="no"),
    }
    secrets = {path.name: path.read_text().strip() for path in stack.secrets.iterdir()}
    passwords = {name: text for name, text in secrets.items() if name.endswith("_password")}
    assert len(passwords) > 10

    for where, text in shown.items():
        assert [name for name, password in passwords.items() if password in text] == [], where
    own = {
        name: text
        for name, text in passwords.items()
        if name not in ("rabbit_password", "mysql_password")
    }
    assert [name for name, text in own.items() if text in stack.env_file.read_text()] == []


def test_the_secrets_are_in_a_folder_for_their_owner_alone(stack: Stack) -> None:
    """The folder is closed; a file in it is for whoever it is mounted for."""
    assert stack.secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in stack.secrets.iterdir()} == {0o444}


# --- the scripts


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
    before = {container["Id"] for container in stack.inspect() if container["State"]["Running"]}
    secrets = {path.name: path.read_text() for path in stack.secrets.iterdir()}

    stack.script("deploy")

    after = {container["Id"] for container in stack.inspect() if container["State"]["Running"]}
    assert after == before
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

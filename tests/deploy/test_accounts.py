"""Each account does its work and is refused what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
import pika.exceptions
import pymysql
import pytest

from deploy.stack import Stack

INSERT_LINE = "INSERT INTO raw_log (stream_id, line_offset, flags, line) VALUES (%s, %s, %s, %s)"
#: The numbers by which MySQL says that an account may not.
DENIED = {1044, 1045, 1142, 1143, 1227, 1370}


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
        ("clean", "UPDATE user_agent SET user_agent = 'x' LIMIT 1"),
        ("clean", "DELETE FROM referrer LIMIT 1"),
        ("clean", "UPDATE referrer SET referrer = 'x' LIMIT 1"),
        ("clean", "ALTER TABLE clean_log ADD COLUMN a INT"),
        ("clean", "TRUNCATE clean_log"),
        ("operator", "INSERT INTO rejected_log VALUES (1, 1, 1, 0, 'x')"),
        ("operator", "DELETE FROM raw_log LIMIT 1"),
        ("grafana", "DELETE FROM clean_log LIMIT 1"),
        ("grafana", "CREATE TABLE t (a INT)"),
        ("grafana", "SHOW GRANTS FOR root"),
        ("migrator", "CREATE USER mallory"),
        ("migrator", "GRANT SELECT ON datastream.* TO grafana"),
        ("bob", "CREATE USER mallory"),
    ],
)
def test_an_account_of_the_database_is_refused_what_is_not_its_work(
    stack: Stack, account: str, statement: str
) -> None:
    """Each does its work and no more."""
    password = "it's a $ecret too; #2 %s" if account == "bob" else None

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
    disguised = (stream, 2**41, 4, b"GET /")
    with stack.connect("lake") as connection, connection.cursor() as cursor:
        cursor.execute(INSERT_LINE, beginning)
        cursor.execute(INSERT_LINE, disguised)
        changed = [
            cursor.execute("CALL complete_line(%s, %s, %s, %s)", asked)
            for asked in (
                (stream, offset, 0, line + b" and more"),
                (stream, 2**41, 4, b"GET / HTTP/1.1"),
                (stream, 2**40, 0, b"POST / HTTP/1.1"),
                (stream, 2**40, 0, b"GET / HTTP/1.1\x00\xff"),
            )
        ]
        cursor.execute("SELECT flags, line FROM raw_log WHERE line_offset = %s", (2**40,))
        completed = cursor.fetchone()
        connection.rollback()

    assert changed == [0, 0, 0, 1]
    assert completed == (0, b"GET / HTTP/1.1\x00\xff")


EXTRA = (
    ("RELOAD ON *.*", "FLUSH STATUS"),
    ("UPDATE ON datastream.*", "UPDATE clean_log SET status = 200 LIMIT 0"),
    ("DELETE ON datastream.raw_log", "DELETE FROM raw_log LIMIT 0"),
    ("UPDATE (flags) ON datastream.raw_log", "UPDATE raw_log SET flags = 1 LIMIT 0"),
)


def test_what_an_account_was_granted_beyond_its_work_is_taken_back(stack: Stack) -> None:
    """By the next migration job; a right that it should have is its own throughout."""
    with (
        stack.connect("root", stack.secret("mysql_root_password")) as root,
        root.cursor() as cursor,
    ):
        for extra, _ in EXTRA:
            cursor.execute(f"GRANT {extra} TO lake")

    stack.script("migrate")

    for _, statement in EXTRA:
        with stack.connect("lake") as lake, lake.cursor() as cursor:
            cursor.execute("SELECT 1 FROM raw_log LIMIT 1")
            with pytest.raises(pymysql.MySQLError) as refused:
                cursor.execute(statement)
        assert refused.value.args[0] in DENIED


def test_the_exporter_s_account_sees_no_row(stack: Stack) -> None:
    """The account that tells Prometheus of the server may not even use the schema."""
    with pytest.raises(pymysql.MySQLError) as refused:
        stack.connect("exporter")

    assert refused.value.args[0] == 1044


def test_the_accounts_that_a_person_names_are_the_person_s(stack: Stack) -> None:
    """RABBIT_USER, MYSQL_USER and their awkward passwords, as .env has them, work."""
    password = "it's a $ecret too; #2 %s"
    with stack.connect("bob", password) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM raw_log")
        assert cursor.fetchone()[0] > 0
    with stack.broker("alice", 'it is a $ecret: #1, "really"') as connection:
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

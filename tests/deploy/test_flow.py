"""Datastream in containers, for real: nothing lost or doubled, and the boards have their data."""

from __future__ import annotations

import re
from pathlib import Path

import expressions
import pymysql
import pytest
from boards.parts import QUERY_SECONDS, bounded

from datastream_playground import sample
from deploy.images import assert_small_and_labelled
from deploy.stack import Stack, docker, growing
from deployment import eventually, lines_of

HISTORY = 200_000
REPLICAS = 3
ER_QUERY_TIMEOUT = 3024
#: Of Prometheus's own metric ALERTS, which is there once an alert has been pending.
ALERT_LABELS = {"alertname", "alertstate"}
#: In an expression without its texts: a metric, the labels that group, and where no metric stands.
NAME = re.compile(r"\b(?:datastream|rabbitmq|mysql|process)_\w+|\b\w+:\w+(?::\w+)?\b|\bup\b")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring) ?\(([^)]*)\)")
NO_NAMES = re.compile(r"\{[^}]*\}|\[[^]]*\]|" + GROUPING.pattern)


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
            assert len(stack.ready("clean_consumer")) == REPLICAS

        eventually(all_consume)
        stack.crash(stack.containers("clean_consumer")[0])
        docker("restart", *stack.containers("rabbitmq"))
        docker("restart", *stack.containers("mysql"))
        stack.crash(stack.containers("producer")[0])
        eventually(all_consume)
        rows = stack.count("raw_log")

        def flows() -> None:
            assert stack.count("raw_log") > rows

        eventually(flows)

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
            "doctor": 1,
            "mysql": 1,
        }

    eventually(all_are_up)


def test_every_expression_of_the_boards_and_the_rules_has_data(stack: Stack, log: Path) -> None:
    """And every metric and every label that they name is in the scrapes."""
    expected = expressions.promql()

    def all_have_data() -> None:
        assert [where for where, text in expected if not stack.value(text)] == []

    # Half of them fit no format: the metric of misfits names a stream only while there are such.
    unfit = b"no line of an access log\n"
    mixed = [text for line in lines_of(log) for text in (line + b"\n", unfit)]
    with growing(log, mixed[:1_000]):
        eventually(all_have_data)
    stack.assert_settled(sum(1 for _ in lines_of(log)))

    metrics = set(stack.prometheus("label/__name__/values"))
    labels = set(stack.prometheus("labels")) | ALERT_LABELS
    for where, text in expected:
        bare = re.sub(r'"[^"]*"', '""', text)
        named = NAME.findall(NO_NAMES.sub("", bare))
        assert set(named) <= metrics, where
        grouped = " ".join(GROUPING.findall(bare))
        wanted = re.findall(r"(\w+) ?(?:=~|!~|!=|=)\"", bare) + re.findall(r"\w+", grouped)
        assert set(wanted) <= labels, where


def test_every_query_of_the_boards_returns_rows_to_their_account(stack: Stack) -> None:
    """Each panel and each variable has something to show, read as the account grafana.

    But for what the format of the log does not have, which the panel says.
    """
    empty = [where for where, text in expressions.sql() if not stack.query(text, account="grafana")]

    assert empty == ["traffic.json: Slowest paths"]


def test_a_query_that_a_browser_left_behind_ends(stack: Stack) -> None:
    """MySQL takes the time limit of each statement of the boards, and keeps to it."""
    long = bounded(
        "SELECT COUNT(*) FROM raw_log a, raw_log b, raw_log c WHERE a.flags + b.flags + c.flags < 0"
    )
    with stack.connect("grafana") as connection, connection.cursor() as cursor:
        for where, statement in expressions.sql():
            cursor.execute(statement)
            assert cursor.fetchall() is not None
            cursor.execute("SHOW WARNINGS")
            assert [row for row in cursor.fetchall() if "hint" in row[2].lower()] == [], where
        with pytest.raises(pymysql.MySQLError) as ended:
            cursor.execute(long.replace(f"({QUERY_SECONDS * 1_000})", "(100)"))

    assert ended.value.args[0] == ER_QUERY_TIMEOUT


@pytest.mark.parametrize("chosen", [{}, {"path": "/"}, {"bot": "Googlebot"}], ids=str)
def test_the_index_on_time_finds_what_the_boards_show(stack: Stack, chosen: dict[str, str]) -> None:
    """The table of lines comes first, by that index, whatever is chosen."""
    statement = next(
        text for where, text in expressions.sql(0, 1, chosen) if "At a glance" in where
    )

    [_, _, table, _, _, _, key, *_] = stack.query(
        f"EXPLAIN FORMAT=TRADITIONAL {statement}", account="grafana"
    )[0]

    assert (table, key) == ("c", "time")


def test_batches_go_to_the_binary_log_from_memory(stack: Stack, log: Path) -> None:
    """The server's cache for it holds the largest batches: none takes the way over a file."""
    lines = [line + b"\n" for line in lines_of(log)][:20_000]

    with log.open("ab") as file:
        file.writelines(lines)
    stack.assert_settled(sum(1 for _ in lines_of(log)))

    status = dict(stack.query("SHOW GLOBAL STATUS LIKE 'Binlog_cache%'"))
    assert int(status["Binlog_cache_use"]) > 0
    assert int(status["Binlog_cache_disk_use"]) == 0


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

        eventually(parsed)
        assert_small_and_labelled(demo.image("playground"))
    finally:
        demo.destroy()

    assert demo.left_over() == []

"""Datastream in containers, for real: nothing lost or doubled, and the boards have their data."""

from __future__ import annotations

import re
from pathlib import Path

import expressions
import pytest

from datastream_playground import sample
from deploy.images import assert_small_and_labelled
from deploy.stack import PATIENCE, Stack, docker, growing
from deployment import eventually, lines_of

pytestmark = pytest.mark.timeout(600)

HISTORY = 200_000
REPLICAS = 3
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
            "doctor": 1,
            "mysql": 1,
        }

    eventually(all_are_up, PATIENCE)


def test_every_expression_of_the_boards_and_the_rules_has_data(stack: Stack, log: Path) -> None:
    """And every metric and every label that they name is in the scrapes."""
    expected = expressions.promql()

    def all_have_data() -> None:
        assert [where for where, text in expected if not stack.value(text)] == []

    with growing(log, [line + b"\n" for line in lines_of(log)][:1_000]):
        eventually(all_have_data, 240)
    stack.assert_settled(sum(1 for _ in lines_of(log)))

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

        eventually(parsed, PATIENCE)
        assert_small_and_labelled(f"{demo.project}/playground")
    finally:
        demo.destroy()

    assert demo.left_over() == []

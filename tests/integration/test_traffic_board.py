"""What the board Traffic answers, asked of real tables."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from types import MappingProxyType
from typing import Any

import expressions
import pytest

from deployment import Deployment

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = (int(NOON.timestamp()), int(NOON.timestamp()) + 3_599)
OFFSETS = count()


@pytest.fixture
def tables(deployment: Deployment) -> Deployment:
    """The tables, with one stream."""
    deployment.operate("migrate")
    deployment.change(
        "INSERT INTO log_stream (stream_id, source, host, path, format, generation)"
        " VALUES (1, 'shop', 'web1', '/log', 'combined', 0)"
    )
    return deployment


def store(
    tables: Deployment,
    columns: Mapping[str, object] = MappingProxyType({}),
    requests: int = 1,
    after: timedelta = timedelta(),
) -> None:
    """Store some requests, so long after noon."""
    row = {
        "stream_id": 1,
        "line_offset": 0,
        "parser_version": 1,
        "flags": 0,
        "is_email": 0,
        "time": (NOON + after).strftime("%Y-%m-%d %H:%M:%S"),
        **columns,
    }
    values: list[object] = []
    for _ in range(requests):
        values += {**row, "line_offset": next(OFFSETS)}.values()
    group = f"({', '.join(['%s'] * len(row))})"
    tables.change(
        f"INSERT INTO clean_log ({', '.join(row)}) VALUES {', '.join([group] * requests)}", *values
    )


def store_referrers(tables: Deployment, *referrers: tuple[str | None, str | None, int]) -> None:
    """Store hosts of referrers, their kinds, and so many requests from each."""
    for number, (host, kind, requests) in enumerate(referrers, start=1):
        tables.change(
            "INSERT INTO referrer (referrer_id, referrer, host, kind) VALUES (%s, %s, %s, %s)",
            number, f"https://{host}/", host, kind,
        )  # fmt: skip
        store(tables, {"referrer_id": number}, requests)


def answers(
    tables: Deployment,
    title: str,
    times: tuple[int, int] = HOUR,
    chosen: Mapping[str, str] = MappingProxyType({}),
) -> list[list[tuple[Any, ...]]]:
    """Return the rows of each query of a panel or a variable."""
    connected = tables.database.connect(tables.mysql.database)
    with connected as connection, connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        found = []
        for where, statement in expressions.sql(*times, chosen):
            if where == f"traffic.json: {title}":
                cursor.execute(statement)
                found.append(list(cursor.fetchall()))
        return found


def first_column(tables: Deployment, title: str) -> list[Any]:
    """Return the first column of what a panel answers."""
    [rows] = answers(tables, title)
    return [row[0] for row in rows]


def test_the_own_host_is_no_referrer_where_nobody_said_which_it_is(tables: Deployment) -> None:
    """Then it is the host that most lines name, search and social media apart."""
    store_referrers(
        tables,
        ("www.example.com", "other", 3),
        ("search.example.net", "search", 5),
        ("blog.example.org", "other", 1),
        (None, "other", 4),
    )

    assert first_column(tables, "Referrers") == [
        "search.example.net",
        "not a URL",
        "blog.example.org",
    ]


def test_the_host_that_most_lines_name_is_shown_where_the_own_one_is_known(
    tables: Deployment,
) -> None:
    """By SITE_HOSTS, which makes its referrers internal."""
    store_referrers(
        tables,
        ("www.example.com", "internal", 1),
        ("blog.example.org", "other", 3),
        ("search.example.net", "search", 2),
    )

    assert first_column(tables, "Referrers") == ["blog.example.org", "search.example.net"]


def test_the_host_that_was_asked_is_no_referrer(tables: Deployment) -> None:
    """Where the format logs it, it is the site's, and no other one is left out."""
    store_referrers(tables, ("blog.example.org", "other", 2), ("www.example.com", "other", 1))
    tables.change("UPDATE clean_log SET host = 'www.example.com'")

    assert first_column(tables, "Referrers") == ["blog.example.org"]


def test_pages_stand_apart_from_what_they_are_made_of(tables: Deployment) -> None:
    """A path without a type is a page."""
    for path, file_type in (("/", None), ("/a.html", "html"), ("/a.css", "css"), ("/b.zip", "zip")):
        store(tables, {"path": path, "file_type": file_type, "status": 200})

    assert sorted(first_column(tables, "Top pages")) == ["/", "/a.html"]
    assert sorted(first_column(tables, "Top assets")) == ["/a.css", "/b.zip"]


def test_only_paths_with_a_time_are_slow(tables: Deployment) -> None:
    """None where the format logs no times; then the panel says so."""
    store(tables, {"path": "/untimed", "status": 200})
    assert first_column(tables, "Slowest paths") == []

    store(tables, {"path": "/timed", "status": 200, "request_time": 0.2})
    assert first_column(tables, "Slowest paths") == ["/timed"]


def test_the_newest_request_has_an_age(tables: Deployment) -> None:
    """None where there is no row, which the board says in red."""
    assert answers(tables, "Newest request") == [[(None,)]]

    store(tables)
    [[(age,)]] = answers(tables, "Newest request")
    assert age > 60

    store(tables, after=timedelta(days=365 * 50))
    assert answers(tables, "Newest request") == [[(0,)]]


def test_requests_are_seen_against_the_week_before(tables: Deployment) -> None:
    """Those of seven days ago, at the time of today."""
    minute, week = timedelta(minutes=1), timedelta(days=7)
    for after in (minute, minute - week, minute - week, -week - minute):
        store(tables, {"status": 200}, 15, after=after)

    now, before = answers(tables, "Requests, by status")

    at = HOUR[0] + expressions.STEP
    assert [(int(time), name, float(rate)) for time, name, rate in now] == [(at, "2xx", 0.25)]
    assert [(int(time), float(rate)) for time, rate in before] == [(at, 0.5)]


def test_a_step_that_is_not_over_is_no_drop(tables: Deployment) -> None:
    """A rate is of the seconds of a step that are within the time shown."""
    for after in (0, 45, 60, 120):
        store(tables, {"status": 200, "size": 100}, 30, after=timedelta(seconds=after))
    times = (HOUR[0] + 30, HOUR[0] + 135)

    [requests, _] = answers(tables, "Requests, by status", times)
    [sent] = answers(tables, "Bytes sent", times)

    assert [float(rate) for _, _, rate in requests] == [1, 0.5, 2]
    assert [float(rate) for _, rate in sent] == [100, 50, 200]


@pytest.mark.parametrize(
    ("requests", "times", "step"),
    [
        (0, HOUR, "10s"),
        (400, HOUR, "5m"),  # 100 of them take 15 minutes, which would leave four steps
        (400, (HOUR[0], HOUR[0] + 30), "10s"),
        (400, (HOUR[0] - 86_400 * 3, HOUR[0] + 86_400 * 27), "1d"),
    ],
)
def test_a_step_has_requests_enough(
    tables: Deployment, requests: int, times: tuple[int, int], step: str
) -> None:
    """A hundred, or a twentieth of the time shown."""
    if requests:
        store(tables, {"status": 200}, requests)

    assert answers(tables, "variable step", times) == [[(step,)]]


@pytest.mark.parametrize(
    ("chosen", "stored"),
    [
        ({"path": "/it's"}, {"path": "/it's"}),
        ({"path": r"/..\..\win.ini"}, {"path": r"/..\..\win.ini"}),
        ({"path": "/\\' OR 1 -- "}, {"path": "/\\' OR 1 -- "}),
        ({"path": '/\\" OR 1 -- '}, {"path": '/\\" OR 1 -- '}),
        ({"path": "/a b%_\\%\\n$1&#;`(1)"}, {"path": "/a b%_\\%\\n$1&#;`(1)"}),
        ({"country": "CH"}, {"country": "CH"}),
        ({"country": "unknown"}, {"country": None}),
        ({"bot": "Googlebot"}, {"user_agent_id": 1}),
        ({"bot": "curl/8"}, {"user_agent_id": 2}),
    ],
)
def test_a_choice_narrows_every_panel(
    tables: Deployment, chosen: dict[str, str], stored: dict[str, object]
) -> None:
    """To what a click on the value of a table chooses; the newest request is of all."""
    for number, (agent, browser, is_bot) in enumerate(
        (("Googlebot/2.1", "Googlebot", 1), ("curl/8", None, 1), ("Mozilla/5.0", "Firefox", 0)), 1
    ):
        tables.change(
            "INSERT INTO user_agent (user_agent_id, user_agent, browser, is_bot)"
            " VALUES (%s, %s, %s, %s)",
            number, agent, browser, is_bot,
        )  # fmt: skip
    others: dict[str, object] = {
        "path": "/other",
        "country": "DE",
        "user_agent_id": 3,
        "status": 200,
    }
    store(tables, others)
    store(tables, {**others, "size": 7, **stored})

    [[(requests, _, _, size, _)]] = answers(tables, "At a glance", chosen=chosen)

    assert (requests, size) == (1, 7)
    [[(every, *_)]] = answers(tables, "At a glance")
    assert every == 2


@pytest.mark.parametrize("chosen", [{}, {"path": "/"}, {"bot": "Googlebot"}], ids=str)
def test_the_index_on_time_finds_the_rows_whatever_is_chosen(
    tables: Deployment, chosen: dict[str, str]
) -> None:
    """The table of lines comes first, by that index."""
    store(tables, {"status": 200}, 1_000)
    store(tables, {"status": 200}, 10, after=timedelta(days=-1))
    times = (HOUR[0] - 86_400, HOUR[1] - 86_400)
    statement = next(
        text for where, text in expressions.sql(*times, chosen) if "At a glance" in where
    )

    [_, _, table, _, _, key, *_] = tables.query(f"EXPLAIN {statement}")[0]

    assert (table, key) == ("c", "time")

"""The tables user_agent and referrer, on the real server."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
import tenacity

from clean_consumer import dimension, rows
from clean_consumer.agents import AgentParser
from clean_consumer.dimension import (
    COMPLETED_AT_ONCE,
    REFERRERS,
    REMEMBERED,
    USER_AGENTS,
    Dimension,
)
from clean_consumer.enrichment import Describe, enrichment
from clean_consumer.referrers import ReferrerParser
from clean_consumer.rows import parse, referrer_id_of, user_agent_id_of
from clean_consumer.settings import EnrichmentSettings
from clean_consumer.store import Warehouse
from datastream.config import Environment
from datastream.errors import Unavailable
from datastream.mysql import Session
from datastream.slices import Slice
from datastream.streams import Stream
from datastream_operator import migrate
from deployment import Deployment
from faults.installation import run_sql
from lake_consumer.store import Lake

AGENTS = AgentParser()
PARSED = USER_AGENTS.described_at_once


@pytest.fixture
def session(deployment: Deployment) -> Iterator[Session]:
    """A session with a schema of the test's own."""
    with closing(Session(deployment.mysql, "test")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dimension, "NEXT_LOOK", 0.0)


def agents(*texts: str) -> dict[str, int]:
    """Return user agents, each with its key."""
    return {text: user_agent_id_of(text) for text in texts}


def unparsed(deployment: Deployment) -> int:
    """Return how many user agents are not parsed."""
    (count,) = deployment.query("SELECT COUNT(*) FROM user_agent WHERE is_bot IS NULL")
    return int(count[0])


def test_a_user_agent_is_stored_with_what_it_says(deployment: Deployment, session: Session) -> None:
    """Its parts are there as soon as the rows that name it."""
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"

    Dimension(session, USER_AGENTS, AGENTS).ensure(agents(firefox, "curl/8.5.0"))

    assert deployment.query(
        "SELECT user_agent_id, user_agent, browser, browser_version, `system`, device, is_bot"
        " FROM user_agent ORDER BY browser"
    ) == [
        (user_agent_id_of(firefox), firefox, "Firefox", "120.0", "Linux", None, 0),
        (user_agent_id_of("curl/8.5.0"), "curl/8.5.0", "curl", "8.5.0", None, None, 1),
    ]


def test_a_flood_of_user_agents_is_stored_at_once_and_parsed_bit_by_bit(
    deployment: Deployment, session: Session
) -> None:
    """Of a batch a bounded number is parsed; the rest waits for later ones, and none is missed."""
    calls: list[str] = []

    def counted(text: str) -> object:
        calls.append(text)
        return AGENTS(text)

    described: Describe = counted  # type: ignore[assignment]
    table = Dimension(session, USER_AGENTS, described)
    flood = PARSED + 3 * COMPLETED_AT_ONCE
    numbers = []
    for batch in range(5):
        calls.clear()
        table.ensure(agents(*(f"flood/{number}" for number in range(flood))) if not batch else {})
        numbers.append((len(calls), deployment.count("user_agent"), unparsed(deployment)))

    step = COMPLETED_AT_ONCE
    assert numbers == [
        (PARSED + step, flood, 2 * step),
        (step, flood, step),
        (step, flood, 0),
        (0, flood, 0),
        (0, flood, 0),
    ]


def test_what_an_older_version_stored_is_parsed_too(
    deployment: Deployment, session: Session
) -> None:
    """Without a parser, or by a consumer that has none, rows wait for one that has."""
    off = Dimension(session, USER_AGENTS, None)
    off.ensure(agents("curl/8.5.0"))
    off.ensure(agents("curl/8.5.0"))
    waiting = unparsed(deployment)

    Dimension(session, USER_AGENTS, AGENTS).ensure({})

    assert waiting == 1
    assert deployment.query("SELECT browser, is_bot FROM user_agent") == [("curl", 1)]


def test_two_consumers_describe_the_same(deployment: Deployment) -> None:
    """Whoever comes second changes nothing, and finds nothing to do."""
    with (
        closing(Session(deployment.mysql, "one")) as one,
        closing(Session(deployment.mysql, "two")) as two,
    ):
        first = Dimension(one, USER_AGENTS, None)
        second = Dimension(two, USER_AGENTS, AGENTS)
        first.ensure(agents("a/1", "curl/8.5.0"))
        second.ensure(agents("curl/8.5.0", "b/1"))

    assert unparsed(deployment) == 0
    assert deployment.count("user_agent") == 3


def test_a_process_remembers_a_bounded_number(deployment: Deployment, session: Session) -> None:
    """Those of a flood are forgotten again, and stored no second time when they come back."""
    table = Dimension(session, USER_AGENTS, None)
    table.ensure({f"a/{key}": key for key in range(REMEMBERED)})
    table.ensure({"one too many": REMEMBERED})
    remembered = len(table._written)  # noqa: SLF001 - memory shows in no other way
    table.ensure({"a/0": 0})

    assert remembered == 1
    assert deployment.count("user_agent") == REMEMBERED + 1


def test_a_referrer_is_stored_with_its_host_and_kind(
    deployment: Deployment, session: Session
) -> None:
    """One that is no URL too; whose kind is not known yet is filled in."""
    search, own, text = "https://www.google.com/", "https://shop.example.com/a", "no URL"
    describe = ReferrerParser(frozenset({"example.com"}))
    Dimension(session, REFERRERS, None).ensure({own: referrer_id_of(own)})

    Dimension(session, REFERRERS, describe).ensure(
        {each: referrer_id_of(each) for each in (search, text)}
    )

    assert sorted(deployment.query("SELECT referrer, host, kind FROM referrer")) == [
        (own, "shop.example.com", "internal"),
        (search, "www.google.com", "search"),
        (text, None, "other"),
    ]


def made_up(monkeypatch: pytest.MonkeyPatch, bits: int = 1) -> None:
    """Shrink the keys' hashes, so that texts of one key are easy to make up."""
    for name in ("user_agent_id_of", "referrer_id_of"):
        whole = getattr(rows, name)
        monkeypatch.setattr(rows, name, lambda text, whole=whole: whole(text) % 2**bits)


def slice_of(offset: int, *pairs: tuple[str, str], stream: int = 1) -> Slice:
    """Return a slice with a line for each referrer and user agent."""
    lines = [
        f'192.0.2.7 - - [10/Oct/2026:13:55:36 +0200] "GET /?{referrer}&{agent} HTTP/1.1" 200 5'
        f' "{referrer}" "{agent}"'.encode()
        for referrer, agent in pairs
    ]
    return Slice(
        Stream(stream, "test", "host", "/access.log", "combined", 0),
        *(offset, b"\n".join(lines), len(lines), 0, 0),
    )


NAMED = """
    SELECT c.query, CONCAT(r.referrer, '&', a.user_agent)
    FROM clean_log c LEFT JOIN referrer r USING (referrer_id) LEFT JOIN user_agent a
        USING (user_agent_id)
"""


def test_texts_of_one_key_have_a_row_each_and_lines_name_the_right_one(
    deployment: Deployment, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one slice, in one batch, and after a restart; each is told once, and is not moved."""
    made_up(monkeypatch)
    told: list[str] = []
    warehouse = Warehouse(session, collided=told.append)
    pairs = [(f"r/{number}", f"a/{number}") for number in range(12)]
    warehouse.store([parse(slice_of(0, *pairs[:6])), parse(slice_of(10_000, *pairs[4:8]))])
    first = {*deployment.query("SELECT user_agent_id, user_agent FROM user_agent")}
    warehouse.store([parse(slice_of(20_000, *pairs))])
    told_first = Counter(told)
    Warehouse(session, collided=told.append).store([parse(slice_of(30_000, *pairs[::-1]))])

    found = deployment.query(NAMED)
    assert len(found) == 34
    assert [row for row in found if row[0] != row[1]] == []
    assert deployment.count("user_agent") == deployment.count("referrer") == 12
    assert first <= {*deployment.query("SELECT user_agent_id, user_agent FROM user_agent")}
    # Two have the two keys that there are.
    assert told_first == {"user_agent": 10, "referrer": 10}
    keys = deployment.query("SELECT user_agent_id FROM user_agent WHERE user_agent_id < 2")
    assert len(keys) == 2


def test_a_text_that_collides_with_none_keeps_its_key(
    deployment: Deployment, session: Session
) -> None:
    """What older versions stored is named by the same key as ever, and nothing is told."""
    told: list[str] = []
    Dimension(session, USER_AGENTS, None, told.append).ensure(agents("a", "b"))
    stored = Dimension(session, USER_AGENTS, None, told.append).ensure(agents("a", "b", "c"))

    assert (stored, told) == ({}, [])
    assert {*deployment.query("SELECT user_agent, user_agent_id FROM user_agent")} == {
        *agents("a", "b", "c").items()
    }


def test_several_consumers_at_once_agree_on_the_keys_of_texts_that_collide(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without talking: a text has one row, whoever stores it, in whatever order they come."""
    made_up(monkeypatch, 2)
    pairs = [(f"r/{number}", f"a/{number}") for number in range(40)]

    def consume(number: int) -> None:
        with closing(Session(deployment.mysql, f"consumer {number}")) as opened:
            warehouse = Warehouse(opened)
            mixed = random.Random(number).sample(pairs, len(pairs))  # noqa: S311
            for at in range(0, len(mixed), 4):
                slice_ = slice_of(at * 1_000, *mixed[at : at + 4], stream=number)
                retry(warehouse.store, [parse(slice_)])

    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Unavailable), stop=tenacity.stop_after_attempt(50)
    )
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(consume, range(3)))

    found = deployment.query(NAMED)
    assert len(found) == 120
    assert [row for row in found if row[0] != row[1]] == []
    assert deployment.count("user_agent") == deployment.count("referrer") == 40


def test_a_text_whose_row_is_disguised_is_renamed_by_what_is_stored(
    deployment: Deployment, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A referrer without its query is the text that counts, also when its line is read again."""
    made_up(monkeypatch)
    settings = EnrichmentSettings.read(Environment({"PRIVACY_QUERIES": "drop", "ENRICH": "none"}))
    added = enrichment(settings)
    pairs = [(f"https://example.com/{number}?q", "a") for number in range(6)]
    Warehouse(session, added).store([parse(slice_of(0, *pairs), added)])

    named = deployment.query(
        "SELECT referrer FROM clean_log JOIN referrer USING (referrer_id) ORDER BY line_offset"
    )
    assert named == [(referrer.partition("?")[0],) for referrer, _ in pairs]


def set_back(deployment: Deployment, how: str) -> None:
    """Bring the database to the state in which no line had come."""
    names = ("log_stream", "user_agent", "referrer", "raw_log", "clean_log", "rejected_log")
    if how == "rows":
        for table in names:
            deployment.change(f"DELETE FROM {table}")
        return
    schema = deployment.mysql.database
    run_sql(deployment.database, f"DROP DATABASE {schema}", f"CREATE DATABASE {schema}")
    migrate.apply(deployment.mysql)


@pytest.mark.parametrize("how", ["rows", "database"])
def test_the_database_is_set_back_while_sessions_are_open(deployment: Deployment, how: str) -> None:
    """What was written once is written again: every new row has what it names, of each consumer."""
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Unavailable), stop=tenacity.stop_after_attempt(2)
    )
    pairs = [(f"r/{number}", f"a/{number}") for number in range(3)]
    with ExitStack() as stack:
        sessions = [stack.enter_context(closing(Session(deployment.mysql, name))) for name in "abc"]
        lake = Lake(sessions[0])
        warehouses = [Warehouse(session) for session in sessions[1:]]
        for position in (0, 100_000):
            if position:
                set_back(deployment, how)
            slice_ = slice_of(position, *pairs)
            retry(lake.store, [slice_])
            for part, warehouse in enumerate(warehouses):
                retry(warehouse.store, [parse(slice_of(position + part * 10_000, *pairs))])

    found = deployment.query(NAMED)
    assert len(found) == 6
    assert [row for row in found if row[0] != row[1]] == []
    assert deployment.count("log_stream") == 1
    assert deployment.count("raw_log") == 3


@pytest.mark.parametrize("table", ["log_stream", "user_agent", "referrer"])
def test_a_row_that_somebody_removed_is_written_again(
    deployment: Deployment, session: Session, table: str
) -> None:
    """It is told as what it is, and the same batch is whole at the next attempt."""
    warehouse = Warehouse(session)
    warehouse.store([parse(slice_of(0, ("r", "a")))])
    deployment.change(f"DELETE FROM {table}")
    batch = [parse(slice_of(1_000, ("r", "a")))]

    with pytest.raises(Unavailable, match=f"rows of {table} .* are gone.*set back"):
        warehouse.store(batch)
    warehouse.store(batch)

    assert deployment.count(table) == 1
    assert [row for row in deployment.query(NAMED) if row[0] != row[1]] == []


def test_what_is_remembered_ends_with_the_session(deployment: Deployment, session: Session) -> None:
    """The next one may be to another server, which has not got what this one has."""
    table = Dimension(session, USER_AGENTS, None)
    table.ensure(agents("curl/8.5.0"))
    deployment.change("DELETE FROM user_agent")
    table.ensure(agents("curl/8.5.0"))
    while_it_lasts = deployment.count("user_agent")
    session.close()
    table.ensure(agents("curl/8.5.0"))

    assert (while_it_lasts, deployment.count("user_agent")) == (0, 1)

"""The tables user_agent and referrer, on the real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from clean_consumer import dimension
from clean_consumer.agents import AgentParser
from clean_consumer.dimension import (
    COMPLETED_AT_ONCE,
    REFERRERS,
    REMEMBERED,
    USER_AGENTS,
    Dimension,
)
from clean_consumer.enrichment import Describe
from clean_consumer.referrers import ReferrerParser
from clean_consumer.rows import referrer_id_of, user_agent_id_of
from datastream.mysql import Session
from deployment import Deployment

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


def agents(*texts: str) -> dict[int, str]:
    """Return user agents by key."""
    return {user_agent_id_of(text): text for text in texts}


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
    table.ensure({key: f"a/{key}" for key in range(REMEMBERED)})
    table.ensure({REMEMBERED: "one too many"})
    remembered = len(table._written)
    table.ensure({0: "a/0"})

    assert remembered == 1
    assert deployment.count("user_agent") == REMEMBERED + 1


def test_a_referrer_is_stored_with_its_host_and_kind(
    deployment: Deployment, session: Session
) -> None:
    """One that is no URL too; whose kind is not known yet is filled in."""
    search, own, text = "https://www.google.com/", "https://shop.example.com/a", "no URL"
    describe = ReferrerParser(frozenset({"example.com"}))
    Dimension(session, REFERRERS, None).ensure({referrer_id_of(own): own})

    Dimension(session, REFERRERS, describe).ensure(
        {referrer_id_of(each): each for each in (search, text)}
    )

    assert sorted(deployment.query("SELECT referrer, host, kind FROM referrer")) == [
        (own, "shop.example.com", "internal"),
        (search, "www.google.com", "search"),
        (text, None, "other"),
    ]

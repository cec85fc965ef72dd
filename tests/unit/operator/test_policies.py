"""Which policies of the broker apply to which queue or exchange."""

from __future__ import annotations

from typing import Any

import pytest

from datastream.topology import EXCHANGES, LAKE_QUEUE, QUEUES
from datastream_operator.policies import applied


def policy(name: str, pattern: str, **more: object) -> dict[str, Any]:
    """Return a policy as the management API gives it."""
    common = {"name": name, "pattern": pattern, "definition": {"expires": 1}, "priority": 0}
    return common | {"apply-to": "all"} | more


def test_everything_is_named_where_no_policy_applies() -> None:
    """Once, with no policy, so that a metric has a sample for each."""
    found = applied([], [])

    assert [(one.name, one.policy) for one in found] == [
        *((name, "") for name in EXCHANGES),
        *((queue.name, "") for queue in QUEUES),
    ]


@pytest.mark.parametrize(
    ("kind", "applies"),
    [
        ("all", True),
        ("queues", True),
        ("quorum_queues", True),
        ("classic_queues", False),
        ("streams", False),
        ("exchanges", False),
    ],
)
def test_a_policy_is_for_a_kind(kind: str, *, applies: bool) -> None:
    """Ours are quorum queues."""
    found = applied([policy("p", f"^{LAKE_QUEUE}$", **{"apply-to": kind})], [])

    assert [one.name for one in found if one.policy] == [LAKE_QUEUE] * applies


def test_of_the_same_priority_any_may_apply() -> None:
    """The broker takes one of them, and nobody knows which."""
    policies = [policy("a", "lake"), policy("b", "lake"), policy("c", "lake", priority=-1)]

    found = {one.policy for one in applied(policies, []) if one.name == LAKE_QUEUE}

    assert found == {"a", "b"}


def test_a_pattern_that_cannot_be_read_here_may_fit() -> None:
    """The broker's expressions are not Python's in every corner."""
    found = applied([], [policy("p", "(?|lake|clean)")])

    assert {one.policy for one in found} == {"p"}

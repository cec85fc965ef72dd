"""Policies of the broker that undo what the queues and the exchanges are declared with.

A policy is one of the virtual host or of the broker's operator; of each kind the one with the
highest priority applies to a name. Some of its keys count more than the queue's arguments, as
tried on RabbitMQ 3.10 and read in the source of 4: `overflow` counts more; of `message-ttl`,
`expires`, `max-length`, `max-length-bytes` and `delivery-limit` the smaller value counts. The keys
`dead-letter-…` count less than the argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from datastream import topology

#: The `apply-to` of policies for an exchange and for a quorum queue.
_FOR = {
    "exchange": {"all", "exchanges"},
    "queue": {"all", "queues", "quorum_queues"},
}


@dataclass(frozen=True, slots=True)
class Applied:
    """A policy on one queue or exchange, and which promises it breaks there."""

    #: The queue or the exchange.
    name: str
    #: Empty where none applies.
    policy: str
    #: The effect of each of the policy's keys.
    breaches: Mapping[str, str] = field(default_factory=dict)

    def words(self) -> list[str]:
        """Return a line for each promise that is broken."""
        return [
            f"policy {self.policy!r} on {self.name}, {key}: {effect}"
            for key, effect in self.breaches.items()
        ]


def applied(
    policies: Iterable[Mapping[str, Any]], operator_policies: Iterable[Mapping[str, Any]]
) -> list[Applied]:
    """Return what applies to each exchange and queue, from the policies as the API gives them."""
    kinds = [list(policies), list(operator_policies)]
    found = []
    for name, kind in _declared():
        its = [
            Applied(name, str(policy["name"]), dict(_effects(name, kind, policy["definition"])))
            for of_kind in kinds
            for policy in _applying(of_kind, name, kind)
        ]
        found += its or [Applied(name, "")]
    return found


def _declared() -> list[tuple[str, str]]:
    return [(name, "exchange") for name in topology.EXCHANGES] + [
        (queue.name, "queue") for queue in topology.QUEUES
    ]


def _applying(policies: list[Mapping[str, Any]], name: str, kind: str) -> list[Mapping[str, Any]]:
    """Return the policies that may apply: the broker takes any of the highest priority."""
    found = [
        policy
        for policy in policies
        if policy.get("apply-to", "all") in _FOR[kind] and _fits(str(policy["pattern"]), name)
    ]
    highest = max((policy.get("priority", 0) for policy in found), default=0)
    return [policy for policy in found if policy.get("priority", 0) == highest]


def _fits(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        # The broker's expressions are Perl's, and Python lacks some: rather report too many.
        return True


def _effects(name: str, kind: str, definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each key of a policy that breaks a promise, and its effect."""
    if kind == "exchange":
        if other := definition.get("alternate-exchange"):
            yield "alternate-exchange", f"what has no queue goes to {other!r}, and is confirmed"
        return
    arguments = next(queue.arguments for queue in topology.QUEUES if queue.name == name)
    if "x-dead-letter-exchange" in arguments:
        yield from _effects_on_lines(definition)
    else:
        yield from _effects_on_dead_letters(definition)
    if expiry := definition.get("expires"):
        yield "expires", f"unused for {expiry} ms it is deleted, with all that is in it"


def _effects_on_lines(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "message-ttl" in definition:
        ttl = definition["message-ttl"]
        yield "message-ttl", f"lines that wait {ttl} ms are dead letters, and not stored"
    if definition.get("overflow", "reject-publish") != "reject-publish":
        yield "overflow", "once full it drops lines that were confirmed"
    limit = definition.get("delivery-limit", topology.DELIVERY_LIMIT)
    if limit < topology.DELIVERY_LIMIT:
        yield (
            "delivery-limit",
            f"lines are dead letters after {limit} deliveries, which an outage can reach",
        )


def _effects_on_dead_letters(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "message-ttl" in definition:
        yield "message-ttl", f"dead letters that wait {definition['message-ttl']} ms are dropped"
    for key in ("max-length", "max-length-bytes"):
        if key in definition and definition.get("overflow") != "reject-publish":
            yield key, f"more than {definition[key]} drop dead letters"
    limit = definition.get("delivery-limit", topology.DEAD_LETTER_DELIVERY_LIMIT)
    if limit < topology.DEAD_LETTER_DELIVERY_LIMIT:
        yield "delivery-limit", f"dead letters that were looked at {limit} times are gone"

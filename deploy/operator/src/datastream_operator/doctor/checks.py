"""What the doctor looks at, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from datastream import rabbitmq, topology
from datastream.config import RabbitSettings
from datastream.errors import Unavailable
from datastream_operator.doctor.management import Management
from datastream_operator.doctor.policies import Applied, applied

REMOVE = "remove that policy, or have its pattern spare these names: `rabbitmqctl list_policies`"


class State(Enum):
    """What a check came to."""

    OK = "ok"
    WRONG = "WRONG"
    #: It could not be looked at, which is no reason to believe that it is well.
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's."""

    name: str
    state: State
    #: What was found; where it is not well, what to do as well.
    words: tuple[str, ...]


@dataclass(slots=True)
class Report:
    """Everything that was looked at."""

    checks: list[Check] = field(default_factory=list)
    #: What applies to each exchange and queue; empty when that is not known.
    policies: list[Applied] = field(default_factory=list)
    #: Why each that was asked (rabbitmq, management) has not answered; empty where it has.
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Whether all could be looked at and is as it must be."""
        return all(check.state is State.OK for check in self.checks)


def examine(rabbit: RabbitSettings, management: Management) -> Report:
    """Look at everything; what cannot be reached is part of the report."""
    report = Report()
    _examine_over_amqp(report, rabbit)
    _examine_over_http(report, management)
    return report


def policy_warnings(management: Management) -> list[str]:
    """Return a line for each policy that breaks a promise, or why none can be looked for."""
    report = Report()
    _examine_over_http(report, management)
    policies = report.checks[-1]
    if policies.state is State.UNKNOWN:
        return [f"whether a policy undoes what they promise is not known: {policies.words[0]}"]
    return [] if policies.state is State.OK else list(policies.words)


def _examine_over_amqp(report: Report, rabbit: RabbitSettings) -> None:
    where = f"{rabbit.host}:{rabbit.port}, virtual host {rabbit.vhost}, as {rabbit.user}"
    names = "exchanges", "queues"
    try:
        found = rabbitmq.compare_topology(rabbit)
    except Unavailable as error:
        report.failures["rabbitmq"] = error.reason
        report.checks.append(Check("broker", State.WRONG, (str(error),)))
        report.checks += [Check(name, State.UNKNOWN, ("no broker to ask",)) for name in names]
        return
    report.failures["rabbitmq"] = ""
    report.checks.append(Check("broker", State.OK, (where,)))
    queues = [queue.name for queue in topology.QUEUES]
    for name, declared in zip(names, (list(topology.EXCHANGES), queues), strict=True):
        faults = tuple(found[one] for one in declared if found[one])
        state = State.WRONG if faults else State.OK
        report.checks.append(Check(name, state, faults or (", ".join(declared),)))


def _examine_over_http(report: Report, management: Management) -> None:
    try:
        bindings = management.get("bindings")
        policies = management.get("policies")
        operator_policies = management.get("operator-policies")
    except Unavailable as error:
        report.failures["management"] = error.reason
        for name in ("bindings", "policies"):
            report.checks.append(Check(name, State.UNKNOWN, (str(error),)))
        return
    report.failures["management"] = ""
    report.checks.append(_bindings(bindings))
    report.policies = applied(policies, operator_policies)
    found = tuple(words for policy in report.policies for words in policy.words())
    if found:
        report.checks.append(Check("policies", State.WRONG, (*found, REMOVE)))
    else:
        report.checks.append(Check("policies", State.OK, ("none undoes what is promised",)))


def _bindings(found: list[dict[str, str]]) -> Check:
    queues = {queue.name for queue in topology.QUEUES}
    # Every queue is bound to the exchange without a name, and cannot be otherwise.
    there = {
        (b["source"], b["routing_key"], b["destination"])
        for b in found
        if b["destination"] in queues and b["source"]
    }
    wanted = {(queue.exchange, queue.binding_key, queue.name) for queue in topology.QUEUES}
    faults = [
        f"{queue} is not bound to {exchange} by {key}: run `datastream topology`"
        for exchange, key, queue in sorted(wanted - there)
    ] + [
        f"{queue} is also bound to {exchange} by {key!r}, and gets what is not for it: unbind it"
        for exchange, key, queue in sorted(there - wanted)
    ]
    state = State.WRONG if faults else State.OK
    return Check("bindings", state, tuple(faults) or (f"{len(wanted)} as declared",))

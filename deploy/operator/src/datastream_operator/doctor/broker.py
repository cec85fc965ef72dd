"""The broker: who is let in, the topology, what undoes it, and how its nodes are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datastream import rabbitmq, topology
from datastream.config import RabbitSettings
from datastream.errors import Unavailable
from datastream_operator.doctor import encryption
from datastream_operator.doctor.management import Management
from datastream_operator.doctor.report import LOW_DISK, Check, Report, State
from datastream_operator.doctor.settings import by_account, called
from datastream_operator.policies import applied
from datastream_operator.text import size

BROKER, TLS, ACCOUNTS, MANAGEMENT = "broker", "broker TLS", "accounts", "management"
DECLARED = ("exchanges", "queues")
MANAGED = ("bindings", "policies", "broker disk")

REMOVE = "remove that policy, or have its pattern spare these names: `rabbitmqctl list_policies`"
START = "Start it, or correct RABBIT_HOST and RABBIT_PORT."
NO_BROKER = "no broker to ask"


def examine(rabbit: RabbitSettings, management: Management) -> Report:
    """Look at the broker with the operator's account; what cannot be reached is in the report."""
    report = Report()
    _examine_over_amqp(report, rabbit)
    _examine_over_http(report, management)
    return report


def examine_for_all(
    rabbit: Mapping[str, RabbitSettings], management: Management | None
) -> list[Check]:
    """Return the rows of the broker, looked at with the accounts that there are, by service."""
    if not rabbit:
        report = Report()
        report.skip(
            (BROKER, *DECLARED, MANAGEMENT, *MANAGED), "no account in the settings: RABBIT_USER"
        )
        return report.checks
    accounts = list(by_account(rabbit).items())
    first, _ = accounts[0]
    if management is None:
        report = Report([_let_in(first)])
        why = "only OPERATOR_RABBIT_USER, or RABBIT_USER, sees it"
        report.skip((*DECLARED, MANAGEMENT, *MANAGED), why)
    else:
        report = examine(first, management)
    reached = report.checks[0].state is State.OK
    others = [
        encryption.check_broker(TLS, first) if reached else Check(TLS, State.SKIPPED, (NO_BROKER,)),
        _accounts(accounts) if reached else Check(ACCOUNTS, State.SKIPPED, (NO_BROKER,)),
    ]
    return [report.checks[0], *others, *report.checks[1:]]


def policy_warnings(management: Management) -> list[str]:
    """Return a line for each policy that breaks a promise, or why none can be looked for."""
    report = Report()
    _examine_over_http(report, management)
    checks = {check.name: check for check in report.checks}
    if checks[MANAGEMENT].state is State.BROKEN:
        why = checks[MANAGEMENT].words[0]
        return [f"whether a policy undoes what they promise is not known: {why}"]
    policies = checks["policies"]
    return [] if policies.state is State.OK else [*policies.words, policies.advice]


# --- over AMQP


def _where(rabbit: RabbitSettings) -> str:
    return f"{rabbit.host}:{rabbit.port}, virtual host {rabbit.vhost}, as {rabbit.user}"


def _away(error: Unavailable) -> Check:
    advice = START if error.reason == "connection" else ""
    return Check(BROKER, State.BROKEN, (str(error),), advice)


def _let_in(rabbit: RabbitSettings) -> Check:
    try:
        with rabbitmq.connect(rabbit, "datastream doctor"):
            return Check(BROKER, State.OK, (_where(rabbit),))
    except Unavailable as error:
        return _away(error)


def _accounts(accounts: list[tuple[RabbitSettings, list[str]]]) -> Check:
    """Return the row of every account; the first has been let in already."""
    faults = []
    for rabbit, services in accounts[1:]:
        try:
            with rabbitmq.connect(rabbit, "datastream doctor"):
                pass
        except Unavailable as error:
            faults.append(f"{called(services)}, as {rabbit.user}: {error}")
    let_in = ", ".join(called(services) for _, services in accounts)
    return Check.of(ACCOUNTS, faults, f"let in: {let_in}")


def _examine_over_amqp(report: Report, rabbit: RabbitSettings) -> None:
    try:
        found = rabbitmq.compare_topology(rabbit)
    except Unavailable as error:
        report.failures["rabbitmq"] = error.reason
        report.checks.append(_away(error))
        report.skip(DECLARED, NO_BROKER)
        return
    report.failures["rabbitmq"] = ""
    report.checks.append(Check(BROKER, State.OK, (_where(rabbit),)))
    names = {"exchanges": list(topology.EXCHANGES), "queues": [q.name for q in topology.QUEUES]}
    for name, declared in names.items():
        faults = [found[one] for one in declared if found[one]]
        report.checks.append(Check.of(name, faults, f"{len(declared)}, with their arguments"))


# --- over HTTP


def _examine_over_http(report: Report, management: Management) -> None:
    try:
        bindings = management.of_vhost("bindings")
        policies = management.of_vhost("policies")
        operator_policies = management.of_vhost("operator-policies")
    except Unavailable as error:
        report.failures["management"] = error.reason
        report.checks.append(Check(MANAGEMENT, State.BROKEN, (str(error),)))
        report.skip(MANAGED, "no management API to ask")
        return
    report.failures["management"] = ""
    report.checks.append(Check(MANAGEMENT, State.OK, (management.url,)))
    report.checks.append(_bindings(bindings))
    report.policies = applied(policies, operator_policies)
    broken = [words for policy in report.policies for words in policy.words()]
    report.checks.append(Check.of("policies", broken, "none undoes what is promised", REMOVE))
    report.checks.append(_disk(management))


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
    return Check.of("bindings", faults, f"{len(wanted)}, as declared")


def _disk(management: Management) -> Check:
    name = "broker disk"
    try:
        nodes = management.nodes()
    except Unavailable as error:
        return Check(name, State.SKIPPED, (str(error),))
    return check_nodes(name, nodes)


def check_nodes(name: str, nodes: list[dict[str, Any]]) -> Check:
    """Return the row of the nodes' disks and alarms, as the management API gives them."""
    alarms = [
        f"the {what} alarm of {node['name']} is on: it takes nothing from a producer"
        for node in nodes
        for what, key in (("memory", "mem_alarm"), ("disk", "disk_free_alarm"))
        if node.get(key)
    ]
    # A node that is down has no such field.
    free = [node["disk_free"] for node in nodes if isinstance(node.get("disk_free"), int)]
    if alarms:
        return Check(name, State.BROKEN, tuple(alarms), "Make room there, or give it more memory.")
    if not free:
        return Check(name, State.SKIPPED, ("the management API does not say",))
    words = f"{size(min(free))} free, no alarm"
    if min(free) < LOW_DISK:
        return Check(name, State.ATTENTION, (words,), "Make room on the broker's disk.")
    return Check(name, State.OK, (words,))

"""The command `datastream doctor`: is everything as it must be, and if not, what to do."""

from __future__ import annotations

import argparse
import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from enum import Enum
from threading import Event
from typing import Any

from datastream import logs, metrics, rabbitmq, topology
from datastream.config import Environment, RabbitSettings, ServiceSettings
from datastream.errors import Unavailable
from datastream.shutdown import stop_on_signals
from datastream_operator.policies import Applied, applied

NAME = "doctor"
DEFAULT_METRICS_PORT = 9105
#: Seconds between two looks with --watch.
EVERY = 30.0

DESCRIPTION = """\
Say whether the broker is as it must be: exchanges, queues and bindings as `datastream topology`
declares them, and no policy that undoes what is promised. Nothing is changed. Policies and
bindings are seen through the management API (RABBIT_MANAGEMENT_URL).
"""

EXIT_CODES = """\
exit codes: 0 all is well; 1 something is not, or could not be looked at; 78 a setting is wrong
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `datastream doctor`."""
    parser.description = DESCRIPTION
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=run)
    parser.add_argument(
        "--watch",
        action="store_true",
        help="go on, and tell Prometheus what is found, on METRICS_HOST and METRICS_PORT",
    )


def run(arguments: argparse.Namespace) -> int:
    """Look once and print it, or watch; return the exit code. Raises ConfigError."""
    env = Environment.load()
    rabbit = RabbitSettings.read(env, "OPERATOR")
    management = Management.read(env, rabbit)
    if arguments.watch:
        _watch(rabbit, management, ServiceSettings.read(env, DEFAULT_METRICS_PORT))
        return 0
    report = examine(rabbit, management)
    sys.stdout.writelines(f"{line}\n" for line in lines_of(report))
    return 0 if report.is_well else 1


def lines_of(report: Report) -> list[str]:
    """Return a line for each check; what is not well may take some more."""
    lines = []
    for check in report.checks:
        head = f"{check.name:<10} {check.state.value:<8} "
        lines += [f"{head}{check.words[0]}"]
        lines += [f"{'':<{len(head)}}{words}" for words in check.words[1:]]
    return lines


def _watch(rabbit: RabbitSettings, management: Management, service: ServiceSettings) -> None:
    logs.configure(NAME, service.log_level)
    counts = metrics.DoctorMetrics()
    with (
        metrics.serve(counts, service.metrics_host, service.metrics_port),
        stop_on_signals() as stop,
    ):
        watch(rabbit, management, counts, stop)


def watch(
    rabbit: RabbitSettings, management: Management, counts: metrics.DoctorMetrics, stop: Event
) -> None:
    """Look again and again until `stop` is set."""
    while not stop.is_set():
        report = examine(rabbit, management)
        counts.examined(
            {check.name: check.state is State.OK for check in report.checks},
            {(one.name, one.policy): len(one.breaches) for one in report.policies},
        )
        for dependency, reason in report.failures.items():
            if reason:
                counts.failed(dependency, reason)
            else:
                counts.answered(dependency)
        stop.wait(EVERY)


# --- what is looked at, and what is found

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


# --- RabbitMQ's management API: what AMQP has no words for, policies and bindings

#: Seconds.
TIMEOUT = 5.0


@dataclass(frozen=True)
class Management:
    """Where the API is; the account and the certificates are those of the broker."""

    url: str
    rabbit: RabbitSettings

    @classmethod
    def read(cls, env: Environment, rabbit: RabbitSettings) -> Management:
        """Return the settings; by default it is on the broker's host, at the plugin's own port."""
        host = f"[{rabbit.host}]" if ":" in rabbit.host else rabbit.host
        default = f"http://{host}:15672" if rabbit.tls is None else f"https://{host}:15671"
        return cls(env.text("RABBIT_MANAGEMENT_URL", default).rstrip("/"), rabbit)

    def get(self, what: str) -> list[dict[str, Any]]:
        """Return what there is of a kind in the virtual host: policies, bindings.

        Raises Unavailable, with what to do.
        """
        vhost = urllib.parse.quote(self.rabbit.vhost, safe="")
        url = f"{self.url}/api/{what}/{vhost}"
        login = f"{self.rabbit.user}:{self.rabbit.password.read()}".encode()
        try:
            request = urllib.request.Request(  # noqa: S310 - the person's own setting
                url, headers={"Authorization": f"Basic {base64.b64encode(login).decode()}"}
            )
            tls = self.rabbit.tls
            handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
            if tls is not None:
                handlers.append(urllib.request.HTTPSHandler(context=tls.context()))
            with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT) as answer:
                found = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise Unavailable(
                    f"the management API at {self.url} refuses {self.rabbit.user}: give it the tags"
                    " monitoring and policymaker (`rabbitmqctl set_user_tags`)",
                    "refused",
                ) from error
            raise Unavailable(self._away(f"HTTP {error.code}")) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Unavailable(self._away(str(reason))) from error
        if not isinstance(found, list):
            raise Unavailable(self._away("what answers is another program"))
        return found

    def _away(self, why: str) -> str:
        return (
            f"no management API at {self.url}: {why}; set RABBIT_MANAGEMENT_URL, or enable it"
            " (`rabbitmq-plugins enable rabbitmq_management`)"
        )

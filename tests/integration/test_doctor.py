"""`datastream doctor`: what is not as it must be on a real broker, and what to do."""

from __future__ import annotations

import uuid
from typing import Any

import pika
import pytest

from datastream.rabbitmq import connect
from datastream.topology import CLEAN_QUEUE, EXCHANGE, LAKE_QUEUE, QUEUES, dead_letter_queue
from datastream_operator.containers.broker import ACCOUNTS
from deployment import Deployment, eventually

DEAD = dead_letter_queue(LAKE_QUEUE)
ELSEWHERE = "elsewhere"

#: Policies, the names they are for, and whether they break a promise.
POLICIES: dict[str, tuple[dict[str, Any], str, bool]] = {
    "ttl": ({"message-ttl": 300}, LAKE_QUEUE, True),
    "ttl of dead letters": ({"message-ttl": 300}, DEAD, True),
    "expires": ({"expires": 86_400_000}, CLEAN_QUEUE, True),
    "drop-head": ({"overflow": "drop-head"}, LAKE_QUEUE, True),
    "length of dead letters": ({"max-length": 3}, DEAD, True),
    "bytes of dead letters": ({"max-length-bytes": 3_000}, DEAD, True),
    "deliveries": ({"delivery-limit": 3}, LAKE_QUEUE, True),
    "looks": ({"delivery-limit": 3}, DEAD, True),
    "alternate": ({"alternate-exchange": ELSEWHERE}, EXCHANGE, True),
    "length": ({"max-length": 3}, LAKE_QUEUE, False),
    "more deliveries": ({"delivery-limit": 200}, LAKE_QUEUE, False),
    "a length that refuses": ({"max-length": 3, "overflow": "reject-publish"}, DEAD, False),
    "other dead letters": (
        {
            "dead-letter-exchange": ELSEWHERE,
            "dead-letter-routing-key": "x",
            "dead-letter-strategy": "at-most-once",
        },
        LAKE_QUEUE,
        False,
    ),
}


def set_policy(
    deployment: Deployment,
    definition: dict[str, Any],
    pattern: str,
    kind: str = "policies",
    **more: object,
) -> None:
    """Set a policy of the virtual host, or one of the broker's operator."""
    body = {"pattern": pattern, "definition": definition, "priority": 0, "apply-to": "all"}
    name = f"test-{kind}-{uuid.uuid4().hex[:6]}"
    deployment.broker._api("PUT", f"{kind}/{deployment.rabbit.vhost}/{name}", body | more)


def test_all_is_well(deployment: Deployment) -> None:
    """A line a check, exit code 0."""
    done = deployment.operate("doctor")

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        [check, "ok"] for check in ("broker", "exchanges", "queues", "bindings", "policies")
    ]


@pytest.mark.parametrize("case", POLICIES)
def test_a_policy_that_breaks_a_promise_is_named(deployment: Deployment, case: str) -> None:
    """With what it is on and which key; exit code 1. One that breaks none is no matter."""
    definition, name, breaks = POLICIES[case]
    key = next(iter(definition))
    set_policy(deployment, definition, f"^{name}$")

    done = deployment.operate("doctor")

    assert done.returncode == breaks, done.stdout
    assert (f"on {name}, {key}:" in done.stdout) is breaks
    told = deployment.operate("topology")
    assert told.returncode == 0
    assert (f"on {name}, {key}:" in told.stderr) is breaks


def test_which_of_several_policies_counts(deployment: Deployment) -> None:
    """Of each kind the one of the highest priority; the operator's beside the virtual host's."""
    set_policy(deployment, {"message-ttl": 60_000}, ".*", priority=1)
    set_policy(deployment, {"max-length": 1_000_000}, f"^{LAKE_QUEUE}$", priority=2)
    set_policy(
        deployment,
        {"delivery-limit": 7},
        "clean$",
        kind="operator-policies",
        **{"apply-to": "queues"},
    )
    set_policy(deployment, {"expires": 60_000}, ".*", priority=9, **{"apply-to": "exchanges"})

    said = deployment.operate("doctor").stdout

    assert f"on {LAKE_QUEUE}, message-ttl" not in said
    assert f"on {DEAD}, message-ttl" in said
    assert f"on {CLEAN_QUEUE}, message-ttl" in said
    assert f"on {CLEAN_QUEUE}, delivery-limit: lines are dead letters after 7" in said


def depths(deployment: Deployment) -> dict[str, int]:
    """Return how many messages wait in each queue."""
    return {queue.name: deployment.queue_depth(queue.name) for queue in QUEUES}


@pytest.mark.parametrize(
    ("definition", "pattern", "confirmed", "left"),
    [
        ({"message-ttl": 100}, ".*", 8, {LAKE_QUEUE: 0, DEAD: 0}),
        ({"message-ttl": 100}, f"^{LAKE_QUEUE}$", 8, {LAKE_QUEUE: 0, DEAD: 8}),
        ({"max-length": 3}, f"^{LAKE_QUEUE}$", 4, {LAKE_QUEUE: 4, DEAD: 0}),
        ({"max-length": 3, "overflow": "drop-head"}, ".*", 8, {LAKE_QUEUE: 3, DEAD: 3}),
        ({"dead-letter-exchange": ELSEWHERE, "overflow": "reject-publish"}, ".*", 8, {DEAD: 0}),
        ({"alternate-exchange": ELSEWHERE}, f"^{EXCHANGE}$", 8, {LAKE_QUEUE: 8, DEAD: 0}),
    ],
    ids=["ttl", "ttl of one", "length", "drop-head", "dead letters", "alternate"],
)
def test_what_a_policy_does_to_a_message(
    deployment: Deployment,
    definition: dict[str, Any],
    pattern: str,
    confirmed: int,
    left: dict[str, int],
) -> None:
    """Which keys count more than what is declared, on this very broker."""
    set_policy(deployment, definition, pattern)

    def counts() -> None:
        found = deployment.broker._api("GET", f"queues/{deployment.rabbit.vhost}/{LAKE_QUEUE}")
        if pattern != f"^{EXCHANGE}$":
            assert found.get("effective_policy_definition") == definition

    eventually(counts)
    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        count = 0
        with_confirm = pika.BasicProperties(delivery_mode=2)
        for _ in range(8):
            try:
                channel.basic_publish(EXCHANGE, "lake.x", b"x", with_confirm, mandatory=True)
            except pika.exceptions.NackError:
                break
            count += 1

        def settled() -> None:
            found = depths(deployment)
            assert {name: found[name] for name in left} == left

        eventually(settled)
    assert count == confirmed


def test_what_is_missing_or_is_another_one(deployment: Deployment) -> None:
    """Each with what to do; and nothing is made or changed by the looking."""
    with connect(deployment.rabbit, "test") as connection:
        channel = connection.channel()
        channel.queue_delete(LAKE_QUEUE)
        channel.queue_delete(DEAD)
        channel.queue_declare(LAKE_QUEUE, durable=True)
        channel.queue_bind(CLEAN_QUEUE, EXCHANGE, "lake.#")
        channel.exchange_delete("logs-dead")

    for _ in range(2):
        said = deployment.operate("doctor").stdout

        assert "no exchange 'logs-dead'" in said
        assert f"no queue '{DEAD}'" in said
        assert f"for queue '{LAKE_QUEUE}'" in said
        assert "it is there as another one" in said
        assert f"{LAKE_QUEUE} is not bound to logs by lake.#: run `datastream topology`" in said
        assert f"{CLEAN_QUEUE} is also bound to logs by 'lake.#'" in said


def test_without_the_management_api(deployment: Deployment) -> None:
    """What cannot be looked at is said, and is no success; topology does its work."""
    nowhere = {"RABBIT_MANAGEMENT_URL": f"http://127.0.0.1:{deployment.rabbit.port}"}

    done = deployment.operate("doctor", **nowhere)

    assert done.returncode == 1
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["ok"] * 3 + ["UNKNOWN"] * 2
    assert "rabbitmq-plugins enable rabbitmq_management" in done.stdout
    assert "Traceback" not in done.stderr
    told = deployment.operate("topology", **nowhere)
    assert told.returncode == 0
    assert "whether a policy undoes what they promise is not known" in told.stderr


def test_without_the_broker(deployment: Deployment) -> None:
    """Its refusal is the line of the broker."""
    done = deployment.operate("doctor", RABBIT_PASSWORD="wrong")

    assert done.returncode == 1
    assert "broker     WRONG" in done.stdout
    assert "check RABBIT_USER and RABBIT_PASSWORD" in done.stdout


def test_the_operator_s_account_sees_everything(deployment: Deployment) -> None:
    """With the tags that `make deploy` gives it; without them it is told which they are."""
    name, vhost = deployment.rabbit.vhost, deployment.rabbit.vhost
    api = deployment.broker._api
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    env = {"RABBIT_USER": name, "RABBIT_PASSWORD": "secret"}
    try:
        codes, words = [], []
        for tags in (ACCOUNTS["operator"].tags, ()):
            api("PUT", f"users/{name}", {"password": "secret", "tags": ",".join(tags)})
            api("PUT", f"permissions/{vhost}/{name}", everything)
            done = deployment.operate("doctor", **env)
            codes.append(done.returncode)
            words.append(done.stdout)
    finally:
        api("DELETE", f"users/{name}")

    assert codes == [0, 1], words
    assert "give it the tags monitoring and policymaker" in words[1]


def test_watching(deployment: Deployment) -> None:
    """Prometheus is told each check, and each policy by its name; a signal ends it with 0."""
    set_policy(deployment, {"message-ttl": 60_000}, f"^{LAKE_QUEUE}$")
    doctor = deployment.start("datastream_operator", "doctor", "--watch")
    doctor.wait_ready()

    def told() -> None:
        assert doctor.metric("datastream_check_ok", check="queues") == 1
        assert doctor.metric("datastream_check_ok", check="policies") == 0
        breaches = "datastream_policy_breaches"
        assert doctor.metric(breaches, resource=LAKE_QUEUE) == 1
        assert doctor.metric(breaches, resource=LAKE_QUEUE, policy="") == 0
        assert doctor.metric(breaches, resource=EXCHANGE, policy="") == 0
        assert "test-policies" in doctor.get("/metrics")[1]

    eventually(told)
    assert doctor.terminate() == 0

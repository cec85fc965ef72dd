"""`datastream doctor`: what is not as it must be on a real broker, and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from datastream import SCHEMA_VERSION
from datastream.rabbitmq import connect
from datastream.topology import CLEAN_QUEUE, EXCHANGE, LAKE_QUEUE, QUEUES, dead_letter_queue
from datastream_operator.accounts.rights import BROKER
from deployment import PATIENCE, Deployment, eventually

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
    deployment.broker.api("PUT", f"{kind}/{deployment.rabbit.vhost}/{name}", body | more)


ROWS = (
    "settings", "broker", "broker TLS", "accounts", "exchanges", "queues", "management", "bindings",
    "policies", "broker disk", "database", "database TLS", "grants", "schema", "clock",
    "database disk", "log", "checkpoint",
)  # fmt: skip
#: What has nothing to be looked at with, whatever the settings are.
NEVER = {"database disk": "not looked at"}


class Said:
    """What the doctor said: the state of each row, and its words without the line breaks."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        assert "Traceback" not in done.stderr, done.stderr
        self.code = done.returncode
        self.lines = done.stdout.splitlines()
        self.states: dict[str, str] = {}
        self._words: dict[str, str] = {}
        name = ""
        for line in self.lines:
            if line[:14].strip():
                name = line[:14].strip()
                self.states[name] = line[14:28].strip()
            self._words[name] = f"{self._words.get(name, '')} {line[28:].strip()}".lstrip()

    def __getitem__(self, name: str) -> str:
        """Return the words of a row."""
        return self._words[name]

    @property
    def unwell(self) -> dict[str, str]:
        """The rows that are not ok, but for those that never are, with their states."""
        return {n: s for n, s in self.states.items() if s != "ok" and NEVER.get(n) != s}


def doctor(deployment: Deployment, **changes: str) -> Said:
    """Run it to its end."""
    return Said(deployment.operate("doctor", **changes))


def test_all_is_well(deployment: Deployment) -> None:
    """A row a check, in one screen, exit code 0; and nothing is made or changed by the looking."""
    log = deployment.folder / "access.log"
    log.write_text("a line\n")

    def knows_its_disk() -> None:
        assert isinstance(deployment.broker.api("GET", "nodes")[0].get("disk_free"), int)

    # A broker that has just started says nothing of it yet.
    eventually(knows_its_disk)
    for _ in range(2):
        said = doctor(deployment, LOG_PATH=str(log), STATE_DIR=".")

        assert said.code == 0, said.lines
        assert tuple(said.states) == ROWS
        assert said.unwell == {}
        assert len(said.lines) <= 24
        assert max(map(len, said.lines)) <= 80
    assert os.listdir(deployment.folder) == ["access.log"]  # noqa: PTH208 - names


@pytest.mark.parametrize("case", POLICIES)
def test_a_policy_that_breaks_a_promise_is_named(deployment: Deployment, case: str) -> None:
    """With what it is on and which key; exit code 1. One that breaks none is no matter."""
    definition, name, breaks = POLICIES[case]
    key = next(iter(definition))
    set_policy(deployment, definition, f"^{name}$")

    said = doctor(deployment)

    assert said.code == breaks, said.lines
    assert (f"on {name}, {key}:" in said["policies"]) is breaks
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

    said = doctor(deployment)["policies"]

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
        found = deployment.broker.api("GET", f"queues/{deployment.rabbit.vhost}/{LAKE_QUEUE}")
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
        said = doctor(deployment)

        assert said.code == 1
        broken = {name for name, state in said.unwell.items() if state == "BROKEN"}
        assert broken == {"exchanges", "queues", "bindings"}
        assert "no exchange 'logs-dead'" in said["exchanges"]
        assert f"no queue '{DEAD}'" in said["queues"]
        assert f"for queue '{LAKE_QUEUE}'" in said["queues"]
        assert "it is there as another one" in said["queues"]
        bindings = said["bindings"]
        assert f"{LAKE_QUEUE} is not bound to logs by lake.#: run `datastream topology`" in bindings
        assert f"{CLEAN_QUEUE} is also bound to logs by 'lake.#'" in bindings


def test_without_the_management_api(deployment: Deployment) -> None:
    """What cannot be looked at is said, and is no success; topology does its work."""
    nowhere = {"RABBIT_MANAGEMENT_URL": f"http://127.0.0.1:{deployment.rabbit.port}"}

    said = doctor(deployment, **nowhere)

    assert said.code == 1
    assert said.unwell == {
        "management": "BROKEN",
        **dict.fromkeys(("bindings", "policies", "broker disk", "log"), "not looked at"),
    }
    assert "rabbitmq-plugins enable rabbitmq_management" in said["management"]
    told = deployment.operate("topology", **nowhere)
    assert told.returncode == 0
    assert "whether a policy undoes what they promise is not known" in told.stderr


def test_who_is_let_in_nowhere(deployment: Deployment) -> None:
    """Each refusal stands in a row of its own, in the server's words and with what to do."""
    said = doctor(deployment, RABBIT_PASSWORD="wrong", MYSQL_PASSWORD="wrong")

    assert said.code == 1
    for name, setting in (("broker", "RABBIT"), ("database", "MYSQL")):
        assert said.states[name] == "BROKEN"
        assert f"check {setting}_USER and {setting}_PASSWORD" in said[name]
    assert "error 1045: Access denied for user" in said["database"]
    assert said.states["queues"] == said.states["schema"] == "not looked at"


def test_servers_that_are_away(deployment: Deployment) -> None:
    """What the system says, and which settings may be wrong."""
    said = doctor(
        deployment, RABBIT_PORT="1", MYSQL_PORT="1", RABBIT_MANAGEMENT_URL="http://127.0.0.1:1"
    )

    assert said.code == 1
    for name, setting in (("broker", "RABBIT"), ("database", "MYSQL")):
        assert "Connection refused" in said[name]
        assert f"-> Start it, or correct {setting}_HOST and {setting}_PORT." in said[name]


def test_a_service_that_is_not_let_in(deployment: Deployment) -> None:
    """Every account of the settings is tried, and named with the service that uses it."""
    said = doctor(
        deployment,
        LAKE_RABBIT_USER="nobody",
        LAKE_RABBIT_PASSWORD="x",
        CLEAN_MYSQL_USER="nobody",
        CLEAN_MYSQL_PASSWORD="x",
    )

    assert said.code == 1
    assert said["accounts"].startswith("lake_consumer, as nobody: no session with")
    assert said["database"].startswith("clean_consumer, as nobody: error 1045")
    assert said.states["queues"] == said.states["schema"] == "ok"


def test_a_setting_that_is_wrong(deployment: Deployment) -> None:
    """It is named, exit code 78, and what does not need it is looked at."""
    said = doctor(deployment, MYSQL_PORT="many", FORMAT="combind", LOG_PATH="access.log")

    assert said.code == 78
    assert "MYSQL_PORT is 'many'" in said["settings"]
    assert "(did you mean combined?)" in said["settings"]
    assert said.states["queues"] == "ok"
    assert said.states["database"] == "not looked at"


def test_no_setting_at_all(deployment: Deployment) -> None:
    """That is a setting that is missing: every service needs the broker."""
    said = doctor(deployment, RABBIT_USER="", RABBIT_PASSWORD="", MYSQL_USER="", MYSQL_PASSWORD="")

    assert said.code == 78
    assert "RABBIT_USER and RABBIT_PASSWORD are not set" in said["settings"]


def test_on_a_web_server_s_host(deployment: Deployment) -> None:
    """With the producer's account and a log alone it looks at these, and all is well."""
    log = deployment.folder / "access.log"
    log.write_text("a line\n")
    said = doctor(
        deployment,
        RABBIT_USER="",
        RABBIT_PASSWORD="",
        PRODUCER_RABBIT_USER=deployment.rabbit.user,
        PRODUCER_RABBIT_PASSWORD=deployment.rabbit.password.read(),
        MYSQL_USER="",
        MYSQL_PASSWORD="",
        MYSQL_DATABASE="",
        LOG_PATH=str(log),
    )

    assert said.code == 0, said.lines
    well = {name for name, state in said.states.items() if state == "ok"}
    assert well == {"settings", "broker", "broker TLS", "accounts", "log", "checkpoint"}
    assert set(said.unwell.values()) == {"not looked at"}


def test_the_operator_s_account_sees_everything(deployment: Deployment) -> None:
    """With the tags that `make deploy` gives it; without them it is told which they are."""
    name, vhost = deployment.rabbit.vhost, deployment.rabbit.vhost
    api = deployment.broker.api
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    env = {"RABBIT_USER": name, "RABBIT_PASSWORD": "secret"}
    try:
        codes, words = [], []
        for tags in (BROKER["operator"].tags, ()):
            api("PUT", f"users/{name}", {"password": "secret", "tags": ",".join(tags)})
            api("PUT", f"permissions/{vhost}/{name}", everything)
            said = doctor(deployment, **env)
            codes.append(said.code)
            words.append(said["management"])
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


# --- the database


@pytest.fixture
def lake(deployment: Deployment) -> Iterator[dict[str, str]]:
    """The settings of an account of the lake consumer's own, which may nothing yet."""
    name = f"lake_{uuid.uuid4().hex[:6]}"
    deployment.change(f"CREATE USER {name}@'%%' IDENTIFIED BY 'secret'")
    yield {"LAKE_MYSQL_USER": name, "LAKE_MYSQL_PASSWORD": "secret"}
    deployment.change(f"DROP USER {name}@'%%'")


def grant(deployment: Deployment, account: dict[str, str], *rights: str) -> None:
    """Give an account some rights."""
    for right in rights:
        deployment.change(f"GRANT {right} TO {account['LAKE_MYSQL_USER']}@'%%'")


# For MariaDB, which the tests run on.
ENOUGH = (
    "SELECT, INSERT, UPDATE ON log_stream",
    "SELECT, INSERT, UPDATE ON raw_log",
    "EXECUTE ON PROCEDURE complete_line",
)


def test_the_grants_that_are_enough_for_mysql(
    deployment: Deployment, lake: dict[str, str], tmp_path: Path
) -> None:
    """MariaDB refuses the consumer, and the doctor says which right it lacks."""
    grant(
        deployment,
        lake,
        "SELECT, INSERT, UPDATE (stream_id) ON log_stream",
        "SELECT, INSERT, UPDATE (line_offset) ON raw_log",
        ENOUGH[2],
    )
    log = tmp_path / "access.log"
    log.write_bytes(b"a line\n")
    consumer = deployment.start("lake_consumer", **lake)
    deployment.publish_once(log)

    def refused() -> None:
        assert "UPDATE command denied" in consumer.text()

    eventually(refused)
    assert "lacks UPDATE on log_stream, UPDATE on raw_log" in doctor(deployment, **lake)["grants"]
    for right in ENOUGH:
        grant(deployment, lake, right)

    def stored() -> None:
        assert deployment.count("raw_log") == 1

    eventually(stored)


def test_a_grant_that_is_missing(deployment: Deployment, lake: dict[str, str]) -> None:
    """It is named, with the statement that gives it: which, run as it stands, is enough."""
    grant(deployment, lake, ENOUGH[0], "SELECT, UPDATE ON raw_log", ENOUGH[2])

    said = doctor(deployment, **lake)

    assert said.code == 1
    assert said.states["grants"] == "BROKEN"
    user = lake["LAKE_MYSQL_USER"]
    assert f"{user} (lake_consumer) lacks INSERT on raw_log" in said["grants"]
    statement = said["grants"].partition("-> ")[2].partition(", and so")[0]
    deployment.change(statement.replace("%", "%%"))
    assert doctor(deployment, **lake).code == 0


def test_a_grant_that_is_too_much(deployment: Deployment, lake: dict[str, str]) -> None:
    """It wants attention, and breaks nothing: exit code 3."""
    grant(deployment, lake, *ENOUGH)
    assert doctor(deployment, **lake).code == 0

    grant(deployment, lake, "DELETE ON raw_log")
    said = doctor(deployment, **lake)

    assert said.code == 3
    assert said.states["grants"] == "ATTENTION"
    assert "(lake_consumer) has, and does not need, DELETE on raw_log" in said["grants"]


def test_an_account_that_does_not_see_the_version(
    deployment: Deployment, lake: dict[str, str]
) -> None:
    """The schema is not looked at then; a guess would say that it is missing."""
    grant(deployment, lake, *ENOUGH)

    said = doctor(deployment, **lake, MYSQL_USER="", MYSQL_PASSWORD="")

    assert said.code == 0
    assert said.states["schema"] == "not looked at"
    assert said.states["grants"] == said.states["clock"] == "ok"


def test_a_migration_that_is_missing(deployment: Deployment) -> None:
    """The first is named, and the command that applies it."""
    deployment.operate("migrate", "--rollback", "--yes")

    said = doctor(deployment)

    assert said.code == 1
    words = f"1 of {SCHEMA_VERSION} migrations are missing, the first is {SCHEMA_VERSION:04}_"
    assert words in said["schema"]
    assert "`datastream migrate`" in said["schema"]


def test_a_schema_that_is_not_there(deployment: Deployment) -> None:
    """The server's words, and the command."""
    deployment.operate("migrate", "--rollback", "--to", "0", "--yes")
    deployment.change("DROP TABLE _yoyo_migration")

    said = doctor(deployment)

    assert said.code == 1
    assert "error 1146" in said["schema"]
    assert "`datastream migrate`" in said["schema"]


# --- the machine


def powerless(deployment: Deployment, **changes: str) -> Said:
    """Run it without root's powers, so that files may be closed to it."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    return Said(
        subprocess.run(
            [*drop, sys.executable, "-m", "datastream_operator", "doctor"],
            env=deployment.env(**changes),
            cwd=deployment.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    )


def test_a_log_that_may_not_be_read(deployment: Deployment) -> None:
    """The file and the system's words."""
    log = deployment.folder / "access.log"
    log.write_text("a line\n")
    log.chmod(0)

    said = powerless(deployment, LOG_PATH=str(log))

    assert said.code == 1
    assert said["log"].startswith(f"{log} cannot be read: Permission denied")


def test_a_folder_that_may_not_be_listed(deployment: Deployment) -> None:
    """Rotated files would not be found; nor may the checkpoint be there."""
    folder = deployment.folder / "closed"
    folder.mkdir()
    folder.chmod(0)
    try:
        said = powerless(deployment, LOG_PATH=f"{folder}/*.log", STATE_DIR=f"{folder}/state")
    finally:
        folder.chmod(0o700)

    assert said.code == 1
    assert f"the folder {folder} cannot be listed: Permission denied" in said["log"]
    assert f"{folder} cannot be written, as" in said["checkpoint"]


def test_a_log_that_is_not_there_yet(deployment: Deployment) -> None:
    """It wants attention, as it may have another name; the producer waits for it."""
    said = doctor(deployment, LOG_PATH="access.log, other-*.log")

    assert said.code == 3
    assert said.states["log"] == "ATTENTION"
    assert f"there is no {deployment.folder}/access.log yet" in said["log"]
    assert "nothing is called other-*.log yet" in said["log"]

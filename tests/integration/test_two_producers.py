"""One producer at a time of a SOURCE and its logs: cloned machines are told before rows mix."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastream.errors import Unavailable
from datastream.rabbitmq import LOCK_PATIENCE, Locks, Publisher
from datastream.topology import LAKE_QUEUE, producer_lock
from datastream_operator.accounts.rights import BROKER
from deployment import SOURCE, Deployment, Service, eventually

HELD = "held by another session"


def start(deployment: Deployment, log: Path, host: str, **changes: str) -> Service:
    """Start a producer with a checkpoint of its own, as on another machine."""
    state = deployment.folder / host
    return deployment.start("producer", str(log), STATE_DIR=str(state), **changes)


def await_words(service: Service, words: str) -> None:
    """Return once a service has logged this."""

    def said() -> None:
        assert words in service.text()

    eventually(said)


@pytest.mark.parametrize("first_lines", [(b"same", b"same"), (b"of one", b"of two")])
def test_a_second_producer_waits(
    deployment: Deployment, tmp_path: Path, first_lines: tuple[bytes, bytes]
) -> None:
    """Nothing of its log is sent, whatever it begins with, and it is not ready."""
    lake, clean = deployment.start_consumers()
    log = tmp_path / "access.log"
    log.write_bytes(first_lines[0] + b"\n" + b"one\n" * 100)
    deployment.publish_once(log)
    deployment.assert_settled(101)
    # The other machine's file, at the same path, while the first one's producer is connected.
    log.write_bytes(first_lines[1] + b"\n" + b"two of them\n" * 100)
    with Publisher.open(deployment.rabbit, locks=Locks(SOURCE, [str(log)])):
        second = start(deployment, log, "two")
        await_words(second, HELD)

        assert second.get("/readyz") == (503, "waiting for rabbitmq\n")
        assert second.metric("datastream_retries_total", reason="locked") > 0
        assert second.metric("datastream_lines_published_total") == 0
        assert second.terminate() == 0

    assert [deployment.count(table) for table in ("raw_log", "rejected_log")] == [101, 101]
    assert lake.metric("datastream_dead_letters_total") == 0
    assert clean.metric("datastream_lines_stored_total") == 101


@pytest.mark.parametrize(
    ("first", "second"),
    [("a*.log", "access.log"), ("access.log", "a*.log"), ("a*.log", "acc*")],
    ids=["a pattern, then its log", "a log, then its pattern", "two patterns"],
)
def test_lists_that_have_a_log_in_common(
    deployment: Deployment, tmp_path: Path, first: str, second: str
) -> None:
    """Another list by which the same log is found: it waits as well, and sends no line of it."""
    log = tmp_path / "access.log"
    log.write_bytes(b"same\n" + b"one\n" * 100)
    one = start(deployment, tmp_path / first, "one")
    eventually(lambda: _has_published(one, 101))
    # The file at the same path of the other machine; here the first producer reads it as well.
    two = start(deployment, tmp_path / second, "two")
    await_words(two, HELD)

    assert two.get("/readyz") == (503, "waiting for rabbitmq\n")
    assert two.metric("datastream_lines_published_total") == 0
    one.kill()
    eventually(lambda: _has_published(two, 101))


def _has_published(service: Service, lines: int) -> None:
    assert service.metric("datastream_lines_published_total") == lines


def test_it_takes_over_once_the_first_has_ended(deployment: Deployment, tmp_path: Path) -> None:
    """In good order or killed: the name is free with the connection."""
    log = tmp_path / "access.log"
    log.write_bytes(b"a line\n")
    first = start(deployment, log, "one")
    first.wait_ready()
    second = start(deployment, log, "two")
    await_words(second, HELD)
    first.kill()
    second.wait_ready()
    third = start(deployment, log, "three")
    await_words(third, HELD)

    assert second.terminate() == 0

    third.wait_ready()


def test_other_logs_or_another_source_are_no_conflict(
    deployment: Deployment, tmp_path: Path
) -> None:
    """One producer for the access log and one for the error log, as ever."""
    access, error = tmp_path / "access.log", tmp_path / "error.log"
    for log in (access, error):
        log.write_bytes(b"a line\n")

    start(deployment, access, "one").wait_ready()
    start(deployment, error, "two").wait_ready()
    start(deployment, access, "three", SOURCE="another").wait_ready()


def test_an_account_without_the_right_goes_on(deployment: Deployment, tmp_path: Path) -> None:
    """Older installations publish as they did, and are told once what is not noticed."""
    log = tmp_path / "access.log"
    log.write_bytes(b"a line\n")
    name, api = deployment.rabbit.vhost, deployment.broker.api
    rights = BROKER["producer"]
    account = {"RABBIT_USER": name, "RABBIT_PASSWORD": "secret"}
    try:
        api("PUT", f"users/{name}", {"password": "secret", "tags": ""})
        said = []
        for number, configure in enumerate(("^$", rights.configure)):
            permissions = {"configure": configure, "write": rights.write, "read": rights.read}
            api("PUT", f"permissions/{name}/{name}", permissions)
            producer = start(deployment, log, f"host{number}", **account)
            producer.wait_ready()

            def published(count: int = number + 1) -> None:
                assert deployment.queue_depth(LAKE_QUEUE) == count

            eventually(published)
            assert producer.terminate() == 0
            said.append(producer.text().count("would not be noticed"))
    finally:
        api("DELETE", f"users/{name}")

    assert said == [1, 0]


def test_what_is_said_of_a_lock_that_is_held(deployment: Deployment) -> None:
    """A lost session's at first; another producer's once no lost session can hold it any more."""
    now = 0.0
    locks = Locks("test", ["/access.log"], lambda: now)

    def words() -> str:
        with pytest.raises(Unavailable) as raised, Publisher.open(deployment.rabbit, locks=locks):
            pass
        assert raised.value.reason == "locked"
        return str(raised.value)

    with Publisher.open(deployment.rabbit, locks=Locks("test", ["/access.log"])):
        first = words()
        now = LOCK_PATIENCE - 1
        second = words()
        now = LOCK_PATIENCE
        third = words()

    assert HELD in first
    assert second == first
    assert "another producer with this SOURCE is connected and has /access.log" in third
    assert "give each host a SOURCE of its own" in third
    with Publisher.open(deployment.rabbit, locks=locks):
        pass
    with Publisher.open(deployment.rabbit, locks=Locks("test", ["/access.log"])):
        assert HELD in words()


def test_a_log_with_a_source_of_its_own_is_locked_under_it(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Two hosts, each with its SOURCE, would give its lines the same keys."""
    deployment.start_consumers()
    log, config = tmp_path / "access.log", tmp_path / "logs.toml"
    log.write_bytes(b"one\n" * 3)
    config.write_text(f'source = "host"\n[[log]]\npath = "{log}"\nsource = "{SOURCE}"\n')
    with Publisher.open(deployment.rabbit, locks=Locks(SOURCE, [str(log)])):
        second = deployment.start("producer", "--config", str(config), SOURCE="host", FORMAT="main")
        await_words(second, HELD)

        assert second.metric("datastream_lines_published_total") == 0
    deployment.assert_settled(3)


def test_the_name_is_of_the_source_and_the_log() -> None:
    """It fits into a name of the broker."""
    names = {producer_lock("web", "/a"), producer_lock("web", "/b"), producer_lock("web2", "/a")}

    assert len(names) == 3
    assert len(producer_lock("x" * 100, "\\udcff").encode()) < 255

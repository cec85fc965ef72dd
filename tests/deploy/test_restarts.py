"""What an operator and a bad day do: a power cut, an upgrade, a job that is killed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pika

from datastream.topology import CLEAN_QUEUE, LAKE_QUEUE
from datastream_operator import migrate
from deploy.stack import SERVICES, Stack, docker, growing
from deployment import eventually, lines_of

#: A slice as the envelope's first version has it. It never changes, whatever the code says now.
FORMER_BODY = b'192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] "GET /former HTTP/1.1" 200 5\nno request'
FORMER_HEADERS: dict[str, int | str] = {
    "version": 1,
    "stream": "00000000000000ff",
    "position": 0,
    "lines": 2,
    "flags": 0,
    "read_at_ms": 1_700_000_000_000,
    "source": "former",
    "host": "web",
    "path": "/var/log/nginx/former.log",
    "format": "common",
    "generation": 0,
}


def test_all_comes_back_after_a_power_cut(stack: Stack, log: Path) -> None:
    """Every container ends at once while lines flow; all start again, and every line is there."""
    before = stack.count("raw_log")
    with growing(log, [line + b"\n" for line in lines_of(log)][:1_000]):

        def flows() -> None:
            assert stack.count("raw_log") > before

        eventually(flows)
        running = {c["Name"] for c in stack.inspect() if c["State"]["Running"]}
        stack.crash(*running)

        def restarted() -> None:
            assert running == {c["Name"] for c in stack.inspect() if c["State"]["Running"]}
            assert all(stack.ready(service) for service in SERVICES)

        eventually(restarted)

    stack.assert_settled(sum(1 for _ in lines_of(log)))


def test_an_upgrade_with_slices_in_the_queues_loses_nothing(stack: Stack, log: Path) -> None:
    """New images take over what the former version has sent, and what one before it would have."""
    docker("stop", *stack.containers("lake_consumer"), *stack.containers("clean_consumer"))
    before = {container["Id"] for name in SERVICES for container in stack.inspect(name)}
    with log.open("ab") as file:
        file.writelines([line + b"\n" for line in lines_of(log)][:2_000])
    with stack.broker("operator") as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(headers=FORMER_HEADERS, delivery_mode=2)
        for key in ("lake.former", "clean.former"):
            channel.basic_publish("logs", key, FORMER_BODY, properties, mandatory=True)

        def waiting() -> None:
            for queue in (LAKE_QUEUE, CLEAN_QUEUE):
                assert channel.queue_declare(queue, passive=True).method.message_count > 1

        eventually(waiting)
    with (stack.checkout / "shared" / "src" / "datastream" / "__init__.py").open("a") as source:
        source.write("# A newer version.\n")

    stack.script("deploy")

    after = {container["Id"] for name in SERVICES for container in stack.inspect(name)}
    assert not after & before
    stack.other_lines += len(FORMER_BODY.split(b"\n"))
    stack.assert_settled(sum(1 for _ in lines_of(log)))
    ((path,),) = stack.query("SELECT path FROM clean_log WHERE stream_id = %s", 0xFF)
    assert path == "/former"


def test_a_migration_job_that_was_killed_does_not_stand_in_the_way(stack: Stack) -> None:
    """Neither its session's lock nor what it leaves of the migration tool's stops the next job."""
    with (
        ThreadPoolExecutor(1) as pool,
        stack.connect("migrator") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, NOW(), 4711)")
        connection.commit()
        cursor.execute("SELECT GET_LOCK(%s, 0)", (migrate.LOCK,))
        job = pool.submit(stack.try_script, "migrate")

        def waits() -> None:
            waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE state = %s"
            assert stack.query(waiting, "User lock") == [(1,)]

        eventually(waits)
        docker("kill", *(c["Id"] for c in stack.inspect("migrate") if c["State"]["Running"]))
        assert job.result().returncode != 0

    stack.script("migrate")

    assert stack.query("SELECT locked FROM yoyo_lock") == []

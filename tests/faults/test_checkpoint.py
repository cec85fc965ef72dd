"""The checkpoint fails: nothing lost, nothing doubled, and it is told."""

from __future__ import annotations

import shutil

from deployment import Deployment
from faults.installation import (
    Writer,
    assert_stored,
    assert_told,
    await_metric,
    await_stored,
    await_words,
    duplicates_of,
)

FAILURES = "datastream_checkpoint_failures_total"


def test_disk_full(deployment: Deployment, writer: Writer) -> None:
    """Publishing goes on, and it is told that the checkpoint is stale, until there is room."""
    lake, clean = deployment.start_consumers()
    producer = deployment.start("producer", str(writer.path))
    await_stored(deployment, writer.path, 2_000)
    state = deployment.folder / "state"
    temporary = state / "checkpoint.json.tmp"
    temporary.symlink_to("/dev/full")
    before = (state / "checkpoint.json").read_bytes()
    writer.start()
    await_metric(producer, FAILURES, 2)
    await_words(producer, "Checkpoint cannot be written and is stale; publishing goes on")
    await_words(producer, "No space left on device")
    await_stored(deployment, writer.path, 6_000)
    assert (state / "checkpoint.json").read_bytes() == before
    temporary.unlink()
    await_words(producer, "Checkpoint is written again")
    writer.stop()

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, producer=producer, lake=lake, clean=clean)
    assert producer.text().count("Checkpoint cannot be written") == 1


def test_killed_with_a_stale_checkpoint(deployment: Deployment, writer: Writer) -> None:
    """What was published since is read again, and is there already."""
    lake, clean = deployment.start_consumers()
    producer = deployment.start("producer", str(writer.path))
    await_stored(deployment, writer.path, 2_000)
    temporary = deployment.folder / "state" / "checkpoint.json.tmp"
    temporary.symlink_to("/dev/full")
    writer.burst(2_000)
    await_stored(deployment, writer.path, 4_000)
    await_metric(producer, FAILURES)
    producer.kill()
    temporary.unlink()
    deployment.start("producer", str(writer.path))
    writer.burst(100)

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, lake=lake, clean=clean)
    assert duplicates_of(lake) >= 2_000


def test_killed_while_it_is_written(deployment: Deployment, writer: Writer) -> None:
    """Half of the next one beside it changes nothing."""
    lake, clean = deployment.start_consumers()
    producer = deployment.start("producer", str(writer.path))
    await_stored(deployment, writer.path, 2_000)
    assert producer.terminate() == 0
    state = deployment.folder / "state"
    whole = (state / "checkpoint.json").read_bytes()
    (state / "checkpoint.json.tmp").write_bytes(whole[: len(whole) // 2])
    writer.burst(100)
    deployment.start("producer", str(writer.path))

    assert_stored(deployment, writer.path)
    assert_told(writer.lines, lake=lake, clean=clean)
    assert duplicates_of(lake, clean) == 0


def test_deleted(deployment: Deployment, writer: Writer) -> None:
    """Everything is read again, rotated files that are asked for too, and no row is added."""
    lake, clean = deployment.start_consumers()
    writer.path.rename(f"{writer.path}.1")
    writer.reopen()
    writer.burst(1_000)
    deployment.publish_once(writer.path, writer.path.with_name("access.log.1"))
    assert_stored(deployment, writer.path, *writer.streams)
    shutil.rmtree(deployment.folder / "state")
    deployment.publish_once(writer.path, writer.path.with_name("access.log.1"))

    for consumer in (lake, clean):
        await_metric(consumer, "datastream_lines_duplicate_total", 3_000)
    assert_stored(deployment, writer.path, *writer.streams)
    assert_told(writer.lines, lake=lake, clean=clean)

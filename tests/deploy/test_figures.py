"""What the board Ingestion shows of a process, or of a disk, is what the system says of it."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import expressions
import pytest

from deploy.stack import SERVICES, Stack, growing
from deployment import eventually, lines_of

PROCESSES = (*SERVICES, "rabbitmq")
#: Seconds of a rate of the board, and over which the system's own counters are looked at.
WINDOW = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


def shown(stack: Stack, panel: str, series: str | None = None) -> dict[str, float]:
    """Return what a panel shows, or one series of it, by service, its replicas together."""
    values: dict[str, float] = defaultdict(float)
    for where, text in expressions.promql():
        if where == f"ingestion.json: {panel}":
            for sample in stack.value(text):
                if series in (None, sample["metric"].get("series")):
                    service = sample["metric"].get("replica", "rabbitmq").split()[0]
                    values[service] += float(sample["value"][1])
    return dict(values)


def pids(stack: Stack, service: str) -> list[int]:
    """Return the processes in the containers of a service."""

    def family(pid: int) -> Iterator[int]:
        yield pid
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from family(int(child))

    return [pid for found in stack.inspect(service) for pid in family(found["State"]["Pid"])]


def resident(pid: int) -> int:
    """Return the bytes of a process in memory; a thread of the kernel's has none."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(
        (int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0
    )


def used(pid: int) -> float:
    """Return the seconds of CPU that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def test_memory_and_cpu_are_the_system_s(stack: Stack, log: Path) -> None:
    """In its own unit, whatever unit a metric is counted in; a rate may lag by some seconds."""
    looks: list[tuple[float, dict[str, float]]] = []

    def agree() -> None:
        memory = {service: sum(map(resident, pids(stack, service))) for service in PROCESSES}
        cpu = {service: sum(map(used, pids(stack, service))) for service in PROCESSES}
        now = time.monotonic()
        looks.append((now, cpu))
        assert shown(stack, "Memory") == pytest.approx(memory, rel=0.3)
        assert now - looks[0][0] > WINDOW
        at, before = next(look for look in reversed(looks) if now - look[0] > WINDOW)
        cores = {service: (cpu[service] - before[service]) / (now - at) for service in PROCESSES}
        assert shown(stack, "CPU") == pytest.approx(cores, rel=0.5, abs=0.02)

    lines = [line + b"\n" for line in lines_of(log)][:1_000]
    with growing(log, lines):
        eventually(agree)
    stack.assert_settled(sum(1 for _ in lines_of(log)))


def test_the_room_on_the_disk_is_the_system_s(stack: Stack) -> None:
    """That of the folder that the broker keeps its messages in."""
    [broker] = stack.inspect("rabbitmq")

    def agrees() -> None:
        room = os.statvfs(f"/proc/{broker['State']['Pid']}/root/var/lib/rabbitmq")
        free = shown(stack, "Disk left to RabbitMQ", "free")
        assert free == {"rabbitmq": pytest.approx(room.f_bavail * room.f_frsize, rel=0.05)}

    eventually(agrees)

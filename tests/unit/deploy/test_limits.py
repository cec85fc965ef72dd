"""The containers' limits fit the machine that docs/deploy.md asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "deploy"
FILES = ("docker-compose.yml", "docker-compose.small.yml")
MIB = 2**20
UNITS = {"m": MIB, "g": 2**30}
#: A profile that a deployment keeps: the others are for a demo and for commands.
KEPT = "alerts"


def services(count: int) -> dict[str, dict[str, Any]]:
    """Return each service of the first so many files, each laid over those before it."""
    found: dict[str, dict[str, Any]] = {}
    for name in FILES[:count]:
        for service, said in yaml.safe_load((FOLDER / name).read_text())["services"].items():
            found[service] = found.get(service, {}) | said
    return found


def limit(service: dict[str, Any]) -> int:
    """Return the most memory that a service may have by default, in bytes."""
    match = re.fullmatch(r"(?:\$\{MYSQL_MEMORY:-)?(\d+)([mg])\}?", service["mem_limit"])
    assert match is not None
    return int(match[1]) * UNITS[match[2]]


def staying(found: dict[str, dict[str, Any]]) -> int:
    """Return the limits of all that runs for good, alerts told to somebody; no demo's visitors."""
    return sum(
        limit(said)
        for said in found.values()
        if said["restart"] != "no" and KEPT in said.get("profiles", [KEPT])
    )


def test_all_limits_are_within_four_gigabytes() -> None:
    """Nothing takes more than the machine has, however much flows."""
    assert staying(services(1)) <= 4096 * MIB


def test_small_limits_are_within_two_gigabytes() -> None:
    """With a command of deploy/bin beside them, and what the kernel takes of a machine of 2 GB."""
    small = services(2)
    commands = [limit(said) for said in small.values() if said["restart"] == "no"]

    assert commands
    assert staying(small) + max(commands) < 2_000_000_000


@pytest.mark.parametrize("count", [1, 2])
def test_the_broker_s_watermark_is_below_its_limit(count: int) -> None:
    """Publishers are blocked before the kernel ends the broker."""
    texts = [(FOLDER / "rabbitmq" / name).read_text() for name in ("datastream.conf", "small.conf")]
    found = re.findall(
        r"^vm_memory_high_watermark.absolute = (\d+)MB$", "".join(texts[:count]), re.MULTILINE
    )

    assert int(found[-1]) * 1_000_000 < 0.75 * limit(services(count)["rabbitmq"])


def test_what_runs_for_good_is_made_small_and_nothing_else_is() -> None:
    """One that is forgotten keeps its large limit; a name that is misspelt would be no service."""
    small = yaml.safe_load((FOLDER / FILES[1]).read_text())["services"]
    demo = {name for name, said in services(1).items() if said.get("profiles") == ["demo"]}

    assert small.keys() == services(1).keys() - demo
    assert all("mem_limit" in said for said in small.values())

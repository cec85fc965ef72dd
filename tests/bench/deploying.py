"""`make bench-deploy`: what the scripts take where all is up to date, in runs of a container.

The measure is `docker run` of a program that does nothing, from the same image, in the same minute:
each turn times all of them, one after the other, and the ratios are those of the medians and of the
least. Needs what `make test-deploy` does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.corpus import write
from deploy import images
from deploy.stack import Stack, image_settings

LINES = 2_000
BARE = "docker run"


def seconds(run: Callable[[], object]) -> float:
    """Return how long something took."""
    began = time.monotonic()
    run()
    return time.monotonic() - began


def bare(stack: Stack) -> None:
    """Run a container that does nothing."""
    image = stack.image("producer")
    command = ("docker", "run", "--rm", "--entrypoint", "true", image)
    subprocess.run(command, check=True, capture_output=True)


def measure(stack: Stack, turns: int) -> dict[str, list[float]]:
    """Return how long each command took, turn by turn, after one turn that does not count."""
    commands: dict[str, Callable[[], object]] = {
        BARE: lambda: bare(stack),
        "make deploy": lambda: stack.script("deploy"),
        "make status": lambda: stack.script("status"),
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(turns + 1):
        for name, run in commands.items():
            took = seconds(run)
            if turn:
                taken[name].append(took)
    return taken


def table(taken: dict[str, list[float]]) -> str:
    """Return a row for each command: seconds, and how many bare runs of a container they are."""
    rows = [f"{'':<12}{'median':>9}{'least':>9}{'of the bare median':>20}{'of the least':>14}"]
    median, least = statistics.median(taken[BARE]), min(taken[BARE])
    for name, its in taken.items():
        middle, best = statistics.median(its), min(its)
        rows.append(
            f"{name:<12}{middle:>7.2f} s{best:>7.2f} s{middle / median:>20.1f}{best / least:>14.1f}"
        )
    return "\n".join(rows)


def main() -> None:
    """Bring a deployment up, measure, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=7)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as name, images.engine():
        folder = Path(name)
        folder.chmod(0o755)
        log = write(folder / "access.log", LINES).path
        chosen = images.choose(image_settings())
        without = "" if "GRAFANA_IMAGE" in chosen else "grafana"
        stack = Stack(folder / "deploy", chosen, without, {})
        try:
            stack.script("deploy", LOG=str(log))
            sys.stdout.write(f"{table(measure(stack, turns))}\n")
        finally:
            stack.destroy()
    sys.stdout.write("".join(f"{line}\n" for line in dict.fromkeys(images.said)))


if __name__ == "__main__":
    os.umask(0o022)
    main()

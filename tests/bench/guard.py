"""`make bench-guard`: does a line cost more than it did? Compared with a baseline in this folder.

A line's cost is counted in turns of a calibration loop, run in the same process: so neither the
machine nor its other users matter much. Counted are instructions under callgrind, which are nearly
the same every time; where valgrind is not installed, the least CPU time of several rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench.command import end, workplace
from bench.corpus import Log, write
from bench.guarded import MARK, PARTS
from bench.installation import installed
from bench.servers import ROOT, running
from deployment import Deployment

BASELINE = Path(__file__).with_name("baseline.json")
#: How much more a line may cost than in the baseline, as a share.
TOLERANCE = 0.10
LINES = 40_000
ROUNDS = 9

#: A line's cost by pipeline, in turns of the calibration loop.
Costs = dict[str, float]


def main() -> int:
    """Measure and compare, or renew the baseline; return the exit code."""
    parser = argparse.ArgumentParser(prog="bench.guard", description=__doc__)
    parser.add_argument("--renew", action="store_true", help="write the baseline anew")
    arguments = parser.parse_args()
    baselines: dict[str, Costs] = json.loads(BASELINE.read_text())
    is_counted = shutil.which("valgrind") is not None
    measured = {_name(is_counted): _measure(is_counted=is_counted)}
    if not arguments.renew:
        return compare(measured, baselines)
    if is_counted:
        measured[_name(False)] = _measure(is_counted=False)
    BASELINE.write_text(json.dumps(baselines | measured, indent=2, sort_keys=True) + "\n")
    sys.stdout.write(f"Wrote {BASELINE.relative_to(ROOT)}: {measured}\n")
    return 0


def _name(is_counted: bool) -> str:
    """Return what a baseline is for: another Python has other costs."""
    version = ".".join(platform.python_version_tuple()[:2])
    return f"{'instructions' if is_counted else 'CPU time'}, Python {version}"


def compare(measured: dict[str, Costs], baselines: dict[str, Costs]) -> int:
    """Say what each pipeline costs; return 1 when one costs more than it may, 2 when none says."""
    [(name, costs)] = measured.items()
    baseline = baselines.get(name)
    if baseline is None:
        sys.stderr.write(f"No baseline for {name} yet: make bench-guard RENEW=1\n")
        return 2
    sys.stdout.write(f"{name + ', a line':<32}{'baseline':>10}{'now':>10}{'change':>10}\n")
    is_worse = False
    for part, cost in costs.items():
        change = cost / baseline[part] - 1
        is_worse |= change > TOLERANCE
        words = f"  more than {TOLERANCE:.0%}" if change > TOLERANCE else ""
        sys.stdout.write(f"{part:<32}{baseline[part]:>10.2f}{cost:>10.2f}{change:>+10.1%}{words}\n")
    return int(is_worse)


def _measure(*, is_counted: bool) -> Costs:
    with workplace("guard") as folder:
        log = write(folder / "guard.log", LINES)
        with running("mariadb", folder) as servers, installed(servers, folder) as deployment:
            totals = _instructions(deployment, log) if is_counted else _seconds(deployment, log)
    return {part: totals[part] / totals["calibration"] for part in PARTS[1:]}


def _seconds(deployment: Deployment, log: Log) -> Costs:
    """Return the least CPU time of each part."""
    rounds = [json.loads(line) for line in _run(deployment, log, ROUNDS).splitlines()]
    return {part: min(seconds[part] for seconds in rounds) for part in PARTS}


def _instructions(deployment: Deployment, log: Log) -> Costs:
    """Return the instructions of each part, counted in one round."""
    counts = deployment.folder / "counts"
    _run(
        deployment,
        log,
        1,
        "valgrind",
        "--tool=callgrind",
        f"--dump-before={MARK}",
        f"--callgrind-out-file={counts}",
    )
    # Dumps end at each mark: what was before the first part, the part, what was between two ...
    found = [counts.with_name(f"{counts.name}.{2 * n + 2}") for n in range(len(PARTS))]
    return {part: _total(path) for part, path in zip(PARTS, found, strict=True)}


def _total(path: Path) -> int:
    match = re.search(r"^totals: (\d+)$", path.read_text(errors="replace"), re.MULTILINE)
    if match is None:
        raise ValueError(f"{path} has no total")
    return int(match[1])


def _run(deployment: Deployment, log: Log, rounds: int, *prefix: str) -> str:
    command = [*prefix, sys.executable, "-m", "bench.guarded", str(log.path), str(rounds)]
    # The same hashes every time, so the same instructions.
    env = deployment.env(PYTHONPATH=str(ROOT / "tests"), PYTHONHASHSEED="0")
    done = subprocess.run(
        command, env=env, cwd=deployment.folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    end(main)

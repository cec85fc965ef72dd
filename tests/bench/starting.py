"""What a start of the private broker costs, with every plugin in sight and with those that run.

In turns, each on new data: the CPU time until it serves, of the server and of all it starts.
Run by `PYTHONPATH=tests python -m bench.starting`.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
from pathlib import Path

from datastream_playground.local.broker import Broker
from datastream_playground.local.packages import ensure

TIMES = 5


class Whole(Broker):
    """A broker that has all that is installed."""

    def _make_home(self, _folder: Path) -> None:
        return


def cpu_seconds(broker: Broker) -> float:
    """Start and stop a broker; return the CPU time of its processes, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with broker:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the median of each, and their ratio."""
    programs = ensure()
    whole: list[float] = []
    chosen: list[float] = []
    for _ in range(TIMES):
        for kind, found in ((Whole, whole), (Broker, chosen)):
            with tempfile.TemporaryDirectory() as folder:
                found.append(cpu_seconds(kind(Path(folder) / "rabbitmq", programs)))
    before, now = statistics.median(whole), statistics.median(chosen)
    sys.stdout.write(
        f"CPU s of a start: {now:.2f} of {before:.2f}, ratio {now / before:.2f}"
        f" (medians of {TIMES})\n"
    )


if __name__ == "__main__":
    main()

"""docs/metrics.md names the metrics that the services have, no more and no fewer."""

from __future__ import annotations

import re
from pathlib import Path

from datastream.metrics import ConsumerMetrics, DoctorMetrics, ProducerMetrics, ServiceMetrics

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"^\| `(datastream_\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", re.MULTILINE)


def described(metrics: ServiceMetrics) -> set[tuple[str, str, str]]:
    """Return name, labels and type of each of our metrics."""
    rows = set()
    for collector in metrics.registry._collector_to_names:  # noqa: SLF001
        for family in collector.describe() if hasattr(collector, "describe") else []:
            if family.name.startswith("datastream_"):
                name = family.name + ("_total" if family.type == "counter" else "")
                labels = ",".join(getattr(collector, "_labelnames", ()))
                rows.add((name, labels, family.type))
    return rows


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    """The page and the code agree on names, labels and types."""
    documented = set(ROW.findall(DOCUMENT.read_text(encoding="utf-8")))

    every = (ProducerMetrics(), ConsumerMetrics(), DoctorMetrics())
    assert documented == set().union(*map(described, every))

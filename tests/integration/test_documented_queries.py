"""The queries that the documentation shows run, and answer what they say."""

from __future__ import annotations

import re
from pathlib import Path

from datastream_playground import sample
from deployment import Deployment, lines_of

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
QUERIES = re.findall(r"```sql\n(.*?);\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_documented_queries_run(deployment: Deployment, tmp_path: Path) -> None:
    """Each query of docs/tables.md runs; the ones about whole logs give them."""
    log = tmp_path / "access.log"
    summary = sample.write(log, 1_000, "combined", seed=5)
    deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(1_000)
    queries = [q.replace("%", "%%").replace("/var/log/nginx/access.log", str(log)) for q in QUERIES]

    rejects, *_others, whole, counts = [deployment.query(query) for query in queries]

    assert len(rejects) == min(20, summary.junk)
    assert [row[0] for row in whole] == list(lines_of(log))
    assert counts == [(1_000, 1_000)]

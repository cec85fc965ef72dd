"""The queries that the documentation shows run, and answer what they say."""

from __future__ import annotations

import re
from pathlib import Path

from datastream_playground import sample
from deployment import Deployment, lines_of

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
QUERIES = re.findall(r"```sql\n(.*?);\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_documented_queries_run(deployment: Deployment, tmp_path: Path) -> None:
    """Each query of docs/tables.md has an answer; the ones about whole logs give them.

    Their day or hour ends with the sample's last line.
    """
    log = tmp_path / "access.log"
    summary = sample.write(log, 1_000, "combined", seed=5)
    deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(1_000)
    # What no line of the sample has.
    deployment.change("UPDATE clean_log SET request_time = 0.5")
    deployment.change("UPDATE referrer SET kind = 'search'")
    [(last,)] = deployment.query("SELECT MAX(time) FROM clean_log")
    changes = {"%": "%%", "/var/log/nginx/access.log": str(log), "UTC_TIMESTAMP()": f"'{last}'"}
    queries = QUERIES
    for old, new in changes.items():
        queries = [query.replace(old, new) for query in queries]

    answers = [deployment.query(query) for query in queries]

    assert [query for query, rows in zip(queries, answers, strict=True) if not rows] == []
    rejects, *_others, whole, counts = answers

    assert len(rejects) == min(20, summary.junk)
    assert [row[0] for row in whole] == list(lines_of(log))
    assert counts == [(1_000, 1_000)]

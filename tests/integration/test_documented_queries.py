"""The queries that the documentation shows run, and answer what they say."""

from __future__ import annotations

import re
from pathlib import Path

from datastream_operator.lines import numbered_lines
from datastream_playground import sample
from deployment import Deployment, lines_of
from old_rows import as_rows

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
RUNBOOK = PAGE.with_name("runbook.md")
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
    rejects, *_others, whole, part, counts = answers

    assert len(rejects) == min(20, summary.junk)
    assert [row[0] for row in whole] == list(lines_of(log))
    assert [row[0] for row in part] == [
        line for offset, line in numbered_lines(log) if 100_000 <= offset <= 200_000
    ]
    assert counts == [(1_000, 1_000)]


def test_looks_into_packs_go_by_their_key(deployment: Deployment, tmp_path: Path) -> None:
    """A key, a range, and the joins of the documentation read no pack that they do not need."""
    log = tmp_path / "access.log"
    sample.write(log, 3_000, "combined", seed=5)
    deployment.start_consumers()
    deployment.publish_once(log)
    deployment.assert_settled(3_000)
    as_rows(deployment)  # as many packs as can be
    key = "SELECT line FROM raw_log WHERE stream_id = 1 AND line_offset = 2"
    rejects, part = (
        next(query for query in QUERIES if begin in query)
        for begin in ("SELECT rejects.", "AND pack BETWEEN")
    )
    runbook = re.findall(
        r"```sql\n(SELECT [^`]*?raw_log.pack = [^`]*?);\n```", RUNBOOK.read_text("utf-8")
    )
    assert len(runbook) == 2

    for query in (key, rejects, part, *runbook):
        steps = deployment.query(f"EXPLAIN {query.replace('%', '%%')}")
        [(kind, index, length)] = [
            (step[3], step[5], int(step[6])) for step in steps if step[2] == "p"
        ]
        assert (kind in ("range", "eq_ref", "const"), index, length) == (True, "PRIMARY", 16), query

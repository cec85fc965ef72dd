"""The health check of the images."""

from __future__ import annotations

import pytest

from datastream import metrics, ready
from datastream.metrics import ServiceMetrics


def test_it_says_what_the_service_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 once the service beside it can work, 1 before; its words are there to read."""
    counts = ServiceMetrics("mysql")
    with metrics.serve(counts, "127.0.0.1", 0) as port:
        monkeypatch.setenv("METRICS_PORT", str(port))
        codes = [ready.main()]
        counts.answered("mysql")
        codes.append(ready.main())

    assert codes == [1, 0]
    assert capsys.readouterr().out == "waiting for mysql\nready\n"


def test_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service that has not started, or has ended, is not ready."""
    with metrics.serve(ServiceMetrics(), "127.0.0.1", 0) as port:
        monkeypatch.setenv("METRICS_PORT", str(port))

    assert ready.main() == 1
    assert "refused" in capsys.readouterr().out

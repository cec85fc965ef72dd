"""Free ports on the loopback address."""

from __future__ import annotations

import pytest

from datastream_playground.local import ports


def test_no_port_is_given_twice_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers that are about to start would meet there."""
    few = ports.usable()[:150]
    monkeypatch.setattr(ports, "usable", lambda: few)

    given = [ports.free_port() for _ in range(50)]

    assert len(set(given)) == 50

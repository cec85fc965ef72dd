"""What the lake reads of what is stored, on the real server."""

from __future__ import annotations

from contextlib import closing

import pytest

from datastream.mysql import Session
from datastream.packs import Pack
from datastream.slices import Slice
from datastream.streams import Stream
from deployment import Deployment
from lake_consumer.store import Lake

STREAM = Stream(2**63 + 5, "test", "host", "/var/log/access.log", "combined", 0)


def slice_at(position: int) -> Slice:
    """Return a slice of two lines."""
    return Slice(STREAM, position, b"one\ntwo", 2, 0, read_at_ms=0)


def test_what_is_between_two_slices_of_a_batch_is_not_read(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a whole log: after a rewind a batch holds its beginning and its end."""
    read: list[int] = []

    class Noted(Pack):
        def __new__(cls, *values: int | bytes) -> Noted:
            read.append(int(values[0]))
            return super().__new__(cls, *values)  # type: ignore[arg-type]

    with closing(Session(deployment.mysql, "test")) as session:
        lake = Lake(session)
        for position in range(0, 800, 8):
            lake.store([slice_at(position)])
        monkeypatch.setattr("lake_consumer.store.Pack", Noted)
        outcome = lake.store([slice_at(0), slice_at(8), slice_at(792), slice_at(800)])

    assert (outcome.duplicates, outcome.stored["raw_log"]) == (6, 2)
    assert read == [0, 8, 784, 792]

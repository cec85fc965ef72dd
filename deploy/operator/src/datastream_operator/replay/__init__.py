"""The command `datastream replay`: lines of raw_log are parsed once more."""

from __future__ import annotations

from datastream_operator.replay.command import add_arguments, run

__all__ = ["add_arguments", "run"]

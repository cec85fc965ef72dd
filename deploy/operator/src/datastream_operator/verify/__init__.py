"""The command `datastream verify`: compares logs with the tables, line by line."""

from __future__ import annotations

from datastream_operator.verify.command import add_arguments, run

__all__ = ["add_arguments", "run"]

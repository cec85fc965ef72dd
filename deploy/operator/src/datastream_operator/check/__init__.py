"""`datastream check`: what a log would become, without any server."""

from __future__ import annotations

from datastream_operator.check.command import add_arguments, run

__all__ = ["add_arguments", "run"]

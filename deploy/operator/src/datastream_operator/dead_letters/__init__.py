"""The command `datastream dead-letters`: what waits there, why, and what becomes of it."""

from __future__ import annotations

from datastream_operator.dead_letters.command import add_arguments

__all__ = ["add_arguments"]

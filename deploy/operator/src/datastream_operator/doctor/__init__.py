"""The command `datastream doctor`: is everything as it must be, and if not, what to do."""

from __future__ import annotations

from datastream_operator.doctor.checks import policy_warnings
from datastream_operator.doctor.command import add_arguments, run

__all__ = ["add_arguments", "policy_warnings", "run"]

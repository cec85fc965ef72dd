"""Times and streams as a person types them: types of arguments for argparse."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime


def moment(text: str) -> datetime:
    """Return an ISO 8601 time, UTC where it names no zone."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"not a time: {text!r}; write 2026-10-10T13:55 (UTC) or 2026-10-10T13:55+02:00"
        ) from None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


def stream_number(text: str) -> int:
    """Return the stream that 16 hexadecimal digits name."""
    if not re.fullmatch("[0-9a-fA-F]{16}", text):
        raise argparse.ArgumentTypeError(f"not a stream of 16 hexadecimal digits: {text}")
    return int(text, 16)

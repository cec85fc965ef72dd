"""Log lines that a newcomer can read: a sentence, then the facts as key=value."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Formatter(logging.Formatter):
    """Formats a record as `TIME LEVEL SERVICE: sentence (fact=value, …)`, in UTC, on one line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; a traceback, where there is one, follows below it."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        facts = ", ".join(
            f"{name}={_printable(value)}"
            for name, value in vars(record).items()
            if name not in _STANDARD
        )
        line = (
            f"{moment}.{int(record.msecs):03d}Z {record.levelname} {self._service}: "
            f"{record.getMessage()}{f' ({facts})' if facts else ''}"
        )
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


def _printable(value: object) -> str:
    """Return the value on one line, quoted where a space or a control character stands in it."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if text.isprintable() and " " not in text else repr(text)


def configure(service: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Send every log line of this process, from `level` up, to `stream` under the service's name.

    Of what the client libraries log only what is worse than a warning is kept: we log each
    failure once, and say what happens next.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Formatter(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("pika").setLevel(logging.CRITICAL)

"""What a command raises and exits with when it cannot do what it was asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from datastream.config import EX_CONFIG, ConfigError
from datastream.errors import Unavailable

#: Exit codes of sysexits.h: the arguments do not go together; a server is away.
EX_USAGE, EX_UNAVAILABLE = 64, 69
#: Of a shell: ended by Ctrl-C; by SIGPIPE.
INTERRUPTED, NOBODY_READS = 130, 141


class Refused(Exception):
    """The command cannot be done as given; the message says why, `code` is the exit code."""

    def __init__(self, words: str, code: int = 1) -> None:
        super().__init__(words)
        self.code = code


def exit_code_of(run: Callable[[], int | None]) -> int:
    """Run a command and return its exit code; where it cannot be done a line says why."""
    try:
        return run() or 0
    except ConfigError as error:
        return _said(error, EX_CONFIG)
    except Unavailable as error:
        return _said(error, EX_UNAVAILABLE)
    except Refused as error:
        return _said(error, error.code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What read the output has ended, as `head` does. Python would write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS


def _said(error: Exception, code: int) -> int:
    sys.stderr.write(f"datastream: {error}\n")
    return code

"""A command of the bench: where it works, and how it ends."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from bench.revisions import CannotBuild
from bench.servers import ROOT
from datastream_operator.interruption import ignore, interruptible
from datastream_playground.local.errors import CannotServe, DidNotStart

#: Where results are kept.
OUTPUT = ROOT / ".run"


@contextmanager
def workplace(name: str) -> Iterator[Path]:
    """Give an empty folder for the length of the block.

    On the disk, where a commit costs what it costs; /tmp may be in memory. Within the block
    SIGTERM and SIGHUP raise KeyboardInterrupt too: the folder is removed whatever ends it.
    """
    OUTPUT.mkdir(exist_ok=True)
    with interruptible(), tempfile.TemporaryDirectory(prefix=f"{name}-", dir=OUTPUT) as folder:
        try:
            yield Path(folder)
        finally:
            ignore()


def end(main: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code, or with a line about what it cannot have."""
    try:
        sys.exit(main())
    except (CannotBuild, CannotServe, DidNotStart) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # what a shell says of Ctrl-C

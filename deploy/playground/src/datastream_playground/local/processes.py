"""The processes of private servers: none outlives this process, and all can be found again.

Each has its data folder in its environment (`MARK`), and so have its children. The processes of a
folder are therefore found in /proc, without a pid file that may be stale.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MARK = "DATASTREAM_LOCAL_FOLDER"

# The kernel sends a child its parent-death signal when the *thread* that started it ends. So
# one thread starts them all, and it lives as long as this process does.
_STARTER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


def spawn(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start `command` in `folder`, its output appended to `log`, and return it.

    The terminal's Ctrl-C does not reach it (a session of its own); it is killed when this process
    dies, however that happens. It inherits nothing of this process's environment.
    """
    with log.open("ab") as output:
        return _STARTER.submit(
            subprocess.Popen,
            [*_dies_with_owner(), *command],
            cwd=folder,
            env={**environment, MARK: str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ).result()


def _dies_with_owner() -> list[str]:
    setpriv = shutil.which("setpriv")
    # Not TERM: a server that is starting may ignore it, and it is sent only once.
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def marked(folder: Path) -> list[int]:
    """Return the ids of the running processes that were started for `folder`."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        # It has ended, or is another user's.
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def end(
    process: subprocess.Popen[bytes], patience: float, *, again_every: float | None = None
) -> None:
    """End a child: SIGTERM, and SIGKILL after `patience` seconds or on any exception.

    With `again_every` SIGTERM is sent again every so many seconds: a server that is starting may
    ignore it.
    """
    if process.poll() is not None:
        return
    deadline = time.monotonic() + patience
    try:
        while process.poll() is None and (left := deadline - time.monotonic()) > 0:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(min(left, again_every or left))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def end_marked(folder: Path, patience: float) -> None:
    """End all processes of `folder`: SIGTERM, and SIGKILL after `patience` seconds."""
    deadline = time.monotonic() + patience
    asked: set[int] = set()
    while remaining := marked(folder):
        late = time.monotonic() > deadline
        for pid in remaining:
            if late or pid not in asked:
                asked.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.02)

"""The processes of a private server: started so that none outlives its owner, and found again.

Each carries its data folder in its environment (`MARK`), as does whatever it starts in turn.
What runs on a folder is therefore read from /proc, and needs no pid file that may be stale.
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
    dies, however that happens. It sees nothing of this process's environment.
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
    # Not TERM: a server that is just starting may not listen to it yet, and nobody asks again.
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def marked(folder: Path) -> list[int]:
    """Return the ids of all processes that were started for `folder` and still run."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        # Gone meanwhile, or another user's.
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def end(
    process: subprocess.Popen[bytes], patience: float, *, again_every: float | None = None
) -> None:
    """Ask a child to end; kill it when it has not after `patience` seconds, or on any exception.

    With `again_every` it is asked again and again, so many seconds apart: a server that is just
    starting may not listen yet.
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
    """End everything that still runs on `folder`: asked first, killed after `patience` seconds."""
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

"""The machine: whether the account that asks may read the logs and write the checkpoint."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from datastream.config import ConfigError, Environment
from datastream.how_many import how_many
from datastream.log_settings import read_patterns
from datastream.paths import expand
from datastream_operator.doctor.report import LOW_DISK, Check, State
from datastream_operator.lines import Missing, Unreadable, opened
from datastream_operator.text import size


def check_log(env: Environment) -> Check:
    """Return the row of the logs: each must be readable, and its folder be listed."""
    name = "log"
    try:
        patterns = read_patterns(env)
    except ConfigError as error:
        return Check(name, State.BROKEN, (str(error),))
    if patterns is None:
        return Check(name, State.SKIPPED, ("LOG_PATH is not set",))
    faults = list(dict.fromkeys(fault for p in patterns for fault in _unlisted(p)))
    absent = [f"nothing is called {pattern} yet" for pattern in patterns if not expand(pattern)]
    paths = [path for pattern in patterns for path in expand(pattern)]
    for path in paths:
        try:
            with opened(Path(path)) as file:
                file.read(1)
        except Missing:
            absent.append(f"there is no {path} yet")
        except Unreadable as error:
            faults.append(str(error))
    if faults:
        advice = f"Let {_who()} read it: the group of the file, g+r, and g+rx for its folder."
        return Check(name, State.BROKEN, tuple(faults), advice)
    if absent:
        advice = "The producer waits for it; if it has another name, correct it in the settings."
        return Check(name, State.ATTENTION, tuple(absent), advice)
    return Check(
        name,
        State.OK,
        (f"{how_many(len(paths), 'file')} can be read, as {_who()}{_reading_all()}",),
    )


def _unlisted(pattern: str) -> Iterator[str]:
    """Yield why the folder with a log's rotated files cannot be listed."""
    folder = Path(pattern).absolute().parent
    if glob.has_magic(str(folder)):
        return
    try:
        with os.scandir(folder):
            pass
    except FileNotFoundError:
        return  # the check of the log says that it is missing
    except OSError as error:
        yield f"the folder {folder} cannot be listed: {error.strerror}"


def check_checkpoint(env: Environment) -> Check:
    """Return the row of the producer's folder: it must be writable, and its disk have room."""
    name = "checkpoint"
    try:
        folder = env.text("STATE_DIR", "state")
    except ConfigError as error:
        return Check(name, State.BROKEN, (str(error),))
    if env.find("STATE_DIR") is None and not _exists(folder):
        return Check(name, State.SKIPPED, ("STATE_DIR is not set",))
    above = (Path(folder).absolute(), *Path(folder).absolute().parents)
    there = next(path for path in above if _exists(path))
    lock = there / "lock"
    needed = {there: os.W_OK | os.X_OK} | ({lock: os.W_OK} if _exists(lock) else {})
    for path, right in needed.items():
        if not os.access(path, right):
            words = f"{path} cannot be written, as {_who()}"
            advice = "Make it the account's that the producer runs as, or set STATE_DIR."
            return Check(name, State.BROKEN, (words,), advice)
    free = shutil.disk_usage(there).free
    words = f"{folder} can be written, {size(free)} free"
    if free < LOW_DISK:
        return Check(name, State.ATTENTION, (words,), "Make room on that disk.")
    return Check(name, State.OK, (words,))


def _exists(path: str | Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises in a folder that is closed


def _reading_all() -> str:
    """Return a remark on an account that may read every file, or nothing."""
    return ", who may read all" if os.geteuid() == 0 else ""


def _who() -> str:
    """Return the name of the account of this process, or its number."""
    user = os.geteuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"

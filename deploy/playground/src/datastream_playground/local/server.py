"""What the private broker and database share: a data folder, starting and stopping."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from abc import ABC, abstractmethod
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import IO, ClassVar, Self

from datastream_playground.local import ports, processes
from datastream_playground.local.errors import DidNotStart, FolderInUse

START_TIMEOUT = 60.0
_PORT_ATTEMPTS = 4


class Server(ABC):
    """A private server on loopback ports; as a context manager it is started and always stopped.

    Its data, settings, log and passwords are in one folder, which one process at a time may own.
    Started again on that folder it has the same data and passwords, and other ports.
    """

    name: ClassVar[str]
    #: Seconds it has to stop before it is killed.
    patience: ClassVar[float] = 20.0
    host: ClassVar[str] = ports.LOOPBACK
    user: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "server.log"
        self.port = 0
        self.password = ""
        self.version = ""
        self._processes: list[Popen[bytes]] = []
        self._lock: IO[str] | None = None
        self._fixed_ports = False

    # --- what each kind of server defines

    @abstractmethod
    def _prepare(self) -> None:
        """Create what a start needs: passwords, settings, system tables."""

    @abstractmethod
    def _choose_ports(self) -> None:
        """Choose free ports."""

    @abstractmethod
    def _ports(self) -> tuple[int, ...]:
        """Return the chosen ports."""

    @abstractmethod
    def _run(self) -> list[Popen[bytes]]:
        """Write the settings for the chosen ports and start the processes, the main one last."""

    @abstractmethod
    def _answers(self) -> bool:
        """Say whether the server serves a client that logs in; sets `version` when it does."""

    # --- starting and stopping

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The ids of its processes and their children that run now."""
        return processes.marked(self.folder)

    def start(self) -> None:
        """Start on fresh ports and return once it serves.

        Raises `FolderInUse`, or `DidNotStart` after at most a minute.
        """
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start without waiting, so that two can start at once; `wait_until_ready` must follow."""
        self._launch(fixed_ports=False)

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same ports. Raises `DidNotStart`."""
        self._launch(fixed_ports=self.port != 0)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return once it serves. Raises `DidNotStart`; on any exception nothing is left running."""
        try:
            attempts = 1 if self._fixed_ports else _PORT_ATTEMPTS
            while not self._came_up(may_move=attempts > 1):
                attempts -= 1
                self._choose_ports()
                self._rotate_log()
                self._processes = self._run()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it, by force after `patience` seconds. Does nothing when it is stopped already."""
        try:
            self._end_processes()
        finally:
            self._release_folder()

    def kill(self) -> None:
        """Kill it, as a power cut would. The folder stays locked; restart() brings it back."""
        for process in self._processes:
            process.kill()
        processes.end_marked(self.folder, patience=-1)
        for process in self._processes:
            process.wait()
        self._processes = []

    # --- how

    def _launch(self, *, fixed_ports: bool) -> None:
        self._take_folder()
        self._fixed_ports = fixed_ports
        try:
            self._end_processes()
            processes.end_marked(self.folder, self.patience)
            self._rotate_log()
            self._prepare()
            if not fixed_ports:
                self._choose_ports()
            self._processes = self._run()
        except BaseException:
            self.stop()
            raise

    def _end_processes(self) -> None:
        try:
            for process in reversed(self._processes):
                processes.end(process, self.patience, again_every=0.5)
        finally:
            self._processes = []
            if self._lock is not None:
                processes.end_marked(self.folder, patience=1)

    def _came_up(self, *, may_move: bool) -> bool:
        """Wait until it serves. False: it ended as a port was taken, and may try others."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._one_ended():
            # What answers may be another server, which had the port first: then ours has ended.
            if self._answers() and not self._one_ended():
                return True
            if time.monotonic() > deadline:
                raise self._failed(f"did not answer within {START_TIMEOUT:.0f} s")
            time.sleep(0.05)
        self._end_processes()
        taken = [port for port in self._ports() if not ports.is_free(port)]
        if taken and may_move:
            return False
        raise self._failed(f"found its port {taken[0]} taken" if taken else "ended while starting")

    def _one_ended(self) -> bool:
        return any(process.poll() is not None for process in self._processes)

    def _failed(self, what: str) -> DidNotStart:
        return DidNotStart(f"{self.name} {what}. The end of {self.log}:\n{self._log_tail(15)}")

    def _log_tail(self, lines: int) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(line for line in text.splitlines()[-lines:] if line.strip())

    def _rotate_log(self) -> None:
        """Begin a new log; the last one is kept."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        self.log.touch(mode=0o600)

    def _take_folder(self) -> None:
        if self._lock is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise FolderInUse(
                f"{self.folder} belongs to a run that has not ended (process {owner}). "
                "Stop that one first."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _release_folder(self) -> None:
        if self._lock is not None:
            self._lock.truncate(0)
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lock.close()
            self._lock = None


def secret(file: Path) -> str:
    """Return the password in `file`; the first time, create it, readable by its owner alone."""
    if file.exists() and (kept := file.read_text().strip()):
        return kept
    made = secrets.token_urlsafe(24)
    write_private(file, made)
    return made


def write_private(file: Path, text: str) -> None:
    """Write `file` atomically, readable by its owner alone."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)

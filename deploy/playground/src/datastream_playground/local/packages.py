"""The programs of the private servers: finding them, and installing them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datastream_playground.local.errors import CannotServe

# Debian's /usr/sbin/rabbitmq-server switches to another user; these do not.
RABBITMQ_SCRIPTS = (
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server",
    "/opt/rabbitmq/sbin/rabbitmq-server",
)
SEARCH_PATH = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/bin",
    "/usr/local/bin",
    "/usr/lib/erlang/bin",
)
BROKER_PACKAGE = "rabbitmq-server"
DATABASE_PACKAGE = "mariadb-server-core"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Programs:
    """What the private servers run. `database` is mariadbd, or mysqld of MySQL."""

    rabbitmq_server: Path
    erl: Path
    epmd: Path
    database: Path


@dataclass(frozen=True, slots=True)
class System:
    """What an installation needs to know of this machine and this user."""

    linux: bool
    apt: bool
    root: bool
    sudo: bool  # is installed
    sudo_silent: bool  # and asks for no password
    terminal: bool  # and a password can be typed


def to_stderr(line: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{line}\n")


def ensure(say: Callable[[str], None] = to_stderr) -> Programs:
    """Return the programs, installing the system's packages for them where that is allowed.

    `say` is called with one line before an installation. Raises `CannotServe`.
    """
    programs, missing = find()
    if programs is None:
        _install(missing, this_system(), say)
        programs, missing = find()
    if programs is None:
        raise CannotServe(f"{' and '.join(missing)}: installed, yet its programs are not found.")
    return programs


def find() -> tuple[Programs | None, list[str]]:
    """Return the programs, or None and the packages of those that are missing."""
    scripts = (path for pattern in RABBITMQ_SCRIPTS for path in Path("/").glob(pattern[1:]))
    rabbitmq_server, erl, epmd = next(scripts, None), _which("erl"), _which("epmd")
    database = _which("mariadbd") or _which("mysqld")
    if rabbitmq_server and erl and epmd and database:
        return Programs(rabbitmq_server, erl, epmd, database), []
    missing = []
    if not (rabbitmq_server and erl and epmd):
        missing.append(BROKER_PACKAGE)
    if not database:
        missing.append(DATABASE_PACKAGE)
    return None, missing


def this_system() -> System:
    """Return the facts of this machine and this user."""
    sudo = shutil.which("sudo")
    return System(
        linux=sys.platform == "linux",
        apt=shutil.which("apt-get") is not None and shutil.which("dpkg-query") is not None,
        root=os.geteuid() == 0,
        sudo=sudo is not None,
        sudo_silent=sudo is not None and _succeeds(sudo, "-n", "true"),
        terminal=sys.stdin is not None and sys.stdin.isatty(),
    )


def as_root(system: System) -> list[str] | None:
    """Return the prefix that runs a command as root; None if this user may not."""
    if system.root:
        return []
    if system.sudo_silent:
        return ["sudo", "-n"]
    if system.sudo and system.terminal:
        return ["sudo"]
    return None


def advice(missing: Sequence[str], system: System) -> str:
    """Return what is missing and how to install it, for a user who may not."""
    needed = {
        BROKER_PACKAGE: "RabbitMQ (rabbitmq-server, with Erlang's erl and epmd)",
        DATABASE_PACKAGE: "MariaDB or MySQL (the program mariadbd or mysqld)",
    }
    lacks = "Missing: " + "; ".join(needed[package] for package in missing) + "."
    if not system.linux:
        return f"{lacks}\nThe private servers run on Linux only. With Docker: make deploy"
    if not system.apt:
        return (
            f"{lacks}\nOn Debian and Ubuntu they would be installed now; "
            "here, please install them yourself. Or, with Docker: make deploy"
        )
    sudo, order = ("sudo ", "Type") if system.sudo else ("", "As root, type")
    return (
        f"{lacks}\n{order}\n\n"
        f"    {sudo}apt-get update\n"
        f"    {sudo}apt-get install --no-install-recommends {' '.join(missing)}\n\n"
        "and run this again. Or, with Docker: make deploy"
    )


def _install(missing: list[str], system: System, say: Callable[[str], None]) -> None:
    prefix = as_root(system) if system.linux and system.apt else None
    if prefix is None:
        raise CannotServe(advice(missing, system))
    say(
        f"Installing {' and '.join(missing)} from this system's packages "
        "(programs only: no system service is enabled or started)"
    )
    # One process as root does all of it. It leaves no compiled files behind (-B).
    proxies = [f"{name}={os.environ[name]}" for name in _PROXIES if name in os.environ]
    module = "datastream_playground.local.install"
    command = [*prefix, "env", *proxies, sys.executable, "-B", "-m", module, *missing]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603  # no shell
    try:
        _, complaint = process.communicate()
    except BaseException:
        process.wait()  # it got the same Ctrl-C, and is cleaning up
        raise
    if process.returncode != 0:
        raise CannotServe(f"{complaint.strip()}\n{advice(missing, system)}")
    if complaint.strip():
        say(complaint.strip())


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603  # no shell


def _which(name: str) -> Path | None:
    found = shutil.which(name, path=os.pathsep.join([*SEARCH_PATH, os.environ.get("PATH", "")]))
    return Path(found) if found else None

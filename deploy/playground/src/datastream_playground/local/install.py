"""Install packages and leave no system service enabled or running.

Runs as root, by itself: python -m datastream_playground.local.install PACKAGE...
Silent on success; errors go to standard error.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from datastream_playground.local import units

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_ASIDE = POLICY.with_name("policy-rc.d.before-datastream")
POLICY_TEXT = """\
#!/bin/sh
# datastream, while it installs packages: no service starts (101: action not allowed).
exit 101
"""
# What maintainer scripts expect; su leaves an ordinary user's.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LISTS = Path("/var/lib/apt/lists")
LISTS_AGE_MAX = 24 * 3600
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_SUSPEND": "1",  # Ubuntu's: it would restart other services
    "LC_ALL": "C.UTF-8",
}


class Failed(Exception):
    """The installation failed. The text says why, with the last lines of apt-get."""


def main(packages: list[str]) -> int:
    """Install `packages`; return the exit status."""
    os.environ["PATH"] = PATH
    for number in SIGNALS:
        signal.signal(number, _interrupt_once)
    try:
        with nothing_starts(), nothing_stays_enabled():
            _apt_install(packages)
    except Failed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    # From here on nothing may interrupt the cleaning up.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def nothing_starts() -> Iterator[None]:
    """Keep services from starting during the block, by Debian's policy-rc.d.

    An existing policy is put back afterwards, also one set aside by a run that was killed.
    """
    if not POLICY_ASIDE.is_symlink() and not POLICY_ASIDE.exists() and _foreign_policy():
        POLICY.rename(POLICY_ASIDE)
    try:
        POLICY.write_text(POLICY_TEXT)
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)
        if POLICY_ASIDE.is_symlink() or POLICY_ASIDE.exists():
            POLICY_ASIDE.rename(POLICY)


def _foreign_policy() -> bool:
    if POLICY.is_symlink():
        return True
    return POLICY.exists() and POLICY.read_text(errors="replace") != POLICY_TEXT


@contextmanager
def nothing_stays_enabled() -> Iterator[None]:
    """After the block, disable the services that its new packages enabled, and only those."""
    packages, services = _installed(), units.enabled()
    try:
        yield
    finally:
        # The units of systemd itself are needed to boot.
        added = {name for name in _installed() - packages if not name.startswith("systemd")}
        new = units.in_files(_files_of(added))
        units.disable(units.to_disable(services, units.enabled(), new))
        units.stop(new)
        left = units.to_disable(services, units.enabled(), new)
        if left.units or left.scripts:
            names = " ".join(sorted(left.units | left.scripts))
            sys.stderr.write(f"These new services are enabled and could not be disabled: {names}\n")


def _installed() -> set[str]:
    lines = _output("dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n")
    # Half-configured packages count: their services may be enabled already.
    return {
        name
        for name, _, status in (line.partition(" ") for line in lines)
        if status not in ("not-installed", "config-files")
    }


def _files_of(packages: set[str]) -> list[str]:
    return _output("dpkg-query", "-L", *sorted(packages)) if packages else []


def _output(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()  # noqa: S603  # no shell


def _apt_install(packages: list[str]) -> None:
    """Install from the package lists on disk if they are fresh, else update them first."""
    arguments = ("install", "-y", "--no-install-recommends", "--no-remove", *packages)
    if _lists_are_fresh():
        try:
            _apt(*arguments)
        except Failed:
            pass  # they may lack the package, or name a version that is gone
        else:
            return
    # A source that does not answer may not be needed.
    complaints = _complaints_of_update()
    try:
        _apt(*arguments)
    except Failed as error:
        raise Failed("\n".join([*complaints, str(error)])) from error


def _complaints_of_update() -> list[str]:
    try:
        said = _apt("update")
    except Failed as error:
        said = str(error).splitlines()
    return [line for line in said if line.startswith(("W:", "E:"))][:5]


def _lists_are_fresh() -> bool:
    newest = max((path.stat().st_mtime for path in LISTS.glob("*_Packages*")), default=0.0)
    return time.time() - newest < LISTS_AGE_MAX


def _apt(*arguments: str) -> list[str]:
    """Run apt-get and return the lines of its output. Raises `Failed`.

    An interrupt is passed on to apt-get, and its end is waited for: it must not be killed.
    """
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603  # no shell
            command,
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    if status != 0:
        raise Failed("\n".join([f"{' '.join(command)} failed:", *lines[-20:]]))
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The system services that are enabled: read from the links in /etc, and disabled."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SYSTEMD_RUNS = Path("/run/systemd/system")
_KINDS = frozenset({".service", ".socket", ".timer", ".path"})
_INSTANCE = re.compile(r"@.*\.")


@dataclass(frozen=True, slots=True)
class Services:
    """Systemd units, such as `epmd.socket`, and names of SysV init scripts."""

    units: frozenset[str]
    scripts: frozenset[str]


def enabled(root: Path = Path("/")) -> Services:
    """Return what is enabled on the system in `root`; dangling links do not count."""
    etc = root / "etc"
    units: set[str] = set()
    for pattern in ("*.wants/*", "*.requires/*"):
        units.update(link.name for link in _live_links(root, etc / "systemd/system", pattern))
    for alias in _live_links(root, etc / "systemd/system", "*"):
        units.add(alias.readlink().name)
    scripts = (link.name[3:] for link in _live_links(root, etc, "rc[2-5S].d/S[0-9][0-9]*"))
    return Services(frozenset(units), frozenset(scripts))


def in_files(files: Iterable[str]) -> Services:
    """Return the units and init scripts among the files of packages."""
    units, scripts = set(), set()
    for path in map(Path, files):
        if path.parent.parts[-2:] == ("systemd", "system") and path.suffix in _KINDS:
            units.add(path.name)
        elif path.parent == Path("/etc/init.d"):
            scripts.add(path.name)
    return Services(frozenset(units), frozenset(scripts))


def to_disable(before: Services, after: Services, new: Services) -> Services:
    """Return what an installation enabled: now and not before, and of a new package."""
    turned_on = after.units - before.units
    return Services(
        frozenset(unit for unit in turned_on if _INSTANCE.sub("@.", unit) in new.units),
        (after.scripts - before.scripts) & new.scripts,
    )


def disable(services: Services) -> None:
    """Disable services, so that they stay disabled when their packages are upgraded."""
    for unit in sorted(services.units):
        # It works without a running systemd, but only when called as from a package's script.
        _run("env", "DPKG_MAINTSCRIPT_PACKAGE=datastream", "deb-systemd-helper", "disable", unit)
    for script in sorted(services.scripts):
        _run("update-rc.d", script, "disable")


def stop(services: Services) -> None:
    """Stop the units that run, if systemd does."""
    if not SYSTEMD_RUNS.exists():
        return
    _run("systemctl", "daemon-reload")
    for unit in sorted(services.units):
        if "@." not in unit and _run("systemctl", "--quiet", "is-active", unit):
            _run("systemctl", "stop", unit)


def _live_links(root: Path, folder: Path, pattern: str) -> Iterator[Path]:
    for link in folder.glob(pattern):
        # A masked unit points to /dev/null.
        if link.is_symlink() and str(link.readlink()) != os.devnull:
            target = link.parent / link.readlink()
            if link.readlink().is_absolute():
                target = root / link.readlink().relative_to("/")
            if target.exists():
                yield link


def _run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603  # no shell

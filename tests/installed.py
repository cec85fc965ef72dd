"""A folder in the place of a host's root, on which `make install-...` put services."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from datastream_playground.local.packages import as_root, this_system
from deployment import Deployment, Service

ROOT = Path(__file__).parents[1]


class Host:
    """What is installed there, and what systemd would do with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units = root / "etc/systemd/system"
        self.settings = root / "etc/datastream"

    def make(self, target: str, **variables: str) -> str:
        """Run a target of the Makefile on it and return what it said; it must succeed."""
        named = [f"{name}={value}" for name, value in variables.items()]
        command = ["make", "--no-print-directory", target, f"DESTDIR={self.root}", *named]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def configure(self, name: str, changes: Mapping[str, str]) -> None:
        """Say in a file of settings what a person is asked to say there."""
        with (self.settings / name).open("a") as file:
            file.writelines(f"{setting}={value}\n" for setting, value in changes.items())

    def values(self, unit: str, setting: str) -> list[str]:
        """Return every value of a setting of a unit, its specifiers resolved for this host."""
        template = re.sub("@.*[.]", "@.", unit)
        instance = unit.partition("@")[2].partition(".")[0]
        return [
            line.partition("=")[2]
            .replace("%S", str(self.root / "var/lib"))
            .replace("%d", str(self.root / "run/credentials" / unit))
            .replace("%i", instance)
            for line in (self.units / template).read_text().splitlines()
            if line.startswith(f"{setting}=")
        ]

    def environment(self, unit: str) -> dict[str, str]:
        """Hand over the unit's credentials and return its environment, as systemd would."""
        credentials = self.root / "run/credentials" / unit
        credentials.mkdir(parents=True, exist_ok=True)
        for credential in self.values(unit, "LoadCredential"):
            name, _, path = credential.partition(":")
            shutil.copy(self.root / path.lstrip("/"), credentials / name)
        return dict(value.split("=", 1) for value in self.values(unit, "Environment"))

    def commands(self, unit: str) -> list[list[str]]:
        """Return the unit's commands, with the programs where they are on this host."""
        return [
            shlex.split(command.replace("$$", "$").replace("/opt/", f"{self.root}/opt/"))
            for command in self.values(unit, "ExecStart")
        ]

    def run(self, unit: str) -> None:
        """Run the commands of a unit to their end; each must succeed."""
        for command in self.commands(unit):
            done = subprocess.run(
                command,
                env=self.environment(unit),
                cwd=self.root,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr

    def start(self, unit: str, deployment: Deployment, metrics_port: int, **env: str) -> Service:
        """Run the unit's command, as systemd would: with its environment and no other.

        What `env` says is said in a drop-in; the service must serve its metrics at that port.
        """
        folder = Path((self.values(unit, "WorkingDirectory") or [str(self.root)])[0])
        folder.mkdir(parents=True, exist_ok=True)
        service = Service(
            self.commands(unit)[0],
            {"METRICS_PORT": "0"} | self.environment(unit) | env,
            folder,
            deployment.folder / f"{unit}.log",
        )
        service.metrics_port = metrics_port
        deployment.services.append(service)
        return service


def systemd_analyze() -> str:
    """Return the command, from the system's package where it is missing."""
    found = shutil.which("systemd-analyze")
    if found is None:
        prefix = as_root(this_system())
        assert prefix is not None, "systemd-analyze is missing: apt-get install systemd"
        module = "datastream_playground.local.install"
        subprocess.run([*prefix, sys.executable, "-B", "-m", module, "systemd"], check=True)
        found = shutil.which("systemd-analyze")
    assert found is not None
    return found


def assert_nothing_wrong(host: Host, unit: str, folder: Path) -> None:
    """Assert that `systemd-analyze verify` is content; only the program's folder is the test's."""
    copy = folder / unit
    text = (host.units / unit).read_text()
    copy.write_text(text.replace("/opt/datastream", f"{host.root}/opt/datastream"))
    verified = subprocess.run(
        [systemd_analyze(), "verify", copy], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def assert_may_do_little(host: Host, unit: str) -> None:
    """Assert an exposure of 2 at most, of 10, in the view of `systemd-analyze security`."""
    path = str(host.units / unit)
    asked = ["security", "--offline=yes", "--threshold=20", "--no-pager", path]
    measured = subprocess.run(
        [systemd_analyze(), *asked], capture_output=True, text=True, check=False
    )
    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert "Overall exposure level" in measured.stdout

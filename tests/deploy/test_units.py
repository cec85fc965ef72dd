"""Producer and consumers as units of a systemd that runs, in a container that boots as a host."""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datastream_playground import sample
from datastream_playground.local.ports import free_port
from deploy import images
from deploy.former import export, former_commit
from deploy.stack import ROOT, docker, growing, run
from deployment import WITHOUT_PROXY, Deployment, eventually, lines_of

IMAGE = "local/systemd"
#: What systemd needs of a container: its control groups, and mounts that it may share.
BOOT = """
for each in /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,bind,rw "$each"; done 2>/dev/null
mount --make-rshared /
exec /lib/systemd/systemd
"""
# All but the one that raises limits: an engine that is itself confined may not have it.
RIGHTS = ["--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--cgroupns=private"]
RIGHTS += [f"--security-opt={one}=unconfined" for one in ("seccomp", "apparmor", "systempaths")]
FOLDERS = ["--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp:exec"]

LAKE = "datastream-lake-consumer"
CLEAN = "datastream-clean-consumer"
PRODUCER = "datastream-producer"
#: The version that is tested, and the one before it.
PRESENT, FORMER = "/checkout", "/former"
#: The programs, and what of a checkout is in them.
PROGRAMS = {
    "/opt/datastream": ("shared", "services/producer"),
    "/opt/datastream-consumers": (
        "shared",
        "services/lake_consumer",
        "services/clean_consumer",
        "deploy/operator",
    ),
}
DATASTREAM = "/opt/datastream-consumers{}/bin/datastream"
#: Ends with 1 where a program has another module than a checkout.
COMPARE = """
checkout=$1 program=$2
shift 2
for part; do
    for package in "$checkout/$part"/src/*/; do
        diff -rq --exclude=__pycache__ "$package" \
            "$program"/lib/python3*/site-packages/"$(basename "$package")"
    done
done
"""
SETTINGS = 'cd /etc/datastream; stat --format="%n %a %U %G" *; cksum *'


class Machine:
    """A host of its own, on this machine's network."""

    def __init__(self, logs: Path, former: Path) -> None:
        self.name = f"datastream-test-{uuid.uuid4().hex[:8]}"
        mounted = (f"{ROOT}:{PRESENT}:ro", f"{former}:{FORMER}:ro", f"{logs}:/var/log/nginx")
        where = ["--detach", "--name", self.name, "--network=host"]
        where += [f"--volume={volume}" for volume in mounted]
        docker("run", *where, *RIGHTS, *FOLDERS, "--env=container=docker", IMAGE, "sh", "-c", BOOT)

    def execute(self, *command: str) -> str:
        """Return what a command prints there; it must succeed."""
        return docker("exec", self.name, *command)

    def make(self, *targets: str, checkout: str = PRESENT) -> str:
        """Run targets of a checkout's Makefile, as root."""
        return self.execute("make", "--no-print-directory", "-C", checkout, *targets)

    def assert_installed(self, checkout: str) -> None:
        """Each module of both programs is that of a checkout."""
        for program, parts in PROGRAMS.items():
            self.execute("sh", "-euc", COMPARE, "sh", checkout, program, *parts)

    def go_back(self) -> None:
        """Go back to the former programs and their tables, as docs/upgrading.md has it."""
        schema = self.execute(DATASTREAM.format(".old"), "--version").split()[-1]
        self.make("rollback-producer")
        self.execute(DATASTREAM.format(""), "migrate", "--rollback", "--to", schema, "--yes")
        self.make("rollback-consumers")

    def go_forth(self) -> None:
        """Go forth again, as docs/upgrading.md has it."""
        self.make("rollback-consumers")
        self.execute("systemctl", "start", "datastream-migrate")
        self.make("rollback-producer")

    def settings(self) -> str:
        """Return modes, owners and sums of the settings and the passwords."""
        return self.execute("sh", "-c", SETTINGS)

    def write(self, path: str, text: str, *, append: bool = False) -> None:
        """Write a file there, or add to it; its mode stays."""
        script = f'mkdir -p "${{1%/*}}"; cat {">>" if append else ">"}"$1"'
        command = ["docker", "exec", "--interactive", self.name, "sh", "-c", script, "sh", path]
        subprocess.run(command, input=text.encode(errors="surrogateescape"), check=True)

    def wait_booted(self) -> None:
        """Return once systemd has started everything."""

        def booted() -> None:
            said = run("docker", "exec", self.name, "systemctl", "is-system-running").stdout
            assert said.strip() in ("running", "degraded"), said

        eventually(booted)

    def pid(self, unit: str) -> int:
        """Return the process of a unit that runs."""
        said = self.execute("systemctl", "show", "--property=ActiveState,MainPID", unit)
        assert "ActiveState=active" in said, said
        return int(re.findall(r"MainPID=(\d+)", said)[0])

    def user(self, unit: str) -> int:
        """Return the user that a unit runs as."""
        return int(self.execute("stat", "--format=%u", f"/proc/{self.pid(unit)}"))

    def wait_ready(self, *ports: int) -> None:
        """Return once services say at these ports that they consume."""

        def ready() -> None:
            for port in ports:
                asked = WITHOUT_PROXY.open(f"http://127.0.0.1:{port}/readyz", timeout=5)
                asked.close()

        try:
            eventually(ready)
        except OSError as error:
            said = self.execute("journalctl", "--no-pager", "--lines=40", "--unit=datastream-*")
            raise AssertionError(said) from error


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log as Debian's nginx has it, in a folder of its own, with lines."""
    path = tmp_path / "nginx" / "access.log"
    path.parent.mkdir()
    sample.write(path, 300, "combined", seed=13)
    for entry, mode in ((path.parent, 0o750), (path, 0o640)):
        os.chown(entry, -1, 4)
        entry.chmod(mode)
    return path


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The files of the version before this one; where there is none, those of this one."""
    commit = former_commit(ROOT)
    if commit is None:
        images.said.append("The history has no former version: units were updated to their own")
        return ROOT
    export(ROOT, commit, tmp_path / "former")
    return tmp_path / "former"


@pytest.fixture
def machine(engine: None, log: Path, former: Path) -> Iterator[Machine]:  # noqa: ARG001 - an engine is what boots it
    """A host that has booted."""
    subprocess.run([Path(images.__file__).parent / "stand_ins" / "build", "systemd"], check=True)
    made = Machine(log.parent, former)
    try:
        made.wait_booted()
        yield made
    finally:
        run("docker", "rm", "--force", "--volumes", made.name)


@pytest.fixture
def empty(deployment: Deployment) -> Deployment:
    """Servers on which the former version makes tables and queues."""
    mysql, rabbit = deployment.mysql, deployment.rabbit
    deployment.change(f"DROP DATABASE {mysql.database}")
    deployment.database.create(mysql.database, mysql.user, mysql.password.read())
    deployment.broker.delete_vhost(rabbit.vhost)
    deployment.broker.create_vhost(rabbit.vhost)
    return deployment


def configure(machine: Machine, deployment: Deployment, ports: tuple[int, int, int]) -> None:
    """Say where the servers and the accounts are, and at which ports the metrics.

    The ports are the producer's, the lake consumer's, and the base of the clean consumers'.
    """
    rabbit, mysql = deployment.rabbit, deployment.mysql
    producer_port, lake_port, base = ports
    broker = {
        "RABBIT_HOST": rabbit.host,
        "RABBIT_PORT": rabbit.port,
        "RABBIT_VHOST": rabbit.vhost,
    }
    producer = broker | {"RABBIT_USER": rabbit.user, "METRICS_PORT": producer_port}
    settings = broker | {
        "RABBIT_MANAGEMENT_URL": deployment.broker.management_url,
        "MYSQL_HOST": mysql.host,
        "MYSQL_PORT": mysql.port,
        "MYSQL_DATABASE": mysql.database,
        "METRICS_PORT": lake_port,
    }
    settings |= {f"{service}_RABBIT_USER": rabbit.user for service in ("LAKE", "CLEAN", "OPERATOR")}
    settings |= {f"{service}_MYSQL_USER": mysql.user for service in ("LAKE", "CLEAN", "MIGRATOR")}
    for name, changes in (("producer", producer), ("consumers", settings)):
        text = "".join(f"{setting}={value}\n" for setting, value in changes.items())
        machine.write(f"/etc/datastream/{name}.env", text, append=True)
    machine.write("/etc/datastream/rabbit_password", rabbit.password.read())
    for name in ("lake", "clean", "operator"):
        machine.write(f"/etc/datastream/{name}_rabbit_password", rabbit.password.read())
    for name in ("lake", "clean", "migrator"):
        machine.write(f"/etc/datastream/{name}_mysql_password", mysql.password.read())
    drop_in = f"/etc/systemd/system/{CLEAN}@.service.d/port.conf"
    machine.write(drop_in, f"[Service]\nEnvironment=METRICS_BASE={base}\n")
    machine.execute("systemctl", "daemon-reload")


def test_units_are_installed_killed_updated_taken_back_and_removed(
    machine: Machine, empty: Deployment, log: Path
) -> None:
    """From the former version on, through all of it and a reboot, each line is stored once."""
    producer_port, lake_port, base = free_port(), free_port(), free_port()
    ports = (producer_port, lake_port, base + 1, base + 2)
    units = (PRODUCER, LAKE, f"{CLEAN}@1", f"{CLEAN}@2")
    first = log.read_bytes().splitlines(keepends=True)

    def flows(*ready: int) -> None:
        machine.wait_ready(*ready)
        with log.open("ab") as file:
            file.write(b"one more line\n")
        empty.assert_settled(len(list(lines_of(log))))

    def survives(change: Callable[[], object]) -> None:
        before = {unit: machine.pid(unit) for unit in units}
        with growing(log, first):
            change()

            def others_run() -> None:
                assert all(machine.pid(unit) not in (0, before[unit]) for unit in units)

            eventually(others_run)
        flows(*ports)

    machine.make("install", checkout=FORMER)
    configure(machine, empty, (producer_port, lake_port, base))
    machine.execute("systemctl", "start", "datastream-migrate")
    machine.execute("systemctl", "enable", "--now", *units)
    flows(*ports)
    assert all(machine.user(unit) > 0 for unit in units)
    machine.assert_installed(FORMER)
    settings = machine.settings()

    survives(lambda: machine.execute("systemctl", "kill", "--signal=KILL", *units))

    survives(lambda: machine.make("install"))
    machine.assert_installed(PRESENT)

    survives(machine.go_back)
    machine.assert_installed(FORMER)

    survives(machine.go_forth)
    machine.assert_installed(PRESENT)
    assert machine.settings() == settings

    machine.execute("systemctl", "disable", "--now", units[3])
    docker("restart", machine.name)
    machine.wait_booted()
    flows(*ports[:3])
    assert empty.raw_lines() == list(lines_of(log))

    machine.make("uninstall-producer", "uninstall-consumers")
    asked = ("--no-legend", "datastream-*")
    # It ends with 1 where it finds none.
    left = run("docker", "exec", machine.name, "systemctl", "list-unit-files", *asked).stdout
    running = machine.execute("systemctl", "list-units", "--state=active", *asked)
    assert (left, running) == ("", "")
    assert machine.settings() == settings

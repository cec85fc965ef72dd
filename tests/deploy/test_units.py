"""Producer and consumers as units of a systemd that runs, in a container that boots as a host."""

from __future__ import annotations

import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from datastream_playground import sample
from datastream_playground.local.ports import free_port
from deploy import images
from deploy.stack import ROOT, docker, run
from deployment import WITHOUT_PROXY, Deployment, eventually

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
LOG = "/var/log/nginx/access.log"


class Machine:
    """A host of its own, on this machine's network."""

    def __init__(self) -> None:
        self.name = f"datastream-test-{uuid.uuid4().hex[:8]}"
        where = ["--detach", "--name", self.name, "--network=host", f"--volume={ROOT}:/checkout:ro"]
        docker("run", *where, *RIGHTS, *FOLDERS, "--env=container=docker", IMAGE, "sh", "-c", BOOT)

    def execute(self, *command: str) -> str:
        """Return what a command prints there; it must succeed."""
        return docker("exec", self.name, *command)

    def make(self, *targets: str) -> str:
        """Run targets of the Makefile, as root."""
        return self.execute("make", "--no-print-directory", "-C", "/checkout", *targets)

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
def machine(engine: None) -> Iterator[Machine]:  # noqa: ARG001 - an engine is what boots it
    """A host that has booted."""
    subprocess.run([Path(images.__file__).parent / "stand_ins" / "build", "systemd"], check=True)
    made = Machine()
    try:
        made.wait_booted()
        yield made
    finally:
        run("docker", "rm", "--force", "--volumes", made.name)


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
    machine: Machine, deployment: Deployment, tmp_path: Path
) -> None:
    """Through all of it, and a reboot, each line is in the tables once."""
    log = tmp_path / "access.log"
    sample.write(log, 300, "combined", seed=13)
    machine.write(LOG, log.read_text(errors="surrogateescape"))
    machine.execute("chgrp", "adm", LOG)
    machine.execute("chmod", "0640", LOG)
    producer_port, lake_port, base = free_port(), free_port(), free_port()
    ports = (producer_port, lake_port, base + 1, base + 2)
    units = (PRODUCER, LAKE, f"{CLEAN}@1", f"{CLEAN}@2")
    lines = 300

    def one_more(*ready: int) -> None:
        nonlocal lines
        machine.wait_ready(*ready)
        machine.write(LOG, "one more line\n", append=True)
        lines += 1
        deployment.assert_settled(lines)

    machine.make("install")
    configure(machine, deployment, (producer_port, lake_port, base))
    machine.execute("systemctl", "start", "datastream-migrate")
    machine.execute("systemctl", "enable", "--now", *units)
    one_more(*ports)
    assert all(machine.user(unit) > 0 for unit in units)

    killed = {unit: machine.pid(unit) for unit in units}
    machine.execute("systemctl", "kill", "--signal=KILL", *units)

    def others_run() -> None:
        assert all(machine.pid(unit) not in (0, killed[unit]) for unit in units)

    eventually(others_run)
    one_more(*ports)

    for targets in (["install"], ["rollback-producer", "rollback-consumers"]):
        killed = {unit: machine.pid(unit) for unit in units}
        machine.make(*targets)
        others_run()
        one_more(*ports)

    machine.execute("systemctl", "disable", "--now", units[3])
    docker("restart", machine.name)
    machine.wait_booted()
    one_more(*ports[:3])

    machine.make("uninstall-producer", "uninstall-consumers")
    asked = ("--no-legend", "datastream-*")
    # It ends with 1 where it finds none.
    left = run("docker", "exec", machine.name, "systemctl", "list-unit-files", *asked).stdout
    running = machine.execute("systemctl", "list-units", "--state=active", *asked)
    assert (left, running) == ("", "")
    assert "consumers.env" in machine.execute("ls", "/etc/datastream")

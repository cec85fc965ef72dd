"""Somebody is told: Prometheus's alerts and `make alert-test` arrive at the address of .env."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from deploy.stack import ROOT, Stack, docker, growing
from deployment import eventually, lines_of

SECRET = "s3cret-part-of-the-address"
FIRING = 'ALERTS{alertstate="firing"}'
WATCHED = {"BrokerMemoryAlarm", "BrokerDiskAlarm", "DiskFilling", "RowsLate"}
CONFIGURATION = ROOT / "deploy" / "alertmanager"


class Receiver:
    """An address that takes alerts, or refuses them."""

    def __init__(self) -> None:
        self.status = 200
        self.alerts: list[dict[str, Any]] = []
        self.paths: set[str] = set()

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return what was taken of one alert."""
        return [one for one in self.alerts if one["labels"]["alertname"] == name]


@contextmanager
def listening(receiver: Receiver) -> Iterator[str]:
    """Listen where containers reach this machine; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.paths.add(self.path)
            if receiver.status == 200:
                receiver.alerts += body["alerts"]
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    gateway = "{{(index .IPAM.Config 0).Gateway}}"
    host = docker("network", "inspect", "--format", gateway, "bridge").strip()
    server = ThreadingHTTPServer((host, 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/{SECRET}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("receiver", ["webhook", "slack", "discord"])
def test_alertmanager_accepts_its_settings(images: dict[str, str], receiver: str) -> None:
    """As they stand in the repository, and with each receiver that deploy puts there."""
    text = (CONFIGURATION / "alertmanager.yml").read_text()
    text = text.replace("receiver: webhook\n", f"receiver: {receiver}\n", 1)
    command = ["docker", "run", "--rm", "--interactive", "--network=none", "--entrypoint", "amtool"]
    command += [images["ALERTMANAGER_IMAGE"], "check-config", "/dev/stdin"]

    checked = subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_somebody_is_told(stack: Stack) -> None:
    """A test and a real alert arrive; a refusal is said; the address shows nowhere."""
    settings = stack.env_file.read_text()
    untold = stack.try_script("alert-test")
    assert (untold.returncode, "ALERT_WEBHOOK" in untold.stderr) == (1, True)
    receiver = Receiver()
    rules = stack.checkout / "deploy" / "prometheus" / "alerts.rules.yml"
    text = rules.read_text()
    with listening(receiver) as address:
        stack.env_file.write_text(f"{settings}ALERT_WEBHOOK={address}\n")
        rules.write_text(f"{text}\n      - alert: Always\n        expr: vector(1)\n")
        stack.script("deploy")

        said = stack.script("alert-test")
        assert said == "The address of ALERT_WEBHOOK took it\n"
        assert len(receiver.named("DatastreamTest")) == 1
        stack.script("alert-test")
        assert len(receiver.named("DatastreamTest")) == 2

        def fired() -> None:
            assert receiver.named("Always")

        eventually(fired)
        assert receiver.paths == {f"/{SECRET}"}

        receiver.status = 404
        refused = stack.try_script("alert-test")
        assert refused.returncode == 1
        assert "did not take it" in refused.stderr
        assert "404" in refused.stderr
    gone = stack.try_script("alert-test")
    assert gone.returncode == 1
    assert "refused" in gone.stderr
    assert SECRET not in refused.stderr + gone.stderr
    assert SECRET not in json.dumps(stack.inspect())

    stack.env_file.write_text(settings)
    rules.write_text(text)
    stack.script("deploy")
    assert stack.containers("alertmanager") == []


def test_the_alerts_of_lateness_and_of_the_broker_fire_in_the_stack(
    stack: Stack, log: Path
) -> None:
    """What the services and the broker really tell is what the rules ask; none has to last here."""
    rules = stack.checkout / "deploy" / "prometheus" / "alerts.rules.yml"
    text = rules.read_text()
    rules.write_text(re.sub(r"for: \d+m", "for: 0s", text))
    stack.script("deploy")
    [broker] = stack.containers("rabbitmq")
    [database] = stack.containers("mysql")

    def told(metric: str) -> str:
        return str(int(float(stack.value(metric)[0]["value"][1])))

    def firing(*alerts: str) -> Callable[[], None]:
        def fire() -> None:
            found = {one["metric"]["alertname"] for one in stack.value(FIRING)}
            assert found & WATCHED == set(alerts)

        return fire

    def waits() -> None:
        assert int(told('rabbitmq_detailed_queue_messages{queue="queue-data-lake"}')) > 100

    eventually(firing())
    memory = told("rabbitmq_resident_memory_limit_bytes")
    disk = told("rabbitmq_disk_space_available_limit_bytes")
    docker("stop", database)
    with growing(log, [line + b"\n" for line in lines_of(log)][:1_000]):
        eventually(waits)
    queued = time.monotonic()

    def limit(memory: str, disk: str) -> None:
        ask = ("exec", broker, "rabbitmqctl", "--quiet")
        docker(*ask, "set_vm_memory_high_watermark", "absolute", memory)
        docker(*ask, "set_disk_free_limit", disk)

    limit("1000000", "1000000000000000")
    eventually(firing("BrokerMemoryAlarm", "BrokerDiskAlarm", "DiskFilling"))
    limit(memory, disk)
    eventually(firing())

    def late() -> None:
        assert time.monotonic() - queued > 65

    eventually(late)
    # The consumers have run on, so that what they counted goes on too.
    docker("start", database)
    eventually(firing("RowsLate"))

    rules.write_text(text)
    stack.script("deploy")
    stack.assert_settled(sum(1 for _ in lines_of(log)))

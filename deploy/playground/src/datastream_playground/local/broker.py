"""A private RabbitMQ: its own node, cookie, epmd and ports, nothing of the system's settings."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import re
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pika

from datastream_playground.local import home, processes
from datastream_playground.local.packages import Programs
from datastream_playground.local.ports import free_port
from datastream_playground.local.server import Server, secret, write_private
from datastream_playground.local.sizes import SMALL, Size

# The same on every machine: the path of the data contains it.
NODE = "datastream@localhost"

SETTINGS = """\
listeners.tcp.1 = {host}:{port}
management.tcp.ip = {host}
management.tcp.port = {management_port}
default_user = {user}
default_pass = {password}
heartbeat = 10
disk_free_limit.absolute = 500MB
log.file = false
log.console = true
log.console.level = info
"""

# The node's name resolves without /etc/hosts.
NAMES = """\
{host, {127,0,0,1}, ["localhost"]}.
{lookup, [file, native]}.
"""

# Distribution on loopback only; epmd is ours; no spinning while idle, for the other
# processes on a small machine need those cores.
ERLANG_FLAGS = (
    "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"
    " +sbwt none +sbwtdcpu none +sbwtdio none"
)

QUEUE_COLUMNS = "name,messages,messages_unacknowledged,message_bytes,consumers"

_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/_.+@-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Broker(Server):
    """A RabbitMQ with its management API, both on loopback; `user` administers it."""

    name = "RabbitMQ"
    user = "datastream"
    # RabbitMQ 3 closes what is on disk within milliseconds, and then waits 5 s for a handler of its
    # management plugin that waits for it. What was confirmed survives a kill in any case.
    patience = 3.0

    def __init__(self, folder: Path, programs: Programs, size: Size = SMALL) -> None:
        super().__init__(folder)
        self.management_port = 0
        self.programs = programs
        self.size = size
        self._epmd_port = 0
        self._distribution_port = 0

    @property
    def management_url(self) -> str:
        """Where the management pages and their HTTP API are."""
        return f"http://{self.host}:{self.management_port}"

    def create_vhost(self, name: str) -> None:
        """Create a virtual host in which `user` may do everything, unless it exists.

        Raises ValueError for a name of other characters than letters, digits and `_.-`.
        """
        self.api("PUT", f"vhosts/{_checked(name)}", {})
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self.api("PUT", f"permissions/{_checked(name)}/{self.user}", rights)

    def queues(self) -> dict[str, dict[str, Any]]:
        """Return the columns QUEUE_COLUMNS of each queue in the virtual host `/`, by its name.

        The counts are up to 5 s old, and missing for a new queue. Raises OSError and
        http.client.HTTPException when the management API does not answer.
        """
        told = self.api("GET", f"queues/%2F?columns={QUEUE_COLUMNS}", timeout=3)
        return {queue["name"]: queue for queue in told}

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host and all that is in it."""
        self.api("DELETE", f"vhosts/{_checked(name)}")

    def _prepare(self) -> None:
        self.password = secret(self.folder / "password")
        secret(self.folder / ".erlang.cookie")
        write_private(self.folder / "enabled_plugins", "[rabbitmq_management].\n")
        write_private(self.folder / "names", NAMES)
        self._make_home(self.folder / "home")

    def _make_home(self, folder: Path) -> None:
        home.make(self.programs.rabbitmq_server, folder)

    def _choose_ports(self) -> None:
        self.port, self.management_port, self._epmd_port, self._distribution_port = (
            free_port() for _ in range(4)
        )

    def _ports(self) -> tuple[int, ...]:
        return self.port, self.management_port, self._epmd_port, self._distribution_port

    def _run(self) -> list[Popen[bytes]]:
        settings = SETTINGS.format(
            host=self.host,
            port=self.port,
            management_port=self.management_port,
            user=self.user,
            password=self.password,
        )
        write_private(self.folder / "rabbitmq.conf", settings + self.size.broker)
        epmd = [str(self.programs.epmd), "-port", str(self._epmd_port), "-address", self.host]
        server = [str(self.programs.rabbitmq_server)]
        running = []
        for command in (epmd, server):
            running.append(
                processes.spawn(
                    command, folder=self.folder, environment=self.environment(), log=self.log
                )
            )
        return running

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes, and of RabbitMQ's own commands for it."""

        def own(name: str) -> str:
            return str(self.folder / name)

        # RabbitMQ has these unquoted in its scripts, and passes them to `df`, or has several in one
        # value. All of them run in the folder.
        plain = str(self.folder)
        if not _PLAIN_PATH.fullmatch(plain):
            plain = "/proc/self/cwd"
        data = f"{plain}/data"
        has_home = (self.folder / "home").exists()
        scripts = {"RABBITMQ_SCRIPTS_DIR": f"{plain}/home/sbin"} if has_home else {}
        return scripts | {
            "PATH": f"{self.programs.erl.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),  # where Erlang looks for the cookie
            "ERL_CRASH_DUMP": own("erl_crash.dump"),
            "ERL_EPMD_ADDRESS": self.host,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_INETRC": own("names"),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": data,
            "RABBITMQ_LOG_BASE": data,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": own("rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": own("enabled_plugins"),
            # Files that do not exist, so that those of /etc/rabbitmq are not read instead.
            "RABBITMQ_ADVANCED_CONFIG_FILE": own("none.config"),
            "RABBITMQ_CONFIG_FILES": own("none.d/*.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{ERLANG_FLAGS} {self.size.erlang}",
            # The script becomes the server instead of waiting for it, so signals reach it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _answers(self) -> bool:
        if not _speaks_amqp(self.host, self.port):
            return False
        with _quiet_pika():
            try:
                self._log_in()
                overview = self.api("GET", "overview")
            except (pika.exceptions.AMQPError, OSError):
                return False
        self.version = str(overview["rabbitmq_version"])
        return True

    def _log_in(self) -> None:
        parameters = pika.ConnectionParameters(
            host=self.host,
            port=self.port,
            credentials=pika.PlainCredentials(self.user, self.password),
            socket_timeout=5,
            blocked_connection_timeout=5,
        )
        pika.BlockingConnection(parameters).close()

    def api(self, method: str, path: str, body: object = None, *, timeout: float = 30) -> Any:  # noqa: ANN401  # JSON
        """Return what the management API answers. Raises OSError and http.client.HTTPException."""
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request = urllib.request.Request(  # noqa: S310  # our own http URL
            f"{self.management_url}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        # Never through a proxy, even if the environment names one.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=timeout) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def _speaks_amqp(host: str, port: int) -> bool:
    """Say whether an AMQP server answers there; unlike pika, without logging that none does."""
    try:
        with socket.create_connection((host, port), timeout=2) as probe:
            probe.sendall(_AMQP_HEADER)
            return probe.recv(1) == b"\x01"
    except OSError:
        return False


@contextlib.contextmanager
def _quiet_pika() -> Iterator[None]:
    """Keep pika from logging attempts that may fail."""
    logger = logging.getLogger("pika")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a name for a virtual host: {name!r}")
    return urllib.parse.quote(name, safe="")

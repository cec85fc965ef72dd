"""The README's own commands, typed one after the other by a person who has just cloned it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from datastream_playground import sample
from datastream_playground.local.servers import Broker, Database
from deployment import PATIENCE, eventually

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRY, KEEP, OWN = "Try it", "Keep it", "Run it with servers of your own"
#: The commands that are not walked, by what tells them from the others, and why.
LEFT_OUT = {
    "make deploy": "needs Docker",
    "sudo make": "needs root",
}
#: What each of the others says of its work, by section; "" where it says nothing.
SAYS = {
    TRY: {
        "make demo": r"\nExact: every line is there, once, byte for byte\.\n",
        "make follow": r"\n200 lines published, 200 kept raw, 200 parsed, 0 rejected",
        "make sql": r"^lines_kept\taccounted\n2200\t2200\n$",
        "make venv": r"\n *parsed +200 +100\.00 % of the lines",
    },
    KEEP: {},
    OWN: {
        "make venv": "",
        "test": "",
        "datastream accounts": r"Every account has its rights|Setting permissions for user",
        "datastream migrate": r"^Applied 0001_create_raw_log\n",
        "datastream topology": r"^The exchanges, queues and bindings are there\n$",
        "lake-consumer": r" lake_consumer: Connected to RabbitMQ\n",
        "clean-consumer": r" clean_consumer: Connected to RabbitMQ\n",
        "producer": r" producer: Connected to RabbitMQ\n",
        "datastream check": r"access\.log: 60 of 60 lines fit.*\n.*error\.log: 50 of 50 lines fit",
        "datastream verify": r"log: exact: 300 lines.*\n.*log\.1: exact: 200 lines",
        "datastream streams": r"  60 lines: 60 parsed, .*\n(.*\n)+  50 lines: 50 parsed,",
        "datastream sql": r"^lines_kept\taccounted\n610\t610\n$",
        "datastream doctor": r"\nschema +ok +",
        "datastream dead-letters": r"queue-data-clean-dead: empty\n",
        "datastream replay": r"^[0-9]+ lines of 4 streams sent to be parsed\n$",
        "datastream rewind": r"(is read again from byte 0 on\n.*){3}",
        "eval": "",
    },
}
#: Those that go on until they are stopped, but for `producer --once`.
GO_ON = ("make follow", "lake-consumer", "clean-consumer", "producer")
QUESTION = """
    SELECT (SELECT COUNT(*) FROM raw_log) AS lines_kept, (SELECT COUNT(*) FROM clean_log)
        + (SELECT COUNT(*) FROM error_log) + (SELECT COUNT(*) FROM rejected_log) AS accounted
"""
JSON = (
    '{"time_iso8601":"2026-11-30T00:29:32+00:00","remote_addr":"192.0.2.7",'
    '"request":"GET / HTTP/1.1","status":"200","body_bytes_sent":"7"}\n'
)
CUSTOM = '192.0.2.7 [10/Oct/2000:13:55:36 +0000] "GET /shop HTTP/1.1" 200 rt=0.120\n'
NGINX_CONF = """
http {
    log_format main '$remote_addr [$time_local] "$request" $status rt=$request_time';
}
"""
ERROR = "2000/10/10 13:55:36 [error] 7#7: *1 open() failed, client: 192.0.2.7\n"
#: What a clone does not hold.
NOT_CLONED = (".git", ".venv", ".run", ".env", ".*_cache", "__pycache__", ".hypothesis", "state")
#: What a database's own client does with a script that is piped in.
CLIENT = """
import sys
import pymysql
with pymysql.connect(host={0!r}, port={1}, user={2!r}, password={3!r}) as connection:
    with connection.cursor() as cursor:
        for line in sys.stdin:
            cursor.execute(line.rstrip().removesuffix(";"))
        sys.stdout.writelines(cursor.fetchone())
"""


def section(title: str) -> str:
    """Return the text of a section of the README."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(title: str) -> list[str]:
    """Return the indented blocks of a section, which blank lines part."""
    return re.findall(r"(?:^    .+\n)+", section(title), re.MULTILINE)


def commands(title: str) -> list[str]:
    """Return what a section has a person type: its blocks', then those within its sentences."""
    # Neither a report nor a file is typed.
    typed = [
        command
        for block in blocks(title)
        if not re.search(r"[─█]|\[\[log]]", block)
        for line in block.splitlines()
        if (command := re.sub(r"\s+# .*", "", line).strip())
    ]
    spans = re.findall(r"`([^`]*)`", section(title))
    inline = [one for one in spans if re.match(r"(sudo|make|producer|datastream) |.*\.venv/", one)]
    # A sentence may name a command that a block, or the first section, has a person type.
    named = [command.replace(".venv/bin/", "") for command in typed] + ["make demo"]
    return typed + [one for one in inline if not any(other.startswith(one) for other in named)]


def name_of(command: str) -> str:
    """Return what tells a command from the others: its program, and a target or subcommand."""
    words = command.removeprefix(".venv/bin/").split()
    return " ".join(words[: 2 if words[0] in ("sudo", "make", "datastream") else 1])


def walked(title: str) -> list[str]:
    """Return the commands of a section that are not left out."""
    return [command for command in commands(title) if name_of(command) not in LEFT_OUT]


class Walk:
    """A person in a clean clone, who types commands."""

    def __init__(self, folder: Path, title: str) -> None:
        self.clone, self.logs, self.tools = folder / "clone", folder / "log", folder / "bin"
        self._says = SAYS[title]
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._said = folder / "said"
        shutil.copytree(ROOT, self.clone, ignore=shutil.ignore_patterns(*NOT_CLONED))
        self.logs.mkdir()
        self.tools.mkdir()
        # The checkout's environment is taken: to make one takes a network and half a minute.
        make_venv = self.clone / "deploy" / "operator" / "make-venv"
        make_venv.write_text(f'#!/bin/sh\nln -sfn {shlex.quote(sys.prefix)} "$2"\n')

    def here(self, text: str) -> str:
        """Return a text of the README with the paths of this walk for those of a web server."""
        return re.sub("/(?:var/log|etc)/nginx", str(self.logs), text)

    def type(self, command: str, words: str = "") -> None:
        """Type a command, and words at it; it must do its work and say so."""
        name = name_of(command)
        says = self._says[name]
        if name in GO_ON and "--once" not in command:
            self._start(name, command)
            eventually(lambda: self._assert_said(says))
            return
        done = subprocess.run(
            ["/bin/bash", "-c", self.here(command)],
            env=self._env(),
            cwd=self.clone,
            input=words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        assert re.search(says, done.stdout) is not None, f"{command}\n{done.stdout}"

    def stop(self, name: str) -> int:
        """Type Ctrl-C at a command that goes on, if it runs; return its exit code."""
        process = self._running.pop(name, None)
        if process is None:
            return 0
        os.killpg(process.pid, signal.SIGINT)
        return process.wait(PATIENCE)

    def said(self) -> str:
        """Return what the commands that go on have said."""
        return self._said.read_text(encoding="utf-8")

    def close(self) -> None:
        """End what still runs."""
        for process in self._running.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, name: str, command: str) -> None:
        with self._said.open("wb") as output:
            self._running[name] = subprocess.Popen(
                ["/bin/bash", "-c", f"exec {self.here(command.removesuffix(' &'))}"],
                env=self._env(),
                cwd=self.clone,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _assert_said(self, pattern: str) -> None:
        assert re.search(pattern, self.said()) is not None, self.said()

    def _env(self) -> dict[str, str]:
        return {
            "PATH": f"{self.tools}:{self.clone}/.venv/bin:{os.environ['PATH']}",
            "HOME": str(self.clone),
            "LANG": "C.UTF-8",
            # The clone's code, in the checkout's environment.
            "PYTHONPATH": ":".join(sorted(map(str, self.clone.glob("**/src")))),
            # As if it was typed: a short log for the demo.
            "MAKEFLAGS": " -- LINES=2000",
            # Other tests run services beside.
            "METRICS_PORT": "0",
        }


@pytest.fixture
def own(servers: tuple[Broker, Database]) -> Iterator[str]:
    """The name of a schema, a virtual host and accounts, which the walk makes."""
    broker, database = servers
    name = f"readme_{uuid.uuid4().hex[:6]}"
    yield name
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"DROP USER IF EXISTS {name}")
    for place in ("vhosts", "users"):
        with suppress(OSError):
            broker.api("DELETE", f"{place}/{name}")


def be_root(walk: Walk, broker: Broker, database: Database) -> None:
    """Let `sudo` be the administrator of these servers, and of nothing else."""
    client = walk.tools / "client.py"
    client.write_text(CLIENT.format(database.host, database.port, database.user, database.password))
    environment = broker.environment()
    path = f"{broker.programs.rabbitmq_server.parent}:{environment.pop('PATH')}"
    exports = shlex.join(f"{name}={value}" for name, value in environment.items())
    sudo = walk.tools / "sudo"
    sudo.write_text(
        "#!/bin/sh\ncase $* in\n"
        f"mysql) exec {shlex.join([sys.executable, str(client)])} ;;\n"
        f"sh) cd {broker.folder} && exec env {exports} {shlex.quote(f'PATH={path}')} sh ;;\n"
        "*) exit 1 ;;\nesac\n"
    )
    sudo.chmod(0o755)


def fill_in(walk: Walk, name: str, broker: Broker, database: Database) -> None:
    """Set in `.env` what the README has a person set, and where these servers are."""
    settings = {
        "SOURCE": "web-1",
        "MYSQL_DATABASE": name,
        "MYSQL_USER": name,
        "MYSQL_PASSWORD": "it is a secret",
        "RABBIT_USER": name,
        "RABBIT_PASSWORD": "it is a secret",
        "MYSQL_HOST": database.host,
        "MYSQL_PORT": str(database.port),
        "RABBIT_HOST": broker.host,
        "RABBIT_PORT": str(broker.port),
        "RABBIT_VHOST": name,
        "RABBIT_MANAGEMENT_URL": broker.management_url,
    }
    with (walk.clone / ".env").open("a") as file:
        file.writelines(f"{setting}={value}\n" for setting, value in settings.items())


def write_logs(walk: Walk) -> None:
    """Write what a web server has logged, in several formats, and the README's file of them."""
    for name, lines, seed in (("access.log", 300, 5), ("access.log.1", 200, 6)):
        sample.write(walk.logs / name, lines, "combined", seed=seed)
        sample.truth_path(walk.logs / name).unlink()
    (walk.logs / "nginx.conf").write_text(NGINX_CONF)
    (walk.logs / "shop.access.log").write_text(CUSTOM * 60)
    (walk.logs / "shop.error.log").write_text(ERROR * 50)
    (config,) = (block for block in blocks(OWN) if "[[log]]" in block)
    (walk.clone / "logs.toml").write_text(walk.here(textwrap.dedent(config)))


def assert_kept(database: Database, schema: str, lines: int) -> None:
    """Fail until the tables account for so many lines."""
    with database.connect(schema) as connection, connection.cursor() as cursor:
        cursor.execute(QUESTION)
        assert cursor.fetchone() == (lines, lines)


@pytest.mark.parametrize("title", SAYS)
def test_every_command_of_the_readme_is_walked_or_left_out(title: str) -> None:
    """A new one has to be told to the walk, and one that is gone to be taken out of it."""
    named = set(map(name_of, commands(title)))

    assert named - LEFT_OUT.keys() == SAYS[title].keys()


def test_the_first_page_is_one_screen() -> None:
    """What it is, how to try and to keep it, and where to go next; on a terminal, too."""
    first, _, _ = README.partition("\n## What the demo prints\n")

    assert first.count("\n") <= 44
    assert max(map(len, first.splitlines())) <= 80
    assert len(README.split()) <= 900
    for needed in ("make demo", "make deploy", "sudo make install", "docs/deploy.md"):
        assert needed in first


def test_no_command_of_the_readme_is_outside_of_these_sections() -> None:
    """Wherever a person finds one to type, the walk knows of it."""
    titles = re.findall(r"^## (.+)$", README, re.MULTILINE)

    assert [title for title in titles if title not in SAYS and commands(title)] == []


def test_what_is_to_be_tried(tmp_path: Path) -> None:
    """The demo, a JSON log followed and looked at meanwhile, and both once more as a pattern."""
    with closing(Walk(tmp_path, TRY)) as walk:
        (walk.logs / "access.log").write_text(JSON * 200)
        for command in walked(TRY):
            walk.type(command, QUESTION)
            if name_of(command) == "make sql":
                walk.stop("make follow")

        assert "\nStopped. In this run: 200 lines published, 200 kept raw," in walk.said()


def test_servers_of_ones_own(tmp_path: Path, servers: tuple[Broker, Database], own: str) -> None:
    """From nothing to the rows of three formats; then every command of the operator works."""
    broker, database = servers
    with closing(Walk(tmp_path, OWN)) as walk:
        be_root(walk, broker, database)
        write_logs(walk)
        for command in walked(OWN):
            name = name_of(command)
            if name in ("producer", "datastream rewind"):
                assert walk.stop("producer") == 0
            walk.type(command, QUESTION)
            if name == "test":
                fill_in(walk, own, broker, database)
            if name == "producer":
                lines = 610 if "--config" in command else 500
                eventually(partial(assert_kept, database, own, lines))

"""The consumers without Docker, as `make install-consumers` and docs/deploy.md have them."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from administrators import run_shell, run_sql
from datastream_playground import sample
from datastream_playground.local.ports import free_port
from deployment import Deployment
from installed import ROOT, Host, assert_may_do_little, assert_nothing_wrong

MIGRATE = "datastream-migrate.service"
LAKE = "datastream-lake-consumer.service"
UNITS = (MIGRATE, LAKE, "datastream-clean-consumer@.service")
LOCKS = ("services/lake_consumer", "services/clean_consumer", "deploy/operator")
#: What a person has to type at the broker and at the database.
TO_TYPE = (
    (ROOT / "docs" / "deploy.md")
    .read_text(encoding="utf-8")
    .partition("\n## Without Docker\n")[2]
    .partition("\n## ")[0]
)
#: A service under the accounts that the page has a person make.
ACCOUNTS = ("migrator", "lake", "clean", "operator")
PASSWORD = "a password"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host on which the consumers were installed."""
    made = Host(tmp_path_factory.mktemp("host"))
    assert "systemctl start datastream-migrate" in made.make("install-consumers")
    return made


@pytest.fixture
def empty(deployment: Deployment) -> Iterator[Deployment]:
    """Servers with nothing of ours on them: neither tables nor queues nor accounts."""
    name = deployment.mysql.database
    deployment.change(f"DROP DATABASE {name}")
    deployment.broker.delete_vhost(deployment.rabbit.vhost)
    deployment.broker.create_vhost(deployment.rabbit.vhost)
    yield deployment
    with deployment.database.connect() as connection, connection.cursor() as cursor:
        for account in ACCOUNTS:
            cursor.execute(f"DROP USER IF EXISTS {account}")
    for account in ("lake", "clean", "operator"):
        deployment.broker.api("DELETE", f"users/{account}")


def do_what_the_page_says(host: Host, deployment: Deployment) -> None:
    """Make accounts and tables, in the page's order, each at its server."""
    typed = re.findall(r"^    # (datastream accounts|systemctl start) (.*)$", TO_TYPE, re.MULTILINE)
    said = []
    for command, what in typed:
        if command == "systemctl start":
            host.run(f"{what}.service")
            continue
        printed = operate(host, "accounts", *what.partition(" | ")[0].split())
        assert printed.returncode == 0, printed.stderr
        if "--mysql" in what:
            said.append(run_sql(deployment, printed.stdout))
        else:
            run_shell(deployment, printed.stdout)
    assert [words.partition(":")[0] for words in said] == [
        "There are no tables yet",
        "Every account has its rights",
    ]


def configure(host: Host, deployment: Deployment) -> None:
    """Say where the servers are, and put the passwords into their files."""
    changes = {
        "RABBIT_HOST": deployment.rabbit.host,
        "RABBIT_PORT": str(deployment.rabbit.port),
        "RABBIT_VHOST": deployment.rabbit.vhost,
        "RABBIT_MANAGEMENT_URL": deployment.broker.management_url,
        "MYSQL_HOST": deployment.mysql.host,
        "MYSQL_PORT": str(deployment.mysql.port),
        "MYSQL_DATABASE": deployment.mysql.database,
    }
    host.configure("consumers.env", changes)
    for path in host.settings.glob("*_password"):
        path.write_text(PASSWORD)


def start(host: Host, deployment: Deployment) -> None:
    """Run the lake consumer and two clean ones; return once they consume."""
    lake = free_port()
    services = [host.start(LAKE, deployment, lake, METRICS_PORT=str(lake))]
    for number in (1, 2):
        port = free_port()
        base = {"METRICS_BASE": str(port - number)}
        unit = f"datastream-clean-consumer@{number}.service"
        services.append(host.start(unit, deployment, port, **base))
    for service in services:
        service.wait_ready()


def operate(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the person on call; its passwords are named by paths of this host."""
    env_file = host.root / "operator.env"
    text = (host.settings / "consumers.env").read_text()
    env_file.write_text(text.replace("=/etc/", f"={host.root}/etc/"))
    return subprocess.run(
        [host.root / "opt/datastream-consumers/bin/datastream", *arguments],
        env={"ENV_FILE": str(env_file), "PATH": "/usr/bin:/bin"},
        cwd=host.root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong_with_a_unit(host: Host, unit: str, tmp_path: Path) -> None:
    """`systemd-analyze verify` passes and says nothing."""
    assert_nothing_wrong(host, unit, tmp_path)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_may_do_little(host: Host, unit: str) -> None:
    """An exposure of 2 at most, of 10, in the view of `systemd-analyze security`."""
    assert_may_do_little(host, unit)


def test_nothing_but_what_runs_is_installed(host: Host) -> None:
    """Locked packages and no others: no pip, no compiler, no tests; no more than 50 MB."""
    program = host.root / "opt/datastream-consumers"
    found = {
        re.sub("[-_.]+", "-", path.name.partition("-")[0]).lower()
        for path in program.glob("lib/python*/site-packages/*.dist-info")
    }
    locked = {
        match[1]
        for lock in LOCKS
        for match in re.finditer(
            r"^([a-z0-9-]+)==[^;\n]*?(;.*)?\\$",
            (ROOT / lock / "requirements.lock").read_text(),
            re.MULTILINE,
        )
    }
    programs = {path.name for path in (program / "bin").iterdir()}
    size = sum(path.lstat().st_size for path in program.rglob("*"))

    assert found <= locked
    assert {"pika", "pymysql", "ua-parser", "yoyo-migrations"} <= found
    assert {name for name in programs if not name.startswith("python")} == {"datastream"}
    assert size < 50 * MEGABYTE


def test_the_commands_have_manual_pages(host: Host) -> None:
    """Where `man` looks for them."""
    pages = host.root / "usr/local/share/man/man1"

    assert {page.name for page in pages.iterdir()} == {
        "datastream.1",
        "lake-consumer.1",
        "clean-consumer.1",
    }


def test_nobody_else_reads_the_passwords(host: Host) -> None:
    """Each has a file of its own, for its owner alone."""
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in host.settings.iterdir()
        if path.name != "consumers.env"
    }

    assert set(modes.values()) == {0o600}
    assert {f"{name}_mysql_password" for name in ACCOUNTS} <= set(modes)


def test_lines_reach_the_tables_and_an_update_can_be_taken_back(
    host: Host, empty: Deployment, tmp_path: Path
) -> None:
    """By the page, on empty servers: installed, updated, taken back, removed; no line is lost."""
    log = tmp_path / "access.log"
    sample.write(log, 300, "combined", seed=12)
    program = host.root / "opt/datastream-consumers"
    page = host.root / "usr/local/share/man/man1/datastream.1"

    configure(host, empty)
    do_what_the_page_says(host, empty)
    start(host, empty)
    empty.publish_once(log)
    empty.assert_settled(300)
    looked = operate(host, "doctor")
    assert looked.returncode == 0, looked.stdout + looked.stderr

    # What is there becomes the former version.
    (program / "former").touch()
    (program / "share/man/man1" / page.name).unlink()
    with (program / "units" / LAKE).open("a") as unit:
        unit.write("# former\n")
    settings = {path.name: path.read_bytes() for path in host.settings.iterdir()}
    said = host.make("install-consumers")
    assert "are kept" in said
    assert not (program / "former").exists()
    assert {path.name: path.read_bytes() for path in host.settings.iterdir()} == settings
    for service in empty.services[:3]:
        assert service.terminate() == 0, service.text()
    host.run(MIGRATE)
    start(host, empty)
    with log.open("ab") as file:
        file.write(b"one more line\n")
    empty.publish_once(log)
    empty.assert_settled(301)

    host.make("rollback-consumers")
    assert (program / "former").exists()
    assert "# former\n" in (host.units / LAKE).read_text()
    assert not page.exists()
    host.make("rollback-consumers")
    assert not (program / "former").exists()
    assert "# former\n" not in (host.units / LAKE).read_text()
    assert page.exists()

    host.make("uninstall-consumers")
    assert list((host.root / "opt").iterdir()) == list(host.units.iterdir()) == []
    assert list(page.parent.iterdir()) == []
    assert {path.name: path.read_bytes() for path in host.settings.iterdir()} == settings
    host.make("uninstall-consumers", PURGE="1")
    assert not host.settings.exists()


def test_without_a_former_program_there_is_no_way_back(tmp_path: Path) -> None:
    """It says so, and changes nothing."""
    done = subprocess.run(
        [ROOT / "deploy/bin/units", "rollback", "consumers"],
        env={"DESTDIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "make rollback-consumers: there is no former program in" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moved", [1, 2, 3])
def test_a_way_back_that_was_cut_off_is_gone_to_its_end(tmp_path: Path, moved: int) -> None:
    """After each of its steps; neither program is lost."""
    program = tmp_path / "opt/datastream-consumers"
    for name, version in (("", "newer"), (".old", "former")):
        folder = program.with_name(program.name + name)
        folder.mkdir(parents=True)
        (folder / "pyvenv.cfg").write_text(version)
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "mv"
    command.write_text(
        f'#!/bin/sh\n/bin/mv "$@" || exit\necho >>{tmp_path}/moves\n'
        f'[ "$(/usr/bin/wc -l <{tmp_path}/moves)" != {moved} ] || kill -9 "$PPID"\n'
    )
    command.chmod(0o755)

    def go_back() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "deploy/bin/units", "rollback", "consumers"],
            env={"DESTDIR": str(tmp_path), "PATH": f"{programs}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    assert go_back().returncode < 0
    again = go_back()

    # Where it had moved all, it is back, and that was forth again.
    expected = ["newer", "former"] if moved == 3 else ["former", "newer"]
    assert again.returncode == 0, again.stderr
    folders = (program, program.with_name(program.name + ".old"))
    assert [(folder / "pyvenv.cfg").read_text() for folder in folders] == expected
    assert len(list(program.parent.iterdir())) == 2

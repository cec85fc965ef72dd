"""The producer alone, as `make install-producer` puts it onto a web server's host."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from datastream.config import Environment
from datastream_playground import sample
from datastream_playground.local.ports import free_port
from deployment import Deployment, Service, eventually
from installed import ROOT, Host, assert_may_do_little, assert_nothing_wrong

UNIT = "datastream-producer.service"


def configure(host: Host, deployment: Deployment, log: Path) -> None:
    """Say in the two files what a person is asked to say there."""
    rabbit = deployment.rabbit
    changes = {
        "LOG_PATH": str(log),
        "RABBIT_HOST": rabbit.host,
        "RABBIT_PORT": str(rabbit.port),
        "RABBIT_VHOST": rabbit.vhost,
        "RABBIT_USER": rabbit.user,
    }
    host.configure("producer.env", changes)
    (host.settings / "rabbit_password").write_text(f"{rabbit.password.read()}\n")


def start(host: Host, deployment: Deployment) -> Service:
    """Run the unit's command."""
    port = free_port()
    return host.start(UNIT, deployment, port, METRICS_PORT=str(port))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host on which the producer was installed, and where another group than adm has the log."""
    made = Host(tmp_path_factory.mktemp("host"))
    said = made.make("install-producer", LOG_GROUP="users")
    assert "systemctl enable --now datastream-producer" in said
    return made


def test_systemd_finds_nothing_wrong_with_the_unit(host: Host, tmp_path: Path) -> None:
    """`systemd-analyze verify` passes and says nothing."""
    assert_nothing_wrong(host, UNIT, tmp_path)


def test_the_unit_may_do_little(host: Host) -> None:
    """An exposure of 2 at most, of 10, in the view of `systemd-analyze security`."""
    assert_may_do_little(host, UNIT)


def test_the_installed_producer_runs_and_an_update_keeps_its_settings_and_its_place(
    host: Host, deployment: Deployment, tmp_path: Path
) -> None:
    """On what the unit gives it and nothing else; the second installation changes no setting."""
    log = tmp_path / "access.log"
    sample.write(log, 300, "combined", seed=11)
    configure(host, deployment, log)
    kept = [host.settings / name for name in ("producer.env", "rabbit_password")]
    before_update = [path.read_bytes() for path in kept]
    deployment.start_consumers()

    before = start(host, deployment)
    deployment.assert_settled(300)
    assert before.terminate() == 0, before.text()
    said = host.make("install-producer")
    with log.open("ab") as file:
        file.write(b"one more line\n")
    after = start(host, deployment)
    deployment.assert_settled(301)

    def published_one() -> None:
        assert after.metric("datastream_lines_published_total") == 1

    eventually(published_one)
    assert "are kept" in said
    assert [path.read_bytes() for path in kept] == before_update
    assert host.values(UNIT, "SupplementaryGroups") == ["users"]


def test_nobody_else_reads_the_password(host: Host) -> None:
    """The file is there, for its owner alone; the settings are for everybody to see."""
    assert stat.S_IMODE((host.settings / "rabbit_password").stat().st_mode) == 0o600
    assert stat.S_IMODE((host.settings / "producer.env").stat().st_mode) == 0o644


def test_the_command_has_a_manual_page(host: Host) -> None:
    """Where `man` looks for it."""
    pages = host.root / "usr/local/share/man/man1"

    assert [page.name for page in pages.iterdir()] == ["producer.1"]


def test_the_log_has_a_name_from_the_start(host: Host) -> None:
    """SOURCE is made from the host's name, without what a routing key cannot hold."""
    source = Environment.load(host.settings / "producer.env").find("SOURCE")

    assert source
    assert "#" not in source


#: A Python that answers each question of the script as a case says.
PYTHON = """#!/bin/sh
case $* in
    *version_info*) echo {version} ;;
    *ensurepip*) exit {lacks_venv} ;;
    *base_prefix*) echo {prefix} ;;
    *) exit 1 ;;
esac
"""
FINE: dict[str, object] = {"version": "3.11", "lacks_venv": 0, "prefix": "/usr"}


@pytest.mark.parametrize(
    ("python", "variables", "words"),
    [
        ({}, {"DESTDIR": ""}, "only root can install a service: sudo make install-producer"),
        ({}, {"PYTHON": "/nowhere/python3"}, "/nowhere/python3 does not run"),
        ({"version": "3.9"}, {}, "Python 3.11 to 3.14 is needed"),
        ({"lacks_venv": 1}, {}, "apt-get install python3.11-venv"),
        ({"prefix": "/home/ada/python"}, {}, "is in a home folder"),
        ({}, {"LOG_GROUP": "nobodys"}, "there is no group nobodys on this host"),
        ({}, {}, "opt/datastream is something else's; move it away"),
    ],
    ids=["user", "no python", "old", "no venv", "home", "group", "taken"],
)
def test_what_is_wrong_is_said_in_words_and_nothing_is_changed(
    tmp_path: Path, python: dict[str, object], variables: dict[str, str], words: str
) -> None:
    """Each trouble has a sentence that says what it is and what to do."""
    programs, root = tmp_path / "bin", tmp_path / "root"
    programs.mkdir()
    (root / "opt/datastream").mkdir(parents=True)
    for name, text in (
        ("id", "#!/bin/sh\necho 1000\n"),
        ("python", PYTHON.format(**FINE | python)),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    env = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "PYTHON": str(programs / "python"),
        "DESTDIR": str(root),
        **variables,
    }

    ended = subprocess.run(
        [ROOT / "deploy/bin/units", "install", "producer"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert words in ended.stderr
    assert [path.relative_to(root).as_posix() for path in root.rglob("*")] == [
        "opt",
        "opt/datastream",
    ]

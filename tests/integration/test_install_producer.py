"""The producer alone, as `make install-producer` puts it onto a web server's host."""

from __future__ import annotations

import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from datastream.config import Environment
from datastream_playground import sample
from datastream_playground.local.packages import as_root, this_system
from datastream_playground.local.ports import free_port
from deployment import Deployment, Service, eventually

ROOT = Path(__file__).parents[2]
UNIT = "datastream-producer.service"


class Host:
    """A folder in the place of a web server's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unit = root / "etc/systemd/system" / UNIT
        self.settings = root / "etc/datastream/producer.env"
        self.password = root / "etc/datastream/rabbit_password"

    def install(self, **variables: str) -> str:
        """Run `make install-producer` on it and return what it said."""
        named = [f"{name}={value}" for name, value in variables.items()]
        command = ["make", "--no-print-directory", "install-producer", f"DESTDIR={self.root}"]
        done = subprocess.run(
            [*command, *named], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def configure(self, deployment: Deployment, log: Path) -> None:
        """Say in the two files what a person is asked to say there."""
        rabbit = deployment.rabbit
        changes = {
            "LOG_PATH": str(log),
            "RABBIT_HOST": rabbit.host,
            "RABBIT_PORT": str(rabbit.port),
            "RABBIT_VHOST": rabbit.vhost,
            "RABBIT_USER": rabbit.user,
            "METRICS_PORT": str(free_port()),
        }
        with self.settings.open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in changes.items())
        self.password.write_text(f"{rabbit.password.read()}\n")

    def values(self, setting: str) -> list[str]:
        """Return every value of a setting of the unit, its specifiers resolved for this host."""
        return [
            line.partition("=")[2]
            .replace("%S", str(self.root / "var/lib"))
            .replace("%d", str(self.root / "run/credentials"))
            for line in self.unit.read_text().splitlines()
            if line.startswith(f"{setting}=")
        ]

    def start(self, deployment: Deployment) -> Service:
        """Run the unit's command, as systemd would: with its environment and no other."""
        folder = Path(self.values("WorkingDirectory")[0])
        folder.mkdir(parents=True, exist_ok=True)
        credentials = self.root / "run/credentials"
        credentials.mkdir(parents=True, exist_ok=True)
        for credential in self.values("LoadCredential"):
            name, _, path = credential.partition(":")
            shutil.copy(self.root / path.lstrip("/"), credentials / name)
        env = dict(value.split("=", 1) for value in self.values("Environment"))
        # For the test, which looks there.
        env["METRICS_PORT"] = Environment.load(self.settings).text("METRICS_PORT")
        program, *arguments = shlex.split(self.values("ExecStart")[0])
        service = Service(
            [str(self.root / program.lstrip("/")), *arguments],
            env,
            folder,
            deployment.folder / "installed.log",
        )
        deployment.services.append(service)
        return service


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host on which the producer was installed, and where another group than adm has the log."""
    made = Host(tmp_path_factory.mktemp("host"))
    assert "systemctl enable --now datastream-producer" in made.install(LOG_GROUP="users")
    return made


@pytest.fixture(scope="module")
def systemd_analyze() -> str:
    """The command, from the system's package where it is missing."""
    found = shutil.which("systemd-analyze")
    if found is None:
        prefix = as_root(this_system())
        assert prefix is not None, "systemd-analyze is missing: apt-get install systemd"
        module = "datastream_playground.local.install"
        subprocess.run([*prefix, sys.executable, "-B", "-m", module, "systemd"], check=True)
        found = shutil.which("systemd-analyze")
    assert found is not None
    return found


def test_systemd_finds_nothing_wrong_with_the_unit(
    host: Host, systemd_analyze: str, tmp_path: Path
) -> None:
    """`systemd-analyze verify` passes and says nothing; only the program's folder is the test's."""
    unit = tmp_path / UNIT
    unit.write_text(
        host.unit.read_text().replace("=/opt/datastream/", f"={host.root}/opt/datastream/")
    )

    verified = subprocess.run(
        [systemd_analyze, "verify", unit], capture_output=True, text=True, check=False
    )

    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_the_unit_may_do_little(host: Host, systemd_analyze: str) -> None:
    """An exposure of 2 at most, of 10, in the view of `systemd-analyze security`."""
    measured = subprocess.run(
        [systemd_analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", host.unit],
        capture_output=True,
        text=True,
        check=False,
    )

    assert measured.returncode == 0, measured.stdout + measured.stderr
    assert "Overall exposure level" in measured.stdout


def test_the_installed_producer_runs_and_an_update_keeps_its_settings_and_its_place(
    host: Host, deployment: Deployment, tmp_path: Path
) -> None:
    """On what the unit gives it and nothing else; the second installation changes no setting."""
    log = tmp_path / "access.log"
    sample.write(log, 300, "combined", seed=11)
    host.configure(deployment, log)
    settings, password = host.settings.read_bytes(), host.password.read_bytes()
    deployment.start_consumers()

    before = host.start(deployment)
    deployment.assert_settled(300)
    assert before.terminate() == 0, before.text()
    said = host.install()
    with log.open("ab") as file:
        file.write(b"one more line\n")
    after = host.start(deployment)
    deployment.assert_settled(301)

    def published_one() -> None:
        assert after.metric("datastream_lines_published_total") == 1

    eventually(published_one)
    assert "are kept" in said
    assert (host.settings.read_bytes(), host.password.read_bytes()) == (settings, password)
    assert host.values("SupplementaryGroups") == ["users"]


def test_nobody_else_reads_the_password(host: Host) -> None:
    """The file is there, for its owner alone; the settings are for everybody to see."""
    assert stat.S_IMODE(host.password.stat().st_mode) == 0o600
    assert stat.S_IMODE(host.settings.stat().st_mode) == 0o644


def test_the_log_has_a_name_from_the_start(host: Host) -> None:
    """SOURCE is made from the host's name, without what a routing key cannot hold."""
    source = Environment.load(host.settings).find("SOURCE")

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
        [ROOT / "deploy/bin/install-producer"], env=env, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert words in ended.stderr
    assert [path.relative_to(root).as_posix() for path in root.rglob("*")] == [
        "opt",
        "opt/datastream",
    ]

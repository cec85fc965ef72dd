"""What the scripts say where Docker is not as it should be; a stand-in for docker says so.

But for one thing: `.env` is read by the real Docker Compose.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from datastream.config import Environment
from deploy.stack import COMPOSE_FILE, ROOT, run
from env_files import READ

pytestmark = pytest.mark.usefixtures("engine")

#: A docker that answers each command as a file says.
DOCKER = """#!/bin/sh
case "$*" in
    *' --file - config '*) exec {docker} "$@" ;;
{cases}
esac
"""


def deploy(folder: Path, cases: dict[str, str], **settings: str) -> str:
    """Return what `make deploy` says before it gives up, with a docker that answers so."""
    ended = run_script(folder, cases, "deploy", **settings)
    assert ended.returncode == 1
    return ended.stderr


def run_script(
    folder: Path, cases: dict[str, str], *command: str, **settings: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a script of deploy/bin to its end, with a docker that answers so.

    A setting of None is left out.
    """
    programs = folder / "bin"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir()
    if cases:
        body = "\n".join(f"    {pattern}) {answer} ;;" for pattern, answer in cases.items())
        docker = programs / "docker"
        docker.write_text(DOCKER.format(cases=body, docker=shutil.which("docker")))
        docker.chmod(0o755)
    for name in ("sh", "awk", "sed", "cat", "mktemp", "rm", "dirname", "head", "uname", "cut", "tr",
                 "id", "grep", "sort", "tail", "ls", "paste", "mkdir", "chmod", "cmp", "cp", "mv",
                 "touch", "cksum", "git", "wc", "chown", "rmdir"):  # fmt: skip
        found = next(
            Path(path, name) for path in os.environ["PATH"].split(":") if Path(path, name).exists()
        )
        (programs / name).symlink_to(found)
    env = {
        "PATH": str(programs),
        "ENV_FILE": str(folder / "env"),
        "SECRETS_DIR": str(folder / "secrets"),
        **settings,
    }
    script, *arguments = command
    return subprocess.run(
        [ROOT / "deploy" / "bin" / script, *arguments],
        env={name: value for name, value in env.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
    )


#: What a deployment answers that is up; the log, too, can be read.
UP = {
    "'version'*|'compose version'*": "exit 0",
    "info*": "echo 8000000000",
    "'volume inspect'*": "exit 1",
    "*' run '*definitions*": "echo '{}'",
    "*' run '*": "echo readable",
    "*' ps '*": "echo c0ffee",
    "*": "exit 0",
}


def up(cases: dict[str, str]) -> dict[str, str]:
    """Return what such a deployment answers, but for these cases, which are looked at first."""
    return cases | {pattern: answer for pattern, answer in UP.items() if pattern not in cases}


FINE = {"'version'*|'compose version'*": "exit 0", "info*": "echo 8000000000"}


@pytest.mark.parametrize(
    ("cases", "words"),
    [
        ({}, "there is no Docker here"),
        (
            {"version*": "echo 'Cannot connect to the Docker daemon at x' >&2; exit 1"},
            "no Docker engine answers",
        ),
        (
            {"version*": "echo 'permission denied while trying to connect' >&2; exit 1"},
            "you may not use the Docker engine",
        ),
        ({"version*": "exit 0", "compose*": "exit 1"}, "install the Compose plugin"),
        (FINE | {"info*": "echo 1000000000"}, "Docker has 1000 MB of memory"),
        (
            FINE
            | {
                "'volume inspect'*|'image inspect'*": "exit 1",
                "pull*": "echo no such host >&2; exit 1",
            },
            "cannot be pulled (no such host)",
        ),
        (FINE | {"'volume inspect'*": "exit 0"}, "there is a database"),
    ],
    ids=["none", "no engine", "no permission", "no compose", "memory", "pull", "lost passwords"],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, cases: dict[str, str], words: str) -> None:
    """Each trouble has a sentence that says what it is."""
    assert words in deploy(tmp_path, cases)


@pytest.mark.parametrize(
    ("port", "settings", "words"),
    [
        (3306, {}, "MYSQL_PORT=13306"),
        (5672, {}, "RABBIT_PORT=15673"),
        (60000, {"GRAFANA_PORT": "60000"}, "GRAFANA_PORT=50000"),
    ],
    ids=["default", "not another's", "no higher port"],
)
def test_a_port_that_is_taken_is_named_with_its_setting(
    tmp_path: Path, port: int, settings: dict[str, str], words: str
) -> None:
    """The setting that chooses another port is in the message, with one that no other has."""
    taken = f"echo 'Error: listen tcp4 127.0.0.1:{port}: bind: address already in use' >&2; exit 1"

    said = deploy(tmp_path, up({"*' up '*": taken}), LOG_DIR=str(tmp_path), **settings)

    assert f"port {port} is taken" in said
    assert words in said.split()


@pytest.mark.parametrize(
    ("code", "ended", "words"),
    [
        (0, 0, ""),
        (3, 0, ""),
        (1, 1, "all is up, and something is broken: see above"),
        (78, 1, "all is up, and something is broken: see above"),
        (125, 1, "datastream doctor does not run: no such image"),
    ],
)
def test_it_ends_with_the_doctor(tmp_path: Path, code: int, ended: int, words: str) -> None:
    """Its report is shown; what is broken fails, and what only wants attention does not."""
    (tmp_path / "access.log").touch()
    doctor = f"echo 'queues as the doctor says'; echo no such image >&2; exit {code}"
    done = run_script(
        tmp_path,
        up({"*' run '*' operator doctor'*": doctor}),
        "deploy",
        LOG=str(tmp_path / "access.log"),
    )

    assert done.returncode == ended, done.stderr
    assert done.stdout.endswith("queues as the doctor says\n")
    assert words in done.stderr


@pytest.mark.parametrize("port", ["http", "0", "65536", "808080"])
def test_a_port_that_is_none_is_named(tmp_path: Path, port: str) -> None:
    """Compose's own words would name no setting."""
    assert f"GRAFANA_PORT is '{port}', and a port is" in deploy(tmp_path, UP, GRAFANA_PORT=port)


@pytest.mark.parametrize(
    ("log_group", "folder_group", "settings", "words"),
    [
        (4, 0, {}, ("with the group 4.", "chgrp 4")),
        (None, 4, {}, ("with the group 4.", "chgrp 4")),
        (0, 4, {}, ("with the group 10001.", "chgrp 10001")),
        (4, 0, {"LOG_GID": "33"}, ("with the group 33.", "LOG_GID=4")),
    ],
    ids=["the log's", "the folder's", "never root's", "another"],
)
def test_the_group_of_the_log_is_what_the_producer_gets(
    tmp_path: Path,
    log_group: int | None,
    folder_group: int,
    settings: dict[str, str],
    words: tuple[str, ...],
) -> None:
    """It is the log's, or the folder's while there is no log; the words say what to do."""
    log = tmp_path / "access.log"
    os.chown(tmp_path, -1, folder_group)
    if log_group is not None:
        log.touch()
        os.chown(log, -1, log_group)

    unreadable = {"*' run '*sh*": f"echo {log}"}
    said = deploy(tmp_path, up(unreadable), LOG_PATH=str(log), **settings)

    for expected in words:
        assert expected in said


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    """Its parent is not mounted; the words say how to name the logs in it."""
    said = deploy(tmp_path, UP, LOG=str(tmp_path))

    assert f"{tmp_path} is a folder. Say which log in it" in said


def test_the_source_is_written_down_once(tmp_path: Path) -> None:
    """It is the machine's name, for ever; a SOURCE that is there stays."""
    settings = tmp_path / "env"
    settings.write_text("SOURCE=shop\n")

    deploy(tmp_path, FINE | {"'volume inspect'*": "exit 0"})

    assert settings.read_text() == "SOURCE=shop\n"


def test_a_log_is_written_down_once_it_can_be_read(tmp_path: Path) -> None:
    """A deploy that is refused changes no setting; the next one changes each in its place."""
    settings = tmp_path / "env"
    before = "SOURCE=shop\nLOG_PATH=/a.log\nCOMPOSE_PROFILES=demo\nFORMAT=combined\n"
    settings.write_text(before)
    log = tmp_path / "access.log"
    log.touch()

    deploy(tmp_path, UP, LOG=str(tmp_path / "missing" / "access.log"))
    assert settings.read_text() == before

    ended = run_script(tmp_path, UP, "deploy", LOG=str(log))
    assert ended.returncode == 0, ended.stderr
    after = f"SOURCE=shop\nLOG_PATH={log}\nCOMPOSE_PROFILES=\nFORMAT=combined\n"
    assert settings.read_text() == after
    assert f"Wrote LOG_PATH={log} to env" in ended.stdout
    page = [line for line in ended.stdout.splitlines() if line.startswith("  ")]
    assert [line for line in page if len(line) > 80] == []


def test_what_is_written_down_is_read_back(tmp_path: Path) -> None:
    """A path may hold what has a meaning in `.env`: the next deploy and a service read the same."""
    folder = tmp_path / "it's $HOME #1"
    folder.mkdir()
    log = folder / 'a "b"\\n ${c}.log'
    log.touch()

    first = run_script(tmp_path, UP, "deploy", LOG=str(log))
    second = run_script(tmp_path, UP, "deploy")

    assert first.returncode == 0, first.stderr
    assert f"follows {log} as" in second.stdout, second.stderr
    assert Environment.load(tmp_path / "env").text("LOG_PATH") == str(log)


@pytest.mark.parametrize("setting", ["RABBIT_PASSWORD", "MYSQL_PASSWORD", "PRIVACY_KEY"])
@pytest.mark.parametrize(
    "quoting", ["what can be typed, in double quotes", "what can be typed, in single quotes"]
)
def test_a_password_reaches_the_services_as_it_is_meant(
    tmp_path: Path, setting: str, quoting: str
) -> None:
    """Every character that can be typed may be part of it; deploy writes it to its secret."""
    text, password, _ = READ[quoting]
    (tmp_path / "env").write_text(f"{setting}{text[1:]}")

    ended = run_script(tmp_path, UP, "deploy", LOG_DIR=str(tmp_path))

    assert ended.returncode == 0, ended.stderr
    secret = tmp_path / "secrets" / setting.lower()
    assert secret.read_text() == password
    assert Environment({f"{setting}_FILE": str(secret)}).text(setting) == password


def test_an_env_file_that_cannot_be_read_is_said_in_words(tmp_path: Path) -> None:
    """Nothing is made or changed; the line is named, and no value."""
    settings = tmp_path / "env"
    settings.write_text("SOURCE=shop\nMYSQL_PASSWORD=se$cret\n")

    said = deploy(tmp_path, UP, LOG_DIR=str(tmp_path))

    assert f"make deploy: {settings} cannot be read: line 2: the variable cret is not set" in said
    assert "se$" not in said
    assert settings.read_text() == "SOURCE=shop\nMYSQL_PASSWORD=se$cret\n"
    assert not (tmp_path / "secrets").exists()


def test_an_empty_source_in_the_environment_does_not_rename_the_log(tmp_path: Path) -> None:
    """The one in `.env` is for ever."""
    settings = tmp_path / "env"
    settings.write_text("SOURCE=shop\n")

    ended = run_script(tmp_path, UP, "deploy", LOG_DIR=str(tmp_path), SOURCE="")

    assert ended.returncode == 0, ended.stderr
    assert settings.read_text() == "SOURCE=shop\n"


@pytest.mark.parametrize(
    "script", ["status", "logs", "mysql", "scale", "migrate", "datastream", "down"]
)
def test_where_nothing_runs_a_script_says_so_and_makes_nothing(tmp_path: Path, script: str) -> None:
    """Compose would make networks and volumes; only down, which is done then, is content."""
    made = tmp_path / "made"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "rabbitmq_definitions").touch()
    cases = {
        "*' ps '*": "exit 0",
        "*' run '*|*' exec '*|*' up '*|*' build '*|*' logs '*": f"echo made >{made}",
    }

    ended = run_script(tmp_path, up(cases), script, N="1")

    assert (ended.returncode == 0) == (script == "down")
    assert ("nothing runs: make deploy" in ended.stderr) == (script != "down")
    assert not made.exists()


def test_what_names_the_deployment_may_stand_in_env(tmp_path: Path) -> None:
    """COMPOSE_PROJECT_NAME, SECRETS_DIR and WITHOUT are settings like the others."""
    secrets = tmp_path / "shop"
    (tmp_path / "env").write_text(
        f"COMPOSE_PROJECT_NAME=shop\nSECRETS_DIR={secrets}\nWITHOUT=grafana\n"
    )
    asked = tmp_path / "asked"
    cases = {"*' config '*": "echo mysql; echo grafana", "*' up '*": f'echo "$*" >{asked}'}

    ended = run_script(tmp_path, up(cases), "deploy", LOG_DIR=str(tmp_path), SECRETS_DIR=None)

    assert ended.returncode == 0, ended.stderr
    assert "--project-name shop" in asked.read_text()
    assert asked.read_text().endswith(" mysql\n")
    assert (secrets / "mysql_root_password").exists()
    assert "boards" not in ended.stdout


def test_the_broker_s_former_administrator_is_removed(tmp_path: Path) -> None:
    """The account that RABBIT_USER named before goes; a person's others stay."""
    removed = tmp_path / "removed"
    users = "alice\\t[administrator, datastream-owner]\\nbob\\t[administrator, datastream-owner]"
    cases = {
        "*list_users*": f"printf '{users}\\ncarol\\t[administrator]\\n'",
        "*delete_user*": f'echo "$*" >>{removed}',
    }
    owner = {"RABBIT_USER": "bob", "RABBIT_PASSWORD": "secret"}

    ended = run_script(tmp_path, up(cases), "deploy", LOG_DIR=str(tmp_path), **owner)

    assert ended.returncode == 0, ended.stderr
    assert removed.read_text().splitlines()[0].endswith("delete_user alice")
    assert len(removed.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("script", "settings", "words"),
    [
        (
            "logs",
            {"SERVICE": "nonsense"},
            "there is no service nonsense. There are: mysql producer",
        ),
        ("scale", {"N": "0"}, "N is 1 or more"),
        ("scale", {"N": "two"}, "say how many clean consumers"),
        ("scale", {"N": "1" + "0" * 20}, "at most 999"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    tmp_path: Path, script: str, settings: dict[str, str], words: str
) -> None:
    """It names what there is instead."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "rabbitmq_definitions").touch()
    cases = {"*' ps '*--services*": "echo producer; echo mysql"}

    ended = run_script(tmp_path, up(cases), script, **settings)

    assert ended.returncode == 1
    assert words in ended.stderr


def test_destroy_removes_what_deploy_made_and_no_more(tmp_path: Path) -> None:
    """A folder of a person's may hold other files; they are none of its business."""
    secrets = tmp_path / "secrets"
    run_script(tmp_path, UP, "deploy", LOG_DIR=str(tmp_path))
    assert (secrets / "mysql_root_password").exists()
    (secrets / "mine").touch()

    ended = run_script(tmp_path, UP, "destroy", YES="1")
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in secrets.iterdir()] == ["mine"]
    assert f"{secrets} stays" in ended.stdout

    (secrets / "mine").unlink()
    run_script(tmp_path, UP, "destroy", YES="1")
    assert not secrets.exists()


def test_the_help_fits_a_narrow_window() -> None:
    """No line of `make help` is longer than 80 columns."""
    help_ = run("make", "help", cwd=ROOT)

    assert help_.returncode == 0
    assert [line for line in help_.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("command", "running", "code", "words"),
    [
        (("verify", "/var/log/a b.log"), "", 3, "--no-deps -T operator verify /var/log/a b.log|"),
        (("rewind", "--since", "2026-10-10"), "", 3, "-T producer --rewind --since 2026-10-10|"),
        (("rewind",), "c0ffee", 1, "deploy/bin/datastream: the producer runs. Stop it"),
    ],
    ids=["operator", "rewind", "producer runs"],
)
def test_the_commands_of_the_person_on_call(
    tmp_path: Path, command: tuple[str, ...], running: str, code: int, words: str
) -> None:
    """They run in the operator's container, or the producer's, and end with their exit code."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "rabbitmq_definitions").touch()
    cases = FINE | {
        "*' ps --quiet producer'": f"echo {running}" if running else "exit 0",
        "*' ps '*": "echo c0ffee",
        "*' run '*": 'echo "$*|"; exit 3',
    }

    ended = run_script(tmp_path, cases, "datastream", *command)

    assert ended.returncode == code
    assert words in ended.stdout + ended.stderr


def test_every_setting_of_the_containers_is_documented() -> None:
    """docs/deploy.md names each variable of docker-compose.yml."""
    named = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_FILE.read_text(encoding="utf-8")))
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

    assert {name for name in named if f"`{name}`" not in page} == set()

"""What the scripts say where Docker is not as it should be; a stand-in for docker says so.

But for one thing: `.env` is read by the real Docker Compose.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from datastream.config import Environment
from deploy.stack import COMPOSE_FILE, ROOT, run
from deployment import eventually
from env_files import READ

pytestmark = pytest.mark.usefixtures("engine", "folder")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder into which everybody may look, as the producer must."""
    tmp_path.chmod(0o755)
    return tmp_path


#: A docker that answers each command as a file says.
DOCKER = """#!/bin/sh
case "$*" in
    *' --file - config '*) exec {docker} "$@" ;;
{cases}
esac
"""


def deploy(folder: Path, cases: dict[str, str], **settings: str | None) -> str:
    """Return what `make deploy` says before it gives up, with a docker that answers so."""
    ended = run_script(folder, cases, "deploy", **settings)
    assert ended.returncode == 1
    return ended.stderr


def run_script(
    folder: Path, cases: dict[str, str], *command: str, **settings: str | None
) -> subprocess.CompletedProcess[str]:
    """Run a script of deploy/bin to its end, with a docker that answers so.

    A setting of None is left out. No log need be there, unless WAIT is None.
    """
    arguments, env = prepared(folder, cases, *command, **settings)
    return subprocess.run(arguments, env=env, capture_output=True, text=True, check=False)


def prepared(
    folder: Path, cases: dict[str, str], *command: str, **settings: str | None
) -> tuple[list[str], dict[str, str]]:
    """Make the programs that a script finds; return its command line and its environment."""
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
                 "touch", "cksum", "git", "wc", "chown", "rmdir", "find", "uniq",
                 "ln", "readlink"):  # fmt: skip
        found = next(
            Path(path, name) for path in os.environ["PATH"].split(":") if Path(path, name).exists()
        )
        (programs / name).symlink_to(found)
    # A look at what is not ready costs no second.
    (programs / "sleep").symlink_to(programs / "true")
    (programs / "true").symlink_to("/bin/true")
    env = {
        "PATH": str(programs),
        "ENV_FILE": str(folder / "env"),
        "SECRETS_DIR": str(folder / "secrets"),
        "LOG_DIR": str(folder),
        "WAIT": "1",
        **settings,
    }
    script, *arguments = command
    return [str(ROOT / "deploy" / "bin" / script), *arguments], {
        name: value for name, value in env.items() if value is not None
    }


#: What a deployment answers that is up; the log, too, can be read.
UP = {
    "'version'*": "exit 0",
    "info*": "echo 8000000000",
    "'volume inspect'*": "exit 1",
    "*' run '*definitions*": "echo readable; echo '{}'",
    "'ps '*": "echo 'mysql c0ffee Up 2 minutes (healthy)'",
    "*": "exit 0",
}


def up(cases: dict[str, str]) -> dict[str, str]:
    """Return what such a deployment answers, but for these cases, which are looked at first."""
    return cases | {pattern: answer for pattern, answer in UP.items() if pattern not in cases}


FINE = {"'version'*": "exit 0", "info*": "echo 8000000000"}


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
    ids=["none", "no engine", "no permission", "memory", "pull", "lost passwords"],
)
def test_what_is_wrong_is_said_in_words(tmp_path: Path, cases: dict[str, str], words: str) -> None:
    """Each trouble has a sentence that says what it is."""
    assert words in deploy(tmp_path, cases)


def test_a_machine_of_two_gigabytes_is_for_small(tmp_path: Path) -> None:
    """Where four are needed, what fits is named; it is remembered, and can be taken back."""
    settings, made_small = tmp_path / "env", tmp_path / "small"
    settings.write_text("SOURCE=shop\nLOG_LEVEL=INFO\n")
    machine = {
        "info*": "echo 2050000000",
        "*docker-compose.small.yml*' up '*": f"touch {made_small}",
    }

    said = deploy(tmp_path, up(machine), LOG_DIR=str(tmp_path))
    assert "Docker has 2050 MB of memory" in said
    assert "let all of it take less (make deploy SMALL=1)" in said

    # The second time something else has changed: else nothing would be started.
    for asked in ({"SMALL": "1"}, {"FORMAT": "combined"}):
        ended = run_script(tmp_path, up(machine), "deploy", LOG_DIR=str(tmp_path), **asked)
        assert ended.returncode == 0, ended.stderr
        assert made_small.exists()
        assert settings.read_text().splitlines().count("SMALL=1") == 1
        made_small.unlink()

    large = machine | {"info*": "echo 4100000000"}
    ended = run_script(tmp_path, up(large), "deploy", LOG_DIR=str(tmp_path), SMALL="0")
    assert ended.returncode == 0, ended.stderr
    assert not made_small.exists()
    assert "SMALL=0" in settings.read_text().splitlines()


def test_small_is_one_or_nothing(tmp_path: Path) -> None:
    """What was meant by anything else is not guessed."""
    said = deploy(tmp_path, UP, LOG_DIR=str(tmp_path), SMALL="yes")

    assert "SMALL is 'yes': it is 1, for a machine of 2 GB, or 0" in said


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

    said = deploy(tmp_path, up({"*' up '*": taken}), **settings)

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

    unreadable = {"*' run '*definitions*": f"echo {log}"}
    said = deploy(tmp_path, up(unreadable), LOG_PATH=str(log), **settings)

    for expected in words:
        assert expected in said


def test_a_checkout_may_be_anywhere(tmp_path: Path) -> None:
    """In a folder whose name has a meaning in a sed command; and CDPATH leads nowhere else."""
    checkout = tmp_path / r"R&D | it's \1"
    checkout.mkdir()
    for name in ("deploy", "migrations", "services", "shared"):
        ignored = shutil.ignore_patterns("__pycache__", "secrets")
        shutil.copytree(ROOT / name, checkout / name, symlinks=True, ignore=ignored)
    (checkout / "logs").mkdir()
    (checkout / "logs" / "access.log").touch()
    settings = {"LOG_PATH": "logs/access.log", "CDPATH": f".:{ROOT}"}
    _, env = prepared(tmp_path, UP, "deploy", LOG_DIR=None, WAIT=None, **settings)

    ended = run("sh", "deploy/bin/deploy", env=env, cwd=checkout)

    assert ended.returncode == 0, ended.stderr
    assert f"follows {checkout}/logs/access.log as" in ended.stdout


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

    deploy(tmp_path, UP, LOG=str(tmp_path / "missing" / "access.log"), LOG_DIR=None)
    assert settings.read_text() == before

    ended = run_script(tmp_path, UP, "deploy", LOG=str(log))
    assert ended.returncode == 0, ended.stderr
    after = f"SOURCE=shop\nLOG_PATH={log}\nCOMPOSE_PROFILES=\nFORMAT=combined\n"
    assert settings.read_text() == after
    assert f"Wrote LOG_PATH={log} to env" in ended.stdout
    page = [line for line in ended.stdout.splitlines() if line.startswith("  ")]
    assert [line for line in page if len(line) > 80] == []


def test_what_a_killed_deploy_left_of_a_secret_is_in_no_way(tmp_path: Path) -> None:
    """Nobody but root may write to that file, and a deploy needs no root."""
    left = tmp_path / "secrets" / ".lake_mysql_password.new.1"
    left.parent.mkdir()
    left.touch(mode=0o444)
    command, env = prepared(tmp_path, UP, "deploy")

    ended = run("/usr/bin/setpriv", "--bounding-set=-dac_override", *command, env=env)

    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "secrets" / "lake_mysql_password").exists()


#: Copies, and lets nobody go on until it is told to; but only the first time.
PAUSED_COPY = """#!/bin/sh
/bin/cp "$@" || exit
if mkdir {at} 2>/dev/null; then cat {at}.fifo; fi
"""


def test_of_two_first_deploys_at_once_the_first_password_stays(tmp_path: Path) -> None:
    """A database may have been made with it; and both come to their end."""
    secrets, at = tmp_path / "secrets", tmp_path / "at"
    os.mkfifo(f"{at}.fifo")
    folders = [tmp_path / name for name in ("late", "early")]
    for folder in folders:
        folder.mkdir()
    late, early = (prepared(folder, UP, "deploy", SECRETS_DIR=str(secrets), LOG_DIR=str(tmp_path))
                   for folder in folders)  # fmt: skip
    copy = folders[0] / "bin" / "cp"
    copy.unlink()
    copy.write_text(PAUSED_COPY.format(at=at))
    copy.chmod(0o755)

    with subprocess.Popen(late[0], env=late[1], stderr=subprocess.PIPE, text=True) as process:
        eventually(at.stat)
        ended = run(*early[0], env=early[1])
        passwords = {path.name: path.read_text() for path in secrets.glob("*_password")}
        Path(f"{at}.fifo").write_text("go on")
        _, said = process.communicate()

    assert (ended.returncode, process.returncode) == (0, 0), ended.stderr + said
    assert {path.name: path.read_text() for path in secrets.glob("*_password")} == passwords
    assert list(secrets.glob(".*password*")) == []


#: As on a full disk: the draft of `.env` cannot be copied.
FULL = """#!/bin/sh
case $#:$1 in
    1:{settings}) ;;
    1:/*/env)
        head -c 4 "$1"
        echo 'cat: write error: No space left on device' >&2
        exit 1 ;;
esac
exec /bin/cat "$@"
"""


def test_a_full_disk_takes_no_setting_away(tmp_path: Path) -> None:
    """The file of settings is as it was; it is said that it cannot be written."""
    settings = tmp_path / "env"
    settings.write_text("SOURCE=shop\nMYSQL_PASSWORD=secret\n")
    log = tmp_path / "access.log"
    log.touch()
    command, env = prepared(tmp_path, UP, "deploy", LOG=str(log), TMPDIR=str(tmp_path))
    copy = tmp_path / "bin" / "cat"
    copy.unlink()
    copy.write_text(FULL.format(settings=settings))
    copy.chmod(0o755)

    ended = run(*command, env=env)

    assert ended.returncode == 1
    assert f"{settings} cannot be written" in ended.stderr
    assert settings.read_text() == "SOURCE=shop\nMYSQL_PASSWORD=secret\n"
    assert list(tmp_path.glob("env?*")) == []


def test_the_file_of_settings_stays_what_it_is(tmp_path: Path) -> None:
    """With its mode, and where it is a link to one elsewhere."""
    settings = tmp_path / "elsewhere" / "settings"
    settings.parent.mkdir()
    settings.write_text("SOURCE=shop\n")
    settings.chmod(0o640)
    (tmp_path / "env").symlink_to(settings)
    log = tmp_path / "access.log"
    log.touch()

    ended = run_script(tmp_path, UP, "deploy", LOG=str(log))

    assert ended.returncode == 0, ended.stderr
    assert settings.read_text().splitlines()[0] == "SOURCE=shop"
    assert f"LOG_PATH={log}\n" in settings.read_text()
    assert settings.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "env").is_symlink()
    assert f"Wrote LOG_PATH={log} to env" in ended.stdout
    assert [path.name for path in settings.parent.iterdir()] == ["settings"]


def test_secrets_are_labelled_where_selinux_confines_containers(tmp_path: Path) -> None:
    """Compose labels what it mounts as a volume, and no secret."""
    labelled, programs = tmp_path / "labelled", tmp_path / "selinux"
    programs.mkdir()
    for name, text in (("selinuxenabled", "exit 0"), ("chcon", f'echo "$*" >{labelled}')):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "access.log").touch()

    path = f"{tmp_path / 'bin'}:{programs}"
    ended = run_script(tmp_path, UP, "deploy", LOG=str(tmp_path / "access.log"), PATH=path)

    assert ended.returncode == 0, ended.stderr
    folders = f"{tmp_path}/secrets {ROOT}/deploy/geoip"
    assert labelled.read_text() == f"-R -t container_file_t {folders}\n"


def wrongly_named(folder: Path) -> Path:
    """Make some logs; return the path of one that is not there."""
    logs = folder / "nginx"
    logs.mkdir(exist_ok=True)
    for name in ("access.log", "error.log", "access.log.1", "acces.log.2.gz", "unlike-any-other"):
        (logs / name).touch()
    return logs / "acces.log"


#: What no script may do before it has looked at the log.
MAKES = "'pull'*|*' build '*|*' run '*|*' up '*"


def test_names_that_are_equally_near_are_all_said(tmp_path: Path) -> None:
    """One of them is meant, and nobody knows which."""
    for name in ("access.log", "accesss.log", "acces2.log"):
        (tmp_path / name).touch()

    said = deploy(tmp_path, UP, LOG=str(tmp_path / "acces1.log"), LOG_DIR=None, WAIT=None)

    for name in ("access.log", "acces2.log"):
        assert str(tmp_path / name) in said


@pytest.mark.parametrize("where", ["nginx/acces.log", "ngnix/access.log"])
def test_a_log_that_is_not_there_ends_the_deploy(tmp_path: Path, where: str) -> None:
    """Names that are like it are said, and nothing is pulled, made or written down."""
    wrongly_named(tmp_path)
    made = tmp_path / "made"
    cases = up({"'image inspect'*": "exit 1", MAKES: f"echo made >{made}"})

    said = deploy(tmp_path, cases, LOG=str(tmp_path / where), LOG_DIR=None, WAIT=None)

    assert f"there is no log at {tmp_path}/{where}. There is {tmp_path}/nginx/access.log" in said
    assert "unlike" not in said
    assert "access.log.1" not in said
    assert "WAIT=1" in said
    assert not made.exists()
    assert not (tmp_path / "env").exists()
    assert not (tmp_path / "secrets").exists()


def test_a_log_may_be_waited_for(tmp_path: Path) -> None:
    """With WAIT=1 all is started, and it is said that there is no log yet."""
    log = wrongly_named(tmp_path)
    cases = {
        "'ps '*": "echo 'producer c0ffee Up 2 minutes (unhealthy)'",
        "'exec '*datastream.ready": "echo waiting for log; exit 1",
    }

    ended = run_script(tmp_path, up(cases), "deploy", LOG=str(log), LOG_DIR=None)

    assert ended.returncode == 0, ended.stderr
    assert f"There is no log at {log} yet; the producer waits for it" in ended.stdout


@pytest.mark.parametrize(
    ("answer", "code", "words", "name"),
    [
        ("1", 0, "nginx/access.log as", "access.log"),
        ("w", 0, "nginx/acces.log as", "acces.log"),
        ("", 1, "nothing was started", None),
        ("7", 1, "nothing was started", None),
    ],
)
def test_a_person_is_asked_which_log_is_meant(
    tmp_path: Path, answer: str, code: int, words: str, name: str | None
) -> None:
    """At a terminal the names that are like it have numbers; what is chosen is written down."""
    log = wrongly_named(tmp_path)
    command, env = prepared(tmp_path, UP, "deploy", LOG=str(log), LOG_DIR=None, WAIT=None)

    ended, screen = at_a_terminal(command, env, answer)

    assert "  1  " in screen
    assert words in screen
    assert ended == code
    settings = tmp_path / "env"
    written = settings.read_text() if settings.exists() else ""
    assert (f"LOG_PATH={tmp_path}/nginx/{name}\n" in written) == (name is not None)


def at_a_terminal(command: list[str], env: dict[str, str], typed: str) -> tuple[int, str]:
    """Run a command at a terminal, with a line typed; return its exit code and the screen."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, f"{typed}\n".encode())
        screen = b""
        try:
            while read := os.read(ours, 4096):
                screen += read
        except OSError:  # how a terminal ends
            pass
    os.close(ours)
    return process.returncode, screen.decode()


def test_a_log_that_its_mode_hides_is_said_before_anything_is_pulled(tmp_path: Path) -> None:
    """Who may read it shows without a container, where nothing but owner and mode tells."""
    log = tmp_path / "access.log"
    log.touch(mode=0o600)
    made = tmp_path / "made"
    cases = up({"'image inspect'*": "exit 1", MAKES: f"echo made >{made}"})

    said = deploy(tmp_path, cases, LOG=str(log))

    assert f"the producer may not read {log}" in said
    assert not made.exists()


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        ("producer c0ffee Up 2 minutes (unhealthy)", "waiting for broker", "waiting for broker"),
        ("grafana c0ffee Up 2 minutes (unhealthy)", "", "grafana is not ready (Up 2 minutes (un"),
        ("mysqld_exporter c0ffee Restarting (1) 2 seconds ago", "", "(Restarting (1) 2 seconds"),
        ("prometheus c0ffee Exited (2) 3 seconds ago", "", "(Exited (2) 3 seconds ago)"),
        ("doctor c0ffee Up 1 second", "", "doctor is not ready (Up 1 second)"),
    ],
)
def test_a_part_that_does_not_come_up_is_named_with_its_last_words(
    tmp_path: Path, status: str, answer: str, words: str
) -> None:
    """Whichever it is; the deploy fails, and says that the rest runs on."""
    cases = {
        "'ps '*": f"echo '{status}'; echo 'mysql f00d Up 2 minutes (healthy)'",
        "'exec '*datastream.ready": f"echo {answer}; exit 1",
        "'logs '*c0ffee": "echo its last words",
    }

    said = deploy(tmp_path, up(cases))

    assert words in said
    assert "its last words" in said
    assert f"make logs SERVICE={status.split()[0]}" in said


def test_what_is_left_out_is_not_waited_for(tmp_path: Path) -> None:
    """A service that WITHOUT names is removed where an earlier deploy started it."""
    removed = tmp_path / "removed"
    cases = {
        "'ps '*": f"[ -e {removed} ] || echo 'grafana c0ffee Exited (1) 3 days ago'",
        "*' rm '*": f'echo "$*" >{removed}',
        "*' config '*": "echo mysql; echo grafana",
    }

    ended = run_script(tmp_path, up(cases), "deploy", WITHOUT="grafana")

    assert ended.returncode == 0, ended.stderr
    assert removed.read_text().endswith(" rm --stop --force grafana\n")


@pytest.mark.parametrize("without", ["grafna", "prometheus,grafana", "graf.na"])
def test_a_service_to_leave_out_that_is_none_is_named(tmp_path: Path, without: str) -> None:
    """It would be started without a word."""
    made = tmp_path / "made"

    said = deploy(tmp_path, up({MAKES: f"echo made >{made}"}), WITHOUT=f"doctor {without}")

    assert f"WITHOUT names '{without}', and there is no such service" in said
    assert not made.exists()


def heed_signals() -> None:
    """Take signals as a program on a terminal does; what runs in the background ignores these."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ("mysql c0ffee Up 2 minutes", "Still running: mysql\n`make deploy` goes on from here"),
        ("", "Nothing runs"),
    ],
)
def test_ctrl_c_says_what_is_left_running(tmp_path: Path, left: str, words: str) -> None:
    """And how it goes on, and how that is stopped."""
    began = tmp_path / "began"
    cases = up({"'ps '*": f"echo '{left}'", "*' up '*": f"echo >{began}; exec cat {began}.fifo"})
    os.mkfifo(f"{began}.fifo")
    command, env = prepared(tmp_path, cases, "deploy")

    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=heed_signals,
    ) as process:  # fmt: skip
        eventually(lambda: began.read_text())
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate()

    assert process.returncode == 130
    assert f"Interrupted. {words}" in said
    assert ("make down" in said) == bool(left)


def test_the_number_of_clean_consumers_stays(tmp_path: Path) -> None:
    """What `make scale` set holds for the next deploy, whatever was stopped meanwhile."""
    asked = tmp_path / "asked"
    cases = up({"*' up '*": f'echo "$CLEAN_CONSUMERS" >>{asked}'})
    run_script(tmp_path, cases, "deploy")

    scaled = run_script(tmp_path, cases, "scale", N="3")
    assert scaled.returncode == 0, scaled.stderr
    run_script(tmp_path, up({"'ps '*": "exit 0"}), "down")
    run_script(tmp_path, cases, "deploy")
    run_script(tmp_path, cases, "scale", N="2")

    assert asked.read_text().split() == ["3", "3", "2"]
    assert "CLEAN_CONSUMERS=2\n" in (tmp_path / "env").read_text()


@pytest.mark.parametrize("number", ["0", "many", "1000"])
def test_a_number_of_clean_consumers_that_is_none(tmp_path: Path, number: str) -> None:
    """Compose's own words would name no setting."""
    assert "1 to 999" in deploy(tmp_path, UP, CLEAN_CONSUMERS=number)


@pytest.mark.parametrize(("code", "words"), [(0, ""), (3, ""), (125, "the metrics cannot be read")])
def test_status_fails_where_something_is_not_ready(tmp_path: Path, code: int, words: str) -> None:
    """In the doctor's container it finds the figures; what it says of them is shown."""
    (tmp_path / "secrets").mkdir()
    cases = {
        "'ps '*": "echo 'doctor d0c Up 2 minutes'; echo 'producer c0ffee Exited (1) 2 days ago'",
        "exec*' d0c '*' status'": f'echo "$CONTAINERS"; exit {code}',
    }

    ended = run_script(tmp_path, up(cases), "status")

    assert ended.returncode == min(code, 1)
    assert "producer c0ffee Exited (1) 2 days ago" in ended.stdout
    assert words in ended.stderr


@pytest.mark.parametrize(
    ("settings", "away"),
    [
        ({}, {"grafana", "lake_consumer", "mysqld_exporter", "prometheus"}),
        ({"WITHOUT": "grafana prometheus"}, {"lake_consumer", "mysqld_exporter"}),
        (
            {
                "WITHOUT": "grafana",
                "COMPOSE_PROFILES": "demo",
                "ALERT_WEBHOOK": "https://example.com/hook",
            },
            {"alertmanager", "lake_consumer", "mysqld_exporter", "nginx", "prometheus", "traffic"},
        ),
    ],
    ids=["all", "left out", "demo and alerts"],
)
def test_a_service_without_a_container_is_told_to_status(
    tmp_path: Path, settings: dict[str, str], away: set[str]
) -> None:
    """But for those that are not to run, the migration job, which ends, and what scripts run."""
    (tmp_path / "secrets").mkdir()
    there = ("clean_consumer", "doctor", "mysql", "producer", "rabbitmq")
    cases = {
        "'ps '*": "; ".join(f"echo '{service} d0c Up 2 minutes'" for service in there),
        "exec*' d0c '*' status'": 'echo "$CONTAINERS"',
    }

    ended = run_script(tmp_path, up(cases), "status", **settings)

    assert ended.returncode == 0, ended.stderr
    told = ended.stdout.splitlines()
    assert {line.removesuffix(" - Away") for line in told if line.endswith(" - Away")} == away
    assert len(told) == len(there) + len(away)


def test_what_the_last_deploy_left_out_is_not_away(tmp_path: Path) -> None:
    """Though WITHOUT was told to that deploy alone."""
    told = up({"*' run '*status' 'status": 'echo "$CONTAINERS"'})
    run_script(tmp_path, told, "deploy", WITHOUT="grafana")

    left_out = run_script(tmp_path, told, "status").stdout
    run_script(tmp_path, told, "deploy")
    wanted = run_script(tmp_path, told, "status").stdout

    assert "prometheus - Away\n" in left_out
    assert "grafana - Away\n" not in left_out
    assert "grafana - Away\n" in wanted


def test_where_the_doctor_does_not_run_status_has_a_container_of_its_own(tmp_path: Path) -> None:
    """WITHOUT may leave it out, and it may be what has stopped."""
    (tmp_path / "secrets").mkdir()

    ended = run_script(tmp_path, up({"*' run '*status' 'status": "echo its own"}), "status")

    assert (ended.returncode, ended.stdout) == (0, "its own\n")


def test_a_deploy_without_a_change_builds_nothing_and_asks_nothing_twice(tmp_path: Path) -> None:
    """Where images, sources, settings and containers are what they were; any change is seen."""
    did, containers = tmp_path / "did", tmp_path / "containers"
    cases = up(
        {
            "'ps '*": f"cat {containers}",
            "*' up '*": f"echo up >>{did}",
            "start*' 10b'": f"echo migrate >>{did}",
            "*' build '*": f"echo build >>{did}",
            "*' run '*definitions*": f"echo definitions >>{did}; echo readable; echo '{{}}'",
            "*import_definitions": f"echo import >>{did}",
        }
    )

    def deployed(**settings: str) -> list[str]:
        did.write_text("")
        ended = run_script(tmp_path, cases, "deploy", **settings)
        assert ended.returncode == 0, ended.stderr
        return did.read_text().split()

    well = "rabbitmq c0ffee Up 2 minutes (healthy)\nmigrate 10b Exited (0) 2 minutes ago\n"
    containers.write_text(well)
    assert deployed() == ["build", "definitions", "up", "import"]
    assert deployed() == ["migrate"]
    assert deployed(FORMAT="combined") == ["definitions", "up"]
    assert deployed(DATASTREAM_REVISION="another") == ["build", "definitions", "up"]
    assert deployed() == ["build", "definitions", "up"]
    containers.write_text(well.replace("c0ffee", "ca11ed"))
    assert deployed() == ["up"]
    assert deployed() == ["migrate"]


def test_a_deploy_without_a_change_brings_back_what_is_not_well(tmp_path: Path) -> None:
    """What has stopped since then is started, by Compose."""
    up_again = tmp_path / "up"
    run_script(tmp_path, UP, "deploy")
    stopped = f"[ -e {up_again} ] && s='Up 5 minutes' || s='Exited (1)'; echo \"mysql c0ffee $s\""

    ended = run_script(tmp_path, up({"'ps '*": stopped, "*' up '*": f"echo >{up_again}"}), "deploy")

    assert ended.returncode == 0, ended.stderr
    assert up_again.exists()


def test_a_migration_that_fails_without_a_change_is_said(tmp_path: Path) -> None:
    """It runs at each deploy, for others may have changed accounts and grants."""
    cases = {
        "'ps '*": "echo 'migrate 10b Exited (0) 2 minutes ago'",
        "*' logs '*migrate": "echo no such account",
    }
    run_script(tmp_path, up(cases), "deploy")

    said = deploy(tmp_path, up(cases | {"start*": "exit 1"}))

    assert "the migration job failed:\nno such account\n" in said


def test_an_import_that_failed_is_made_up_for(tmp_path: Path) -> None:
    """The next deploy tells the broker what the last one could not, though nothing has changed."""
    imported = tmp_path / "imported"
    runs = {"'ps '*": "echo 'rabbitmq c0ffee Up 2 minutes (healthy)'"}

    deploy(tmp_path, up(runs | {"*import_definitions": "exit 1"}))
    ended = run_script(tmp_path, up(runs | {"*import_definitions": f"echo >{imported}"}), "deploy")

    assert ended.returncode == 0, ended.stderr
    assert imported.exists()


def test_the_last_screen_has_every_address_and_the_way_from_another_machine(tmp_path: Path) -> None:
    """Each board by itself; the tunnel is a command to paste, to where ssh has come in."""
    ended = run_script(
        tmp_path, UP, "deploy", GRAFANA_PORT="3001", SSH_CONNECTION="192.0.2.7 50000 192.0.2.9 22",
        SUDO_USER="ada",
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    for board in ("ingestion", "traffic"):
        uid = f"datastream-{board}"
        text = (ROOT / "deploy/grafana/dashboards" / f"{board}.json").read_text()
        assert json.loads(text)["uid"] == uid
        assert f" http://127.0.0.1:3001/d/{uid}\n" in ended.stdout
    ports = "-L 3001:127.0.0.1:3001 -L 9090:127.0.0.1:9090"
    assert f"  ssh {ports} ada@192.0.2.9\n" in ended.stdout
    assert "Alerts are told to nobody" in ended.stdout


WEBHOOK = "https://hooks.example.com/s3cret?template=alertmanager"


@pytest.mark.parametrize(
    ("address", "receiver"),
    [
        (WEBHOOK, "webhook"),
        ("https://hooks.slack.com/services/T0/B0/s3cret", "slack"),
        ("https://discord.com/api/webhooks/1/s3cret", "discord"),
    ],
)
def test_whom_alerts_are_told_to(tmp_path: Path, address: str, receiver: str) -> None:
    """The address is in a file of Alertmanager's and in no environment; no output shows it."""
    (tmp_path / "env").write_text(f"ALERT_WEBHOOK={address}\n")
    asked = tmp_path / "asked"
    cases = up({"*' up '*": f'{{ echo "$*"; export; }} >{asked}'})

    ended = run_script(tmp_path, cases, "deploy")

    assert ended.returncode == 0, ended.stderr
    secrets = tmp_path / "secrets"
    assert (secrets / "alert_webhook").read_text() == address
    assert f"\n  receiver: {receiver}\n" in (secrets / "alertmanager_yml").read_text()
    targets = json.loads((secrets / "alertmanagers").read_text())
    assert targets == [{"targets": ["alertmanager:9093"]}]
    assert "--profile alerts" in asked.read_text()
    assert "s3cret" not in asked.read_text() + ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("address", "target", "scheme", "path"),
    [
        ("http://am.example.com:9093", "am.example.com:9093", "http", "/api/v2/alerts"),
        ("https://am.example.com/team/", "am.example.com:443", "https", "/team/api/v2/alerts"),
        ("http://am.example.com", "am.example.com:80", "http", "/api/v2/alerts"),
    ],
)
def test_an_alertmanager_of_one_s_own_is_told(
    tmp_path: Path, address: str, target: str, scheme: str, path: str
) -> None:
    """None of ours is started then."""
    asked = tmp_path / "asked"
    cases = up({"*' up '*": f'echo "$*" >{asked}'})

    ended = run_script(tmp_path, cases, "deploy", ALERTMANAGER_URL=address)

    assert ended.returncode == 0, ended.stderr
    labels = {"__scheme__": scheme, "__alerts_path__": path}
    targets = json.loads((tmp_path / "secrets" / "alertmanagers").read_text())
    assert targets == [{"targets": [target], "labels": labels}]
    assert "alerts" not in asked.read_text()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ALERT_WEBHOOK": "hooks.example.com/s3cret"}, "ALERT_WEBHOOK is no address"),
        ({"ALERT_WEBHOOK": "http://localhost:9/s3cret"}, "does not reach: name the host"),
        ({"ALERT_WEBHOOK": "https://a.example.com/ s3cret"}, "holds a blank"),
        ({"ALERTMANAGER_URL": "http://me:s3cret@a.example.com"}, "ALERTMANAGER_URL is no address"),
        ({"ALERTMANAGER_URL": "http://127.0.0.1:9093/s3cret"}, "does not reach: name the host"),
        ({"ALERT_WEBHOOK": WEBHOOK, "WITHOUT": "prometheus"}, "leaves out prometheus"),
    ],
)
def test_an_address_that_no_alert_would_reach_is_refused(
    tmp_path: Path, settings: dict[str, str], words: str
) -> None:
    """It is said of the setting, and the address is not shown."""
    said = deploy(tmp_path, UP, **settings)

    assert words in said
    assert "s3cret" not in said


def test_an_alert_that_is_a_test(tmp_path: Path) -> None:
    """Whether it was taken is the exit code; why not is what Alertmanager said last."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "rabbitmq_definitions").touch()
    log = 'msg=\\"Notify attempt failed\\" err=\\"webhook/webhook[0]: status code 404\\"'
    cases = {
        "*' run '*' alert-test'": "echo datastream: it did not take it >&2; exit 1",
        "*' logs '*alertmanager": f'echo "{log}"',
    }

    unset = run_script(tmp_path, up(cases), "alert-test")
    refused = run_script(tmp_path, up(cases), "alert-test", ALERT_WEBHOOK=WEBHOOK)
    taken = run_script(tmp_path, UP, "alert-test", ALERT_WEBHOOK=WEBHOOK)

    assert (unset.returncode, refused.returncode, taken.returncode) == (1, 1, 0)
    assert "alerts are told to nobody. Set ALERT_WEBHOOK" in unset.stderr
    assert "it did not take it\nwebhook/webhook[0]: status code 404\n" in refused.stderr


def test_several_logs_are_not_for_containers(tmp_path: Path) -> None:
    """A file that the producer does not see must not be taken for one that it reads."""
    ended = run_script(tmp_path, UP, "deploy", DATASTREAM_CONFIG="logs.toml")

    assert ended.returncode == 1
    assert "DATASTREAM_CONFIG is set, and the containers read LOG_PATH alone" in ended.stderr


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

    ended = run_script(tmp_path, UP, "deploy")

    assert ended.returncode == 0, ended.stderr
    secret = tmp_path / "secrets" / setting.lower()
    assert secret.read_text() == password
    assert Environment({f"{setting}_FILE": str(secret)}).text(setting) == password


def test_an_env_file_that_cannot_be_read_is_said_in_words(tmp_path: Path) -> None:
    """Nothing is made or changed; the line is named, and no value."""
    settings = tmp_path / "env"
    settings.write_text("SOURCE=shop\nMYSQL_PASSWORD=se$cret\n")

    said = deploy(tmp_path, UP)

    assert f"make deploy: {settings} cannot be read: line 2: the variable cret is not set" in said
    assert "se$" not in said
    assert settings.read_text() == "SOURCE=shop\nMYSQL_PASSWORD=se$cret\n"
    assert not (tmp_path / "secrets").exists()


def test_the_names_in_an_env_file_are_handed_over(tmp_path: Path) -> None:
    """To the operator's container, which says what is misspelt, before anything is started."""
    (tmp_path / "env").write_text("SOURCE=shop\n# A=1\n export PRIVACY_ADRESSES = hashed\n")
    asked = 'echo "no setting: $*" | head -n 1 >&2; exit 78'

    said = deploy(tmp_path, up({"*' run '*definitions*": asked}))

    assert "WRITTEN_SETTINGS=SOURCE PRIVACY_ADRESSES " in said


def test_an_empty_source_in_the_environment_does_not_rename_the_log(tmp_path: Path) -> None:
    """The one in `.env` is for ever."""
    settings = tmp_path / "env"
    settings.write_text("SOURCE=shop\n")

    ended = run_script(tmp_path, UP, "deploy", SOURCE="")

    assert ended.returncode == 0, ended.stderr
    assert settings.read_text() == "SOURCE=shop\n"


@pytest.mark.parametrize(
    "script",
    ["status", "logs", "mysql", "scale", "migrate", "datastream", "down", "alert-test"],
)
def test_where_nothing_runs_a_script_says_so_and_makes_nothing(tmp_path: Path, script: str) -> None:
    """Compose would make networks and volumes; only down, which is done then, is content."""
    made = tmp_path / "made"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "rabbitmq_definitions").touch()
    cases = {
        "'ps '*": "exit 0",
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

    ended = run_script(tmp_path, up(cases), "deploy", SECRETS_DIR=None)

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

    ended = run_script(tmp_path, up(cases), "deploy", **owner)

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
        # YAML reads eight in it, and the next deploy none.
        ("scale", {"N": "010"}, "say how many clean consumers"),
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
    run_script(tmp_path, UP, "deploy")
    assert (secrets / "mysql_root_password").exists()
    (secrets / "mine").touch()
    (secrets / ".mysql_root_password.new.1").touch()  # a deploy was killed

    ended = run_script(tmp_path, UP, "destroy", YES="1")
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in secrets.iterdir()] == ["mine"]
    assert f"{secrets} stays" in ended.stdout

    (secrets / "mine").unlink()
    run_script(tmp_path, UP, "destroy", YES="1")
    assert not secrets.exists()


class Backup:
    """What a backup is made of, and a docker that answers as if there were a deployment."""

    def __init__(self, folder: Path, **cases: str) -> None:
        (folder / "secrets").mkdir()
        (folder / "secrets" / "rabbitmq_definitions").touch()
        self.copies = folder / "copies"
        self.started = folder / "started"
        stopped = folder / "stopped"
        cases = {
            "'volume inspect'*": "exit 0",
            "*' ps --quiet '*": f"[ -e {stopped} ] || echo c0ffee",
            "*' stop '*": f"echo >{stopped}",
            "start*": f'rm {stopped}; echo "$*" >{self.started}',
            **cases,
        }
        self.command, self.env = prepared(folder, up(cases), "backup", TO=str(self.copies))
        for name in ("date", "tar", "du", "sync"):
            (folder / "bin" / name).symlink_to(str(shutil.which(name)))

    def run(self, output: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
        """Make it; return how that ended."""
        return subprocess.run(
            self.command, env=self.env, stdout=output, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip


def test_a_backup_starts_again_what_it_stopped(tmp_path: Path) -> None:
    """It has what a restore looks for."""
    backup = Backup(tmp_path)

    ended = backup.run()

    assert ended.returncode == 0, ended.stderr
    assert backup.started.read_text() == "start c0ffee\n"
    (made,) = backup.copies.iterdir()
    assert {"env", "images", "secrets.tar", "mysql.tar.gz"} < {path.name for path in made.iterdir()}


def test_a_backup_that_nobody_reads_starts_the_services_again(tmp_path: Path) -> None:
    """A closed pipe ends it as Ctrl-C does."""
    backup = Backup(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)

    ended = backup.run(writer)
    os.close(writer)

    assert ended.returncode != 0
    assert backup.started.read_text() == "start c0ffee\n"
    assert list(backup.copies.iterdir()) == []


def test_a_backup_whose_terminal_is_gone_starts_the_services_again(tmp_path: Path) -> None:
    """As where the ssh session breaks off, which takes with it where its words would go."""
    began = tmp_path / "began"
    backup = Backup(tmp_path, **{"run*": f"echo >{began}; exec cat {began}.fifo"})
    os.mkfifo(f"{began}.fifo")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        backup.command, env=backup.env, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=heed_signals,
    ) as process:  # fmt: skip
        os.close(theirs)
        eventually(lambda: began.read_text())
        os.close(ours)
        os.killpg(process.pid, signal.SIGHUP)

    assert process.returncode != 0
    assert backup.started.read_text() == "start c0ffee\n"
    assert list(backup.copies.iterdir()) == []


def test_a_backup_of_what_runs_meanwhile_is_none(tmp_path: Path) -> None:
    """Another backup's end, or a deploy, starts the services while they are copied."""
    backup = Backup(tmp_path, **{"run*": f"rm -f {tmp_path / 'stopped'}"})

    ended = backup.run()

    assert ended.returncode == 1
    assert "the services were started while the copy was made" in ended.stderr
    assert list(backup.copies.iterdir()) == []


def test_a_backup_that_was_not_finished_is_not_restored(tmp_path: Path) -> None:
    """Nor where a shell has completed its name, or where it lacks a part."""
    folder = tmp_path / "data-stream-20261130T150000Z.unfinished"
    folder.mkdir()
    for name in ("env", "secrets.tar"):
        (folder / name).touch()

    unfinished = run_script(tmp_path, UP, "restore", FROM=f"{folder}/")
    part = run_script(tmp_path, UP, "restore", FROM=str(folder.rename(tmp_path / "part")))

    assert "was not finished: take another one" in unfinished.stderr
    assert "is no backup: it has no images" in part.stderr


def test_the_help_fits_a_narrow_window() -> None:
    """No line of `make help` is longer than 80 columns."""
    help_ = run("make", "help", cwd=ROOT)

    assert help_.returncode == 0
    assert [line for line in help_.stdout.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("command", "running", "code", "words"),
    [
        (
            ("verify", "/var/log/a b.log"),
            "mysql",
            3,
            "--no-deps -T operator verify /var/log/a b.log|",
        ),
        (
            ("rewind", "--since", "2026-10-10"),
            "mysql",
            3,
            "-T producer --rewind --since 2026-10-10|",
        ),
        (("rewind",), "producer", 1, "deploy/bin/datastream: the producer runs. Stop it"),
        (
            ("migrate", "--to", "9"),
            "mysql",
            3,
            "python3 -m datastream_operator migrate migrate --to 9|",
        ),
    ],
    ids=["operator", "rewind", "producer runs", "migrate"],
)
def test_the_commands_of_the_person_on_call(
    tmp_path: Path, command: tuple[str, ...], running: str, code: int, words: str
) -> None:
    """They run in the container that has the account for it, and end with their exit code."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "rabbitmq_definitions").touch()
    cases = FINE | {
        "'ps '*": f"echo '{running} c0ffee Up 2 minutes'",
        "*' run '*": 'echo "$*|"; exit 3',
    }

    ended = run_script(tmp_path, cases, "datastream", *command)

    assert ended.returncode == code
    assert words in ended.stdout + ended.stderr


def test_every_setting_of_the_containers_is_documented() -> None:
    """docs/deploy.md names each variable of docker-compose.yml, and what lies over it."""
    files = (COMPOSE_FILE, COMPOSE_FILE.with_name("docker-compose.small.yml"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    named = set(re.findall(r"\$\{([A-Z_]+)", text))
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

    assert {name for name in named if f"`{name}`" not in page} == set()

"""A name that is no setting: which one was meant, and whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastream.config import ConfigError, Environment
from datastream.known import SETTINGS, is_known, meant_in_environment, meant_in_file

#: Variables that shells, desktops, systemd, CI, orchestrators, languages, and both servers' own
#: clients, images and libraries set or read.
OTHERS = """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE LC_ALL LC_CTYPE LC_TIME TZ TERM TERMINFO COLUMNS
    LINES PWD OLDPWD SHLVL PS1 PS4 IFS MAIL EDITOR VISUAL PAGER BROWSER HOSTNAME HOSTTYPE OSTYPE
    MACHTYPE UID EUID USERNAME BASH BASH_ENV BASH_SOURCE BASH_VERSION HISTFILE HISTSIZE
    HISTCONTROL INPUTRC LS_COLORS LESS LESSOPEN MANPATH INFOPATH TMPDIR TEMP TMP DISPLAY XAUTHORITY
    XDG_SESSION_ID XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_DIRS DESKTOP_SESSION
    DBUS_SESSION_BUS_ADDRESS SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_AUTH_SOCK SSH_AGENT_PID SUDO_USER
    SUDO_UID SUDO_GID SUDO_COMMAND INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET WATCHDOG_USEC MAINPID
    LISTEN_FDS STATE_DIRECTORY LOGS_DIRECTORY CACHE_DIRECTORY RUNTIME_DIRECTORY
    CONFIGURATION_DIRECTORY CREDENTIALS_DIRECTORY SYSTEMD_EXEC_PID MEMORY_PRESSURE_WATCH
    http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY SSL_CERT_FILE
    SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE OPENSSL_CONF CC CXX CFLAGS LDFLAGS MAKE MAKEFLAGS
    MAKELEVEL MFLAGS LD_LIBRARY_PATH LD_PRELOAD PKG_CONFIG_PATH PYTHONPATH PYTHONHOME
    PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE PYTHONHASHSEED PYTHON_VERSION PYTHON_SHA256
    PYTHON_PIP_VERSION GPG_KEY VIRTUAL_ENV PIP_INDEX_URL PYENV_ROOT CONDA_PREFIX JAVA_HOME GOPATH
    GOROOT NODE_ENV NODE_PATH NVM_DIR CARGO_HOME RUST_LOG RUST_BACKTRACE LOGLEVEL LOGDIR LOG_FORMAT
    LOG_FILE LOG_DIR DEBUG VERBOSE FORCE_COLOR NO_COLOR CI CI_COMMIT_SHA CI_PROJECT_DIR
    GITHUB_ACTIONS GITHUB_SHA GITHUB_TOKEN GITHUB_WORKSPACE RUNNER_OS BUILD_ID JOB_NAME WORKSPACE
    JENKINS_URL SOURCE_DATE_EPOCH SOURCES KUBERNETES_SERVICE_HOST KUBERNETES_PORT POD_NAME
    POD_NAMESPACE NODE_NAME MYSQL_SERVICE_HOST MYSQL_SERVICE_PORT MYSQL_PORT_3306_TCP
    MYSQL_PORT_3306_TCP_ADDR RABBITMQ_PORT RABBITMQ_SERVICE_HOST RABBITMQ_PORT_5672_TCP_PORT
    MYSQL_PWD MYSQL_HOME MYSQL_TCP_PORT MYSQL_UNIX_PORT MYSQL_HISTFILE MYSQL_PS1 MYSQL_DEBUG
    MYSQL_GROUP_SUFFIX MYSQL_ALLOW_EMPTY_PASSWORD MYSQL_RANDOM_ROOT_PASSWORD MYSQL_ROOT_HOST
    MYSQL_ONETIME_PASSWORD MYSQL_INITDB_SKIP_TZINFO MYSQL_MAJOR MYSQL_VERSION MYSQL_SHELL_VERSION
    MARIADB_USER MARIADB_PASSWORD MARIADB_DATABASE MARIADB_ROOT_PASSWORD MARIADB_VERSION
    RABBITMQ_NODENAME RABBITMQ_NODE_PORT RABBITMQ_DEFAULT_USER RABBITMQ_DEFAULT_PASS
    RABBITMQ_DEFAULT_VHOST RABBITMQ_CONFIG_FILE RABBITMQ_HOME RABBITMQ_VERSION RABBITMQ_USER
    RABBITMQ_PASSWORD RABBITMQ_HOST RABBITMQ_URL RABBITMQ_VHOST ERL_CRASH_DUMP ERL_EPMD_PORT
    PGHOST PGPORT PGUSER PGPASSWORD POSTGRES_USER POSTGRES_PASSWORD DATABASE_URL REDIS_URL
    AMQP_URL GEOIP_PATH GEOIPUPDATE_DB_DIR AWS_REGION AWS_PROFILE AWS_ACCESS_KEY_ID METRICS_ENABLED
    PROMETHEUS_MULTIPROC_DIR GF_LOG_MODE DOCKER_HOST DOCKER_CONFIG COMPOSE_FILE HOST PORT STATE
    SECRET_KEY PRIVATE_KEY PASSWORD VERSION FORMATTER ENCRYPT ONLY
""".split()  # noqa: SIM905 - as many words


def test_other_programs_names_are_no_mistakes() -> None:
    """A service starts in any environment."""
    assert meant_in_environment(dict.fromkeys(OTHERS, "1"), {}) == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PRIVACY_ADRESSES", "PRIVACY_ADDRESSES"),
        ("FORMATT", "FORMAT"),
        ("FROMAT", "FORMAT"),
        ("MYSQL_USERNAME", "MYSQL_USER"),
        ("LAKE_MYSQL_HOSTNAME", None),
        ("MYSQL_PASWORD_FILE", "MYSQL_PASSWORD_FILE"),
        ("SITE_HOST", "SITE_HOSTS"),
    ],
)
def test_a_name_that_is_nearly_one(name: str, meant: str | None) -> None:
    """In `.env` and in the environment."""
    expected = {} if meant is None else {name: meant}

    assert meant_in_file([name]) == expected
    assert meant_in_environment({name: "1"}, {}) == expected


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PRIVACY_ADRESES", "PRIVACY_ADDRESSES"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("MYSQL_DB", "MYSQL_DATABASE"),
        ("LAKE_MYSQL_PASS", "LAKE_MYSQL_PASSWORD"),
        ("RABBITMQ_HOST", "RABBIT_HOST"),
        ("source", "SOURCE"),
        ("LOG_DIRS", "LOG_DIR"),
    ],
)
def test_a_file_of_ours_is_taken_at_its_word(name: str, meant: str) -> None:
    """What is another program's in the environment is a mistake in `.env`."""
    assert meant_in_file([name]) == {name: meant}
    assert meant_in_environment({name: "1"}, {}) == {}


def test_a_name_that_other_programs_use_too() -> None:
    """Where the setting itself is set, MYSQL_USERNAME is for somebody else."""
    assert meant_in_environment({"MYSQL_USERNAME": "x"}, {"MYSQL_USER": "y"}) == {}


def test_a_host_is_no_misspelt_port() -> None:
    """Both may stand in `.env` for what else reads it, as a file of Compose does."""
    names = ("WEB_PORT", "GRAFANA_HOST", "PROMETHEUS_HOST", "RABBIT_TLS_PORT")
    assert meant_in_file(names) == {}
    assert meant_in_file(["GRAFANA_POTR", "SITE_HOST"]) == {
        "GRAFANA_POTR": "GRAFANA_PORT",
        "SITE_HOST": "SITE_HOSTS",
    }


def test_no_setting_is_a_mistake() -> None:
    """Each is known, with its file."""
    names = SETTINGS | {f"{name}_FILE" for name in SETTINGS}

    assert all(map(is_known, names))
    assert meant_in_file(names) == {}


def test_the_settings_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is read from them; the place and the setting are said."""
    path = tmp_path / ".env"
    path.write_text("SOURCE=web\n")
    monkeypatch.setenv("FORMATT", "main")
    with pytest.raises(ConfigError, match=r"in the environment .*did you mean FORMAT\?"):
        Environment.load(path)

    monkeypatch.delenv("FORMATT")
    path.write_text("PRIVACY_ADRESSES=hashed\n")
    with pytest.raises(ConfigError, match=r"\.env .*did you mean PRIVACY_ADDRESSES\?"):
        Environment.load(path)


def test_other_names_in_the_file_are_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They may be there for what else reads it."""
    path = tmp_path / ".env"
    path.write_text("COLOUR=blue\nSOURCE=web\nCOMPOSE_FILE=x\n")

    for _ in range(2):
        assert Environment.load(path).text("SOURCE") == "web"

    said = capsys.readouterr().err
    assert said.count("COLOUR") == 1
    assert "SOURCE" not in said
    assert "COMPOSE_FILE" not in said

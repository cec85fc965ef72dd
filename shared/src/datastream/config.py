"""Settings: read once, from the environment, `.env` and files, and handed down.

Only passwords in files are read again: those may be replaced at any time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from datastream import config_file, env_file, known
from datastream.config_file import ConfigFile, LogTable
from datastream.errors import Unavailable
from datastream.tls import TlsSettings, Unusable

#: The exit code of a process whose settings are wrong (EX_CONFIG of sysexits.h).
EX_CONFIG = 78
#: That of a process whose program is broken (EX_SOFTWARE).
EX_SOFTWARE = 70

T = TypeVar("T")


class ConfigError(Exception):
    """A setting is missing or malformed; the message is one line that names it."""


@dataclass(frozen=True)
class Secret:
    """A password; its repr hides it from logs and tracebacks."""

    #: The text, or the file that holds it.
    held: str | Path = field(repr=False)
    #: The setting that it comes from; for messages.
    setting: str = ""

    def read(self) -> str:
        """Return the password as it is now: its file, if any, is read each time.

        Raises Unavailable when the file holds none: it may be about to be replaced.
        """
        if isinstance(self.held, str):
            return self.held
        try:
            text = _text_in(self.held)
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(_unreadable(self.setting, error), "password") from error
        if not text:
            raise Unavailable(f"{self.setting} names a file that is empty", "password")
        return text


def _text_in(path: Path) -> str:
    """Return the value in a file; the newline at its end is not part of it."""
    return path.read_text(encoding="utf-8").rstrip("\r\n")


def _config_file(path: Path) -> config_file.ConfigFile:
    try:
        return config_file.parse(path.read_bytes().decode(), known.SETTINGS)
    except (OSError, UnicodeDecodeError, config_file.Malformed) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _unreadable(setting: str, error: Exception) -> str:
    return f"{setting} names a file that cannot be read: {error}"


def refuse_misspelt(where: str, meant: Mapping[str, str]) -> None:
    """Raise ConfigError where names are near settings."""
    if meant:
        faults = (f"{name} (did you mean {near}?)" for name, near in sorted(meant.items()))
        raise ConfigError(f"{where} no setting is called {', '.join(faults)}")


@cache
def _warn(words: str) -> None:
    """Say it, once for this process: settings are read before a service's log begins."""
    sys.stderr.write(f"datastream: {words}\n")


class Environment:
    """The settings by name.

    An empty variable counts as not set. A setting may be in a file instead: the variable of the
    same name with `_FILE` appended holds its path, as Docker and systemd hand over secrets.
    `asked` collects the names that were looked up: the documentation is tested against it.
    """

    def __init__(
        self, values: Mapping[str, str], config: Path | None = None, logs: Sequence[LogTable] = ()
    ) -> None:
        self._values = values
        self.asked: set[str] = set()
        #: The file that DATASTREAM_CONFIG names, and the logs that it has.
        self.config = config
        self.logs = logs

    @classmethod
    def load(cls, path: Path | None = None, config: Path | None = None) -> Environment:
        """Return the settings of the process environment, and of files for those not set there.

        The first file is `path`, else the one that ENV_FILE names, else `.env`; it may be missing.
        The other is `config`, else the one that DATASTREAM_CONFIG names, else there is none.
        Raises ConfigError when one cannot be read, where the two differ, and where a name is no
        setting but nearly one. Other names in the first file are warned of, once.
        """
        path = path or Path(os.environ.get("ENV_FILE") or ".env")
        try:
            text = path.read_bytes().decode() if path.is_file() else ""
            in_file = env_file.parse(text, os.environ)
        except (OSError, UnicodeDecodeError, env_file.Malformed) as error:
            raise ConfigError(f"{path} cannot be read: {error}") from error
        refuse_misspelt(f"in {path}", known.meant_in_file(in_file))
        named = config or os.environ.get("DATASTREAM_CONFIG", in_file.get("DATASTREAM_CONFIG"))
        config = Path(named) if named else None
        found = _config_file(config) if config else ConfigFile({})
        settings = {name: value for name, value in in_file.items() if value}
        for name, value in found.settings.items():
            # Which of two names of a source is meant, for instance, nobody should guess.
            if settings.get(name, value) != value and name not in os.environ:
                raise ConfigError(f"{name} is in {path} and, otherwise, in {config}: keep one")
        settings |= found.settings | os.environ
        refuse_misspelt("in the environment", known.meant_in_environment(os.environ, settings))
        unknown = sorted(name for name in in_file if not known.is_known(name))
        if unknown:
            _warn(f"{path} has {', '.join(unknown)}: no setting is called so, and nothing reads it")
        return cls(settings, config, found.logs)

    def find(self, name: str) -> str | None:
        """Return the text of a setting, from its variable or its file, or None.

        Raises ConfigError when both are set, or when the file cannot be read.
        """
        self.asked.add(name)
        value = self._values.get(name) or None
        file_name = f"{name}_FILE"
        path = self._values.get(file_name) or None
        if path is None:
            return value
        if value is not None:
            raise ConfigError(f"both {name} and {file_name} are set; keep one of them")
        try:
            return _text_in(Path(path)) or None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(_unreadable(file_name, error)) from error

    def secret(self, name: str) -> Secret | None:
        """Return a password, which is read from its file at each use, or None.

        Raises ConfigError as `find` does.
        """
        text = self.find(name)
        if text is None:
            return None
        file_name = f"{name}_FILE"
        path = self._values.get(file_name)
        return Secret(Path(path), file_name) if path else Secret(text, name)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a setting, or the default. Raises ConfigError when there is neither."""
        value = self.find(name)
        if value is not None:
            return value
        if default is None:
            raise ConfigError(
                f"{name} is not set; set it in the environment or in {self.config or '.env'}"
            )
        return default

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """Return a whole number. Raises ConfigError unless it lies in [lowest, highest]."""
        text = self.find(name)
        if text is None:
            return default
        expected = f"a whole number from {lowest} to {highest}"
        value = self._convert(name, text, int, expected)
        if not lowest <= value <= highest:
            raise ConfigError(f"{name} is {value}; it must be {expected}")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a yes or no. Raises ConfigError on any other word."""
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        text = self.find(name)
        if text is None:
            return default
        return self._convert(name, text, lambda word: words[word.lower()], "yes or no")

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """Return one of the choices, named in any case. Raises ConfigError on any other word."""
        text = self.text(name, default)
        for one in choices:
            if one.lower() == text.lower():
                return one
        raise ConfigError(f"{name} is {text!r}; it must be one of {', '.join(choices)}")

    @staticmethod
    def _convert(name: str, text: str, convert: Callable[[str], T], expected: str) -> T:
        try:
            return convert(text)
        except (ValueError, KeyError) as error:
            raise ConfigError(f"{name} is {text!r}; it must be {expected}") from error


def read_source(env: Environment) -> str:
    """Return SOURCE. Raises ConfigError, which says what it is."""
    source = env.find("SOURCE")
    if source is None:
        raise ConfigError(
            "SOURCE is not set; give the log a permanent name in .env, such as this machine's:"
            " SOURCE=web1. A log with rows keeps the one they have (SELECT DISTINCT source FROM"
            " log_stream), or it is stored again"
        )
    return source


def _account(env: Environment, service: str, dependency: str) -> tuple[str, Secret]:
    """Return user and password: the service's own where they are set, else the common ones."""
    for prefix in (f"{service}_{dependency}", dependency):
        user = env.find(f"{prefix}_USER")
        password = env.secret(f"{prefix}_PASSWORD")
        if user is not None and password is not None:
            return user, password
        if user is not None or password is not None:
            missing = f"{prefix}_PASSWORD" if password is None else f"{prefix}_USER"
            present = f"{prefix}_USER" if password is None else f"{prefix}_PASSWORD"
            raise ConfigError(f"{missing} is not set, but {present} is; an account needs both")
    raise ConfigError(
        f"{dependency}_USER and {dependency}_PASSWORD are not set; "
        "set them in the environment or in .env"
    )


def _tls(env: Environment, dependency: str) -> TlsSettings | None:
    """Return the TLS settings for a dependency (`RABBIT`, `MYSQL`), None where TLS is off.

    Raises ConfigError, also when the files cannot be used.
    """
    switch = f"{dependency}_TLS"
    is_on, verify = env.flag(switch), env.flag(f"{switch}_VERIFY", default=True)
    files = {part: _file(env, f"{switch}_{part}") for part in ("CA", "CERT", "KEY")}
    for part, path in files.items():
        if path is not None and not is_on:
            raise ConfigError(f"{switch}_{part} is set, but {switch} is not yes")
    for part, other in (("CERT", "KEY"), ("KEY", "CERT")):
        if files[part] is None and files[other] is not None:
            raise ConfigError(
                f"{switch}_{part} is not set, but {switch}_{other} is; a certificate needs its key"
            )
    if not is_on:
        return None
    settings = TlsSettings(dependency, files["CA"], files["CERT"], files["KEY"], verify)
    try:
        settings.context()
    except Unusable as error:
        raise ConfigError(str(error)) from error
    return settings


def _file(env: Environment, name: str) -> Path | None:
    text = env.find(name)
    if text is not None and "-----BEGIN" in text:
        # NAME_FILE names a file that holds the path, as for every other setting.
        raise ConfigError(f"{name} holds a certificate or a key; set {name} to the file's path")
    return None if text is None else Path(text)


@dataclass(frozen=True)
class RabbitSettings:
    """Where the broker is, and the account to use there."""

    host: str
    port: int
    vhost: str
    user: str
    password: Secret
    tls: TlsSettings | None = None

    @classmethod
    def read(cls, env: Environment, service: str) -> RabbitSettings:
        """Return the settings for a service (`PRODUCER`, `LAKE`, `CLEAN`, `OPERATOR`, `ADMIN`)."""
        user, password = _account(env, service, "RABBIT")
        tls = _tls(env, "RABBIT")
        return cls(
            host=env.text("RABBIT_HOST", "localhost"),
            port=env.number("RABBIT_PORT", 5672 if tls is None else 5671, 1, 65535),
            vhost=env.text("RABBIT_VHOST", "/"),
            user=user,
            password=password,
            tls=tls,
        )


@dataclass(frozen=True)
class MysqlSettings:
    """Where the database is, and the account to use there."""

    host: str
    port: int
    database: str
    user: str
    password: Secret
    tls: TlsSettings | None = None

    @classmethod
    def read(cls, env: Environment, service: str) -> MysqlSettings:
        """Return the settings for a service (`LAKE`, `CLEAN`, `OPERATOR`, `MIGRATOR`, `ADMIN`).

        The migrator, which makes tables, and the administrator, who makes accounts, are root when
        they have no account of their own and MYSQL_ROOT_PASSWORD is set.
        """
        may_be_root = service in ("MIGRATOR", "ADMIN")
        root_password = env.secret("MYSQL_ROOT_PASSWORD") if may_be_root else None
        if root_password is not None and env.find(f"{service}_MYSQL_USER") is None:
            user, password = "root", root_password
        else:
            user, password = _account(env, service, "MYSQL")
        return cls(
            host=env.text("MYSQL_HOST", "localhost"),
            port=env.number("MYSQL_PORT", 3306, 1, 65535),
            database=env.text("MYSQL_DATABASE"),
            user=user,
            password=password,
            tls=_tls(env, "MYSQL"),
        )


@dataclass(frozen=True)
class ServiceSettings:
    """Where every service serves its metrics, and what it logs."""

    metrics_host: str
    metrics_port: int
    log_level: str

    @classmethod
    def read(cls, env: Environment, default_port: int) -> ServiceSettings:
        """Return the settings; METRICS_PORT 0 takes any free port, and the log says which."""
        return cls(
            metrics_host=env.text("METRICS_HOST", "127.0.0.1"),
            metrics_port=env.number("METRICS_PORT", default_port, 0, 65535),
            log_level=env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
        )

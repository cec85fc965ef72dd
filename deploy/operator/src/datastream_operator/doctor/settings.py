"""The settings that are set, for any services: what has none is not looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from datastream.config import (
    ConfigError,
    Environment,
    MysqlSettings,
    RabbitSettings,
    ServiceSettings,
)
from datastream.log_settings import read_logs, read_patterns
from datastream.privacy_settings import PrivacySettings
from datastream_operator.doctor.management import Management
from datastream_operator.doctor.report import SETTINGS, Check

#: The services that may have an account, those first that may see the most.
RABBIT_SERVICES = ("OPERATOR", "PRODUCER", "LAKE", "CLEAN")
MYSQL_SERVICES = ("OPERATOR", "MIGRATOR", "LAKE", "CLEAN")

Read = TypeVar("Read")


@dataclass(slots=True)
class Settings:
    """What could be read, and what is wrong with the rest."""

    #: By the service, as its settings begin.
    rabbit: dict[str, RabbitSettings] = field(default_factory=dict)
    mysql: dict[str, MysqlSettings] = field(default_factory=dict)
    management: Management | None = None
    has_log: bool = False
    faults: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, env: Environment) -> Settings:
        """Read everything that is set; what is malformed or half set is among the faults."""
        settings = cls()
        for service in RABBIT_SERVICES:
            settings._account(env, settings.rabbit, service, "RABBIT", RabbitSettings.read)
        for service in MYSQL_SERVICES:
            settings._account(env, settings.mysql, service, "MYSQL", MysqlSettings.read)
        with settings._collected():
            if not settings.rabbit and not settings.faults:
                # Every service talks to the broker, so its setting reports this.
                RabbitSettings.read(env, "OPERATOR")
            if "OPERATOR" in settings.rabbit:
                settings.management = Management.read(env, settings.rabbit["OPERATOR"])
        with settings._collected():
            ServiceSettings.read(env, 0)
        with settings._collected():
            PrivacySettings.read(env)
        with settings._collected():
            settings.has_log = read_patterns(env) is not None
            if settings.has_log:
                read_logs(env)
        return settings

    def check(self) -> Check:
        """Return the row of the settings."""
        there = {"broker": self.rabbit, "database": self.mysql, "log": self.has_log}
        found = ", ".join(name for name, is_set in there.items() if is_set)
        return Check.of(
            SETTINGS,
            self.faults,
            f"in order; there are some for {found}",
            "Correct it in .env or the environment; .env.example says what it may be.",
        )

    def _account(
        self,
        env: Environment,
        found: dict[str, Read],
        service: str,
        dependency: str,
        read: Callable[[Environment, str], Read],
    ) -> None:
        with self._collected():
            if has_account(env, service, dependency):
                found[service] = read(env, service)

    @contextmanager
    def _collected(self) -> Iterator[None]:
        """Note each fault once."""
        try:
            yield
        except ConfigError as error:
            if str(error) not in self.faults:
                self.faults.append(str(error))


def has_account(env: Environment, service: str, dependency: str) -> bool:
    """Return whether any setting names an account of a service, RABBIT's or MYSQL's."""
    names = [
        f"{prefix}_{part}"
        for prefix in (f"{service}_{dependency}", dependency)
        for part in ("USER", "PASSWORD")
    ]
    if service == "MIGRATOR":
        names.append("MYSQL_ROOT_PASSWORD")
    return any(env.find(name) is not None for name in names)


#: What people call the services.
_CALLED = {
    "OPERATOR": "operator",
    "MIGRATOR": "migrator",
    "PRODUCER": "producer",
    "LAKE": "lake_consumer",
    "CLEAN": "clean_consumer",
}


def called(services: Iterable[str]) -> str:
    """Return the names of services as people know them."""
    return ", ".join(_CALLED[service] for service in services)


Account = TypeVar("Account", RabbitSettings, MysqlSettings)


def by_account(settings: Mapping[str, Account]) -> dict[Account, list[str]]:
    """Return each account once, with the services that use it."""
    found: dict[Account, list[str]] = {}
    for service, account in settings.items():
        found.setdefault(account, []).append(service)
    return found
